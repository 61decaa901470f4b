import { beforeEach, describe, expect, it } from 'vitest'
import { RECONCILE_MINUTES } from '../../functions/core/key-times.ts'
import type { KeyHealth } from '../../functions/run-telemetry.ts'
import type { StateHistory } from '../../lib/alarms/alarm-state.ts'
import type { Metrics } from '../../lib/alarms/metric-alarm.ts'
import { replayAlarms } from '../../lib/alarms/replay.ts'
import type { Sample } from '../../lib/alarms/series.ts'
import { DAY, HOUR, Rings, START } from '../rotate-keys/rings.ts'
import { appAlarms, only } from './app.ts'

const app = only(appAlarms(), /^key-/)
const HOURS = 60

let rings: Rings
let runs: Map<number, KeyHealth>
beforeEach(() => {
  rings = new Rings()
  runs = new Map()
})

/** Runs the rotation on schedule for so many seconds: never at the same second of its minute, as EventBridge does. */
async function live(seconds: number): Promise<void> {
  const first = runs.size
  for (let run = first; run < first + seconds / (RECONCILE_MINUTES * 60); run++) {
    const minute = run * RECONCILE_MINUTES
    rings.now = START + minute * 60 + ((run * 7) % 50)
    runs.set(minute, await rings.run())
  }
}

/** In which minutes each alarm began to ring, and returned. `silence` is what follows the last run, minutes. */
function rang(silence = 0): Readonly<Record<string, StateHistory>> {
  const minutes = runs.size * RECONCILE_MINUTES + silence
  const published = (of: (health: KeyHealth) => number | undefined) =>
    Array.from({ length: minutes }, (_, minute): readonly Sample[] | undefined => {
      const health = runs.get(minute)
      const value = health && of(health)
      return value === undefined ? undefined : [{ value, count: 1 }]
    })
  const series = new Map([
    ['SecondsToNextKeyStep', published(({ secondsToNextStep }) => secondsToNextStep)],
    ['SecondsBeyondKeyPeriod', published(({ secondsBeyondPeriod }) => secondsBeyondPeriod)],
  ])
  const metrics: Metrics = { minutes, startsAt: START / 60, series: ({ name }) => series.get(name) }
  const replayed = replayAlarms(app.alarms, metrics).alarms.map(({ definition, history }) => {
    const changes = history.filter(({ state }, at) => state === 'ALARM' || history[at - 1]?.state === 'ALARM')
    return [app.idOf(definition.name), changes] as const
  })
  return Object.fromEntries(replayed.filter(([, changes]) => changes.length > 0))
}

const keysOf = (ring: 'RS256' | 'delegated-ES256') => rings.store.manifests.get(ring)?.keys.length ?? 0

describe('the alarms on keys', () => {
  it('are silent for forty days in which keys rotate, every day and every month', async () => {
    await live(40 * DAY)
    expect([keysOf('RS256'), keysOf('delegated-ES256')]).toEqual([3, 40])
    expect(rang()).toEqual({})
  })

  it('tell a key that is too old by its age alone, where the plan takes it for young', async () => {
    const planned = rings.delegated
    rings.delegated = { ...planned, activeSeconds: 1000 * DAY }
    await live(4 * DAY)
    rings.delegated = planned
    await live(3 * HOUR)
    const { 'key-too-old': changes = [], ...others } = rang()
    expect(others).toEqual({})
    expect(changes.map(({ state }) => state)).toEqual(['ALARM', 'OK'])
    // A day after its day, an hour, and two windows of half an hour.
    expect(changes[0]?.minute).toBeGreaterThan(49 * HOURS)
    expect(changes[0]?.minute).toBeLessThanOrEqual(50 * HOURS + RECONCILE_MINUTES)
  })

  it('tell first of a step that fails: in an hour, in a day, and then of the age', async () => {
    await live(HOUR)
    rings.kmsAnswers = false
    await live(3 * DAY)
    const changes = rang()
    expect(Object.keys(changes).toSorted()).toEqual([
      'key-rotation-stalled',
      'key-step-overdue',
      'key-too-old',
    ])
    const at = (id: string) => changes[id]?.[0]?.minute ?? Number.NaN
    expect(at('key-step-overdue')).toBeLessThan(at('key-rotation-stalled'))
    expect(at('key-rotation-stalled')).toBeLessThan(at('key-too-old'))
  })

  it('tell of a schedule that is switched off by its silence', async () => {
    await live(HOUR)
    expect(Object.keys(rang(6 * HOURS))).toEqual(['key-step-overdue'])
  })
})
