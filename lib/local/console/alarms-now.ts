import { COMPARISONS, type MetricAlarm } from '../../alarms/alarm-definition.ts'
import type { AppAlarms } from '../../alarms/app-alarms.ts'
import { compositeState } from '../../alarms/composite-alarm.ts'
import { alarmsIn } from '../../alarms/composite-rule.ts'
import type { EmfMetrics } from '../../alarms/emf-metrics.ts'
import { type ReplayedAlarm, replayAlarms } from '../../alarms/replay.ts'
import { isMissing } from '../../alarms/series.ts'
import type { AlarmNow } from './wire.ts'

/** Every alarm as it is after the last minute of what was published. */
export function alarmsNow(app: AppAlarms, metrics: EmfMetrics): readonly AlarmNow[] {
  const { alarms } = replayAlarms(app.alarms, metrics)
  const awaiting = awaitingData(alarms, metrics.minutes)
  return alarms.map((alarm): AlarmNow => {
    const { definition, history, values, reason } = alarm
    const last = history.at(-1)
    const value = values?.at(-1)
    const calls = definition.actions.onAlarm.flatMap((topic) => app.audiences.get(topic) ?? [])
    const parts = definition.kind === 'composite' ? alarmsIn(definition.rule) : []
    return {
      id: app.idOf(definition.name),
      state: last?.state ?? 'INSUFFICIENT_DATA',
      ...(awaiting.has(definition.name) && { awaitsData: true }),
      sinceMinute: last?.minute ?? 0,
      calls: [...new Set(calls)],
      parts: alarms
        .filter((part) => parts.includes(part.definition.name) || parts.includes(part.definition.arn))
        .map((part) => app.idOf(part.definition.name)),
      ...(definition.kind === 'metric' && { condition: conditionOf(definition, metrics) }),
      ...(value !== undefined && !isMissing(value) && { value }),
      ...(reason !== undefined && { reason }),
    }
  })
}

function conditionOf(alarm: MetricAlarm, metrics: EmfMetrics): NonNullable<AlarmNow['condition']> {
  const { comparison, threshold, queries, returned } = alarm
  const query = queries.get(returned)
  const unit = query?.kind === 'metric' ? metrics.unitOf(query.metric) : undefined
  return { comparison, threshold, ...(unit !== undefined && { unit }) }
}

/**
 * The names of the alarms that ring for no other reason than that missing data is breaching, in a run that is younger than
 * what they look at, whatever good has been published meanwhile; and of those that ring for no other reason than these.
 */
function awaitingData(alarms: readonly ReplayedAlarm[], minutes: number): ReadonlySet<string> {
  const byName = new Map(
    alarms.flatMap((alarm) => [
      [alarm.definition.name, alarm] as const,
      [alarm.definition.arn, alarm] as const,
    ]),
  )
  const stateOf = (name: string) => byName.get(name)?.history.at(-1)?.state ?? 'INSUFFICIENT_DATA'
  const isAwaiting = (name: string): boolean => {
    const { definition, values } = byName.get(name) ?? {}
    if (definition === undefined || stateOf(name) !== 'ALARM') return false
    if (definition.kind === 'metric') {
      const { missingData, period, evaluationPeriods, comparison, threshold } = definition
      const isYoung = minutes <= period * evaluationPeriods
      const isGood = (value: number) => isMissing(value) || !COMPARISONS[comparison](value, threshold)
      return missingData === 'breaching' && isYoung && (values ?? []).every(isGood)
    }
    return compositeState(definition.rule, (part) => (isAwaiting(part) ? 'OK' : stateOf(part))) !== 'ALARM'
  }
  return new Set(alarms.map(({ definition }) => definition.name).filter(isAwaiting))
}
