import { publishedKeys } from '../core/published-keys.ts'
import type { KeyHealth, RingHealth } from '../run-telemetry.ts'
import type { RingReport } from './reconcile.ts'

/** What a run says about what it has left: the worst ring counts. `now` in epoch seconds. */
export function keyHealth(
  reports: readonly RingReport[],
  now: number,
): Omit<KeyHealth, 'secondsBeyondPeriod'> {
  const rings = reports.map((report) => ringHealth(report, now))
  return {
    rings,
    secondsToNextStep: earliest(rings),
  }
}

function ringHealth({ ring, manifest, nextStepAt, faults }: RingReport, now: number): RingHealth {
  const active = manifest?.keys.find(({ state }) => state === 'active')
  return {
    ring,
    activeKeyAgeSeconds: active && now - active.since,
    secondsToNextStep: nextStepAt === undefined ? undefined : nextStepAt - now,
    publishedKeys: publishedKeys([manifest]).length,
    hasFailed: faults.length > 0,
  }
}

function earliest(rings: readonly RingHealth[]): number | undefined {
  const steps = rings.map(({ secondsToNextStep: seconds }) => seconds).filter((each) => each !== undefined)
  return steps.length === 0 ? undefined : Math.min(...steps)
}
