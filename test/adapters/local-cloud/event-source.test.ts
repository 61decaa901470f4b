import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../../lib/local/assembly.ts'
import { EventSource, matchesPattern, type SourceRecord } from '../../../lib/local/event-source.ts'
import type { EventSourcePlan } from '../../../lib/local/plan/cloud-plan.ts'

const PLAN: EventSourcePlan = {
  tableName: 'table',
  streamArn: 'arn',
  functionName: 'function',
  batchSize: 4,
  windowSeconds: 0,
  retries: 2,
  bisect: false,
  reportsItemFailures: false,
  filters: [],
  maximumAgeSeconds: Number.POSITIVE_INFINITY,
  onFailure: undefined,
}

const record = (sequence: string, more: object = {}): SourceRecord => ({
  ...more,
  dynamodb: { SequenceNumber: sequence },
})

/** Delivers the records; `handler` gets each batch as text, for example `1 2 3`. */
async function deliver(
  sequences: readonly string[],
  handler: (batch: string) => unknown,
  plan: Partial<EventSourcePlan> = {},
): Promise<{ readonly batches: string[]; readonly discarded: string[] }> {
  const names = (records: readonly SourceRecord[]) =>
    records.map((it) => it.dynamodb.SequenceNumber).join(' ')
  const batches: string[] = []
  const discarded: string[] = []
  const source = new EventSource({
    plan: { ...PLAN, ...plan },
    retryMilliseconds: 1,
    invoke: async ({ Records }) => {
      batches.push(names(Records))
      return handler(names(Records))
    },
    onDiscarded: (records) => discarded.push(names(records)),
  })
  for (const sequence of sequences) source.add(record(sequence))
  await source.settled()
  return { batches, discarded }
}

const fail = (): never => {
  throw new Error('no')
}

describe('an event source mapping', () => {
  it('delivers in order, in batches of at most the batch size', async () => {
    expect((await deliver(['1', '2', '3', '4', '5'], () => undefined)).batches).toEqual(['1 2 3 4', '5'])
  })

  it('gives a record up that is older than the template says, whatever retries are left', async () => {
    const discarded: string[] = []
    const source = new EventSource({
      plan: { ...PLAN, retries: Number.POSITIVE_INFINITY, maximumAgeSeconds: 60 },
      retryMilliseconds: 1,
      clock: () => 161_000,
      invoke: async () => fail(),
      onDiscarded: ([one]) => discarded.push(one?.dynamodb.SequenceNumber ?? ''),
    })
    source.add({ dynamodb: { SequenceNumber: '1', ApproximateCreationDateTime: 100 } })
    await source.settled()
    expect(discarded).toEqual(['1'])
  })

  it('delivers at once what waits in the batching window, if it is told to', async () => {
    const batches: number[] = []
    const source = new EventSource({
      plan: { ...PLAN, windowSeconds: 300 },
      invoke: async ({ Records }) => void batches.push(Records.length),
      onDiscarded: () => {},
    })
    source.add(record('1'))
    source.add(record('2'))
    source.flush()
    await source.settled()
    expect(batches).toEqual([2])
  })

  it('retries a failed batch as often as the template says, then gives it up and goes on', async () => {
    const handler = (batch: string) => (batch === '1 2 3 4' ? fail() : undefined)
    const { batches, discarded } = await deliver(['1', '2', '3', '4', '5'], handler)
    expect(batches).toEqual(['1 2 3 4', '1 2 3 4', '1 2 3 4', '5'])
    expect(discarded).toEqual(['1 2 3 4'])
  })

  it('halves a failed batch where the template says so', async () => {
    const handler = (batch: string) => (batch.includes('3') ? fail() : undefined)
    const { batches, discarded } = await deliver(['1', '2', '3', '4'], handler, { bisect: true, retries: 3 })
    expect(batches).toEqual(['1 2 3 4', '1 2', '3 4', '3', '3', '4'])
    expect(discarded).toEqual(['3'])
  })

  it('continues from the record that the function reports', async () => {
    let reported = false
    const handler = () => {
      if (reported) return { batchItemFailures: [] }
      reported = true
      return { batchItemFailures: [{ itemIdentifier: '3' }] }
    }
    const { batches } = await deliver(['1', '2', '3', '4'], handler, { reportsItemFailures: true })
    expect(batches).toEqual(['1 2 3 4', '3 4'])
  })

  it('takes an unknown identifier for the whole batch', async () => {
    const handler = () => ({ batchItemFailures: [{ itemIdentifier: '' }] })
    const { batches } = await deliver(['1', '2'], handler, { reportsItemFailures: true, retries: 1 })
    expect(batches).toEqual(['1 2', '1 2'])
  })

  it('ignores reports unless the template asks for them', async () => {
    const handler = () => ({ batchItemFailures: [{ itemIdentifier: '1' }] })
    expect((await deliver(['1'], handler)).batches).toEqual(['1'])
  })

  it('delivers only what a filter matches', () => {
    const insert: JsonObject = { eventName: 'INSERT', dynamodb: { NewImage: { kind: { S: 'exchange' } } } }
    expect(matchesPattern(insert, { eventName: ['INSERT', 'MODIFY'] })).toBe(true)
    expect(matchesPattern(insert, { eventName: ['REMOVE'] })).toBe(false)
    expect(matchesPattern(insert, { dynamodb: { NewImage: { kind: { S: [{ prefix: 'ex' }] } } } })).toBe(true)
    expect(matchesPattern(insert, { userIdentity: [{ exists: false }] })).toBe(true)
    expect(matchesPattern(insert, { eventName: [{ 'anything-but': ['REMOVE'] }] })).toBe(true)
  })

  it('refuses a filter that it does not know', () => {
    const plan = { ...PLAN, filters: [{ size: [{ numeric: ['>', 1] }] }] }
    const options = { plan, invoke: async () => undefined, onDiscarded: () => {} }
    expect(() => new EventSource(options)).toThrow('does not know the event filter numeric')
  })
})
