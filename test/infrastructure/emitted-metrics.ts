import { type Dependency, DependencyUnavailable, SignedByRetiredKey } from '../../functions/core/fault.ts'
import type { Refusal } from '../../functions/core/refusal.ts'
import {
  createAuditTelemetry,
  createKeyTelemetry,
  createProbeTelemetry,
} from '../../functions/run-telemetry.ts'
import { createTelemetry, Environment, type MeasuredRequest } from '../../functions/telemetry.ts'
import { COUNTING, emfLinesIn } from '../support/emf.ts'
import { printedBy } from '../support/printed.ts'

const REQUEST = { outcome: 'succeeded', durationMs: 20, correlationId: 'request-1' } as const

/** One request for each thing that is measured of some. */
const REQUESTS: readonly Partial<MeasuredRequest>[] = [
  { measured: { TokensIssued: 1, RevocationLatency: 8 } },
  ...(['token_replayed', 'body_malformed', 'rate_exceeded'] as const).map((kind) => ({
    outcome: 'refused' as const,
    refusal: { kind } as Refusal,
  })),
  ...(['kms', 'dynamodb', 'sts', 'issuer-keys'] as Dependency[]).map((dependency) => ({
    outcome: 'failed' as const,
    fault: new DependencyUnavailable(dependency, 'down'),
  })),
  { outcome: 'failed', fault: new SignedByRetiredKey('key k') },
]

/** The names of all metrics that the functions' own telemetry prints. */
export async function emittedMetrics(): Promise<ReadonlySet<string>> {
  const { printed } = await printedBy(async () => {
    const environment = new Environment()
    environment.takeStartup()
    const requests = createTelemetry('token', COUNTING, environment)
    for (const request of REQUESTS) requests.measure({ ...REQUEST, ...request })
    createKeyTelemetry('test').measure({ secondsToNextStep: 1, secondsBeyondPeriod: -1, rings: [] })
    createAuditTelemetry('test').measure({ exported: 1, lagSeconds: 1, lostClaims: ['record'] })
    createProbeTelemetry('test').measure([{ check: 'exchange', outcome: 'passed' }])
  })
  const lines = emfLinesIn(printed).flatMap((line) => line._aws.CloudWatchMetrics)
  return new Set(lines.flatMap(({ Metrics }) => Metrics.map(({ Name }) => Name)))
}
