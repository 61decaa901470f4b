import { gzipSync } from 'node:zlib'
import { auditLinkOf, objectKey, readBatch } from '../../functions/core/audit-chain.ts'
import { checkpointLinkOf } from '../../functions/core/audit-checkpoint.ts'
import type { StreamImage, StreamRecord } from '../../functions/core/audit-entry.ts'
import type { OcsfEvent } from '../../functions/core/audit-ocsf.ts'
import type { AuditObjects, ChainHints } from '../../functions/core/ports.ts'
import { ChainWriter } from '../../functions/export-audit/chain-writer.ts'
import type { AuditExport } from '../../functions/export-audit/export-audit.ts'
import { serveExport } from '../../functions/export-audit/serve-export.ts'
import type { AuditHealth } from '../../functions/run-telemetry.ts'
import { MemoryAuditObjects, MemoryChainHints, MemoryCheckpointSigner } from './fakes.ts'

export const NOW = 1_800_000_000

export interface TestExport {
  readonly world: AuditExport
  readonly signer: MemoryCheckpointSigner
  readonly hints: ChainHints
  readonly measured: AuditHealth[]
  readonly faults: unknown[]
  /** How many records or lines each run could not read, where there were any. */
  readonly unreadable: number[]
  readonly handle: ReturnType<typeof serveExport>
  /** A new environment of the same function, which remembers nothing. */
  restarted(): TestExport
  records(): Promise<readonly OcsfEvent[]>
}

/** The exporter as it is deployed, on in-memory ports unless others are given. */
export function createTestExport(given: {
  readonly objects?: AuditObjects
  readonly hints?: ChainHints
  readonly signer?: MemoryCheckpointSigner
  readonly now?: () => number
}): TestExport {
  const {
    objects = new MemoryAuditObjects(),
    hints = new MemoryChainHints(),
    signer = new MemoryCheckpointSigner(),
    now = () => NOW,
  } = given
  let ids = 0
  const world: AuditExport = {
    records: new ChainWriter({ name: 'audit', linkOf: auditLinkOf, objects, hints }),
    checkpoints: new ChainWriter({ name: 'checkpoints', linkOf: checkpointLinkOf, objects, hints }),
    checkpoint: (number) => objects.get(objectKey('checkpoints', number)),
    signer,
    now,
    randomId: () => `writer-${++ids}-${Math.random()}`,
  }
  const measured: AuditHealth[] = []
  const faults: unknown[] = []
  const unreadable: number[] = []
  const telemetry = {
    measure: (health: AuditHealth) => void measured.push(health),
    failed: (fault: unknown) => void faults.push(fault),
    unreadable: (count: number) => void unreadable.push(count),
  }
  return {
    world,
    signer,
    hints,
    measured,
    faults,
    unreadable,
    handle: serveExport(world, telemetry),
    restarted: () => createTestExport({ objects, hints, signer, now }),
    records: async () => {
      const found: OcsfEvent[] = []
      for (let seq = 1; ; seq++) {
        const bytes = await objects.get(objectKey('audit', seq))
        if (bytes === undefined) return found
        found.push(...(readBatch(bytes)?.records ?? []))
      }
    },
  }
}

let sequence = 0

/** The record of an exchange as the table holds it. `name` makes the token ids. */
export function exchangeItem(
  name: string,
  changes: { readonly event?: object; readonly attempt?: string; readonly at?: number } = {},
): StreamImage {
  const { at = NOW, attempt = `attempt-${name}` } = changes
  const token = tokenId(name)
  const event = {
    event: 'exchange_granted',
    correlation_id: `correlation-${name}`,
    time: at,
    policy: 'digest',
    issuer: 'github',
    subject: 'github:repo:octo/pay',
    subject_token: tokenId(`subject-${name}`),
    client_id: 'github:repo:octo/pay',
    target: 'payments-api',
    grant: 'payments-ci',
    scope: 'payments.read',
    token,
    jti: `jti-${name}`,
    expires_at: at + 300,
    kid: 'kid-1',
    txn: `txn-${name}`,
    lineage: [tokenId(`subject-${name}`)],
    ...changes.event,
  }
  return {
    pk: { S: tokenId(`subject-${name}`) },
    attempt: { S: attempt },
    token: { S: token },
    recorded_at: { N: String(at) },
    replay_until: { N: String(at + 400) },
    expires_at: { N: String(at + 172_800) },
    event: { S: JSON.stringify(event) },
  }
}

/** 22 characters, the same for the same name. */
export function tokenId(name: string): string {
  return Buffer.from(name.padEnd(17, '.')).toString('base64url').slice(0, 22)
}

/** A change as the stream delivers it. */
export function change(after: StreamImage | undefined, before?: StreamImage, at = NOW): StreamRecord {
  const eventName = before === undefined ? 'INSERT' : after === undefined ? 'REMOVE' : 'MODIFY'
  return {
    eventName,
    dynamodb: {
      SequenceNumber: String(++sequence).padStart(21, '0'),
      ApproximateCreationDateTime: at,
      NewImage: after,
      OldImage: before,
    },
  }
}

/** Log lines as CloudWatch delivers them. Their ids begin with `name`. */
export function logDelivery(lines: readonly unknown[], messageType = 'DATA_MESSAGE', name = 'line'): object {
  const logEvents = lines.map((line, index) => ({
    id: `${name}-${index}`,
    timestamp: NOW * 1000,
    message: typeof line === 'string' ? line : JSON.stringify(line),
  }))
  const message = { messageType, logGroup: '/exchange', logEvents }
  return { awslogs: { data: gzipSync(JSON.stringify(message)).toString('base64') } }
}

/** The schedule's event. */
export const TICK = { source: 'aws.events', 'detail-type': 'Scheduled Event' }
