import { Logger } from '@aws-lambda-powertools/logger'
import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics'
import type { KnownFacts } from './core/audit-event.ts'
import { DependencyUnavailable, SignedByRetiredKey } from './core/fault.ts'
import type { Refusal } from './core/refusal.ts'
import { classOf, type RefusalClass } from './core/refusal-class.ts'
import { describeFault } from './describe-fault.ts'
import type { StageTime } from './http/stage-clock.ts'
import type { TraceContext } from './http/trace-context.ts'
import { traceRequest } from './spans.ts'

export const METRICS_NAMESPACE = 'TokenBroker'
const SERVICE = 'token-broker'

/** The one set of dimensions that every metric has: what a request says is never among them. */
export function metricDimensions(stage: string): { readonly service: string; readonly stage: string } {
  return { service: SERVICE, stage }
}

/**
 * Every metric that the broker emits, with its unit: at most 20 names, and as many series per stage. By endpoint, reason,
 * dependency, issuer, target or client the log lines tell, where these stand as properties.
 *
 * A request is one to exchange, introspect or revoke. Public documents, which caches ask for, are not counted: they would
 * make every rate look better than what clients see.
 */
export const METRIC_UNITS = {
  /**
   * Of each request that was answered, 1 if it failed by the broker's own fault or a dependency's, or ran out of time,
   * else 0: the number of samples is the number of requests. A refusal is no failure.
   */
  Failed: MetricUnit.Count,
  /**
   * From the event's arrival in the function to its answer; of requests that did not fail, in an environment that had
   * answered before. The samples of `Failed`, less its sum, less the samples of this are the cold starts that did not fail.
   */
  Duration: MetricUnit.Milliseconds,
  /** Of those that `Duration` measures, 1 for each that took no longer than the objective of latency says, else 0. */
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
  /** Failed attempts to read the keys of an issuer or a client, also while those that were read before still serve. */
  IssuerKeyFailures: MetricUnit.Count,
  /** Signatures by a key that had been retired for too long: found before anything was released. Must be 0. */
  RetiredKeySignatures: MetricUnit.Count,
  /** Until a signing key moves next; below zero while a step that is due does not succeed. */
  SecondsToNextKeyStep: MetricUnit.Seconds,
  /** For how long a key has signed beyond its ring's period; below zero while none has. By what is stored, not by the plan. */
  SecondsBeyondKeyPeriod: MetricUnit.Seconds,
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
export function createMeter(stage: string): (values: Values, properties?: Properties) => void {
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

export function createLogger(stage: string, properties: Properties = {}): Logger {
  return new Logger({ serviceName: SERVICE, persistentKeys: { stage, ...properties } })
}

/** Where requests are counted. */
export type Endpoint = 'token' | 'aws_credentials' | 'introspect' | 'revoke' | 'admin'
export type DocumentEndpoint = 'status' | 'metadata'

/** What requests are counted by. */
export interface Counting {
  readonly stage: string
  /** An answer within so many milliseconds is a fast one. */
  readonly latencyMilliseconds: number
}

/** What only some requests are measured by. */
export type RequestMeasurements = Readonly<Partial<Record<'RevocationLatency' | 'TokensIssued', number>>>
/** `handed_over`: to another function, which counts it. */
export type RequestOutcome = 'succeeded' | 'refused' | 'failed' | 'handed_over'

export interface MeasuredRequest {
  readonly outcome: RequestOutcome
  readonly durationMs: number
  readonly correlationId: string
  readonly measured?: RequestMeasurements | undefined
  readonly refusal?: Refusal | undefined
  readonly fault?: unknown
  readonly known?: KnownFacts | undefined
  readonly stages?: readonly StageTime[]
  readonly trace?: TraceContext | undefined
}

/** What one function says about its work: one EMF line per request, spans, a log line for a refusal or a fault. */
export interface Telemetry {
  measure(request: MeasuredRequest): void
  /**
   * The audit event of what was not released; `event` holds ids and reasons, never a token. Never throws: the answer does not
   * depend on it.
   */
  refused(event: object): void
  /** The audit event of what was released once more. Never throws: the record of it stands. */
  repeated(event: object): void
  /** The audit event of what was done and is recorded nowhere else as a whole. */
  recorded(event: object): void
  failed(fault: unknown, correlationId: string, traceId?: string): void
  /** The keys of an issuer, or of a client, could not be read; those that were read before may still serve. */
  keysFailed(holder: { readonly id: string }, fault: unknown): void
}

/** What the endpoints of one environment share, whichever is asked next. */
export class Environment {
  #startupMs: number | undefined = performance.now()
  #keyFailures = 0

  /** How long the process took to get ready, to the first who asks; `undefined` to all others. Milliseconds. */
  takeStartup(): number | undefined {
    const startupMs = this.#startupMs
    this.#startupMs = undefined
    return startupMs
  }

  keysFailed(): void {
    this.#keyFailures += 1
  }

  /** How often keys could not be read since somebody asked: measured with the request that waited for them. */
  takeKeyFailures(): number {
    const keyFailures = this.#keyFailures
    this.#keyFailures = 0
    return keyFailures
  }
}

/** The telemetry of an endpoint whose requests are counted. */
export function createTelemetry(
  endpoint: Endpoint,
  { stage, latencyMilliseconds }: Counting,
  environment = new Environment(),
): Telemetry {
  return telemetryOf({ endpoint, stage, environment }, (request, isWarm) =>
    request.outcome === 'handed_over' ? {} : requestValues(request, isWarm, latencyMilliseconds),
  )
}

/** The telemetry of public documents, whose requests are not counted. */
export function createDocumentTelemetry(endpoint: DocumentEndpoint, stage: string): Telemetry {
  return telemetryOf({ endpoint, stage, environment: new Environment() }, () => ({}))
}

interface MeasuredPlace {
  readonly endpoint: Endpoint | DocumentEndpoint
  readonly stage: string
  readonly environment: Environment
}

function telemetryOf(
  { endpoint, stage, environment }: MeasuredPlace,
  countedOf: (request: MeasuredRequest, isWarm: boolean) => Values,
): Telemetry {
  const meter = createMeter(stage)
  const logger = createLogger(stage, { endpoint })
  const auditLine = (what: string, audit: object) => {
    try {
      logger.info(what, { audit })
    } catch (fault) {
      logger.error('audit event not written', { fault: describeFault(fault) })
    }
  }
  return {
    measure(request) {
      const startupMs = environment.takeStartup()
      const keyFailures = environment.takeKeyFailures()
      const { durationMs, fault, measured, stages = [] } = request
      const said = { endpoint, ...propertiesOf(request) }
      meter(
        {
          ...countedOf(request, startupMs === undefined),
          ...faultValues(fault),
          ...(keyFailures > 0 && { IssuerKeyFailures: keyFailures }),
          ...measured,
        },
        {
          ...said,
          ...Object.fromEntries(
            stages.map(({ stage, fromMs, toMs }) => [`${stage}_ms`, rounded(toMs - fromMs)]),
          ),
          // A cold start has no `Duration`.
          ...(startupMs !== undefined && { cold_start_ms: rounded(startupMs + durationMs) }),
        },
      )
      const hasFailed = request.outcome === 'failed'
      try {
        traceRequest({ name: endpoint, stages, trace: request.trace, hasFailed, attributes: said })
      } catch (fault) {
        // Of the layer that a deployment adds: no answer depends on it, and the request is measured already.
        logger.warn('not traced', { correlation_id: request.correlationId, fault: describeFault(fault) })
      }
    },
    refused: (event) => auditLine('refused', event),
    repeated: (event) => auditLine('repeated', event),
    recorded: (event) => logger.info('recorded', { audit: event }),
    keysFailed({ id }, fault) {
      environment.keysFailed()
      logger.warn('keys not read', { issuer: id, fault: describeFault(fault) })
    },
    failed: (fault, correlationId, traceId) =>
      logger.error('failed', {
        correlation_id: correlationId,
        ...(traceId !== undefined && { trace_id: traceId }),
        fault: describeFault(fault),
      }),
  }
}

/** Said of an exchange where no client has authenticated itself: Contributor Insights passes over lines that lack a field. */
export const NO_CLIENT = '(none)'

/** Ids and reasons, each of them ours: of what a client has written there is nothing. */
function propertiesOf({ correlationId, outcome, refusal, fault, known = {}, trace }: MeasuredRequest) {
  const { issuer, target, grant, client_id = grant === undefined ? undefined : NO_CLIENT } = known
  const all = {
    correlation_id: correlationId,
    trace_id: trace?.traceId,
    outcome,
    reason: refusal?.kind,
    dependency: fault instanceof DependencyUnavailable ? fault.dependency : undefined,
    client_id,
    issuer,
    target,
    grant,
  }
  return Object.fromEntries(
    Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}

function rounded(milliseconds: number): string {
  return milliseconds.toFixed(2)
}

const CLASS_METRICS: Readonly<Record<RefusalClass, MetricName | undefined>> = {
  invalid_input: 'InvalidInput',
  denied: undefined,
  replayed: 'ReplayRefusals',
  throttled: 'Throttled',
}

function requestValues(
  { outcome, durationMs, refusal }: MeasuredRequest,
  isWarm: boolean,
  latencyMilliseconds: number,
): Values {
  const counted = refusal && CLASS_METRICS[classOf(refusal)]
  const isTimed = isWarm && outcome !== 'failed'
  return {
    Failed: outcome === 'failed' ? 1 : 0,
    ...(isTimed && { Duration: durationMs, Fast: durationMs <= latencyMilliseconds ? 1 : 0 }),
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
