import { Logger } from '@aws-lambda-powertools/logger'
import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics'
import { DependencyUnavailable } from './core/fault.ts'

export const METRICS_NAMESPACE = 'TokenBroker'

/** Every metric that the broker emits, with its unit. Dimensions: `service`, `stage` and `endpoint`, nothing else. */
export const METRIC_UNITS = {
  /** Requests answered, whatever the answer. */
  Requests: MetricUnit.Count,
  /** Requests that policy or the protocol refused: the broker's work, not its failure. */
  Refused: MetricUnit.Count,
  /** Requests that failed by the broker's own fault or a dependency's. */
  Failed: MetricUnit.Count,
  /** From the event's arrival in the function to its answer. */
  Duration: MetricUnit.Milliseconds,
} as const

export type Endpoint = 'token' | 'metadata'
export type RequestOutcome = 'succeeded' | 'refused' | 'failed'

/** What one function says about its work: one EMF line per request, a log line for a refusal or a fault. */
export interface Telemetry {
  measure(request: {
    readonly outcome: RequestOutcome
    readonly durationMs: number
    readonly correlationId: string
  }): void
  /** The audit event of a refusal; `event` holds ids and reasons, never a token. */
  refused(event: object): void
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
    measure({ outcome, durationMs, correlationId }) {
      metrics.addMetric('Requests', METRIC_UNITS.Requests, 1)
      metrics.addMetric('Refused', METRIC_UNITS.Refused, outcome === 'refused' ? 1 : 0)
      metrics.addMetric('Failed', METRIC_UNITS.Failed, outcome === 'failed' ? 1 : 0)
      metrics.addMetric('Duration', METRIC_UNITS.Duration, durationMs)
      metrics.addMetadata('correlation_id', correlationId)
      metrics.publishStoredMetrics()
    },
    refused: (event) => logger.info('refused', { audit: event }),
    failed: (fault, correlationId) =>
      logger.error('failed', { correlation_id: correlationId, fault: describeFault(fault) }),
  }
}

/** Name and message of a fault and of its cause. Never the objects themselves: SDK errors carry whole requests. */
function describeFault(fault: unknown): object {
  if (!(fault instanceof Error)) return { name: 'unknown' }
  return {
    name: fault.name,
    message: fault.message.slice(0, 300),
    ...(fault instanceof DependencyUnavailable && { dependency: fault.dependency }),
    ...(fault.cause instanceof Error && {
      cause: { name: fault.cause.name, message: fault.cause.message.slice(0, 300) },
    }),
  }
}
