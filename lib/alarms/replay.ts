import { TemplateDefect } from '../local/intrinsics.ts'
import type { AlarmActions, AlarmDefinition, CompositeAlarm } from './alarm-definition.ts'
import { historyOf, type ReplayedState, type StateHistory } from './alarm-state.ts'
import { type ActionTaken, compositeState, suppressedActions } from './composite-alarm.ts'
import { alarmsIn } from './composite-rule.ts'
import {
  type Metrics,
  MULTI_DAY_MINUTES,
  type Rhythm,
  statesOf,
  UnknownMetric,
  valuesOf,
} from './metric-alarm.ts'
import type { Points } from './series.ts'

/** What happened to one alarm. */
export interface ReplayedAlarm {
  readonly definition: AlarmDefinition
  readonly history: StateHistory
  /** What it compared with its threshold; of a metric alarm that was evaluated. */
  readonly values: Points | undefined
  /** Why it was not evaluated, if it was not. */
  readonly reason: string | undefined
}

/** One message to one topic. */
export interface Notification {
  readonly minute: number
  /** ARN. */
  readonly topic: string
  readonly alarm: string
  readonly state: ReplayedState
}

export interface Replay {
  readonly minutes: number
  /** Epoch minutes of the first minute. */
  readonly startsAt: number
  readonly alarms: readonly ReplayedAlarm[]
  /** In the order in which they go out. */
  readonly notifications: readonly Notification[]
}

export interface ReplayOptions {
  /** @default - as CloudWatch: 60 */
  readonly multiDayMinutes?: number
  /** Told after each alarm. */
  readonly onProgress?: (done: number, of: number) => void
}

/**
 * Evaluates every alarm after every minute, as CloudWatch does. Throws `TemplateDefect` for an alarm that cannot be
 * evaluated, or names one that is not there.
 */
export function replayAlarms(
  alarms: readonly AlarmDefinition[],
  metrics: Metrics,
  { multiDayMinutes = MULTI_DAY_MINUTES, onProgress = () => {} }: ReplayOptions = {},
): Replay {
  const { minutes, startsAt } = metrics
  const states = new Map<string, readonly ReplayedState[]>()
  const actions: { readonly alarm: AlarmDefinition; readonly taken: readonly ActionTaken[] }[] = []
  const replayed = inOrder(alarms).map((alarm): ReplayedAlarm => {
    const { values, reason } = evaluated(alarm, metrics)
    const own = statesFor(alarm, values, { minutes, startsAt, multiDayMinutes, states })
    states.set(alarm.name, own)
    states.set(alarm.arn, own)
    actions.push({ alarm, taken: actionsOf(alarm, own, states) })
    onProgress(actions.length, alarms.length)
    return { definition: alarm, history: historyOf(own), values, reason }
  })
  return {
    minutes,
    startsAt,
    alarms: replayed.toSorted((a, b) => alarms.indexOf(a.definition) - alarms.indexOf(b.definition)),
    notifications: actions
      .flatMap(({ alarm, taken }) => taken.flatMap((action) => notificationsOf(alarm, action)))
      .toSorted((a, b) => a.minute - b.minute),
  }
}

interface Known extends Rhythm {
  readonly minutes: number
  /** By name and by ARN. */
  readonly states: ReadonlyMap<string, readonly ReplayedState[]>
}

function evaluated(alarm: AlarmDefinition, metrics: Metrics): Pick<ReplayedAlarm, 'values' | 'reason'> {
  if (alarm.kind !== 'metric') return { values: undefined, reason: undefined }
  try {
    return { values: valuesOf(alarm, metrics), reason: undefined }
  } catch (error) {
    if (!(error instanceof UnknownMetric)) throw error
    return { values: undefined, reason: error.message }
  }
}

function statesFor(
  alarm: AlarmDefinition,
  values: Points | undefined,
  known: Known,
): readonly ReplayedState[] {
  const { minutes, states } = known
  if (alarm.kind === 'composite')
    return Array.from({ length: minutes }, (_, minute) =>
      compositeState(alarm.rule, (other) => states.get(other)?.[minute] ?? 'NOT_EVALUATED'),
    )
  return values !== undefined
    ? statesOf(alarm, values, known)
    : Array.from({ length: minutes }, () => 'NOT_EVALUATED' as const)
}

/** An alarm's actions follow its changes. To be OK from the first minute on is none. */
function actionsOf(
  alarm: AlarmDefinition,
  own: readonly ReplayedState[],
  states: ReadonlyMap<string, readonly ReplayedState[]>,
): readonly ActionTaken[] {
  const suppressor = alarm.kind === 'composite' ? alarm.suppressor : undefined
  if (suppressor === undefined)
    return historyOf(own).filter(({ minute, state }) => minute > 0 || state !== 'OK')
  return suppressedActions(own, states.get(suppressor.alarm) ?? [], suppressor)
}

function notificationsOf(alarm: AlarmDefinition, { minute, state }: ActionTaken): readonly Notification[] {
  if (!alarm.actions.areEnabled) return []
  return topicsFor(alarm.actions, state).map((topic) => ({ minute, topic, alarm: alarm.name, state }))
}

function topicsFor(actions: AlarmActions, state: ReplayedState): readonly string[] {
  switch (state) {
    case 'ALARM':
      return actions.onAlarm
    case 'OK':
      return actions.onOk
    case 'INSUFFICIENT_DATA':
      return actions.onInsufficientData
    case 'NOT_EVALUATED':
      return []
  }
}

/** Each alarm after those that it looks at. */
function inOrder(alarms: readonly AlarmDefinition[]): readonly AlarmDefinition[] {
  const byName = new Map(
    alarms.flatMap((alarm) => [[alarm.name, alarm] as const, [alarm.arn, alarm] as const]),
  )
  const ordered = new Set<AlarmDefinition>()
  const visit = (alarm: AlarmDefinition, path: readonly AlarmDefinition[]): void => {
    if (ordered.has(alarm)) return
    if (path.includes(alarm)) throw new TemplateDefect(alarm.where, 'its rule depends on itself')
    for (const name of alarm.kind === 'composite' ? lookedAt(alarm) : []) {
      const other = byName.get(name)
      if (other === undefined) throw new TemplateDefect(alarm.where, `there is no alarm ${name}`)
      visit(other, [...path, alarm])
    }
    ordered.add(alarm)
  }
  for (const alarm of alarms) visit(alarm, [])
  return [...ordered]
}

function lookedAt({ rule, suppressor }: CompositeAlarm): readonly string[] {
  return [...alarmsIn(rule), ...(suppressor === undefined ? [] : [suppressor.alarm])]
}
