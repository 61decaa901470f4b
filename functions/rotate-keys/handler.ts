import { composeKeyRotation, epochSeconds } from '../compose.ts'
import { createKeyTelemetry } from '../run-telemetry.ts'
import { answerCustomResource, isCustomResourceEvent } from './custom-resource.ts'
import { secondsBeyondPeriod } from './key-age.ts'
import { keyHealth } from './key-health.ts'
import { reconcileKeys } from './reconcile.ts'

const { stage, periods, ...rotation } = composeKeyRotation()
const telemetry = createKeyTelemetry(stage)

/** Runs at deploy, as a custom resource that is complete once every ring can sign, and on a schedule. */
export async function handler(event: unknown): Promise<void> {
  if (isCustomResourceEvent(event)) await answerCustomResource(event, run)
  else await run()
}

/** One run, measured. Throws if a step failed, so that Lambda and CloudFormation know it too. */
async function run(): Promise<void> {
  const reports = await reconcileKeys(rotation)
  const now = epochSeconds()
  telemetry.measure({
    ...keyHealth(reports, now),
    secondsBeyondPeriod: await secondsBeyondPeriod(rotation.store, periods, now),
  })
  const faults = reports.flatMap((report) => report.faults)
  for (const fault of faults) telemetry.failed(fault)
  if (faults.length === 0) return
  const [fault] = faults
  // Without its cause, which Lambda would print as a whole: what may be said of it is in the log already.
  throw new Error(`keys: ${fault instanceof Error ? fault.message : 'unknown fault'}`)
}
