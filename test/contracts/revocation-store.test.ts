import { BatchGetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DynamoDbRevocationStore } from '../../functions/adapters/dynamodb-revocation-store.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import type { AllRevocations, RevocationKey, RevocationStore } from '../../functions/core/ports.ts'
import { MemoryRevocations } from '../support/fakes.ts'
import { type LocalAws, startLocalAws } from '../support/local-aws.ts'

interface Store extends RevocationStore, AllRevocations {
  revoke(key: RevocationKey, cutOff: number): Promise<void>
}

let aws: LocalAws

beforeAll(async () => {
  aws = await startLocalAws(['revocations'])
})
afterAll(() => aws.close())

const inMemory = (): Store => {
  const store = new MemoryRevocations()
  return Object.assign(store, {
    revoke: async (key: RevocationKey, at: number) => void store.stored.set(key, at),
  })
}

const inDynamoDb = (): Store =>
  Object.assign(new DynamoDbRevocationStore(aws.dynamoDb, 'revocations'), {
    revoke: async (key: RevocationKey, at: number) => {
      const Item = { pk: { S: key }, cut_off: { N: String(at) } }
      await aws.dynamoDb.send(new PutItemCommand({ TableName: 'revocations', Item }))
    },
  })

describe.each<[string, () => Store]>([
  ['in memory', inMemory],
  ['in DynamoDB', inDynamoDb],
])('a revocation store %s', (_name, create) => {
  it('finds nothing where nothing is revoked', async () => {
    expect(await create().cutOffs(['token#none', 'subject#none'])).toEqual(new Map())
  })

  it('finds the cut-offs in force among many, at once after they are written', async () => {
    const store = create()
    for (let round = 0; round < 20; round++) {
      await store.revoke(`token#${round}`, 1000 + round)
      const asked: RevocationKey[] = Array.from({ length: 20 }, (_, i) => `token#${round}-${i}` as const)
      expect(await store.cutOffs([...asked, `token#${round}`])).toEqual(
        new Map([[`token#${round}`, 1000 + round]]),
      )
    }
  })

  it('tells all cut-offs there are, at once after they are written', async () => {
    const store = create()
    for (const at of [1, 2, 3]) {
      await store.revoke(`lineage#all-${at}`, at)
      expect((await store.all())?.get(`lineage#all-${at}`)).toBe(at)
    }
  })

  it('may be asked for one key twice', async () => {
    const store = create()
    await store.revoke('client#twice', 5)
    expect(await store.cutOffs(['client#twice', 'client#twice'])).toEqual(new Map([['client#twice', 5]]))
  })
})

describe('the revocation store in DynamoDB', () => {
  const store = () => new DynamoDbRevocationStore(aws.dynamoDb, 'revocations')

  it('takes an item without a time for a revocation of everything', async () => {
    await aws.dynamoDb.send(
      new PutItemCommand({ TableName: 'revocations', Item: { pk: { S: 'issuer#odd' } } }),
    )
    expect((await store().cutOffs(['issuer#odd'])).get('issuer#odd')).toBe(Number.POSITIVE_INFINITY)
  })

  it.each(['throttle', 'reset', 'hang'] as const)('never guesses: %s is a fault', async (kind) => {
    aws.endpoint.faults.set({ operation: 'dynamodb:BatchGetItem', kind })
    await expect(store().cutOffs(['token#a'])).rejects.toThrow(DependencyUnavailable)
    aws.endpoint.faults.clear()
  })

  it.each([{}, { Responses: {} }, { Responses: { other: [] } }])('takes %j for no answer', async (answer) => {
    const silent = { send: async () => answer }
    await expect(new DynamoDbRevocationStore(silent as never, 't').cutOffs(['token#a'])).rejects.toThrow(
      'says nothing',
    )
  })

  it('sees a revocation that a weaker read would miss', async () => {
    await aws.endpoint.dynamodb.serveStaleReads(true)
    const Item = { pk: { S: 'token#fresh' }, cut_off: { N: '1' } }
    await aws.dynamoDb.send(new PutItemCommand({ TableName: 'revocations', Item }))
    const weak = { RequestItems: { revocations: { Keys: [{ pk: { S: 'token#fresh' } }] } } }
    const { Responses } = await aws.dynamoDb.send(new BatchGetItemCommand(weak))
    expect(Responses?.['revocations']).toEqual([])
    expect((await store().cutOffs(['token#fresh'])).size).toBe(1)
    await aws.endpoint.dynamodb.serveStaleReads(false)
  })

  it.each(['throttle', 'reset'] as const)('never guesses all of them either: %s is a fault', async (kind) => {
    aws.endpoint.faults.set({ operation: 'dynamodb:Scan', kind })
    await expect(store().all()).rejects.toThrow(DependencyUnavailable)
    aws.endpoint.faults.clear()
    const silent = { send: async () => ({}) }
    await expect(new DynamoDbRevocationStore(silent as never, 't').all()).rejects.toThrow('says nothing')
  })

  it('sees all that a weaker scan would miss', async () => {
    await aws.endpoint.dynamodb.serveStaleReads(true)
    const Item = { pk: { S: 'token#scanned' }, cut_off: { N: '1' } }
    await aws.dynamoDb.send(new PutItemCommand({ TableName: 'revocations', Item }))
    expect((await store().all())?.has('token#scanned')).toBe(true)
    await aws.endpoint.dynamodb.serveStaleReads(false)
  })

  it('tells all over several pages, and nothing where they are more than four', async () => {
    const pagesOf = (pages: number) => {
      let page = 0
      const send = async () => {
        page++
        const Items = [{ pk: { S: `token#page-${page}` }, cut_off: { N: '1' } }]
        return page < pages ? { Items, LastEvaluatedKey: { pk: { S: 'next' } } } : { Items }
      }
      return new DynamoDbRevocationStore({ send } as never, 't')
    }
    expect((await pagesOf(4).all())?.size).toBe(4)
    expect(await pagesOf(5).all()).toBeUndefined()
  })

  it('asks again for what an answer left out, and gives up rather than answer a part', async () => {
    const answers: object[] = []
    const partial = {
      send: async () => answers.shift() ?? { UnprocessedKeys: { t: { Keys: [{ pk: { S: 'token#b' } }] } } },
    }
    answers.push(
      { Responses: { t: [] }, UnprocessedKeys: { t: { Keys: [{ pk: { S: 'token#b' } }] } } },
      { Responses: { t: [{ pk: { S: 'token#b' }, cut_off: { N: '7' } }] }, UnprocessedKeys: {} },
    )
    const answered = new DynamoDbRevocationStore(partial as never, 't')
    expect(await answered.cutOffs(['token#a', 'token#b'])).toEqual(new Map([['token#b', 7]]))
    await expect(answered.cutOffs(['token#a', 'token#b'])).rejects.toThrow('only in part')
  })
})
