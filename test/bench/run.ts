/** `npm run bench`: what an exchange costs. Ratios are of one run, so the speed of the machine cancels out. */

import { parseArgs } from 'node:util'
import {
  type Distribution,
  LATENCIES,
  measureColdStart,
  measureIntrospection,
  measureLatency,
  measureThroughput,
  traceRoundTrips,
} from './measurements.ts'
import { keepsPolicyPromises, measurePolicy, reportPolicy } from './policy.ts'
import { createSetting } from './setting.ts'
import { measureTelemetry, TELEMETRY_LIMITS } from './telemetry.ts'

const USAGE = `Usage: npm run bench -- [--rounds N] [--json]

  --rounds N   exchanges per measurement (default 400)
  --json       print the figures as JSON
  --help       print this

Example: npm run bench -- --rounds 100
`

const LIMITS = { bundleBytes: 450_000, ratioToBareCalls: 1.25, ratioToOneRead: 1.35, roundTrips: 1 } as const

type Figures = Awaited<ReturnType<typeof measure>>

const progress = (text: string) => process.stderr.write(`${text}\n`)

async function measure(rounds: number) {
  progress('policy')
  const policy = measurePolicy()
  progress('telemetry')
  const telemetry = measureTelemetry()
  return { policy, telemetry, ...(await measureKms(rounds)), delegated: await measureDelegated(rounds) }
}

/** The same with keys that the function holds itself. */
async function measureDelegated(rounds: number) {
  progress('starting the broker with delegated signing')
  const setting = await createSetting('delegated')
  try {
    progress(`${rounds} warm exchanges with delegated signing, in turn with the bare calls`)
    const latency = await measureLatency(setting, rounds)
    const roundTrips = await traceRoundTrips(setting)
    const { cpuMsPerExchange } = await measureThroughput(setting, rounds)
    return { latency, roundTrips, cpuMsPerExchange }
  } finally {
    await setting.close()
  }
}

async function measureKms(rounds: number) {
  progress('starting the broker')
  const setting = await createSetting('kms')
  try {
    progress(`${rounds} warm exchanges with injected latencies, in turn with the bare calls`)
    const latency = await measureLatency(setting, rounds)
    const roundTrips = await traceRoundTrips(setting)
    progress(`${rounds} warm introspections with injected latencies, in turn with the bare read`)
    const introspection = await measureIntrospection(setting, rounds)
    progress(`${rounds} exchanges without injected latencies`)
    const throughput = await measureThroughput(setting, rounds)
    progress('cold starts')
    const coldStart = await measureColdStart(setting)
    return {
      bundleBytes: setting.bundleBytes,
      latency,
      introspection,
      roundTrips,
      throughput,
      coldStart,
    }
  } finally {
    await setting.close()
  }
}

function report({
  bundleBytes,
  policy,
  telemetry,
  latency,
  introspection,
  roundTrips,
  throughput,
  coldStart,
  delegated,
}: Figures): string {
  const ms = ({ p50, p95, p99 }: Distribution) =>
    `p50 ${p50.toFixed(1)}  p95 ${p95.toFixed(1)}  p99 ${p99.toFixed(1)} ms`
  const injected = Object.entries(LATENCIES).map(
    ([operation, { p50 }]) => `${operation.split(':')[1]} ${p50} ms`,
  )
  return [
    `warm exchange, injected medians ${injected.join(', ')}`,
    `  exchange                      ${ms(latency.exchange)}`,
    `  the three calls alone         ${ms(latency.bareCalls)}`,
    `  ratio of the medians          ${latency.ratioToBareCalls.toFixed(2)}  (at most ${LIMITS.ratioToBareCalls})`,
    `  ratio to the slowest call     ${latency.ratioToSlowestCall.toFixed(2)}`,
    `  sequential AWS round trips    ${roundTrips}  (at most ${LIMITS.roundTrips})`,
    'warm introspection, client with a secret, two at a time',
    `  introspection                 ${ms(introspection.introspection)}`,
    `  the read alone                ${ms(introspection.oneRead)}`,
    `  ratio of the medians          ${introspection.ratioToOneRead.toFixed(2)}  (at most ${LIMITS.ratioToOneRead})`,
    'the same with delegated signing',
    `  exchange                      ${ms(delegated.latency.exchange)}`,
    `  the two calls alone           ${ms(delegated.latency.bareCalls)}`,
    `  ratio of the medians          ${delegated.latency.ratioToBareCalls.toFixed(2)}  (at most ${LIMITS.ratioToBareCalls})`,
    `  KMS calls per exchange        ${delegated.latency.kmsCallsPerExchange}  (none)`,
    `  sequential AWS round trips    ${delegated.roundTrips}  (at most ${LIMITS.roundTrips})`,
    `  CPU of the function           ${delegated.cpuMsPerExchange.toFixed(2)} ms per exchange`,
    'without injected latency',
    `  CPU of the function           ${throughput.cpuMsPerExchange.toFixed(2)} ms per exchange`,
    `  one core, by that             ${throughput.exchangesPerCoreSecond.toFixed(0)} exchanges/s`,
    `  measured, AWS on the same CPU ${throughput.withWholeCloudPerSecond.toFixed(0)} exchanges/s`,
    'cold start, process to first answer',
    `  median ${coldStart.median.toFixed(0)} ms, worst ${coldStart.worst.toFixed(0)} ms`,
    'exchange bundle, minified',
    `  ${(bundleBytes / 1000).toFixed(1)} kB  (at most ${LIMITS.bundleBytes / 1000} kB)`,
    ...reportPolicy(policy),
    'what one request says of itself',
    `  metrics, properties and spans ${telemetry.millisecondsPerRequest.toFixed(3)} ms of CPU  (at most ${TELEMETRY_LIMITS.millisecondsPerRequest})`,
    `  one line                      ${telemetry.bytesPerRequest} bytes`,
    '',
  ].join('\n')
}

/** Whether the promises hold: those of policy leave room for a slow machine, the others do not depend on it. */
function keepsPromises({
  bundleBytes,
  policy,
  telemetry,
  latency,
  introspection,
  roundTrips,
  delegated,
}: Figures): boolean {
  return (
    keepsPolicyPromises(policy) &&
    telemetry.millisecondsPerRequest <= TELEMETRY_LIMITS.millisecondsPerRequest &&
    bundleBytes <= LIMITS.bundleBytes &&
    introspection.ratioToOneRead <= LIMITS.ratioToOneRead &&
    latency.ratioToBareCalls <= LIMITS.ratioToBareCalls &&
    roundTrips <= LIMITS.roundTrips &&
    delegated.latency.kmsCallsPerExchange === 0 &&
    delegated.latency.ratioToBareCalls <= LIMITS.ratioToBareCalls &&
    delegated.roundTrips <= LIMITS.roundTrips
  )
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '400' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const rounds = Number(values.rounds)
  if (values.help) {
    process.stdout.write(USAGE)
    return 0
  }
  if (!Number.isInteger(rounds) || rounds < 10 || rounds > 100_000) {
    process.stderr.write(`--rounds ${values.rounds}: allowed is a whole number from 10 to 100000\n\n${USAGE}`)
    return 2
  }
  const figures = await measure(rounds)
  process.stdout.write(values.json ? `${JSON.stringify(figures, null, 2)}\n` : report(figures))
  return keepsPromises(figures) ? 0 : 1
}

process.exit(await main())
