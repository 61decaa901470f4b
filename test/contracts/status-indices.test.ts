import { CreateTableCommand } from '@aws-sdk/client-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DynamoDbStatusCounter } from '../../functions/adapters/dynamodb-status-counter.ts'
import { LeasedStatusIndices } from '../../functions/adapters/leased-status-indices.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import { STATUS_BLOCK_SIZE, STATUS_LIST_SIZE } from '../../functions/core/status-list.ts'
import { type LocalAws, startLocalAws } from '../support/local-aws.ts'

let aws: LocalAws

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

/** An environment of the exchange function. */
function environment(nowMs = () => 0): LeasedStatusIndices {
  const counter = new DynamoDbStatusCounter(aws.dynamoDb, 'status')
  return new LeasedStatusIndices(() => counter.leaseBlock(), nowMs)
}

describe('a status counter in DynamoDB', () => {
  it('gives indices that are unique among environments that work at the same time', async () => {
    const environments = Array.from({ length: 12 }, () => environment())
    const taken = await Promise.all(
      environments.flatMap((one) => Array.from({ length: 200 }, () => one.next())),
    )
    const places = taken.map(({ list, index }) => `${list}/${index}`)
    expect(new Set(places).size).toBe(12 * 200)
    for (const { index } of taken) expect(index).toBeLessThan(STATUS_LIST_SIZE)
  })
})

describe('status indices', () => {
  it('stay unique when the answer to a lease is lost: its block is skipped', async () => {
    aws.endpoint.faults.set({ operation: 'dynamodb:UpdateItem', kind: 'drop-after-apply', times: 1 })
    const [one, two] = [await environment().next(), await environment().next()]
    expect(two).not.toEqual(one)
  })

  it('are a fault while none can be leased, and there again afterwards', async () => {
    const indices = environment()
    aws.endpoint.faults.set({ operation: 'dynamodb:UpdateItem', kind: 'throttle' })
    await expect(indices.next()).rejects.toThrow(DependencyUnavailable)
    aws.endpoint.faults.clear()
    expect(await indices.next()).toHaveProperty('index')
  })

  it.each([{}, { Attributes: {} }, { Attributes: { leased: { N: '0' } } }])(
    'are not made up where the counter answers %j',
    async (answer) => {
      const counter = new DynamoDbStatusCounter({ send: async () => answer } as never, 't')
      await expect(counter.leaseBlock()).rejects.toThrow(DependencyUnavailable)
    },
  )
})

describe('leasing ahead', () => {
  /** Leases that answer when they are told to. */
  function heldLeases() {
    const waiting: ((first: number) => void)[] = []
    let clock = 0
    const lease = () => new Promise<number>((resolve) => void waiting.push(resolve))
    const indices = new LeasedStatusIndices(lease, () => clock)
    return { waiting, indices, pass: (ms: number) => (clock += ms) }
  }

  it('lets only the first token wait: the next block is there before the last index is used', async () => {
    const { waiting, indices } = heldLeases()
    const first = indices.next()
    waiting[0]?.(0)
    expect(await first).toEqual({ list: 0, index: 0 })
    for (let taken = 1; taken < STATUS_BLOCK_SIZE; taken++) {
      expect(waiting).toHaveLength(taken <= 48 ? 1 : 2)
      expect((await indices.next()).index).toBe(taken)
    }
    waiting[1]?.(640)
    expect((await indices.next()).index).toBe(640)
    expect(waiting).toHaveLength(2)
  })

  it('begins anew where a lease was frozen on its way', async () => {
    const { waiting, indices, pass } = heldLeases()
    void indices.next()
    pass(5000)
    const second = indices.next()
    expect(waiting).toHaveLength(2)
    waiting[1]?.(64)
    expect((await second).index).toBe(64)
  })

  it('serves on with what it has while the next lease fails', async () => {
    let leases = 0
    const indices = new LeasedStatusIndices(
      async () => {
        if (leases++ > 0) throw new Error('down')
        return 0
      },
      () => 0,
    )
    for (let taken = 0; taken < STATUS_BLOCK_SIZE; taken++) expect((await indices.next()).index).toBe(taken)
    await expect(indices.next()).rejects.toThrow('down')
    expect(leases).toBeGreaterThan(2)
  })
})
