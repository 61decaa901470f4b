import { Logger } from '@aws-lambda-powertools/logger'
import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics'
import { DependencyUnavailable, SignedByRetiredKey } from './core/fault.ts'
import type { Refusal } from './core/refusal.ts'
import { classOf, type RefusalClass } from './core/refusal-class.ts'
import { describeFault } from './describe-fault.ts'

export const METRICS_NAMESPACE = 'TokenBroker'
const SERVICE = 'token-broker'

/** The one set of dimensions that every metric has: what a request says is never among them. */
export function metricDimensions(stage: string): { readonly service: string; readonly stage: string } {
  return { service: SERVICE, stage }
}

/** An answer within so many milliseconds is a fast one. */
export const FAST_MILLISECONDS = 200

/**
 * Every metric that the broker emits, with its unit: at most 20 names, and as many series per stage. By endpoint, reason,
 * dependency, issuer, target or client the log lines tell, where these stand as properties.
 *
 * A request is one to exchange, introspect or revoke. Public documents, which caches ask for, are not counted: they would
 * make every rate look better than what clients see.
 */
export const METRIC_UNITS = {
  /** Requests answered, whatever the answer. */
  Requests: MetricUnit.Count,
  /** Requests that failed by the broker's own fault or a dependency's, or ran out of time. A refusal is no failure. */
  Failed: MetricUnit.Count,
  /**
   * From the event's arrival in the function to its answer; of requests that did not fail, in an environment that had
   * answered before. `Requests` less `Failed` less the number of these is the number of cold starts.
   */
  Duration: MetricUnit.Milliseconds,
  /** Of those that `Duration` measures, 1 for each that took no longer than 200 ms, else 0. */
  Fast: MetricUnit.Count,
  /** Exchanges that were recorded and released, as a token or as AWS credentials; a retry is not counted again. */
  TokensIssued: MetricUnit.Count,
  /** Requests beyond a grant's rate (429). */
  Throttled: MetricUnit.Count,
  /** Requests that cannot be read: malformed, repeated, too large, of an unknown type. */
  InvalidInput: MetricUnit.Count,
  /** From the arrival of a request to revoke until its cut-off is durable. */
  RevocationLatency: MetricUnit.Milliseconds,
  /** Subject tokens and other single-use credentials that were presented once too often, and refused. */
  ReplayRefusals: MetricUnit.Count,
  /** Records of exchanges that somebody replaced or deleted while they still kept a replay out. Must be 0. */
  ReplaysAccepted: MetricUnit.Count,
  /** Requests that failed because KMS did not answer, or refused. */
  KmsFailures: MetricUnit.Count,
  /** Requests that failed because DynamoDB did not answer, or refused. */
  DynamoDbFailures: MetricUnit.Count,
  /** Requests that failed because STS did not answer. */
  StsFailures: MetricUnit.Count,
  /** Failed attempts to read an issuer's keys, also while those that were read before still serve. */
  IssuerKeyFailures: MetricUnit.Count,
  /** Signatures by a key that had been retired for too long: found before anything was released. Must be 0. */
  RetiredKeySignatures: MetricUnit.Count,
  /** Until a signing key moves next; below zero while a step that is due does not succeed. */
  SecondsToNextKeyStep: MetricUnit.Seconds,
  /** Records of exchanges that were written to the audit trail. */
  AuditExported: MetricUnit.Count,
  /** For how long the oldest record of a batch had waited for it, also when the batch failed. */
  AuditLag: MetricUnit.Seconds,
  /** Checks of the probe that should have succeeded and did not. */
  ProbeFailures: MetricUnit.Count,
  /** Checks of the probe that should have been refused and were not. Must be 0. */
  NegativeProbeSuccesses: MetricUnit.Count,
} as const

export type MetricName = keyof typeof METRIC_UNITS
type Values = Partial<Record<MetricName, number | undefined>>
type Properties = Readonly<Record<string, string | number | boolean | undefined>>

/** Prints one EMF line, if there is anything to measure. Nothing is awaited: concurrent requests cannot mix. */
function createMeter(stage: string): (values: Values, properties?: Properties) => void {
  const { service, ...dimensions } = metricDimensions(stage)
  const metrics = new Metrics({
    namespace: METRICS_NAMESPACE,
    serviceName: service,
    defaultDimensions: dimensions,
  })
  return (values, properties = {}) => {
    for (const [name, value] of Object.entries(values))
      if (value !== undefined) metrics.addMetric(name, METRIC_UNITS[name as MetricName], value)
    if (!metrics.hasStoredMetrics()) return
    for (const [name, value] of Object.entries(properties))
      if (value !== undefined) metrics.addMetadata(name, String(value))
    metrics.publishStoredMetrics()
  }
}

function createLogger(stage: string, properties: Properties = {}): Logger {
  return new Logger({ serviceName: SERVICE, persistentKeys: { stage, ...properties } })
}

export type Endpoint = 'token' | 'aws_credentials' | 'introspect' | 'revoke' | 'admin' | 'status' | 'metadata'
const DOCUMENTS: ReadonlySet<Endpoint> = new Set(['status', 'metadata'])

/** What only some requests are measured by. */
export type RequestMeasurements = Readonly<
  Partial<Record<'RevocationLatency' | 'TokensIssued' | 'IssuerKeyFailures', number>>
>
/** `handed_over`: to another function, which counts it. */
export type RequestOutcome = 'succeeded' | 'refused' | 'failed' | 'handed_over'

export interface MeasuredRequest {
  readonly outcome: RequestOutcome
  readonly durationMs: number
  readonly correlationId: string
  readonly measured?: RequestMeasurements | undefined
  readonly refusal?: Refusal | undefined
  readonly fault?: unknown
}

/** What one function says about its work: one EMF line per request, a log line for a refusal or a fault. */
export interface Telemetry {
  measure(request: MeasuredRequest): void
  /** The audit event of a refusal; `event` holds ids and reasons, never a token. */
  refused(event: object): void
  /** The audit event of what was done and is recorded nowhere else as a whole. */
  recorded(event: object): void
  failed(fault: unknown, correlationId: string): void
}

/** The start of an environment, which one request has to wait for. */
export class ColdStart {
  #startupMs: number | undefined = performance.now()

  /** How long the process took to get ready, to the first who asks; `undefined` to all others. Milliseconds. */
  take(): number | undefined {
    const startupMs = this.#startupMs
    this.#startupMs = undefined
    return startupMs
  }
}

export function createTelemetry(endpoint: Endpoint, stage: string, coldStart = new ColdStart()): Telemetry {
  const meter = createMeter(stage)
  const logger = createLogger(stage, { endpoint })
  return {
    measure(request) {
      const startupMs = coldStart.take()
      const isCounted = !DOCUMENTS.has(endpoint) && request.outcome !== 'handed_over'
      const counted = !isCounted ? {} : requestValues(request, startupMs === undefined)
      const { correlationId, durationMs, refusal, fault, measured } = request
      meter(
        { ...counted, ...faultValues(fault), ...measured },
        {
          endpoint,
          correlation_id: correlationId,
          outcome: request.outcome,
          reason: refusal?.kind,
          dependency: fault instanceof DependencyUnavailable ? fault.dependency : undefined,
          // A cold start has no `Duration`.
          ...(startupMs !== undefined && { cold_start_ms: startupMs + durationMs }),
        },
      )
    },
    refused: (event) => logger.info('refused', { audit: event }),
    recorded: (event) => logger.info('recorded', { audit: event }),
    failed: (fault, correlationId) =>
      logger.error('failed', { correlation_id: correlationId, fault: describeFault(fault) }),
  }
}

const CLASS_METRICS: Readonly<Record<RefusalClass, MetricName | undefined>> = {
  invalid_input: 'InvalidInput',
  denied: undefined,
  replayed: 'ReplayRefusals',
  throttled: 'Throttled',
}

function requestValues({ outcome, durationMs, refusal }: MeasuredRequest, isWarm: boolean): Values {
  const counted = refusal && CLASS_METRICS[classOf(refusal)]
  const isTimed = isWarm && outcome !== 'failed'
  return {
    Requests: 1,
    Failed: outcome === 'failed' ? 1 : 0,
    ...(isTimed && { Duration: durationMs, Fast: durationMs <= FAST_MILLISECONDS ? 1 : 0 }),
    ...(counted && { [counted]: 1 }),
  }
}

const DEPENDENCY_METRICS: Readonly<Record<string, MetricName>> = {
  kms: 'KmsFailures',
  dynamodb: 'DynamoDbFailures',
  sts: 'StsFailures',
  'issuer-keys': 'IssuerKeyFailures',
}

function faultValues(fault: unknown): Values {
  if (fault instanceof SignedByRetiredKey) return { RetiredKeySignatures: 1 }
  const counted = fault instanceof DependencyUnavailable ? DEPENDENCY_METRICS[fault.dependency] : undefined
  return counted === undefined ? {} : { [counted]: 1 }
}

export interface RingHealth {
  readonly ring: string
  readonly activeKeyAgeSeconds: number | undefined
  readonly secondsToNextStep: number | undefined
  readonly publishedKeys: number
  readonly hasFailed: boolean
}

/** The health of the signing keys, over all rings. What is `undefined` is not known, and not measured. */
export interface KeyHealth {
  readonly secondsToNextStep: number | undefined
  /** For the line's properties alone: a dimension would multiply the metrics. */
  readonly rings: readonly RingHealth[]
}

/** What the key rotation says about a run: one EMF line, and a log line for each fault. */
export interface KeyTelemetry {
  measure(health: KeyHealth): void
  failed(fault: unknown): void
}

export function createKeyTelemetry(stage: string): KeyTelemetry {
  const meter = createMeter(stage)
  const logger = createLogger(stage)
  return {
    measure: ({ secondsToNextStep, rings }) =>
      meter({ SecondsToNextKeyStep: secondsToNextStep }, { rings: JSON.stringify(rings) }),
    failed: (fault) => logger.error('failed', { fault: describeFault(fault) }),
  }
}

export interface AuditHealth {
  readonly exported: number
  readonly lagSeconds: number
  /** Ids of records that were replaced or deleted while they still counted. */
  readonly lostClaims: readonly string[]
}

/** What the audit export says about a run: one EMF line, and a log line for what went wrong. */
export interface AuditTelemetry {
  measure(health: AuditHealth): void
  failed(fault: unknown): void
  /** So many records or log lines could not be read; the trail holds their digests. */
  unreadable(count: number): void
}

export function createAuditTelemetry(stage: string): AuditTelemetry {
  const meter = createMeter(stage)
  const logger = createLogger(stage)
  return {
    measure({ exported, lagSeconds, lostClaims }) {
      if (lostClaims.length > 0) logger.error('claims lost', { records: lostClaims })
      meter({ AuditExported: exported, AuditLag: lagSeconds, ReplaysAccepted: lostClaims.length })
    },
    failed: (fault) => logger.error('failed', { fault: describeFault(fault) }),
    unreadable: (count) => logger.error('unreadable', { count }),
  }
}

/** The outcome of one of the probe's checks. */
export interface ProbeCheck {
  readonly check: string
  readonly outcome: 'passed' | 'failed' | 'accepted' | 'skipped'
  readonly status?: number
  readonly correlationId?: string | undefined
  readonly fault?: unknown
}

/** What the probe says about a run: one EMF line, and a log line for each check that did not pass. */
export interface ProbeTelemetry {
  measure(checks: readonly ProbeCheck[]): void
}

export function createProbeTelemetry(stage: string): ProbeTelemetry {
  const meter = createMeter(stage)
  const logger = createLogger(stage)
  return {
    measure(checks) {
      const wrong = checks.filter(({ outcome }) => outcome === 'failed' || outcome === 'accepted')
      for (const { check, outcome, status, correlationId, fault } of wrong)
        logger.error(`probe ${outcome}`, {
          check,
          ...(status !== undefined && { status }),
          ...(correlationId !== undefined && { correlation_id: correlationId }),
          ...(fault !== undefined && { fault: describeFault(fault) }),
        })
      const count = (counted: ProbeCheck['outcome']) =>
        checks.filter(({ outcome }) => outcome === counted).length
      meter(
        { ProbeFailures: count('failed'), NegativeProbeSuccesses: count('accepted') },
        { checks: wrong.map(({ check }) => check).join(' ') },
      )
    },
  }
}
