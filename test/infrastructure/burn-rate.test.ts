import { describe, expect, it } from 'vitest'
import {
  type BurnAlarm,
  burnAlarms,
  errorBudget,
  FEWEST_BAD_REQUESTS,
  longestAftermathMinutes,
  ticketPatienceMinutes,
} from '../../lib/monitoring/burn-rate.ts'

const TARGET = 99.9
const REQUESTS_PER_MINUTE = 600
/** Healthy is not without failures: a fifth of the budget goes all the time. */
const BACKGROUND = 0.0002
const DAY = 24 * 60
const NEVER = undefined

/** Minutes until every window of the alarm burns, after 30 healthy days; `undefined` if none does within the incident. */
function firesAfter(
  alarm: BurnAlarm,
  { failing, minutes, traffic = REQUESTS_PER_MINUTE }: { failing: number; minutes: number; traffic?: number },
): number | undefined {
  for (let minute = 1; minute <= minutes; minute += 1) {
    const burns = alarm.windows.every((window) => {
      const incident = Math.min(minute, window.minutes)
      const total = window.minutes * traffic
      const failed = (incident * failing + (window.minutes - incident) * BACKGROUND) * traffic
      const rate = failed / total / errorBudget(TARGET)
      return total >= window.fewestRequests && rate >= alarm.rate - 1e-9
    })
    if (burns) return minute
  }
  return NEVER
}

const alarmOf = (id: string, target = TARGET) => {
  const found = burnAlarms(target).find((alarm) => alarm.id === id)
  if (found === undefined) throw new Error(`no alarm ${id}`)
  return found
}

describe('the rate at which a budget is spent', () => {
  it('follows from how much of it goes within how long', () => {
    expect(burnAlarms(TARGET).map(({ id, rate, severity }) => [id, rate, severity])).toEqual([
      ['1h', 14.4, 'page'],
      ['6h', 6, 'page'],
      ['1d', 3, 'ticket'],
      ['3d', 1, 'ticket'],
      ['day-in-5m', 288, 'page'],
      ['day-in-15m', 96, 'page'],
      ['half-day-in-1h', 12, 'ticket'],
    ])
  })

  it('is looked at in a long window, and confirmed in a twelfth of it', () => {
    expect(burnAlarms(TARGET).map(({ windows }) => windows.map(({ minutes }) => minutes))).toEqual([
      [60, 5],
      [360, 30],
      [DAY, 120],
      [3 * DAY, 360],
      [5],
      [15],
      [60],
    ])
  })

  it.each([
    [99.9, 0.001],
    [99.99, 0.0001],
    [99, 0.01],
    [99.95, 0.0005],
  ])('leaves of a target of %d % a budget of %d, without the dust of binary fractions', (target, budget) => {
    expect(String(errorBudget(target))).toBe(String(budget))
  })

  it('has no alarm that could not ring: 288 times a hundredth is more than everything', () => {
    expect(burnAlarms(99).map(({ id }) => id)).not.toContain('day-in-5m')
    expect(burnAlarms(99).map(({ id }) => id)).toContain('day-in-15m')
    for (const { rate } of burnAlarms(99)) expect(rate * errorBudget(99)).toBeLessThanOrEqual(1)
  })
})

describe('an incident', () => {
  it.each([
    { failing: 1, minutes: 5, expected: [1, 3, 5, 4] },
    { failing: 0.5, minutes: 60, expected: [2, 5, 9, 7] },
    { failing: 0.1, minutes: 60, expected: [9, 21, 41, 35] },
    { failing: 0.05, minutes: 120, expected: [18, 42, 81, 70] },
    { failing: 0.02, minutes: 12 * 60, expected: [44, 106, 204, 175] },
    { failing: 0.005, minutes: 2 * DAY, expected: [NEVER, NEVER, 840, 720] },
    { failing: 0.0015, minutes: 3 * DAY, expected: [NEVER, NEVER, NEVER, 2659] },
    { failing: 0.0008, minutes: 3 * DAY, expected: [NEVER, NEVER, NEVER, NEVER] },
  ])('of $failing for $minutes min is noticed after $expected min', ({ expected, ...incident }) => {
    expect(['1h', '6h', '1d', '3d'].map((id) => firesAfter(alarmOf(id), incident))).toEqual(expected)
  })

  it('that takes a whole day’s budget pages within 5 minutes, or within 15', () => {
    expect(firesAfter(alarmOf('day-in-5m'), { failing: 0.288, minutes: 60 })).toBe(5)
    expect(firesAfter(alarmOf('day-in-15m'), { failing: 0.096, minutes: 60 })).toBe(15)
    expect(firesAfter(alarmOf('day-in-15m'), { failing: 0.095, minutes: 60 })).toBe(NEVER)
  })

  it.each([0.02, 0.05, 0.1, 0.5, 1])('of %d pages before its ticket has lost patience', (failing) => {
    const incident = { failing, minutes: DAY }
    const page = firesAfter(alarmOf('1h'), incident) ?? Number.NaN
    const tickets = ['1d', '3d', 'half-day-in-1h'].map((id) => firesAfter(alarmOf(id), incident) ?? page)
    for (const ticket of tickets) expect(page - ticket).toBeLessThanOrEqual(ticketPatienceMinutes())
  })

  it('is remembered by tickets for as long as their slowest confirmation', () => {
    expect(longestAftermathMinutes(TARGET)).toBe(360)
  })
})

describe('quiet traffic', () => {
  it.each(burnAlarms(TARGET).map((alarm) => [alarm.id, alarm] as const))(
    'does not ring %s by fewer than 5 bad requests',
    (_, { rate, windows: [window] }) => {
      const requests = window?.fewestRequests ?? 0
      expect(requests * rate * errorBudget(TARGET)).toBeGreaterThanOrEqual(FEWEST_BAD_REQUESTS)
      expect((requests - 1) * rate * errorBudget(TARGET)).toBeLessThan(FEWEST_BAD_REQUESTS)
    },
  )

  it('is judged by the long window alone', () => {
    for (const { windows } of burnAlarms(TARGET))
      for (const { fewestRequests } of windows.slice(1)) expect(fewestRequests).toBe(1)
  })
})
