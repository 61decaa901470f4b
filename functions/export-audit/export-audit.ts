import { batchBytes } from '../core/audit-chain.ts'
import {
  checkpointAfter,
  checkpointBytes,
  checkpointParts,
  checkpointSigningInput,
  readCheckpoint,
} from '../core/audit-checkpoint.ts'
import type { AuditEntry } from '../core/audit-entry.ts'
import { ocsfEventOf } from '../core/audit-ocsf.ts'
import type { CheckpointSigner } from '../core/ports.ts'
import type { ChainWriter } from './chain-writer.ts'

/** Without anything new, a checkpoint is written so often all the same: a trail that ends is told from one that is cut. */
export const HEARTBEAT_SECONDS = 3600

export interface AuditExport {
  readonly records: ChainWriter
  readonly checkpoints: ChainWriter
  /** The last checkpoint's bytes, or `undefined` before the first. */
  readonly checkpoint: (number: number) => Promise<Uint8Array | undefined>
  readonly signer: CheckpointSigner
  /** Epoch seconds. */
  readonly now: () => number
  readonly randomId: () => string
}

/** Writes the entries as the next object of the audit chain. */
export async function exportEntries(entries: readonly AuditEntry[], world: AuditExport): Promise<void> {
  if (entries.length === 0) return
  const records = entries.map(ocsfEventOf)
  const writer = world.randomId()
  await world.records.append((head) => batchBytes(head, { time: world.now(), writer, records }))
}

/** Signs where the audit chain ends, if that is news or the last checkpoint is an hour old. */
export async function writeCheckpoint(world: AuditExport): Promise<'written' | 'not due'> {
  const [head, last] = await Promise.all([world.records.end(), world.checkpoints.end()])
  const bytes = last.seq === 0 ? undefined : await world.checkpoint(last.seq)
  const known = bytes && readCheckpoint(bytes)?.checkpoint
  const now = world.now()
  if (known?.seq === head.seq && now - known.time < HEARTBEAT_SECONDS) return 'not due'
  await world.checkpoints.append(async (previous) => {
    const parts = checkpointParts(checkpointAfter(previous, head, now), world.signer.keyId)
    const signature = await world.signer.sign(checkpointSigningInput(parts))
    return checkpointBytes({ ...parts, signature: Buffer.from(signature).toString('base64url') })
  })
  return 'written'
}
