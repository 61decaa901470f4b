import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { parseSchedule, scheduledEvent, startSchedules } from '../../../lib/local/schedules.ts'

const NOON = Date.parse('2026-11-22T12:00:30Z')
const next = (expression: string) => new Date(parseSchedule(expression)(NOON)).toISOString()

describe('a schedule', () => {
  it.each([
    ['rate(15 minutes)', '2026-11-22T12:15:30.000Z'],
    ['rate(1 hour)', '2026-11-22T13:00:30.000Z'],
    ['rate(1 day)', '2026-11-23T12:00:30.000Z'],
    ['cron(30 2 * * ? *)', '2026-11-23T02:30:00.000Z'],
    ['cron(0/20 * * * ? *)', '2026-11-22T12:20:00.000Z'],
    ['cron(0 9-17/4,20 * * ? *)', '2026-11-22T13:00:00.000Z'],
    ['cron(0 0 1 * ? *)', '2026-12-01T00:00:00.000Z'],
    ['cron(0 0 ? * 2 *)', '2026-11-23T00:00:00.000Z'],
  ])('of %s is next due at %s', (expression, expected) => {
    expect(next(expression)).toBe(expected)
  })

  it.each(['rate(5 fortnights)', 'cron(0 0 L * ? *)', 'cron(* *)', 'at(2026-11-22T00:00:00)'])(
    'of %s is refused',
    (expression) => {
      expect(() => next(expression)).toThrow(`does not run the schedule ${expression}`)
    },
  )
})

describe('running schedules', () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: NOON })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  const schedule = { name: 'hourly', expression: 'rate(1 hour)', functionName: 'tick', input: undefined }

  it('fire at each due time until they are stopped', () => {
    const due: number[] = []
    const stop = startSchedules({ schedules: [schedule], clock: Date.now, onDue: () => due.push(Date.now()) })
    vi.advanceTimersByTime(2.5 * 3_600_000)
    expect(due).toEqual([NOON + 3_600_000, NOON + 7_200_000])
    stop()
    vi.advanceTimersByTime(10 * 3_600_000)
    expect(due).toHaveLength(2)
  })

  it('wait longer than a timer can', () => {
    const due: number[] = []
    const monthly = { ...schedule, expression: 'rate(40 days)' }
    const stop = startSchedules({ schedules: [monthly], clock: Date.now, onDue: () => due.push(Date.now()) })
    vi.advanceTimersByTime(39 * 86_400_000)
    expect(due).toEqual([])
    vi.advanceTimersByTime(86_400_000)
    expect(due).toEqual([NOON + 40 * 86_400_000])
    stop()
  })

  it('send the event of EventBridge where the target has no input', () => {
    const facts = { id: 'id', account: '111111111111', region: 'eu-west-1', now: NOON }
    expect(scheduledEvent(schedule, facts)).toMatchObject({
      'detail-type': 'Scheduled Event',
      source: 'aws.events',
      time: '2026-11-22T12:00:30Z',
      resources: ['arn:aws:events:eu-west-1:111111111111:rule/hourly'],
    })
  })
})
