import { LIMITS } from '../../functions/core/limits.ts'
import { METRIC_UNITS, METRICS_NAMESPACE } from '../../functions/telemetry.ts'
import { LATENCY_LIMITS } from '../monitoring-config.ts'
import { KNOWN_TO_CLOUDWATCH, type MetricId, type Sample } from './series.ts'

/** What one minute asks of the broker, and how that goes. Parts are from 0 to 1. */
export interface Load {
  readonly requests: number
  /** Part of the requests that fail. */
  readonly failed: number
  /** Part of those that do not fail but are slow. */
  readonly slow: number
}

/** What is published in a minute of that load; `minute` counts from the start of the epoch. */
type Published = (load: Load, minute: number) => readonly Sample[]

/** Whatever a deployment calls fast, which alarms do not say: longer than that, and not so long as to fail. */
const SLOW_MILLISECONDS = (LATENCY_LIMITS.longest + LIMITS.deadlineMilliseconds) / 2
/** Of the answers that are not slow, whatever a deployment calls so: milliseconds, and the part that takes them. */
const LATENCIES = [
  [18, 0.5],
  [25, 0.4],
  [LATENCY_LIMITS.shortest, 0.1],
] as const

/** Part of the requests that are exchanges, and of those the others that something happens to on any day. */
const EXCHANGES = 0.7
const THROTTLED = 0.001
const INVALID = 0.002
const REPLAYED = 0.0005
const REFUSED = 0.005
const CONCURRENCY = 20
const CONCURRENCY_QUOTA = 1000
const ITERATOR_AGE_MILLISECONDS = 500
const KEY_RUN_MINUTES = 15
/** The key of the shortest period decides, and another takes over at the same minute of each day. */
const KEY_PERIOD_MINUTES = 24 * 60

const times = (count: number, value = 1): readonly Sample[] => (count > 0 ? [{ value, count }] : [])
const none: Published = () => []
const zero: Published = () => times(1, 0)
const succeeded = ({ requests, failed }: Load): number => requests * (1 - failed)
const secondsToNextKey = (minute: number): number => 60 * (KEY_PERIOD_MINUTES - (minute % KEY_PERIOD_MINUTES))
const ofKeyRuns =
  (value: (minute: number) => number): Published =>
  (_, minute) =>
    minute % KEY_RUN_MINUTES === 0 ? times(1, value(minute)) : []
const failures: Published = ({ requests, failed }) => [
  ...times(requests * failed),
  ...times(requests * (1 - failed), 0),
]

/** What a broker without trouble publishes, by the metric's name. */
const OF_THE_BROKER: Readonly<Record<keyof typeof METRIC_UNITS, Published>> = {
  Failed: failures,
  Duration: (load) => [
    ...LATENCIES.flatMap(([value, part]) => times(succeeded(load) * (1 - load.slow) * part, value)),
    ...times(succeeded(load) * load.slow, SLOW_MILLISECONDS),
  ],
  Fast: (load) => [...times(succeeded(load) * (1 - load.slow)), ...times(succeeded(load) * load.slow, 0)],
  TokensIssued: (load) => times(succeeded(load) * EXCHANGES),
  Throttled: ({ requests }) => times(requests * THROTTLED),
  InvalidInput: ({ requests }) => times(requests * INVALID),
  RevocationLatency: () => times(1, 20),
  ReplayRefusals: ({ requests }) => times(requests * REPLAYED),
  ReplaysAccepted: zero,
  KmsFailures: none,
  DynamoDbFailures: none,
  StsFailures: none,
  IssuerKeyFailures: none,
  RetiredKeySignatures: none,
  SecondsToNextKeyStep: ofKeyRuns(secondsToNextKey),
  SecondsBeyondKeyPeriod: ofKeyRuns((minute) => -secondsToNextKey(minute)),
  AuditExported: (load) => times(1, succeeded(load) * EXCHANGES),
  AuditLag: () => times(1, 1),
  ProbeFailures: zero,
  NegativeProbeSuccesses: zero,
}

/** What AWS publishes of such a broker's resources, whichever they are. */
const OF_AWS: Readonly<Record<string, Published>> = {
  'AWS/ApiGateway Count': ({ requests }) => times(requests),
  'AWS/ApiGateway 5xx': failures,
  'AWS/DynamoDB WriteThrottleEvents': none,
  'AWS/DynamoDB ReadThrottleEvents': none,
  'AWS/Events FailedInvocations': none,
  'AWS/Lambda Errors': ({ requests }) => times(requests, 0),
  'AWS/Lambda Throttles': ({ requests }) => times(requests, 0),
  'AWS/Lambda IteratorAge': () => times(1, ITERATOR_AGE_MILLISECONDS),
  'AWS/SQS ApproximateNumberOfMessagesVisible': zero,
  'AWS/Lambda ConcurrentExecutions': () => times(1, CONCURRENCY),
  [`${KNOWN_TO_CLOUDWATCH.quotas} ConcurrentExecutions`]: () => times(1, CONCURRENCY_QUOTA),
  [`${KNOWN_TO_CLOUDWATCH.insights} SampleCount`]: ({ requests }) => times(requests * REFUSED),
}

/** How what is published of a metric follows from the load; `undefined` for a metric that nobody has described. */
export function publishedWhenHealthy({ namespace, name, unit }: MetricId): Published | undefined {
  if (namespace !== METRICS_NAMESPACE) return OF_AWS[`${namespace} ${name}`]
  if (!isOurs(name) || (unit !== undefined && unit !== METRIC_UNITS[name])) return undefined
  return OF_THE_BROKER[name]
}

function isOurs(name: string): name is keyof typeof METRIC_UNITS {
  return Object.hasOwn(METRIC_UNITS, name)
}
