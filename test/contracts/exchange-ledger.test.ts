import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DynamoDbExchangeLedger } from '../../functions/adapters/dynamodb-exchange-ledger.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import type { ExchangeLedger, ExchangeRecord, RecordOutcome } from '../../functions/core/ports.ts'
import type { TokenId } from '../../functions/core/types.ts'
import { MemoryLedger } from '../support/fakes.ts'
import { type LocalAws, startLocalAws } from '../support/local-aws.ts'

const NOW = 1_800_000_000
let aws: LocalAws
let made = 0

beforeAll(async () => {
  aws = await startLocalAws(['exchanges'])
})
afterAll(() => aws.close())

function recordOf(changes: Partial<ExchangeRecord> = {}): ExchangeRecord {
  const id = `id-${++made}` as TokenId
  return {
    key: `key-${made}`,
    attempt: `attempt-${made}`,
    issued: { id, jti: `jti-${made}`, issuedAt: NOW, expiresAt: NOW + 300 },
    recordedAt: NOW,
    expiresAt: NOW + 400,
    event: { event: 'exchange_granted', jti: `jti-${made}` } as never,
    ...changes,
  }
}

describe.each<[string, () => ExchangeLedger]>([
  ['in memory', () => new MemoryLedger()],
  ['in DynamoDB', () => new DynamoDbExchangeLedger(aws.dynamoDb, 'exchanges')],
])('an exchange ledger %s', (_name, create) => {
  it('records a key once', async () => {
    const ledger = create()
    const { key } = recordOf()
    expect(await ledger.record(recordOf({ key }))).toEqual({ kind: 'recorded' })
    expect(await ledger.record(recordOf({ key }))).toEqual({ kind: 'replayed' })
  })

  it('gives exactly one of 200 writers the key, 40 at a time', async () => {
    const ledger = create()
    const { key } = recordOf()
    const outcomes: RecordOutcome[] = []
    // In waves: more at a time than a busy test machine answers would fail for that.
    while (outcomes.length < 200)
      outcomes.push(
        ...(await Promise.all(Array.from({ length: 40 }, () => ledger.record(recordOf({ key }))))),
      )
    expect(outcomes.filter(({ kind }) => kind === 'recorded')).toHaveLength(1)
    expect(outcomes.filter(({ kind }) => kind === 'replayed')).toHaveLength(199)
  })

  it('takes a key again once its record has expired, deleted or not', async () => {
    const ledger = create()
    const { key } = recordOf()
    await ledger.record(recordOf({ key, expiresAt: NOW + 10 }))
    expect(await ledger.record(recordOf({ key, recordedAt: NOW + 10 }))).toEqual({ kind: 'replayed' })
    expect(await ledger.record(recordOf({ key, recordedAt: NOW + 11 }))).toEqual({ kind: 'recorded' })
  })

  it('recognises its own write when it is repeated', async () => {
    const ledger = create()
    const record = recordOf()
    await ledger.record(record)
    expect(await ledger.record(record)).toEqual({ kind: 'recorded' })
  })

  it('knows a repeated request for 60 s, and what was issued for it', async () => {
    const ledger = create()
    const first = recordOf({ fingerprint: 'same' })
    await ledger.record(first)
    const { key } = first
    const again = (changes: Partial<ExchangeRecord>) =>
      ledger.record(recordOf({ key, fingerprint: 'same', ...changes }))
    expect(await again({ recordedAt: NOW + 60 })).toEqual({ kind: 'same_request', issued: first.issued })
    expect(await again({ recordedAt: NOW + 61 })).toEqual({ kind: 'replayed' })
    expect(await again({ fingerprint: 'other' })).toEqual({ kind: 'replayed' })
    expect(await ledger.record(recordOf({ key }))).toEqual({ kind: 'replayed' })
  })

  it('knows where the status of what it issued can be read', async () => {
    const ledger = create()
    const first = recordOf({ fingerprint: 'same' })
    const issued = { ...first.issued, status: { list: 3, index: 0 } }
    await ledger.record({ ...first, issued })
    expect(await ledger.record(recordOf({ key: first.key, fingerprint: 'same' }))).toEqual({
      kind: 'same_request',
      issued,
    })
  })

  it('takes two requests without fingerprint for two requests', async () => {
    const ledger = create()
    const { key } = recordOf()
    await ledger.record(recordOf({ key }))
    expect(await ledger.record(recordOf({ key }))).toEqual({ kind: 'replayed' })
  })
})

describe('the exchange ledger in DynamoDB', () => {
  it('is not mistaken about a write whose answer was lost', async () => {
    aws.endpoint.faults.set({ operation: 'dynamodb:PutItem', kind: 'drop-after-apply', times: 1 })
    const ledger = new DynamoDbExchangeLedger(aws.dynamoDb, 'exchanges')
    const record = recordOf()
    expect(await ledger.record(record)).toEqual({ kind: 'recorded' })
    expect(await ledger.record(recordOf({ key: record.key }))).toEqual({ kind: 'replayed' })
  })

  it.each([
    ['throttled', { kind: 'throttle' }],
    ['broken', { kind: 'error', code: 'InternalServerError' }],
    ['cut off', { kind: 'reset' }],
    ['silent', { kind: 'hang' }],
  ] as const)('is a fault, not an outcome, while it is %s', async (_name, fault) => {
    aws.endpoint.faults.set({ operation: 'dynamodb:PutItem', ...fault })
    const ledger = new DynamoDbExchangeLedger(aws.dynamoDb, 'exchanges')
    await expect(ledger.record(recordOf())).rejects.toThrow(DependencyUnavailable)
    aws.endpoint.faults.clear()
  })
})
