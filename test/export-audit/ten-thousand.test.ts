import { createPublicKey } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { DynamoDbChainHints } from '../../functions/adapters/dynamodb-chain-hints.ts'
import { S3AuditObjects } from '../../functions/adapters/s3-audit-objects.ts'
import { objectKey, readBatch } from '../../functions/core/audit-chain.ts'
import { readRecord, type StreamRecord } from '../../functions/core/audit-entry.ts'
import { type StoredObject, verifyAudit } from '../../lib/cli/audit-verification.ts'
import { seededRandom } from '../../lib/local/aws/random.ts'
import {
  change,
  createTestExport,
  exchangeItem,
  logDelivery,
  NOW,
  type TestExport,
  TICK,
} from '../support/audit.ts'
import { type LocalAws, startLocalAws } from '../support/local-aws.ts'

const EXCHANGES = 10_000
const BATCH = 250
const FAULTS = ['error', 'reset', 'drop-after-apply', 'throttle'] as const

let aws: LocalAws
beforeAll(async () => {
  aws = await startLocalAws(['audit'])
  const objectLock = { mode: 'COMPLIANCE', days: 400 } as const
  await aws.endpoint.s3.createBucket({ name: 'trail', objectLock, denied: [] })
})
afterAll(() => aws.close())

/** Lambda's part: delivers a batch again until the function says that nothing of it failed. */
async function deliver(exporter: TestExport, Records: readonly StreamRecord[]): Promise<number> {
  for (let deliveries = 1; ; deliveries++) {
    const answer = await exporter.handle({ Records })
    if (answer?.batchItemFailures.length === 0) return deliveries
  }
}

it('10,000 exchanges are all in the trail, however often S3, the hint and the exporter fail', async () => {
  const random = seededRandom(7)
  let now = NOW
  const objects = new S3AuditObjects(aws.s3, 'trail')
  let exporter = createTestExport({
    objects,
    hints: new DynamoDbChainHints(aws.dynamoDb, 'audit'),
    now: () => now,
  })
  const items = Array.from({ length: EXCHANGES }, (_, index) => exchangeItem(`${index}`))
  let deliveries = 0
  for (let from = 0; from < EXCHANGES; from += BATCH) {
    const kind = FAULTS[Math.floor(random() * FAULTS.length)] ?? 'reset'
    const fault = kind === 'error' ? { kind, code: 'InternalError' } : { kind }
    const operation = ['s3:PutObject', 's3:GetObject', 'dynamodb:UpdateItem'][Math.floor(random() * 3)] ?? ''
    if (random() < 0.5) aws.endpoint.faults.set({ ...fault, operation, times: 1 + Math.floor(random() * 3) })
    // A new environment knows nothing of what the last one wrote.
    if (random() < 0.3) exporter = exporter.restarted()
    const Records = items.slice(from, from + BATCH).map((item) => change(item))
    // Another shard's batch, and log lines, at the same moment.
    const [count] = await Promise.all([
      deliver(exporter, Records),
      random() < 0.2 ? deliver(exporter.restarted(), Records.slice(0, 3)) : 0,
      exporter
        .handle(logDelivery([{ audit: { event: 'exchange_refused', time: NOW, reason: 'key_unknown' } }]))
        .catch(() => 0),
    ])
    deliveries += count
    now += 30
    await exporter.handle(TICK).catch(() => undefined)
  }
  aws.endpoint.faults.clear()
  await exporter.handle(TICK)
  const report = await verifyAudit(
    { objects: stored(), recorded: recorded(), hints: { audit: 0, checkpoints: 0 } },
    {
      publicKey: createPublicKey(exporter.signer.privateKey).export({ format: 'der', type: 'spki' }),
      now: now + 1200,
    },
  )
  expect(report.findings).toEqual([])
  expect(report.compared).toBe(EXCHANGES)
  expect(report.events).toBeGreaterThanOrEqual(EXCHANGES)
  expect(deliveries).toBeGreaterThan(EXCHANGES / BATCH)

  async function* stored(): AsyncGenerator<StoredObject> {
    for (const chain of ['checkpoints', 'audit'] as const)
      for (let seq = 1; ; seq++) {
        const key = objectKey(chain, seq)
        const bytes = await objects.get(key)
        if (bytes === undefined) break
        if (chain === 'audit') expect(readBatch(bytes)?.seq).toBe(seq)
        yield { key, bytes, laterVersions: 0, isHidden: false }
      }
  }
  async function* recorded() {
    for (const item of items) {
      const record = readRecord(item)
      if (record !== undefined) yield record
    }
  }
})
