import type { BurnAlarm, BurnWindow } from './burn-rate.ts'

/** What the names of a stage's alarms, dashboards and queries begin with. */
export function monitoringPrefix(stage: string): string {
  return `token-broker-${stage}`
}

/** The alarm on a budget. */
export function burnAlarmName(prefix: string, objective: string, { id }: BurnAlarm): string {
  return `${prefix}-${objective}-burn-${id}`
}

/** The alarm on one window of it, which is the same where it has but one. */
export function burnWindowName(
  prefix: string,
  objective: string,
  rule: BurnAlarm,
  { minutes }: BurnWindow,
): string {
  const name = burnAlarmName(prefix, objective, rule)
  return rule.windows.length === 1 ? name : `${name}-over-${minutes}m`
}
