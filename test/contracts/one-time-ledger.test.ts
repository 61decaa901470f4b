import { GetItemCommand } from '@aws-sdk/client-dynamodb'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { DynamoDbExchangeLedger } from '../../functions/adapters/dynamodb-exchange-ledger.ts'
import { DynamoDbOneTimeLedger } from '../../functions/adapters/dynamodb-one-time-ledger.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import type { OneTimeLedger, SpentCredential } from '../../functions/core/ports.ts'
import type { TokenId } from '../../functions/core/types.ts'
import { MemoryOneTimeLedger } from '../support/fakes.ts'
import { type LocalAws, startLocalAws } from '../support/local-aws.ts'

const NOW = 1_800_000_000
let aws: LocalAws
let made = 0

beforeAll(async () => {
  aws = await startLocalAws(['exchanges'])
})
afterAll(() => aws.close())
afterEach(() => aws.endpoint.faults.clear())

function credentialOf(changes: Partial<SpentCredential> = {}): SpentCredential {
  const id = `id-${++made}`
  return { kind: 'assertion', id, attempt: `attempt-${made}`, spentAt: NOW, expiresAt: NOW + 180, ...changes }
}

describe.each<[string, () => OneTimeLedger]>([
  ['in memory', () => new MemoryOneTimeLedger()],
  ['in DynamoDB', () => new DynamoDbOneTimeLedger(aws.dynamoDb, 'exchanges')],
])('a one-time ledger %s', (_name, create) => {
  it('gives a credential away once', async () => {
    const ledger = create()
    const { id } = credentialOf()
    expect(await ledger.claim(credentialOf({ id }))).toBe('claimed')
    expect(await ledger.claim(credentialOf({ id }))).toBe('replayed')
    expect(await ledger.claim(credentialOf())).toBe('claimed')
  })

  it('gives it to exactly one of 50 that claim it at the same time', async () => {
    const ledger = create()
    const { id } = credentialOf()
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => ledger.claim(credentialOf({ id }))))
    expect(outcomes.filter((outcome) => outcome === 'claimed')).toHaveLength(1)
    expect(outcomes.filter((outcome) => outcome === 'replayed')).toHaveLength(49)
  })

  it('gives it away again once it can no longer be accepted, deleted or not', async () => {
    const ledger = create()
    const { id } = credentialOf()
    await ledger.claim(credentialOf({ id, expiresAt: NOW + 10 }))
    expect(await ledger.claim(credentialOf({ id, spentAt: NOW + 10 }))).toBe('replayed')
    expect(await ledger.claim(credentialOf({ id, spentAt: NOW + 11 }))).toBe('claimed')
  })

  it('keeps kinds apart', async () => {
    const ledger = create()
    const { id } = credentialOf()
    for (const kind of ['assertion', 'actor', 'dpop'] as const) {
      expect(await ledger.claim(credentialOf({ kind, id }))).toBe('claimed')
      expect(await ledger.claim(credentialOf({ kind, id }))).toBe('replayed')
    }
  })

  it('recognises its own write when it is repeated', async () => {
    const ledger = create()
    const credential = credentialOf()
    await ledger.claim(credential)
    expect(await ledger.claim(credential)).toBe('claimed')
  })
})

describe('the one-time ledger in DynamoDB', () => {
  const ledger = () => new DynamoDbOneTimeLedger(aws.dynamoDb, 'exchanges')

  it('is not mistaken about a write whose answer was lost', async () => {
    aws.endpoint.faults.set({ operation: 'dynamodb:PutItem', kind: 'drop-after-apply', times: 1 })
    const credential = credentialOf()
    expect(await ledger().claim(credential)).toBe('claimed')
    expect(await ledger().claim(credentialOf({ id: credential.id }))).toBe('replayed')
  })

  it.each([
    ['throttled', { kind: 'throttle' }],
    ['broken', { kind: 'error', code: 'InternalServerError' }],
    ['cut off', { kind: 'reset' }],
    ['silent', { kind: 'hang' }],
  ] as const)('is a fault, not an outcome, while it is %s', async (_name, fault) => {
    aws.endpoint.faults.set({ operation: 'dynamodb:PutItem', ...fault })
    await expect(ledger().claim(credentialOf())).rejects.toThrow(DependencyUnavailable)
  })

  it.each(['assertion', 'actor', 'dpop'] as const)(
    'keeps its items apart from exchanges, and lets them expire: %s',
    async (kind) => {
      const { id, ...rest } = credentialOf({ kind })
      await ledger().claim({ id, ...rest })
      const exchanges = new DynamoDbExchangeLedger(aws.dynamoDb, 'exchanges')
      const exchange = {
        key: id,
        attempt: 'another',
        issued: { id: id as TokenId, jti: 'jti', issuedAt: NOW, expiresAt: NOW + 300 },
        recordedAt: NOW,
        expiresAt: NOW + 400,
        event: { event: 'exchange_granted' } as never,
      }
      expect(await exchanges.record(exchange)).toEqual({ kind: 'recorded' })
      const { Item } = await aws.dynamoDb.send(
        new GetItemCommand({ TableName: 'exchanges', Key: { pk: { S: `${kind}#${id}` } } }),
      )
      expect(Item).toEqual({
        pk: { S: `${kind}#${id}` },
        attempt: { S: rest.attempt },
        recorded_at: { N: String(NOW) },
        expires_at: { N: String(NOW + 180) },
      })
    },
  )
})
