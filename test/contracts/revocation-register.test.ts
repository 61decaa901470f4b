import { GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DynamoDbRevocationRegister } from '../../functions/adapters/dynamodb-revocation-register.ts'
import { DynamoDbRevocationStore } from '../../functions/adapters/dynamodb-revocation-store.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import type {
  Revocation,
  RevocationKey,
  RevocationRegister,
  RevocationStore,
} from '../../functions/core/ports.ts'
import { MemoryRevocations } from '../support/fakes.ts'
import { type LocalAws, startLocalAws } from '../support/local-aws.ts'

const TABLE = 'revocations'
const KINDS = ['token', 'subject', 'client', 'issuer', 'lineage', 'key'] as const
let aws: LocalAws
let keys = 0

beforeAll(async () => {
  aws = await startLocalAws([TABLE])
})
afterAll(() => aws.close())

type Both = RevocationRegister & RevocationStore

const inDynamoDb = (): Both => {
  const register = new DynamoDbRevocationRegister(aws.dynamoDb, TABLE)
  const store = new DynamoDbRevocationStore(aws.dynamoDb, TABLE)
  return { revoke: (all) => register.revoke(all), cutOffs: (all) => store.cutOffs(all) }
}

const newKey = (): RevocationKey => `token#${++keys}`

function revocation(key: RevocationKey, cutOff: number, more: Partial<Revocation> = {}): Revocation {
  return { key, cutOff, reason: 'leaked', author: 'checkout', at: cutOff, ...more }
}

describe.each<[string, () => Both]>([
  ['in memory', () => new MemoryRevocations()],
  ['in DynamoDB', inDynamoDb],
])('a revocation register %s', (_name, create) => {
  it('has written a cut-off of every kind when it returns', async () => {
    const register = create()
    const all = KINDS.map((kind): RevocationKey => `${kind}#all-${++keys}`)
    await register.revoke(all.map((key, index) => revocation(key, 1000 + index)))
    expect(await register.cutOffs(all)).toEqual(new Map(all.map((key, index) => [key, 1000 + index])))
  })

  it('never lets a cut-off shrink, and takes that for success', async () => {
    const register = create()
    const key = newKey()
    await register.revoke([revocation(key, 2000)])
    await register.revoke([revocation(key, 1000)])
    expect((await register.cutOffs([key])).get(key)).toBe(2000)
    await register.revoke([revocation(key, 3000)])
    expect((await register.cutOffs([key])).get(key)).toBe(3000)
  })

  it('may be told the same again', async () => {
    const register = create()
    const key = newKey()
    for (let time = 0; time < 3; time++) await register.revoke([revocation(key, 7)])
    expect((await register.cutOffs([key])).get(key)).toBe(7)
  })

  it('takes a cut-off at the beginning of time', async () => {
    const register = create()
    const key = newKey()
    await register.revoke([revocation(key, 0)])
    expect((await register.cutOffs([key])).get(key)).toBe(0)
  })

  it('P40: ends at the latest cut-off, in whatever order they arrive and however often', async () => {
    const cutOffs = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(cutOffs, async (arriving) => {
        const register = create()
        const key: RevocationKey = `subject#${++keys}`
        let highest = 0
        for (const cutOff of arriving) {
          await register.revoke([revocation(key, cutOff)])
          highest = Math.max(highest, cutOff)
          expect((await register.cutOffs([key])).get(key)).toBe(highest)
        }
      }),
      { numRuns: 15 },
    )
  })

  it('P40: ends at the latest of many that arrive together', async () => {
    const register = create()
    const key = newKey()
    const cutOffs = Array.from({ length: 20 }, (_, index) => (index * 7) % 20)
    await Promise.all(cutOffs.map((cutOff) => register.revoke([revocation(key, cutOff)])))
    expect((await register.cutOffs([key])).get(key)).toBe(19)
  })
})

describe('the revocation register in DynamoDB', () => {
  const register = () => new DynamoDbRevocationRegister(aws.dynamoDb, TABLE)
  const itemOf = async (key: RevocationKey) => {
    const get = new GetItemCommand({ TableName: TABLE, Key: { pk: { S: key } }, ConsistentRead: true })
    return (await aws.dynamoDb.send(get)).Item
  }

  it('keeps who revoked, why, when, and when the item may be deleted', async () => {
    const key = newKey()
    await register().revoke([revocation(key, 50, { expiresAt: 90, at: 49 })])
    expect(await itemOf(key)).toEqual({
      pk: { S: key },
      cut_off: { N: '50' },
      reason: { S: 'leaked' },
      author: { S: 'checkout' },
      revoked_at: { N: '49' },
      expires_at: { N: '90' },
    })
  })

  it('keeps for ever what has no known end, also if an earlier cut-off had one', async () => {
    const key = newKey()
    await register().revoke([revocation(key, 50, { expiresAt: 90 })])
    await register().revoke([revocation(key, 60)])
    expect(await itemOf(key)).not.toHaveProperty('expires_at')
  })

  it('leaves an item without a time alone: it revokes everything, and a cut-off would revoke less', async () => {
    const Item = { pk: { S: 'issuer#by-hand' } }
    await aws.dynamoDb.send(new PutItemCommand({ TableName: TABLE, Item }))
    await register().revoke([revocation('issuer#by-hand', 50)])
    expect(await itemOf('issuer#by-hand')).toEqual(Item)
  })

  it.each(['throttle', 'reset', 'hang'] as const)('never takes %s for success', async (kind) => {
    aws.endpoint.faults.set({ operation: 'dynamodb:UpdateItem', kind })
    await expect(register().revoke([revocation(newKey(), 1)])).rejects.toThrow(DependencyUnavailable)
    aws.endpoint.faults.clear()
  })

  it('fails if one write of several fails', async () => {
    let calls = 0
    const flaky = {
      send: async () => {
        if (++calls === 2) throw new Error('lost')
        return {}
      },
    }
    const several = [1, 2, 3].map((cutOff) => revocation(newKey(), cutOff))
    await expect(new DynamoDbRevocationRegister(flaky as never, TABLE).revoke(several)).rejects.toThrow(
      DependencyUnavailable,
    )
  })
})
