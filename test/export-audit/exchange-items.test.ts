import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DynamoDbExchangeLedger } from '../../functions/adapters/dynamodb-exchange-ledger.ts'
import { DynamoDbOneTimeLedger } from '../../functions/adapters/dynamodb-one-time-ledger.ts'
import { DynamoDbReferenceTokens } from '../../functions/adapters/dynamodb-reference-tokens.ts'
import { entryOfChange, type StreamRecord } from '../../functions/core/audit-entry.ts'
import { OTHER_ITEMS } from '../../functions/core/exchange-items.ts'
import type { ExchangeRecord } from '../../functions/core/ports.ts'
import { tokenIdOf } from '../../functions/core/token-id.ts'
import type { TokenId } from '../../functions/core/types.ts'
import { NOW } from '../support/audit.ts'
import { inProcessDynamoDb } from '../support/in-process-dynamodb.ts'

const ID = 'i'.repeat(22) as TokenId
const RECORD = {
  key: `${ID}#assertion#reference#`,
  attempt: 'attempt',
  issued: { id: ID, jti: 'jti', issuedAt: NOW, expiresAt: NOW + 300 },
  recordedAt: NOW,
  expiresAt: NOW + 400,
  event: { event: 'exchange_granted' },
} as ExchangeRecord

/** Whatever writes to the exchanges table, with a write of each. */
const WRITERS = {
  DynamoDbExchangeLedger: (client: never) => new DynamoDbExchangeLedger(client, 'exchanges').record(RECORD),
  DynamoDbOneTimeLedger: (client: never) =>
    new DynamoDbOneTimeLedger(client, 'exchanges').claim({
      kind: 'assertion',
      id: ID,
      attempt: 'attempt',
      spentAt: NOW,
      expiresAt: NOW + 60,
    }),
  DynamoDbReferenceTokens: (client: never) =>
    new DynamoDbReferenceTokens(client, 'exchanges').store({
      handleHash: 'h'.repeat(43),
      claims: { jti: 'jti' },
      expiresAt: NOW + 300,
    }),
}

async function exportedOf(writer: keyof typeof WRITERS): Promise<readonly unknown[]> {
  const stream: StreamRecord[] = []
  const client = await inProcessDynamoDb(
    ['exchanges'],
    async () => undefined,
    (record) => void stream.push(record as unknown as StreamRecord),
  )
  await WRITERS[writer](client as never)
  expect(stream).toHaveLength(1)
  return stream.flatMap((record) => entryOfChange(record)?.event['event'] ?? [])
}

describe('of the items of the exchanges table', () => {
  it('the export takes the records of exchanges, and passes over all others that adapters write', async () => {
    expect(await exportedOf('DynamoDbExchangeLedger')).toEqual(['exchange_granted'])
    expect(await exportedOf('DynamoDbOneTimeLedger')).toEqual([])
    expect(await exportedOf('DynamoDbReferenceTokens')).toEqual([])
  })

  it('these are all: no other adapter is given the table', () => {
    const composed = readFileSync('functions/compose.ts', 'utf8')
    const given = [...composed.matchAll(/new (\w+)\([^)]*exchangesTable/g)].map(([, name]) => name)
    expect(new Set(given)).toEqual(new Set(Object.keys(WRITERS)))
    expect([...composed.matchAll(/settings\.exchangesTable/g)]).toHaveLength(given.length)
  })

  it('no token id, with which a record’s key begins, begins like one of the others', () => {
    const token = fc.record({
      kind: fc.constant('token' as const),
      issuer: fc.string(),
      jti: fc.option(fc.string(), { nil: undefined }),
      signingInput: fc.string(),
    })
    fc.assert(fc.property(token, (it) => /^[\w-]{22}$/.test(tokenIdOf(it))))
    for (const prefix of Object.values(OTHER_ITEMS)) {
      expect(prefix.indexOf('#')).toBe(prefix.length - 1)
      expect(prefix.length).toBeLessThanOrEqual(22)
    }
  })
})
