import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DynamoDbChainHints } from '../../functions/adapters/dynamodb-chain-hints.ts'
import { S3AuditObjects } from '../../functions/adapters/s3-audit-objects.ts'
import type { AuditObjects, ChainHints } from '../../functions/core/ports.ts'
import { MemoryAuditObjects, MemoryChainHints } from '../support/fakes.ts'
import { type LocalAws, startLocalAws } from '../support/local-aws.ts'

let aws: LocalAws
beforeAll(async () => {
  aws = await startLocalAws(['audit'])
  const objectLock = { mode: 'COMPLIANCE', days: 1 } as const
  await aws.endpoint.s3.createBucket({ name: 'trail', objectLock, denied: [] })
})
afterAll(() => aws.close())

const bytes = (text: string) => Buffer.from(text)
let keys = 0
const newKey = () => `audit/${String(++keys).padStart(12, '0')}.json`

describe.each<[string, () => AuditObjects]>([
  ['S3AuditObjects', () => new S3AuditObjects(aws.s3, 'trail')],
  ['MemoryAuditObjects', () => new MemoryAuditObjects()],
])('%s', (_, make) => {
  it('holds what was written first, and says of anything later that there is something', async () => {
    const objects = make()
    const key = newKey()
    expect(await objects.get(key)).toBeUndefined()
    expect(await objects.put(key, bytes('one'))).toBe('written')
    expect(await objects.put(key, bytes('two'))).toBe('exists')
    expect(Buffer.from((await objects.get(key)) ?? '').toString()).toBe('one')
  })

  it('lets one of simultaneous writers win', async () => {
    const objects = make()
    const key = newKey()
    const outcomes = await Promise.all(['a', 'b', 'c', 'd'].map((text) => objects.put(key, bytes(text))))
    expect(outcomes.filter((outcome) => outcome === 'written')).toHaveLength(1)
  })
})

describe('S3AuditObjects', () => {
  it('asks again when somebody was writing at the same moment, which is no answer yet', async () => {
    const conflict = { operation: 's3:PutObject', kind: 'error', code: 'ConditionalRequestConflict' } as const
    aws.endpoint.faults.set({ ...conflict, times: 2 })
    expect(await new S3AuditObjects(aws.s3, 'trail').put(newKey(), bytes('x'))).toBe('written')
  })

  it('takes an answer that was lost for one that is not known, or for something that is there', async () => {
    aws.endpoint.faults.set({ operation: 's3:PutObject', kind: 'drop-after-apply', times: 1 })
    expect(await new S3AuditObjects(aws.s3, 'trail').put(newKey(), bytes('x'))).toBe('exists')
  })

  it.each(['throttle', 'reset'] as const)('throws when S3 is down: %s', async (kind) => {
    aws.endpoint.faults.set({ operation: 's3:PutObject', kind, times: 2 })
    const put = new S3AuditObjects(aws.s3, 'trail').put(newKey(), bytes('x'))
    await expect(put).rejects.toMatchObject({ name: 'DependencyUnavailable', dependency: 's3' })
    aws.endpoint.faults.clear()
    aws.endpoint.faults.set({ operation: 's3:GetObject', kind, times: 2 })
    const get = new S3AuditObjects(aws.s3, 'trail').get(newKey())
    await expect(get).rejects.toMatchObject({ name: 'DependencyUnavailable' })
    aws.endpoint.faults.clear()
  })
})

describe.each<[string, () => ChainHints]>([
  ['in DynamoDB', () => new DynamoDbChainHints(aws.dynamoDb, 'audit')],
  ['in memory', () => new MemoryChainHints()],
])('a store of chain hints %s', (_, make) => {
  it('starts at 0, moves on and never back, for each chain by itself', async () => {
    const hints = make()
    expect(await hints.read('audit')).toBe(0)
    await hints.advance('audit', 5)
    await hints.advance('audit', 3)
    expect(await hints.read('audit')).toBe(5)
    expect(await hints.read('checkpoints')).toBe(0)
    await Promise.all([9, 7, 8].map((seq) => hints.advance('audit', seq)))
    expect(await hints.read('audit')).toBe(9)
  })
})
