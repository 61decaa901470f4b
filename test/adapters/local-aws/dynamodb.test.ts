import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type AttributeValue,
  BatchGetItemCommand,
  BatchWriteItemCommand,
  ConditionalCheckFailedException,
  DeleteItemCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  ResourceNotFoundException,
  TransactWriteItemsCommand,
  UpdateItemCommand,
  UpdateTimeToLiveCommand,
} from '@aws-sdk/client-dynamodb'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { StreamRecord } from '../../../lib/local/aws/dynamodb-stream.ts'
import { ACCOUNT, failureOf, REGION, startRig, table } from './support.ts'

const STREAM = { StreamViewType: 'NEW_AND_OLD_IMAGES' }
const item = (pk: string, value?: string): Record<string, AttributeValue> => ({
  pk: { S: pk },
  ...(value === undefined ? {} : { value: { S: value } }),
})
const put = (client: DynamoDBClient, Item: Record<string, AttributeValue>, TableName = 'things') =>
  client.send(new PutItemCommand({ TableName, Item }))
const read = async (client: DynamoDBClient, pk: string, ConsistentRead: boolean) =>
  (await client.send(new GetItemCommand({ TableName: 'things', Key: item(pk), ConsistentRead }))).Item

async function rigWithTable(more = {}) {
  const rig = await startRig()
  await rig.endpoint.dynamodb.createTable({ ...table('things'), ...more })
  return rig
}

async function rigWithStream(more = {}) {
  const rig = await rigWithTable({ StreamSpecification: STREAM, ...more })
  const records: StreamRecord[] = []
  rig.endpoint.dynamodb.onStreamRecord('things', (record) => records.push(record))
  return { ...rig, records }
}

describe('conditional writes', () => {
  test('of 200 simultaneous puts of one key one wins, and every loser gets the winner', async () => {
    const { dynamodb } = await rigWithTable()
    const attempt = (value: string) =>
      dynamodb.send(
        new PutItemCommand({
          TableName: 'things',
          Item: item('a', value),
          ConditionExpression: 'attribute_not_exists(pk)',
          ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
        }),
      )
    const results = await Promise.allSettled(
      Array.from({ length: 200 }, (_, index) => attempt(String(index))),
    )
    const winners = results.flatMap((result, index) => (result.status === 'fulfilled' ? [String(index)] : []))
    expect(winners).toHaveLength(1)
    const losers = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
    expect(losers).toHaveLength(199)
    for (const loser of losers) {
      expect(loser).toBeInstanceOf(ConditionalCheckFailedException)
      expect(loser.Item).toEqual(item('a', winners[0]))
    }
  })

  test('the item that is given is the one that failed, even if it is deleted at the same time', async () => {
    const { dynamodb } = await rigWithTable()
    const putOnce = new PutItemCommand({
      TableName: 'things',
      Item: item('a'),
      ConditionExpression: 'attribute_not_exists(pk)',
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
    })
    const remove = new DeleteItemCommand({ TableName: 'things', Key: item('a') })
    const calls = Array.from({ length: 300 }, (_, index) =>
      index % 3 === 2 ? dynamodb.send(remove) : dynamodb.send(putOnce),
    )
    const results = await Promise.allSettled(calls)
    const losers = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
    expect(losers.length).toBeGreaterThan(0)
    for (const loser of losers) expect(loser).toHaveProperty('Item.pk', { S: 'a' })
  })

  test('the item that failed the condition is left out unless it was asked for', async () => {
    const { dynamodb } = await rigWithTable()
    await put(dynamodb, item('a', '1'))
    const again = new PutItemCommand({
      TableName: 'things',
      Item: item('a', '2'),
      ConditionExpression: 'attribute_not_exists(pk)',
    })
    const failure = await failureOf(dynamodb.send(again))
    expect(failure).toMatchObject({
      name: 'ConditionalCheckFailedException',
      message: 'The conditional request failed',
      $metadata: { httpStatusCode: 400 },
    })
    expect(failure).not.toHaveProperty('Item', expect.anything())
  })

  test('updates and deletes give the item that failed the condition, and nothing where there was none', async () => {
    const { dynamodb } = await rigWithTable()
    await put(dynamodb, item('a', '1'))
    const condition = {
      TableName: 'things',
      ConditionExpression: '#v = :other',
      ExpressionAttributeNames: { '#v': 'value' },
      ExpressionAttributeValues: { ':other': { S: 'other' } },
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD' as const,
    }
    const update = { ...condition, Key: item('a'), UpdateExpression: 'SET #v = :other' }
    const remove = (pk: string) => new DeleteItemCommand({ ...condition, Key: item(pk) })
    expect(await failureOf(dynamodb.send(new UpdateItemCommand(update)))).toHaveProperty(
      'Item',
      item('a', '1'),
    )
    expect(await failureOf(dynamodb.send(remove('a')))).toHaveProperty('Item', item('a', '1'))
    expect(await failureOf(dynamodb.send(remove('b')))).not.toHaveProperty('Item', expect.anything())
  })
})

describe('streams', () => {
  test('insert, change and removal become records of the shape that Lambda delivers', async () => {
    const { dynamodb, records } = await rigWithStream()
    await put(dynamodb, item('a', '1'))
    await dynamodb.send(
      new UpdateItemCommand({
        TableName: 'things',
        Key: item('a'),
        UpdateExpression: 'SET #v = :v',
        ExpressionAttributeNames: { '#v': 'value' },
        ExpressionAttributeValues: { ':v': { S: '2' } },
      }),
    )
    await dynamodb.send(new DeleteItemCommand({ TableName: 'things', Key: item('a') }))
    expect(records).toMatchObject([
      { eventName: 'INSERT', dynamodb: { Keys: item('a'), NewImage: item('a', '1') } },
      { eventName: 'MODIFY', dynamodb: { OldImage: item('a', '1'), NewImage: item('a', '2') } },
      { eventName: 'REMOVE', dynamodb: { Keys: item('a'), OldImage: item('a', '2') } },
    ])
    expect(records[0]).toMatchObject({
      eventID: expect.stringMatching(/^[0-9a-f]{32}$/),
      eventVersion: '1.1',
      eventSource: 'aws:dynamodb',
      awsRegion: REGION,
      eventSourceARN: expect.stringMatching(
        new RegExp(`^arn:aws:dynamodb:${REGION}:${ACCOUNT}:table/things/stream/\\d{4}-\\d\\d-\\d\\dT`),
      ),
      dynamodb: { StreamViewType: 'NEW_AND_OLD_IMAGES', SizeBytes: 12 },
    })
    expect(records[0]?.dynamodb).not.toHaveProperty('OldImage')
    expect(records[2]?.dynamodb).not.toHaveProperty('NewImage')
    expect(records.every((record) => record.userIdentity === undefined)).toBe(true)
    const numbers = records.map((record) => record.dynamodb.SequenceNumber)
    expect(numbers).toEqual([...new Set(numbers)].sort())
  })

  test('a batch write gives one record per item', async () => {
    const { dynamodb, records } = await rigWithStream()
    await put(dynamodb, item('a', '1'))
    const things = [{ PutRequest: { Item: item('b', '2') } }, { DeleteRequest: { Key: item('a') } }]
    await dynamodb.send(new BatchWriteItemCommand({ RequestItems: { things } }))
    expect(records.map((record) => record.eventName)).toEqual(['INSERT', 'INSERT', 'REMOVE'])
  })

  test('a write that changes nothing gives no record', async () => {
    const { dynamodb, records } = await rigWithStream()
    await put(dynamodb, item('a', '1'))
    await put(dynamodb, item('a', '1'))
    await dynamodb.send(new DeleteItemCommand({ TableName: 'things', Key: item('absent') }))
    expect(records).toHaveLength(1)
  })

  test('a view of keys only carries no image', async () => {
    const { dynamodb, records } = await rigWithStream({
      StreamSpecification: { StreamViewType: 'KEYS_ONLY' },
    })
    await put(dynamodb, item('a', '1'))
    expect(records[0]?.dynamodb).toMatchObject({ Keys: item('a'), StreamViewType: 'KEYS_ONLY' })
    expect(records[0]?.dynamodb).not.toHaveProperty('NewImage')
  })

  test('simultaneous writes of one item give records that follow from each other', async () => {
    const { dynamodb, records } = await rigWithStream()
    await Promise.all(Array.from({ length: 40 }, (_, index) => put(dynamodb, item('a', String(index)))))
    expect(records).toHaveLength(40)
    for (const [index, record] of records.entries()) {
      expect(record.dynamodb.OldImage).toEqual(records[index - 1]?.dynamodb.NewImage)
    }
  })

  test('a table without a stream has no listener, and a failing listener does not fail the write', async () => {
    const { endpoint } = await rigWithTable()
    expect(() => endpoint.dynamodb.onStreamRecord('things', () => undefined)).toThrow('has no stream')
    const rig = await rigWithStream()
    rig.endpoint.dynamodb.onStreamRecord('things', () => {
      throw new Error('listener')
    })
    await put(rig.dynamodb, item('a', '1'))
    expect(rig.defects).toMatchObject([{ kind: 'internal', operation: 'stream of things' }])
  })

  test('a listener that was taken back hears nothing more', async () => {
    const { dynamodb, endpoint } = await rigWithStream()
    const heard: StreamRecord[] = []
    const stop = endpoint.dynamodb.onStreamRecord('things', (record) => heard.push(record))
    await put(dynamodb, item('a'))
    stop()
    await put(dynamodb, item('b'))
    expect(heard).toHaveLength(1)
  })
})

describe('time to live', () => {
  const TimeToLiveSpecification = { AttributeName: 'expires_at', Enabled: true }
  const expiring = (pk: string, seconds: string) => ({ ...item(pk), expires_at: { N: seconds } })

  test('a sweep deletes what has expired, as DynamoDB does, and leaves the rest', async () => {
    const { dynamodb, endpoint, records } = await rigWithStream({ TimeToLiveSpecification })
    const now = 1_800_000_000
    await put(dynamodb, expiring('expired', String(now)))
    await put(dynamodb, expiring('alive', String(now + 1)))
    await put(dynamodb, expiring('ancient', String(now - 6 * 365 * 86_400)))
    await put(dynamodb, { ...item('text'), expires_at: { S: '1' } })
    await put(dynamodb, item('without'))
    records.length = 0
    expect(await endpoint.dynamodb.sweepExpired(now * 1000)).toBe(1)
    expect(await read(dynamodb, 'expired', true)).toBeUndefined()
    for (const pk of ['alive', 'ancient', 'text', 'without'])
      expect(await read(dynamodb, pk, true)).toBeDefined()
    expect(records).toMatchObject([
      {
        eventName: 'REMOVE',
        userIdentity: { type: 'Service', principalId: 'dynamodb.amazonaws.com' },
        dynamodb: { Keys: item('expired') },
      },
    ])
  })

  test('an expired item stays readable until the sweep', async () => {
    const { dynamodb } = await rigWithTable({ TimeToLiveSpecification })
    await put(dynamodb, expiring('a', '1'))
    expect(await read(dynamodb, 'a', true)).toBeDefined()
  })

  test('the setting can be read and changed, but not set twice', async () => {
    const { dynamodb } = await rigWithTable()
    const describeIt = () => dynamodb.send(new DescribeTimeToLiveCommand({ TableName: 'things' }))
    const enable = () =>
      dynamodb.send(new UpdateTimeToLiveCommand({ TableName: 'things', TimeToLiveSpecification }))
    expect((await describeIt()).TimeToLiveDescription).toEqual({ TimeToLiveStatus: 'DISABLED' })
    await enable()
    const enabled = { TimeToLiveStatus: 'ENABLED', AttributeName: 'expires_at' }
    expect((await describeIt()).TimeToLiveDescription).toEqual(enabled)
    expect(await failureOf(enable())).toMatchObject({ name: 'ValidationException' })
  })
})

describe('reads', () => {
  test('a read that does not ask for consistency may be told to be one write behind', async () => {
    const { dynamodb, endpoint } = await rigWithTable()
    await put(dynamodb, item('a', '1'))
    await endpoint.dynamodb.serveStaleReads(true)
    expect(await read(dynamodb, 'a', false)).toEqual(item('a', '1'))
    await put(dynamodb, item('a', '2'))
    await put(dynamodb, item('b', '1'))
    expect(await read(dynamodb, 'a', false)).toEqual(item('a', '1'))
    expect(await read(dynamodb, 'b', false)).toBeUndefined()
    expect(await read(dynamodb, 'a', true)).toEqual(item('a', '2'))
    await endpoint.dynamodb.serveStaleReads(false)
    expect(await read(dynamodb, 'a', false)).toEqual(item('a', '2'))
  })

  test('batches and queries are stale too unless they ask for consistency', async () => {
    const { dynamodb, endpoint } = await rigWithTable()
    await endpoint.dynamodb.createTable(table('others'))
    await endpoint.dynamodb.serveStaleReads(true)
    await put(dynamodb, item('a', '1'))
    await put(dynamodb, item('a', '1'), 'others')
    const Keys = [item('a')]
    const RequestItems = { things: { Keys, ConsistentRead: true }, others: { Keys } }
    const batch = await dynamodb.send(new BatchGetItemCommand({ RequestItems }))
    expect(batch.Responses).toEqual({ things: [item('a', '1')], others: [] })
    expect(batch.UnprocessedKeys).toEqual({})
    const query = (ConsistentRead: boolean) =>
      dynamodb.send(
        new QueryCommand({
          TableName: 'things',
          KeyConditionExpression: 'pk = :pk',
          ExpressionAttributeValues: { ':pk': { S: 'a' } },
          ConsistentRead,
        }),
      )
    expect((await query(false)).Count).toBe(0)
    expect((await query(true)).Count).toBe(1)
  })
})

describe('tables', () => {
  test('a missing table is AWS’s error and a defect', async () => {
    const { dynamodb, defects } = await startRig()
    const failure = await failureOf(put(dynamodb, item('a'), 'absent'))
    expect(failure).toBeInstanceOf(ResourceNotFoundException)
    expect(defects).toEqual([{ kind: 'table', principal: 'operator', operation: 'PutItem', table: 'absent' }])
  })

  test('a transaction is refused and a defect', async () => {
    const { dynamodb, defects } = await rigWithTable()
    const Put = { TableName: 'things', Item: item('a') }
    const failure = await failureOf(
      dynamodb.send(new TransactWriteItemsCommand({ TransactItems: [{ Put }] })),
    )
    expect(failure.name).toBe('UnknownOperationException')
    expect(defects).toMatchObject([{ kind: 'operation', operation: 'dynamodb:TransactWriteItems' }])
    expect(await read(dynamodb, 'a', true)).toBeUndefined()
  })

  test('an item without its key is refused as on AWS', async () => {
    const { dynamodb } = await rigWithTable()
    expect(await failureOf(put(dynamodb, { other: { S: 'x' } }))).toMatchObject({
      name: 'ValidationException',
      message: 'One or more parameter values were invalid: Missing the key pk in the item',
    })
  })

  test('a description names the account, the Region and the stream', async () => {
    const { dynamodb } = await rigWithTable({ StreamSpecification: STREAM })
    const { Table } = await dynamodb.send(new DescribeTableCommand({ TableName: 'things' }))
    expect(Table).toMatchObject({
      TableStatus: 'ACTIVE',
      TableArn: `arn:aws:dynamodb:${REGION}:${ACCOUNT}:table/things`,
      StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_AND_OLD_IMAGES' },
    })
  })

  test('items and settings outlive the endpoint in the data folder, which one endpoint uses at a time; a changed key is refused', async () => {
    const dataFolder = await mkdtemp(join(tmpdir(), 'local-aws-'))
    onTestFinished(() => rm(dataFolder, { recursive: true }))
    const definition = { ...table('things'), StreamSpecification: STREAM }
    const first = await startRig({ dataFolder })
    await first.endpoint.dynamodb.createTable(definition)
    await put(first.dynamodb, item('a', '1'))
    await expect(startRig({ dataFolder })).rejects.toThrow('another process may use them')
    await first.endpoint.close()
    const second = await startRig({ dataFolder })
    await second.endpoint.dynamodb.createTable(definition)
    expect(await read(second.dynamodb, 'a', true)).toEqual(item('a', '1'))
    const otherKey = { ...definition, KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }] }
    await expect(second.endpoint.dynamodb.createTable(otherKey)).rejects.toThrow('is kept with key')
  })
})

test('an unknown ReturnValuesOnConditionCheckFailure is refused', async () => {
  const { dynamodb } = await rigWithTable()
  const put = new PutItemCommand({
    TableName: 'things',
    Item: item('a'),
    ReturnValuesOnConditionCheckFailure: 'ALL_NEW' as never,
  })
  expect(await failureOf(dynamodb.send(put))).toHaveProperty('name', 'ValidationException')
})
