import { describeFault } from './describe-fault.ts'
import { createLogger, createMeter } from './telemetry.ts'

/** What functions say that answer no request, but run by a schedule or a stream. */

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
  readonly secondsBeyondPeriod: number | undefined
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
    measure: ({ secondsToNextStep, secondsBeyondPeriod, rings }) =>
      meter(
        { SecondsToNextKeyStep: secondsToNextStep, SecondsBeyondKeyPeriod: secondsBeyondPeriod },
        { rings: JSON.stringify(rings) },
      ),
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
