import { CreateTableCommand, PutItemCommand } from '@aws-sdk/client-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DynamoDbStatusEntries } from '../../functions/adapters/dynamodb-status-entries.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import type { StatusEntries, StatusEntry } from '../../functions/core/ports.ts'
import type { TokenId } from '../../functions/core/types.ts'
import { MemoryStatusEntries } from '../support/fakes.ts'
import { type LocalAws, startLocalAws } from '../support/local-aws.ts'

const NOW = 1_800_000_000
let aws: LocalAws
let made = 0
let lists = 0

beforeAll(async () => {
  aws = await startLocalAws()
  await aws.dynamoDb.send(
    new CreateTableCommand({
      TableName: 'status',
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'idx', KeyType: 'RANGE' },
      ],
      AttributeDefinitions: [
        { AttributeName: 'pk', AttributeType: 'S' },
        { AttributeName: 'idx', AttributeType: 'N' },
      ],
      BillingMode: 'PAY_PER_REQUEST',
    }),
  )
})
afterAll(() => aws.close())

const inDynamoDb = () => new DynamoDbStatusEntries(aws.dynamoDb, 'status')

function entryOf(list: number, index: number, changes: Partial<StatusEntry> = {}): StatusEntry {
  const facts = {
    tokenId: `token-${++made}` as TokenId,
    lineage: ['root' as TokenId, `token-${made}` as TokenId],
    txn: 'txn',
    subject: 'ci:é',
    clients: ['checkout'],
    idp: 'https://ci.example.com',
    actorKeys: [],
    signedBy: ['kid'],
    issuedAt: NOW,
  }
  return { status: { list, index }, facts, expiresAt: NOW + 600, ...changes }
}

describe.each<[string, () => StatusEntries]>([
  ['in memory', () => new MemoryStatusEntries()],
  ['in DynamoDB', inDynamoDb],
])('a store of status entries %s', (_name, create) => {
  it('reads by list, whole, as soon as entries are written', async () => {
    const entries = create()
    const [list, other] = [++lists, ++lists]
    expect(await entries.read(list, NOW)).toEqual([])
    const written = [0, 1, 63, 4095].map((index) => entryOf(list, index))
    for (const entry of written) await entries.write(entry)
    await entries.write(entryOf(other, 0))
    expect(await entries.read(list, NOW)).toEqual(written)
  })

  it('takes an entry again for the same token, and never for another', async () => {
    const entries = create()
    const first = entryOf(++lists, 5)
    await entries.write(first)
    await entries.write(first)
    await expect(entries.write(entryOf(lists, 5))).rejects.toThrow('one status index')
    expect(await entries.read(lists, NOW)).toEqual([first])
  })

  it('forgets entries when they expire, deleted or not', async () => {
    const entries = create()
    await entries.write(entryOf(++lists, 0, { expiresAt: NOW }))
    const alive = entryOf(lists, 1, { expiresAt: NOW + 1 })
    await entries.write(alive)
    expect(await entries.read(lists, NOW)).toEqual([alive])
  })
})

describe('status entries in DynamoDB', () => {
  it('are read to the last page', async () => {
    const list = ++lists
    const long = Array.from({ length: 4 }, () => 's'.repeat(30_000))
    for (let index = 0; index < 20; index++) {
      const entry = entryOf(list, index)
      await inDynamoDb().write({ ...entry, facts: { ...entry.facts, clients: long } })
    }
    const read = await inDynamoDb().read(list, NOW)
    expect(read.map(({ status }) => status.index)).toEqual(Array.from({ length: 20 }, (_, index) => index))
  })

  it('are no part of a list: where there is more than can be read, that is a fault', async () => {
    const endless = { send: async () => ({ Items: [], LastEvaluatedKey: { pk: { S: 'list#0' } } }) }
    await expect(new DynamoDbStatusEntries(endless as never, 't').read(0, NOW)).rejects.toThrow(
      'only in part',
    )
    const silent = { send: async () => ({}) }
    await expect(new DynamoDbStatusEntries(silent as never, 't').read(0, NOW)).rejects.toThrow('says nothing')
  })

  it('are not mistaken about a write whose answer was lost', async () => {
    aws.endpoint.faults.set({ operation: 'dynamodb:PutItem', kind: 'drop-after-apply', times: 1 })
    const entry = entryOf(++lists, 0)
    await inDynamoDb().write(entry)
    expect(await inDynamoDb().read(lists, NOW)).toEqual([entry])
  })

  it('are seen where a weaker read would miss them', async () => {
    await aws.endpoint.dynamodb.serveStaleReads(true)
    const entry = entryOf(++lists, 0)
    await inDynamoDb().write(entry)
    expect(await inDynamoDb().read(lists, NOW)).toEqual([entry])
    await aws.endpoint.dynamodb.serveStaleReads(false)
  })

  it.each([
    ['dynamodb:PutItem', 'throttle'],
    ['dynamodb:Query', 'throttle'],
    ['dynamodb:Query', 'reset'],
  ] as const)('are a fault, not a guess: %s %s', async (operation, kind) => {
    aws.endpoint.faults.set({ operation, kind })
    const attempt = async () => {
      await inDynamoDb().write(entryOf(++lists, 0))
      await inDynamoDb().read(lists, NOW)
    }
    await expect(attempt()).rejects.toThrow(DependencyUnavailable)
    aws.endpoint.faults.clear()
  })

  it('of a version that knew no actors are read as having none', async () => {
    const { status, facts, expiresAt } = entryOf(++lists, 0)
    const { actorKeys: _, ...older } = facts
    const Item = {
      pk: { S: `list#${lists}` },
      idx: { N: '0' },
      facts: { S: JSON.stringify(older) },
      expires_at: { N: String(expiresAt) },
    }
    await aws.dynamoDb.send(new PutItemCommand({ TableName: 'status', Item }))
    expect(await inDynamoDb().read(lists, NOW)).toEqual([{ status, facts, expiresAt }])
  })

  it('are not skipped if they cannot be understood', async () => {
    const item = { pk: { S: `list#${++lists}` }, idx: { N: '0' }, expires_at: { N: String(NOW + 1) } }
    await aws.dynamoDb.send(new PutItemCommand({ TableName: 'status', Item: item }))
    await expect(inDynamoDb().read(lists, NOW)).rejects.toThrow()
  })
})
