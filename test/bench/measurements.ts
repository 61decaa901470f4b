import type { AwsCall } from '../../lib/local/aws/call-handling.ts'
import { EXCHANGE, type Setting } from './setting.ts'
import { median, percentile, sequentialCalls } from './statistics.ts'

/** Injected AWS latencies: median and 99th percentile of a lognormal distribution, milliseconds. */
export const LATENCIES = {
  'dynamodb:PutItem': { p50: 7.5, p99: 16.2 },
  'dynamodb:BatchGetItem': { p50: 6, p99: 15 },
  'kms:Sign': { p50: 12, p99: 50 },
} as const

const COLD_STARTS = 7
const WARM_UP = 50
const CONCURRENCY = 8
const TRACED = 20

/** Milliseconds. */
export interface Distribution {
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

/** Warm exchanges with AWS's latencies, one at a time as Lambda does it, in turn with the bare calls. */
export async function measureLatency({ cloud, calls, exchange, bareCalls }: Setting, rounds: number) {
  for (let i = 0; i < WARM_UP; i++) await Promise.all([exchange(), bareCalls()])
  for (const [operation, latency] of Object.entries(LATENCIES))
    cloud.aws.faults.set({ operation, kind: 'latency', ...latency })
  const samples: { exchange: number[]; bareCalls: number[]; slowestCall: number[] } = {
    exchange: [],
    bareCalls: [],
    slowestCall: [],
  }
  let kmsCalls = 0
  for (let round = 0; round < rounds; round++) {
    samples.bareCalls.push(await timeOf(bareCalls))
    calls.length = 0
    samples.exchange.push(await timeOf(exchange))
    const traced = calls.filter(isOfTheExchange)
    kmsCalls += traced.filter(({ service }) => service === 'kms').length
    samples.slowestCall.push(Math.max(...traced.map(({ startedAt, endedAt }) => endedAt - startedAt)))
  }
  cloud.aws.faults.clear()
  const exchangeTimes = distributionOf(samples.exchange)
  return {
    exchange: exchangeTimes,
    bareCalls: distributionOf(samples.bareCalls),
    kmsCallsPerExchange: kmsCalls / rounds,
    ratioToBareCalls: exchangeTimes.p50 / median(samples.bareCalls),
    ratioToSlowestCall: exchangeTimes.p50 / median(samples.slowestCall),
  }
}

/** Introspections that are under way at a time: as many as leave the machine's two cores room to answer for AWS. */
const INTROSPECTION_LOAD = 2

/** Warm introspections under load, each in turn with the bare read under the same load. */
export async function measureIntrospection({ cloud, introspect, oneRead }: Setting, rounds: number) {
  for (let i = 0; i < WARM_UP; i++) await Promise.all([introspect(), oneRead()])
  const operation = 'dynamodb:BatchGetItem'
  cloud.aws.faults.set({ operation, kind: 'latency', ...LATENCIES[operation] })
  const introspections: number[] = []
  const reads: number[] = []
  let left = rounds
  const worker = async () => {
    while (left-- > 0) {
      reads.push(await timeOf(oneRead))
      introspections.push(await timeOf(introspect))
    }
  }
  await Promise.all(Array.from({ length: INTROSPECTION_LOAD }, worker))
  cloud.aws.faults.clear()
  const introspection = distributionOf(introspections)
  return {
    introspection,
    oneRead: distributionOf(reads),
    ratioToOneRead: introspection.p50 / median(reads),
  }
}

/**
 * The longest chain of AWS calls of which each began after the one before had ended, over some exchanges. Every call takes
 * a fixed 50 ms, far longer than the broker needs to begin the next, so that calls made together do overlap.
 */
export async function traceRoundTrips({ cloud, calls, exchange }: Setting): Promise<number> {
  for (const operation of Object.keys(LATENCIES))
    cloud.aws.faults.set({ operation, kind: 'latency', milliseconds: 50 })
  let longest = 0
  for (let round = 0; round < TRACED; round++) {
    calls.length = 0
    await exchange()
    const traced = calls.filter(isOfTheExchange)
    if (traced.length < 2) throw new Error('the calls of the exchange are not among those that were made')
    longest = Math.max(longest, sequentialCalls(traced))
  }
  cloud.aws.faults.clear()
  return longest
}

/**
 * What the exchange waits for: not the renewal of the key manifest, every 30 s, which runs beside it, and nothing that other
 * functions do meanwhile, such as the export of the audit trail.
 */
function isOfTheExchange({ operation, principal }: AwsCall): boolean {
  return operation !== 'GetItem' && principal?.includes(EXCHANGE) === true
}

/** Exchanges without injected latency, several at a time: how much CPU the function's process spends on each. */
export async function measureThroughput({ cloud, exchange }: Setting, rounds: number) {
  const before = await cloud.functions.cpuUsage(EXCHANGE)
  const startedAt = performance.now()
  let left = rounds
  const worker = async () => {
    while (left-- > 0) await exchange()
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker))
  const seconds = (performance.now() - startedAt) / 1000
  const after = await cloud.functions.cpuUsage(EXCHANGE)
  const cpuMs = (after.user + after.system - before.user - before.system) / 1000 / rounds
  return {
    cpuMsPerExchange: cpuMs,
    exchangesPerCoreSecond: 1000 / cpuMs,
    withWholeCloudPerSecond: rounds / seconds,
  }
}

/** From the start of a fresh process, with nothing cached, to its first answer. Milliseconds. */
export async function measureColdStart({ cloud, exchange }: Setting) {
  const times: number[] = []
  for (let start = 0; start < COLD_STARTS; start++) {
    cloud.functions.kill(EXCHANGE)
    times.push(await timeOf(exchange))
  }
  return { median: median(times), worst: Math.max(...times) }
}

async function timeOf(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}

function distributionOf(sample: readonly number[]): Distribution {
  return { p50: median(sample), p95: percentile(sample, 0.95), p99: percentile(sample, 0.99) }
}
