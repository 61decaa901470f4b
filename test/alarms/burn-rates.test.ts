import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../lib/config.ts'
import { releaseAlarmNames } from '../../lib/monitoring/release-alarms.ts'
import { projectStage } from '../../lib/project-context.ts'
import { appAlarms, only, replayText, ringsAfter } from './app.ts'

const app = appAlarms()
const RULES = ['1h', '6h', '1d', '3d'] as const
const START = 60

/** An incident an hour after the start, beside 0.02 % of failures on any day. */
const incident = (failed: string, length: string) =>
  `lasts: 4d\nincidents: [{at: 1h, for: ${length}, failed: ${failed}}]`

describe('minutes until long and short window ring, at 99.9 % and 600 requests a minute', () => {
  // Simulated elsewhere, without this evaluator and without the code that computes the thresholds.
  it.each<[string, string, readonly (number | undefined)[]]>([
    ['100%', '5m', [1, 3, 5, 4]],
    ['50%', '1h', [2, 5, 9, 7]],
    ['10%', '1h', [9, 21, 41, 35]],
    ['5%', '2h', [18, 42, 81, 70]],
    ['2%', '12h', [44, 106, 204, 175]],
    ['0.5%', '2d', [undefined, undefined, 840, 720]],
    ['0.08%', '3d', [undefined, undefined, undefined, undefined]],
  ])('%s for %s', (failed, length, expected) => {
    const alarms = only(app, /^availability-burn-(?:1h|6h|1d|3d)(?:-over-\d+m)?$/)
    const { report } = replayText(alarms, incident(failed, length), { multiDayMinutes: 1 })
    const found = RULES.map((rule) => ringsAfter(report, `availability-burn-${rule}`, START))
    for (const [at, minutes] of expected.entries()) {
      if (minutes === undefined) expect(found[at], RULES[at]).toBeUndefined()
      else
        expect(
          Math.abs((found[at] ?? Number.NaN) - minutes),
          `${RULES[at]} after ${found[at]}`,
        ).toBeLessThanOrEqual(1)
    }
  })

  it('is up to an hour later for the window of three days, which CloudWatch evaluates once an hour', () => {
    const alarms = only(app, /^availability-burn-3d/)
    const { report } = replayText(alarms, `lasts: 8h\nincidents: [{at: 1h10m, for: 5m, failed: 100%}]`)
    expect(report.rang.find(({ alarm }) => alarm === 'availability-burn-3d')?.from).toBe(120)
  })
})

describe('a day’s budget', () => {
  it.each([
    ['9.6%', 'availability-burn-day-in-15m', 15],
    ['28.8%', 'availability-burn-day-in-5m', 5],
  ])('that would be gone at %s of failures pages by %s within %d minutes', (failed, alarm, within) => {
    const { report } = replayText(app, `lasts: 3h\nincidents: [{at: 1h, for: 1h, failed: ${failed}}]`)
    expect(ringsAfter(report, alarm, START)).toBeLessThanOrEqual(within)
    const page = report.messages.find(({ to }) => to === 'page')
    expect(page).toMatchObject({ alarm: 'availability-burn-fast', state: 'ALARM' })
    expect((page?.minute ?? Number.NaN) - START).toBeLessThanOrEqual(within)
  })

  it('that lasts at just under 9.6 % does not ring', () => {
    const alarms = only(app, /^availability-burn-day/)
    const { report } = replayText(alarms, 'lasts: 3h\nincidents: [{at: 1h, for: 1h, failed: 9.5%}]')
    expect(report.rang).toEqual([])
  })
})

describe('a release of which a tenth of the requests see nothing but failures, for the five minutes that it has', () => {
  const release = 'lasts: 3h\nincidents: [{at: 1h, for: 5m, failed: 10%}]'
  const judges = releaseAlarmNames({ ...parseConfig({}), stage: projectStage() }).map((name) =>
    app.idOf(name),
  )

  it('is rolled back by one of the alarms that judge it, well before it gets the rest', () => {
    const { report } = replayText(app, release)
    const judging = report.rang.filter(({ alarm }) => judges.includes(alarm))
    expect(judging.map(({ alarm }) => alarm).toSorted()).toEqual([
      'availability-burn-1h-over-5m',
      'gateway-burn-1h-over-5m',
    ])
    for (const { alarm } of judging) expect(ringsAfter(report, alarm, START), alarm).toBeLessThanOrEqual(2)
  })

  it('is too little for the page, whose hour would have judged it too late', () => {
    const { report } = replayText(app, release)
    expect(report.rang.map(({ alarm }) => alarm)).not.toContain('availability-burn-1h')
  })
})

describe('on any day', () => {
  it('nobody is called in 30 days of failures within the objective, with quiet nights and with chance', () => {
    const month =
      'lasts: 30d\nseed: 7\nnights: {from: 22, until: 6, requests: 0.5}\nbackground: {failed: 0.05%, slow: 0.5%}'
    const { report } = replayText(app, month)
    expect(report.messages).toEqual([])
    expect(report.minutes).toBe(30 * 24 * 60)
  })
})

describe('one incident', () => {
  it.each([
    ['everything fails', 'failed: 100%'],
    ['a tenth fails', 'failed: 10%'],
    ['everything fails or is slow', 'failed: 50%, slow: 100%'],
  ])('pages once, whatever else rings: %s', (_name, load) => {
    const { report } = replayText(app, `lasts: 12h\nincidents: [{at: 1h, for: 1h, ${load}}]`)
    const calls = report.messages.filter(({ state }) => state === 'ALARM')
    expect(calls.map(({ to, alarm }) => `${to} ${alarm}`)).toEqual(['page availability-burn-fast'])
  })
})
