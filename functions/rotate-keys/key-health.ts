import { publishedKeys } from '../core/published-keys.ts'
import type { KeyHealth, RingHealth } from '../telemetry.ts'
import type { RingReport } from './reconcile.ts'

/** What a run says about the keys: the worst ring counts. `now` in epoch seconds. */
export function keyHealth(reports: readonly RingReport[], now: number): KeyHealth {
  const rings = reports.map((report) => ringHealth(report, now))
  return {
    rings,
    activeKeyAgeSeconds: worst(rings, ({ activeKeyAgeSeconds: age }) => age, Math.max),
    secondsToNextStep: worst(rings, ({ secondsToNextStep: seconds }) => seconds, Math.min),
    keysInJwks: rings.reduce((sum, { publishedKeys: keys }) => sum + keys, 0),
    failedRings: reports.filter(({ faults }) => faults.length > 0).length,
  }
}

function ringHealth({ ring, manifest, nextStepAt }: RingReport, now: number): RingHealth {
  const active = manifest?.keys.find(({ state }) => state === 'active')
  return {
    ring,
    activeKeyAgeSeconds: active && now - active.since,
    secondsToNextStep: nextStepAt === undefined ? undefined : nextStepAt - now,
    publishedKeys: publishedKeys([manifest]).length,
  }
}

function worst(
  rings: readonly RingHealth[],
  value: (ring: RingHealth) => number | undefined,
  pick: (...values: number[]) => number,
): number | undefined {
  const values = rings.map(value).filter((each) => each !== undefined)
  return values.length === 0 ? undefined : pick(...values)
}
