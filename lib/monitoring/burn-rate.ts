/**
 * The arithmetic of service level objectives. Every threshold of an alarm follows from an objective and a time: none is
 * typed anywhere.
 */

/** Days over which an objective holds. */
export const OBJECTIVE_DAYS = 30
/** An alarm takes no fewer bad requests than these for a trend: of quiet nights the probe tells. */
export const FEWEST_BAD_REQUESTS = 5

const DAY_MINUTES = 24 * 60
/** A short window that is a twelfth of the long one says whether it still goes on, and ends the alarm soon after it is over. */
const CONFIRMED_IN = 1 / 12

export type Severity = 'page' | 'ticket'

/** So much of a budget, spent within so long. */
export interface BurnRule {
  /** Part of the alarm's name. */
  readonly id: string
  readonly severity: Severity
  /** Whose budget: that of the whole objective, or of one day of it. */
  readonly budgetDays: number
  /** The part of it that is spent: 1 is all. */
  readonly spent: number
  readonly withinMinutes: number
}

/** Of the 30 days' budget: long enough for a trend, each confirmed by a window of a twelfth. */
const OBJECTIVE_RULES: readonly BurnRule[] = [
  { id: '1h', severity: 'page', spent: 0.02, withinMinutes: 60, budgetDays: OBJECTIVE_DAYS },
  { id: '6h', severity: 'page', spent: 0.05, withinMinutes: 360, budgetDays: OBJECTIVE_DAYS },
  { id: '1d', severity: 'ticket', spent: 0.1, withinMinutes: DAY_MINUTES, budgetDays: OBJECTIVE_DAYS },
  { id: '3d', severity: 'ticket', spent: 0.1, withinMinutes: 3 * DAY_MINUTES, budgetDays: OBJECTIVE_DAYS },
]

/** Of one day's budget: short enough to need no confirmation. */
const DAY_RULES: readonly BurnRule[] = [
  { id: 'day-in-5m', severity: 'page', spent: 1, withinMinutes: 5, budgetDays: 1 },
  { id: 'day-in-15m', severity: 'page', spent: 1, withinMinutes: 15, budgetDays: 1 },
  { id: 'half-day-in-1h', severity: 'ticket', spent: 0.5, withinMinutes: 60, budgetDays: 1 },
]

export interface BurnWindow {
  readonly minutes: number
  /** With fewer requests in the window nothing is said. */
  readonly fewestRequests: number
}

/** An alarm on a budget: it holds while every one of its windows burns at its rate or faster. */
export interface BurnAlarm {
  readonly id: string
  readonly severity: Severity
  /** How many times faster than the objective allows. */
  readonly rate: number
  /** The longest first. */
  readonly windows: readonly BurnWindow[]
}

/** The part of all requests that may be bad, for a target in percent: 0.001 for 99.9. */
export function errorBudget(targetPercent: number): number {
  return exact((100 - targetPercent) / 100)
}

/** How many times faster than allowed a budget is spent by a rule: 1 spends it exactly in its days. */
export function burnRate({ budgetDays, spent, withinMinutes }: BurnRule): number {
  return exact((budgetDays * DAY_MINUTES * spent) / withinMinutes)
}

/** The alarms of an objective, without those that could never ring: nothing is worse than every request being bad. */
export function burnAlarms(targetPercent: number): readonly BurnAlarm[] {
  const budget = errorBudget(targetPercent)
  return [...OBJECTIVE_RULES, ...DAY_RULES]
    .filter((rule) => burnRate(rule) * budget <= 1)
    .map((rule) => burnAlarm(rule, budget))
}

/**
 * By how much a ticket may ring before the page that the same trouble rings: both look at an hour, at different rates.
 * Minutes.
 */
export function ticketPatienceMinutes(): number {
  const rateOf = (id: string, rules: readonly BurnRule[]) =>
    rules.filter((rule) => rule.id === id).map(burnRate)
  const [page = 1] = rateOf('1h', OBJECTIVE_RULES)
  const [ticket = 1] = rateOf('half-day-in-1h', DAY_RULES)
  return Math.ceil(exact(60 * (1 - ticket / page)))
}

/** For how long the slowest ticket of an objective lasts after its cause has ended. Minutes. */
export function longestAftermathMinutes(targetPercent: number): number {
  const tickets = burnAlarms(targetPercent).filter(({ severity }) => severity === 'ticket')
  return Math.max(...tickets.map(({ windows }) => windows.at(-1)?.minutes ?? 0))
}

function burnAlarm(rule: BurnRule, budget: number): BurnAlarm {
  const rate = burnRate(rule)
  const { id, severity, withinMinutes, budgetDays } = rule
  const judged = {
    minutes: withinMinutes,
    fewestRequests: Math.ceil(exact(FEWEST_BAD_REQUESTS / (rate * budget))),
  }
  // One request is enough for the confirmation: the long window has seen the trend.
  const confirming = { minutes: withinMinutes * CONFIRMED_IN, fewestRequests: 1 }
  const windows = budgetDays === OBJECTIVE_DAYS ? [judged, confirming] : [judged]
  return { id, severity, rate, windows }
}

/** Without what binary fractions add: 0.001 and not 0.0010000000000000009, since it stands in a template. */
function exact(value: number): number {
  return Number(value.toPrecision(12))
}
