import { GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DynamoDbReferenceTokens } from '../../functions/adapters/dynamodb-reference-tokens.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import type { ReferenceTokens, StoredReference } from '../../functions/core/ports.ts'
import { MemoryReferenceTokens } from '../support/fakes.ts'
import { type LocalAws, startLocalAws } from '../support/local-aws.ts'

const NOW = 1_800_000_000
let aws: LocalAws
let made = 0

beforeAll(async () => {
  aws = await startLocalAws(['exchanges'])
})
afterAll(() => aws.close())

const inDynamoDb = () => new DynamoDbReferenceTokens(aws.dynamoDb, 'exchanges')

function tokenOf(changes: Partial<StoredReference> = {}): StoredReference {
  const claims = { jti: `jti-${++made}`, exp: NOW + 300, lineage: ['root'], '/a b': { é: [true] } }
  return { handleHash: `hash-${String(made).padStart(6, '0')}`, claims, expiresAt: NOW + 400, ...changes }
}

describe.each<[string, () => ReferenceTokens]>([
  ['in memory', () => new MemoryReferenceTokens()],
  ['in DynamoDB', inDynamoDb],
])('a store of reference tokens %s', (_name, create) => {
  it('finds by the hash of the handle what was stored under it, at once and whole', async () => {
    const store = create()
    for (let round = 0; round < 10; round++) {
      const token = tokenOf()
      expect(await store.find(token.handleHash)).toBeUndefined()
      await store.store(token)
      expect(await store.find(token.handleHash)).toEqual(token.claims)
    }
  })

  it('knows no token by a part of its hash, nor by more', async () => {
    const store = create()
    const { handleHash, claims, expiresAt } = tokenOf()
    await store.store({ handleHash, claims, expiresAt })
    for (const other of [handleHash.slice(0, -1), `${handleHash}A`, `reference#${handleHash}`, ''])
      expect(await store.find(other), other).toBeUndefined()
  })

  it('never overwrites a token with another, and takes the same one twice for a repetition', async () => {
    const store = create()
    const first = tokenOf()
    await store.store(first)
    await store.store(first)
    await expect(store.store(tokenOf({ handleHash: first.handleHash }))).rejects.toThrow('one handle')
    expect(await store.find(first.handleHash)).toEqual(first.claims)
  })

  it('keeps no token from being found because it has expired: its claims say so', async () => {
    const store = create()
    const token = tokenOf({ expiresAt: 1 })
    await store.store(token)
    expect(await store.find(token.handleHash)).toEqual(token.claims)
  })
})

describe('the store of reference tokens in DynamoDB', () => {
  it('keeps beside the exchanges what nobody takes for one', async () => {
    const token = tokenOf()
    await inDynamoDb().store(token)
    const Key = { pk: { S: `reference#${token.handleHash}` } }
    const { Item } = await aws.dynamoDb.send(new GetItemCommand({ TableName: 'exchanges', Key }))
    expect(Object.keys(Item ?? {}).sort()).toEqual(['claims', 'expires_at', 'pk'])
    expect(Item?.['expires_at']).toEqual({ N: String(token.expiresAt) })
  })

  it('is not mistaken about a write whose answer was lost', async () => {
    aws.endpoint.faults.set({ operation: 'dynamodb:PutItem', kind: 'drop-after-apply', times: 1 })
    const token = tokenOf()
    await inDynamoDb().store(token)
    expect(await inDynamoDb().find(token.handleHash)).toEqual(token.claims)
  })

  it('sees a token that a weaker read would miss', async () => {
    await aws.endpoint.dynamodb.serveStaleReads(true)
    const token = tokenOf()
    await inDynamoDb().store(token)
    const Key = { pk: { S: `reference#${token.handleHash}` } }
    expect(
      (await aws.dynamoDb.send(new GetItemCommand({ TableName: 'exchanges', Key }))).Item,
    ).toBeUndefined()
    expect(await inDynamoDb().find(token.handleHash)).toEqual(token.claims)
    await aws.endpoint.dynamodb.serveStaleReads(false)
  })

  it.each([
    ['dynamodb:PutItem', 'throttle'],
    ['dynamodb:PutItem', 'hang'],
    ['dynamodb:GetItem', 'reset'],
    ['dynamodb:GetItem', 'throttle'],
  ] as const)('never guesses: %s %s is a fault', async (operation, kind) => {
    aws.endpoint.faults.set({ operation, kind })
    const attempt = async () => {
      await inDynamoDb().store(tokenOf())
      await inDynamoDb().find('hash')
    }
    await expect(attempt()).rejects.toThrow(DependencyUnavailable)
    aws.endpoint.faults.clear()
  })

  it.each(['', 'not JSON', '[]', '{"sub":"a","sub":"b"}'])(
    'takes an item that says %j for a fault',
    async (S) => {
      const handleHash = `odd-${++made}`
      const Item = { pk: { S: `reference#${handleHash}` }, claims: { S } }
      await aws.dynamoDb.send(new PutItemCommand({ TableName: 'exchanges', Item }))
      await expect(inDynamoDb().find(handleHash)).rejects.toThrow('says nothing')
    },
  )

  it('takes the item of another handle for a fault', async () => {
    const other = { Item: { pk: { S: 'reference#other' }, claims: { S: '{}' } } }
    const mistaken = { send: async () => other }
    await expect(new DynamoDbReferenceTokens(mistaken as never, 't').find('mine')).rejects.toThrow(
      'says nothing',
    )
  })
})
