import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DynamoDbRatePermits } from '../../functions/adapters/dynamodb-rate-permits.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import type { PermitOutcome, RatePermits } from '../../functions/core/ports.ts'
import { leasePlan } from '../../functions/core/rate.ts'
import { MemoryRatePermits } from '../support/fakes.ts'
import { type LocalAws, startLocalAws } from '../support/local-aws.ts'

let aws: LocalAws
let made = 0
let now = 1_800_000_000_000

beforeAll(async () => {
  aws = await startLocalAws(['limits'])
})
afterAll(() => aws.close())

const clock = () => now
const inDynamoDb = () => new DynamoDbRatePermits(aws.dynamoDb, 'limits', clock)
const ruleOf = (limit: number, perSeconds = 60) => ({ key: `rule-${++made}`, limit, perSeconds })
/** Numbers in [0, 1), the same in every run (a linear congruential generator). */
function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32
    return state / 2 ** 32
  }
}
const permitted = (outcomes: readonly PermitOutcome[]) =>
  outcomes.filter(({ kind }) => kind === 'permitted').length

describe.each<[string, () => RatePermits]>([
  ['in memory', () => new MemoryRatePermits(clock)],
  ['in DynamoDB', inDynamoDb],
])('a count of permits %s', (_name, create) => {
  it('gives as many as the limit, and then none before the window is over', async () => {
    const permits = create()
    const rule = ruleOf(3)
    for (let taken = 0; taken < 3; taken++) {
      expect(await permits.take(rule)).toEqual({ kind: 'permitted' })
      now += 10_000
    }
    expect(await permits.take(rule)).toEqual({ kind: 'exceeded', retryAfterSeconds: 30 })
    now += 29_999
    expect(await permits.take(rule)).toEqual({ kind: 'exceeded', retryAfterSeconds: 1 })
    now += 1
    expect(await permits.take(rule)).toEqual({ kind: 'permitted' })
    expect(await permits.take(rule)).toEqual({ kind: 'exceeded', retryAfterSeconds: 10 })
  })

  it('counts for each rule by itself', async () => {
    const permits = create()
    const [one, other] = [ruleOf(1), ruleOf(1)]
    expect(await permits.take(one)).toEqual({ kind: 'permitted' })
    expect(await permits.take(other)).toEqual({ kind: 'permitted' })
    expect(await permits.take(one)).toMatchObject({ kind: 'exceeded' })
  })

  it.each([1, 10, 51, 130])('never gives more than %i at once', async (limit) => {
    const permits = create()
    const rule = ruleOf(limit)
    const outcomes: PermitOutcome[] = []
    // In waves: more at a time than a busy test machine answers would be refused for that.
    while (outcomes.length < limit + 40)
      outcomes.push(...(await Promise.all(Array.from({ length: 20 }, () => permits.take(rule)))))
    expect(permitted(outcomes)).toBeLessThanOrEqual(limit)
    expect(permitted(outcomes)).toBeGreaterThan(limit / 2)
  })
})

describe('permits in DynamoDB', () => {
  it('are exactly the limit for several environments at once, where it is small', async () => {
    const environments = [inDynamoDb(), inDynamoDb(), inDynamoDb()]
    const rule = ruleOf(7)
    const outcomes = await Promise.all(
      environments.flatMap((environment) => Array.from({ length: 10 }, () => environment.take(rule))),
    )
    // Whoever lost the race for a place too often was told to come back: the rest is there for the taking.
    const rest = []
    for (let asked = 0; asked < 7; asked++) rest.push(await inDynamoDb().take(rule))
    expect(permitted(outcomes) + permitted(rest)).toBe(7)
  })

  it.each([
    [20, 10],
    [120, 60],
    [997, 30],
  ])('never exceed %i in any %i s, whoever asks and whenever', async (limit, perSeconds) => {
    const environments = [inDynamoDb(), inDynamoDb(), inDynamoDb()]
    const rule = ruleOf(limit, perSeconds)
    const times: number[] = []
    const random = numbers(limit)
    const stepMs = Math.floor((perSeconds * 1000) / limit / 1.7)
    for (let asked = 0; asked < 3 * limit; asked++) {
      now += Math.floor(random() * 2 * stepMs)
      const environment = environments[Math.floor(random() * environments.length)]
      if ((await environment?.take(rule))?.kind === 'permitted') times.push(now)
    }
    const busiest = times.map(
      (end) => times.filter((time) => time <= end && time > end - perSeconds * 1000).length,
    )
    expect(Math.max(...busiest)).toBeLessThanOrEqual(limit)
    expect(times.length).toBeGreaterThan(limit)
  })

  it('are written once for many exchanges where the limit is large', async () => {
    const permits = inDynamoDb()
    const rule = ruleOf(1000)
    const { permits: perLease } = leasePlan(rule)
    expect(perLease).toBe(20)
    await permits.take(rule)
    // With the table out of reach, the permits of the lease are still good.
    aws.endpoint.faults.set({ operation: 'dynamodb:UpdateItem', kind: 'reset' })
    for (let taken = 1; taken < perLease; taken++)
      expect(await permits.take(rule)).toEqual({ kind: 'permitted' })
    await expect(permits.take(rule)).rejects.toThrow(DependencyUnavailable)
    aws.endpoint.faults.clear()
  })

  it('of a lease are lost when its time is over', async () => {
    const permits = inDynamoDb()
    const rule = ruleOf(100, 60)
    await permits.take(rule)
    now += leasePlan(rule).lifetimeMs
    aws.endpoint.faults.set({ operation: 'dynamodb:UpdateItem', kind: 'reset' })
    await expect(permits.take(rule)).rejects.toThrow(DependencyUnavailable)
    aws.endpoint.faults.clear()
  })

  it('are not lost with an answer', async () => {
    aws.endpoint.faults.set({ operation: 'dynamodb:UpdateItem', kind: 'drop-after-apply', times: 1 })
    expect(await inDynamoDb().take(ruleOf(1))).toEqual({ kind: 'permitted' })
  })

  it.each([
    ['throttled', { kind: 'throttle' }],
    ['silent', { kind: 'hang' }],
  ] as const)('are a fault, not an outcome, while the table is %s', async (_name, fault) => {
    aws.endpoint.faults.set({ operation: 'dynamodb:UpdateItem', ...fault })
    await expect(inDynamoDb().take(ruleOf(5))).rejects.toThrow(DependencyUnavailable)
    aws.endpoint.faults.clear()
  })
})
