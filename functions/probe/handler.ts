import { composeProbe } from '../compose.ts'
import type { HttpAnswer } from '../http/answer.ts'
import { httpHandler } from '../http/rim.ts'
import { createProbeTelemetry } from '../run-telemetry.ts'
import { createDocumentTelemetry } from '../telemetry.ts'
import { runProbe } from './probe.ts'
import { serveProbeKey } from './serve-probe-key.ts'

/** A run ends within its minute, whatever the broker does: what is not checked by then has failed. */
const RUN_MS = 45_000

const { stage, ...probe } = composeProbe()
const telemetry = createProbeTelemetry(stage)
const serveKey = httpHandler(serveProbeKey(probe.key), createDocumentTelemetry('metadata', stage))

/** Two triggers: a request for the probe's public key, which is answered, and the schedule. */
export async function handler(
  event: unknown,
  context: Parameters<typeof serveKey>[1],
): Promise<HttpAnswer | undefined> {
  if (typeof event === 'object' && event !== null && 'httpMethod' in event) return serveKey(event, context)
  telemetry.measure(await runProbe(probe, AbortSignal.timeout(RUN_MS)))
  return undefined
}
