import { Logger } from '@aws-lambda-powertools/logger'
import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics'
import {
  AuditChainFault,
  DependencyUnavailable,
  KeyRingFault,
  SignedByRetiredKey,
  WrongSignature,
} from './core/fault.ts'

export const METRICS_NAMESPACE = 'TokenBroker'

/**
 * Every metric that the broker emits, with its unit. Dimensions: `service`, `stage` and, where requests are counted,
 * `endpoint`, nothing else.
 */
export const METRIC_UNITS = {
  /** Requests answered, whatever the answer. */
  Requests: MetricUnit.Count,
  /** Requests that policy or the protocol refused: the broker's work, not its failure. */
  Refused: MetricUnit.Count,
  /** Requests that failed by the broker's own fault or a dependency's. */
  Failed: MetricUnit.Count,
  /** From the event's arrival in the function to its answer. */
  Duration: MetricUnit.Milliseconds,
  /** From the arrival of a request to revoke until its cut-off is durable. */
  RevocationLatency: MetricUnit.Milliseconds,
  /** Subject tokens and client assertions that were presented once too often. */
  ReplayRefusals: MetricUnit.Count,
  /** Signatures by a key that had been retired for too long: found before anything was released. Must be 0. */
  RetiredKeySignatures: MetricUnit.Count,
  /** For how long the oldest active signing key has been signing. */
  ActiveKeyAge: MetricUnit.Seconds,
  /** Until a signing key moves next; below zero while a step that is due does not succeed. */
  SecondsToNextKeyStep: MetricUnit.Seconds,
  /** Rings of signing keys in which a run failed. */
  KeyReconcileFailures: MetricUnit.Count,
  /** Public keys that verifiers see. */
  KeysInJwks: MetricUnit.Count,
  /** Exchanges that were recorded and released as a token; a retry of the same request is not counted again. */
  TokensIssued: MetricUnit.Count,
  /** Records of exchanges that were written to the audit trail. */
  AuditExported: MetricUnit.Count,
  /** For how long the oldest record of a batch had waited for it, also when the batch failed. */
  AuditLag: MetricUnit.Seconds,
  /** Records and log lines that could not be read; the trail holds their digests. */
  AuditPoisonRecords: MetricUnit.Count,
  /** Signed checkpoints: none for over an hour means that the schedule does not run, or fails. */
  AuditCheckpoints: MetricUnit.Count,
} as const

export type Endpoint = 'token' | 'introspect' | 'revoke' | 'admin' | 'status' | 'metadata'
/** What only some requests are measured by. */
export type RequestMeasurements = Readonly<
  Partial<Record<'RevocationLatency' | 'ReplayRefusals' | 'TokensIssued' | 'RetiredKeySignatures', number>>
>
export type RequestOutcome = 'succeeded' | 'refused' | 'failed'

/** What one function says about its work: one EMF line per request, a log line for a refusal or a fault. */
export interface Telemetry {
  measure(request: {
    readonly outcome: RequestOutcome
    readonly durationMs: number
    readonly correlationId: string
    readonly measured?: RequestMeasurements | undefined
  }): void
  /** The audit event of a refusal; `event` holds ids and reasons, never a token. */
  refused(event: object): void
  /** The audit event of what was done and is recorded nowhere else as a whole. */
  recorded(event: object): void
  failed(fault: unknown, correlationId: string): void
}

export function createTelemetry(endpoint: Endpoint, stage: string): Telemetry {
  const metrics = new Metrics({
    namespace: METRICS_NAMESPACE,
    serviceName: 'token-broker',
    defaultDimensions: { stage, endpoint },
  })
  const logger = new Logger({ serviceName: 'token-broker', persistentKeys: { stage, endpoint } })
  return {
    // Added and published without an await in between: concurrent requests cannot mix.
    measure({ outcome, durationMs, correlationId, measured = {} }) {
      metrics.addMetric('Requests', METRIC_UNITS.Requests, 1)
      metrics.addMetric('Refused', METRIC_UNITS.Refused, outcome === 'refused' ? 1 : 0)
      metrics.addMetric('Failed', METRIC_UNITS.Failed, outcome === 'failed' ? 1 : 0)
      metrics.addMetric('Duration', METRIC_UNITS.Duration, durationMs)
      for (const [name, value] of Object.entries(measured))
        metrics.addMetric(name, METRIC_UNITS[name as keyof typeof measured], value)
      metrics.addMetadata('correlation_id', correlationId)
      metrics.publishStoredMetrics()
    },
    refused: (event) => logger.info('refused', { audit: event }),
    recorded: (event) => logger.info('recorded', { audit: event }),
    failed: (fault, correlationId) =>
      logger.error('failed', { correlation_id: correlationId, fault: describeFault(fault) }),
  }
}

export interface RingHealth {
  readonly ring: string
  readonly activeKeyAgeSeconds: number | undefined
  readonly secondsToNextStep: number | undefined
  readonly publishedKeys: number
}

/** The health of the signing keys, over all rings. What is `undefined` is not known, and not measured. */
export interface KeyHealth {
  readonly activeKeyAgeSeconds: number | undefined
  readonly secondsToNextStep: number | undefined
  readonly keysInJwks: number
  readonly failedRings: number
  /** For the log line alone: a dimension would multiply the metrics. */
  readonly rings: readonly RingHealth[]
}

/** What the key rotation says about a run: one EMF line, and a log line for each fault. */
export interface KeyTelemetry {
  measure(health: KeyHealth): void
  failed(fault: unknown): void
}

export function createKeyTelemetry(stage: string): KeyTelemetry {
  const serviceName = 'token-broker'
  const metrics = new Metrics({ namespace: METRICS_NAMESPACE, serviceName, defaultDimensions: { stage } })
  const logger = new Logger({ serviceName, persistentKeys: { stage } })
  return {
    measure(health) {
      const values = {
        ActiveKeyAge: health.activeKeyAgeSeconds,
        SecondsToNextKeyStep: health.secondsToNextStep,
        KeyReconcileFailures: health.failedRings,
        KeysInJwks: health.keysInJwks,
      }
      for (const [name, value] of Object.entries(values)) {
        if (value !== undefined) metrics.addMetric(name, METRIC_UNITS[name as keyof typeof values], value)
      }
      metrics.addMetadata('rings', JSON.stringify(health.rings))
      metrics.publishStoredMetrics()
    },
    failed: (fault) => logger.error('failed', { fault: describeFault(fault) }),
  }
}

export interface AuditHealth {
  readonly exported?: number
  readonly lagSeconds?: number
  readonly poison?: number
  readonly checkpoints?: number
}

/** What the audit export says about a run: one EMF line, and a log line for a fault. */
export interface AuditTelemetry {
  measure(health: AuditHealth): void
  failed(fault: unknown): void
}

export function createAuditTelemetry(stage: string): AuditTelemetry {
  const serviceName = 'token-broker'
  const metrics = new Metrics({ namespace: METRICS_NAMESPACE, serviceName, defaultDimensions: { stage } })
  const logger = new Logger({ serviceName, persistentKeys: { stage } })
  return {
    measure({ exported, lagSeconds, poison, checkpoints }) {
      const values = {
        AuditExported: exported,
        AuditLag: lagSeconds,
        AuditPoisonRecords: poison,
        AuditCheckpoints: checkpoints,
      }
      for (const [name, value] of Object.entries(values)) {
        if (value !== undefined) metrics.addMetric(name, METRIC_UNITS[name as keyof typeof values], value)
      }
      metrics.publishStoredMetrics()
    },
    failed: (fault) => logger.error('failed', { fault: describeFault(fault) }),
  }
}

const OUR_FAULTS = [WrongSignature, SignedByRetiredKey, KeyRingFault, AuditChainFault] as const

/**
 * What may be printed of a fault: our own faults' names and messages, of everything else the name, where it was thrown
 * and AWS's request id. Foreign messages can quote what they were given, and SDK errors carry whole requests.
 */
export function describeFault(fault: unknown): object {
  if (!(fault instanceof Error)) return { name: 'unknown' }
  if (fault instanceof DependencyUnavailable) {
    const { name, message, dependency, cause } = fault
    return { name, message, dependency, ...(cause instanceof Error && { cause: describeForeign(cause) }) }
  }
  return OUR_FAULTS.some((ours) => fault instanceof ours)
    ? { name: fault.name, message: fault.message }
    : { ...describeForeign(fault), at: placesIn(fault) }
}

function describeForeign(error: Error): object {
  const { $metadata: metadata } = error as { $metadata?: { httpStatusCode?: number; requestId?: string } }
  return { name: error.name, status: metadata?.httpStatusCode, aws_request_id: metadata?.requestId }
}

/** The stack without its first lines, which repeat the message. */
function placesIn({ stack = '' }: Error): readonly string[] {
  const places = stack.split('\n').filter((line) => /^ {4}at /.test(line))
  return places.slice(0, 5).map((line) => line.trim())
}
