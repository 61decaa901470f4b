import type { SchedulePlan } from './plan/cloud-plan.ts'

/** The longest delay that timers can take. */
const MAX_DELAY_MILLISECONDS = 2 ** 31 - 1
const UNIT_MILLISECONDS: Readonly<Record<string, number>> = {
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
}

/** When a schedule is due next. Epoch milliseconds, UTC. */
export type NextTime = (after: number) => number

/** Reads `rate(…)`, or a `cron(…)` of plain numbers, lists, ranges, steps and `*`. Throws RangeError for anything else. */
export function parseSchedule(expression: string): NextTime {
  const rate = /^rate\((\d+) (minute|hour|day)s?\)$/.exec(expression)
  if (rate !== null) {
    const period = Number(rate[1]) * (UNIT_MILLISECONDS[rate[2] ?? ''] ?? 0)
    return (after) => after + period
  }
  const cron = /^cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)$/.exec(expression)
  if (cron === null) throw new RangeError(`the local cloud does not run the schedule ${expression}`)
  return cronTimes(cron.slice(1), expression)
}

function cronTimes(fields: readonly string[], expression: string): NextTime {
  const [minutes, hours, days, months, weekdays, years] = fields.map((field) => cronField(field, expression))
  const due = (date: Date): boolean =>
    minutes?.(date.getUTCMinutes()) === true &&
    hours?.(date.getUTCHours()) === true &&
    days?.(date.getUTCDate()) === true &&
    months?.(date.getUTCMonth() + 1) === true &&
    // EventBridge counts Sunday as 1.
    weekdays?.(date.getUTCDay() + 1) === true &&
    years?.(date.getUTCFullYear()) === true
  return (after) => {
    const limit = after + 366 * 86_400_000
    for (let time = (Math.floor(after / 60_000) + 1) * 60_000; time < limit; time += 60_000) {
      if (due(new Date(time))) return time
    }
    throw new RangeError(`${expression} is not due within a year`)
  }
}

function cronField(field: string, expression: string): (value: number) => boolean {
  const tests = field.split(',').map((part) => {
    const match = /^(?:([*?])|(\d+)(?:-(\d+))?)(?:\/(\d+))?$/.exec(part)
    if (match === null) throw new RangeError(`the local cloud does not run the schedule ${expression}`)
    const [, any, from, to, step] = match
    const first = any === undefined ? Number(from) : 0
    const last =
      any !== undefined || (step !== undefined && to === undefined)
        ? Number.POSITIVE_INFINITY
        : Number(to ?? from)
    return (value: number) => value >= first && value <= last && (value - first) % Number(step ?? 1) === 0
  })
  return (value) => tests.some((test) => test(value))
}

export interface SchedulesOptions {
  readonly schedules: readonly SchedulePlan[]
  /** Epoch milliseconds. */
  readonly clock: () => number
  /** Runs what is due. */
  readonly onDue: (schedule: SchedulePlan) => void
}

/** Starts every schedule and returns what stops them. The timers keep no process alive. */
export function startSchedules({ schedules, clock, onDue }: SchedulesOptions): () => void {
  const timers = new Map<SchedulePlan, NodeJS.Timeout>()
  const arm = (schedule: SchedulePlan, next: NextTime, due: number): void => {
    const delay = Math.min(Math.max(0, due - clock()), MAX_DELAY_MILLISECONDS)
    const timer = setTimeout(() => {
      if (clock() < due) return arm(schedule, next, due)
      arm(schedule, next, next(clock()))
      onDue(schedule)
    }, delay)
    timers.set(schedule, timer.unref())
  }
  for (const schedule of schedules) {
    const next = parseSchedule(schedule.expression)
    arm(schedule, next, next(clock()))
  }
  return () => {
    for (const timer of timers.values()) clearTimeout(timer)
  }
}

/** The event that EventBridge sends to a target that names no input of its own. */
export function scheduledEvent(
  schedule: SchedulePlan,
  facts: { readonly id: string; readonly account: string; readonly region: string; readonly now: number },
): object {
  const { id, account, region, now } = facts
  return {
    version: '0',
    id,
    'detail-type': 'Scheduled Event',
    source: 'aws.events',
    account,
    time: new Date(now).toISOString().replace(/\.\d+Z$/, 'Z'),
    region,
    resources: [`arn:aws:events:${region}:${account}:rule/${schedule.name}`],
    detail: {},
  }
}
