import { GetItemCommand } from '@aws-sdk/client-dynamodb'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { DynamoDbAssertionLedger } from '../../functions/adapters/dynamodb-assertion-ledger.ts'
import { DynamoDbExchangeLedger } from '../../functions/adapters/dynamodb-exchange-ledger.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import type { AssertionLedger, SpentAssertion } from '../../functions/core/ports.ts'
import type { TokenId } from '../../functions/core/types.ts'
import { MemoryAssertions } from '../support/fakes.ts'
import { type LocalAws, startLocalAws } from '../support/local-aws.ts'

const NOW = 1_800_000_000
let aws: LocalAws
let made = 0

beforeAll(async () => {
  aws = await startLocalAws(['exchanges'])
})
afterAll(() => aws.close())
afterEach(() => aws.endpoint.faults.clear())

function assertionOf(changes: Partial<SpentAssertion> = {}): SpentAssertion {
  const id = `id-${++made}` as TokenId
  return { id, attempt: `attempt-${made}`, spentAt: NOW, expiresAt: NOW + 180, ...changes }
}

describe.each<[string, () => AssertionLedger]>([
  ['in memory', () => new MemoryAssertions()],
  ['in DynamoDB', () => new DynamoDbAssertionLedger(aws.dynamoDb, 'exchanges')],
])('an assertion ledger %s', (_name, create) => {
  it('gives an assertion away once', async () => {
    const ledger = create()
    const { id } = assertionOf()
    expect(await ledger.claim(assertionOf({ id }))).toBe('claimed')
    expect(await ledger.claim(assertionOf({ id }))).toBe('replayed')
    expect(await ledger.claim(assertionOf())).toBe('claimed')
  })

  it('gives it to exactly one of 50 that claim it at the same time', async () => {
    const ledger = create()
    const { id } = assertionOf()
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => ledger.claim(assertionOf({ id }))))
    expect(outcomes.filter((outcome) => outcome === 'claimed')).toHaveLength(1)
    expect(outcomes.filter((outcome) => outcome === 'replayed')).toHaveLength(49)
  })

  it('gives it away again once it can no longer be accepted, deleted or not', async () => {
    const ledger = create()
    const { id } = assertionOf()
    await ledger.claim(assertionOf({ id, expiresAt: NOW + 10 }))
    expect(await ledger.claim(assertionOf({ id, spentAt: NOW + 10 }))).toBe('replayed')
    expect(await ledger.claim(assertionOf({ id, spentAt: NOW + 11 }))).toBe('claimed')
  })

  it('recognises its own write when it is repeated', async () => {
    const ledger = create()
    const assertion = assertionOf()
    await ledger.claim(assertion)
    expect(await ledger.claim(assertion)).toBe('claimed')
  })
})

describe('the assertion ledger in DynamoDB', () => {
  const ledger = () => new DynamoDbAssertionLedger(aws.dynamoDb, 'exchanges')

  it('is not mistaken about a write whose answer was lost', async () => {
    aws.endpoint.faults.set({ operation: 'dynamodb:PutItem', kind: 'drop-after-apply', times: 1 })
    const assertion = assertionOf()
    expect(await ledger().claim(assertion)).toBe('claimed')
    expect(await ledger().claim(assertionOf({ id: assertion.id }))).toBe('replayed')
  })

  it.each([
    ['throttled', { kind: 'throttle' }],
    ['broken', { kind: 'error', code: 'InternalServerError' }],
    ['cut off', { kind: 'reset' }],
    ['silent', { kind: 'hang' }],
  ] as const)('is a fault, not an outcome, while it is %s', async (_name, fault) => {
    aws.endpoint.faults.set({ operation: 'dynamodb:PutItem', ...fault })
    await expect(ledger().claim(assertionOf())).rejects.toThrow(DependencyUnavailable)
  })

  it('keeps its items apart from exchanges, and lets them expire', async () => {
    const { id, ...rest } = assertionOf()
    await ledger().claim({ id, ...rest })
    const exchanges = new DynamoDbExchangeLedger(aws.dynamoDb, 'exchanges')
    const exchange = {
      key: id,
      attempt: 'another',
      issued: { id, jti: 'jti', issuedAt: NOW, expiresAt: NOW + 300 },
      recordedAt: NOW,
      expiresAt: NOW + 400,
      event: { event: 'exchange_granted' } as never,
    }
    expect(await exchanges.record(exchange)).toEqual({ kind: 'recorded' })
    const { Item } = await aws.dynamoDb.send(
      new GetItemCommand({ TableName: 'exchanges', Key: { pk: { S: `assertion#${id}` } } }),
    )
    expect(Item).toEqual({
      pk: { S: `assertion#${id}` },
      attempt: { S: rest.attempt },
      recorded_at: { N: String(NOW) },
      expires_at: { N: String(NOW + 180) },
    })
  })
})
