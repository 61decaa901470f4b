import { tableLines } from '../cli/terminal.ts'
import type { AppAlarms, Audience } from './app-alarms.ts'
import type { Replay, ReplayedAlarm } from './replay.ts'
import type { Scenario } from './scenario.ts'

/** One alarm that rang, from when to when. Minutes from the start. */
export interface Ringing {
  readonly alarm: string
  readonly from: number
  /** `undefined` while it still rings at the end. */
  readonly until: number | undefined
}

/** One message that went out. */
export interface Message {
  readonly minute: number
  /** An {@link Audience}, or the name of a topic that is none of theirs. */
  readonly to: string
  readonly alarm: string
  readonly state: string
}

/** What a replay comes to, for people and machines. */
export interface Report {
  readonly title: string
  readonly about: string
  /** Epoch minutes. */
  readonly startsAt: number
  readonly minutes: number
  readonly alarms: number
  readonly rang: readonly Ringing[]
  readonly messages: readonly Message[]
  readonly notEvaluated: readonly { readonly alarm: string; readonly reason: string }[]
  /** What is not as the scenario expects. */
  readonly unexpected: readonly string[]
}

export interface Reported {
  readonly title: string
  readonly about: string
  readonly expect?: Scenario['expect']
  /** Minutes at the start that are not told of. */
  readonly warmUp: number
}

/** What happened after the warm-up. */
export function reportOf(replay: Replay, app: AppAlarms, { title, about, expect, warmUp }: Reported): Report {
  const messages = replay.notifications
    .filter(({ minute }) => minute >= warmUp)
    .map(({ minute, topic, alarm, state }) => ({
      // A minute is judged when it is over.
      minute: minute + 1 - warmUp,
      to: app.audiences.get(topic) ?? topic.split(':').at(-1) ?? topic,
      alarm: app.idOf(alarm),
      state,
    }))
  return {
    title,
    about,
    startsAt: replay.startsAt + warmUp,
    minutes: replay.minutes - warmUp,
    alarms: replay.alarms.length,
    rang: replay.alarms.flatMap((alarm) =>
      ringsOf(alarm, replay.minutes, warmUp).map((ring) => ({ ...ring, alarm: app.idOf(ring.alarm) })),
    ),
    messages,
    notEvaluated: notEvaluatedIn(replay, app),
    unexpected: expect === undefined ? [] : unexpectedIn(messages, expect),
  }
}

function notEvaluatedIn({ alarms }: Replay, app: AppAlarms): Report['notEvaluated'] {
  const unknown = alarms
    .filter(({ history }) => history.some(({ state }) => state === 'NOT_EVALUATED'))
    .map(({ definition, reason }) => ({
      alarm: app.idOf(definition.name),
      reason: reason ?? 'it looks at alarms that were not evaluated',
    }))
  const windows = {
    alarm: `${app.maintenanceWindows} maintenance windows`,
    reason: 'calls are told as outside of them',
  }
  return app.maintenanceWindows === 0 ? unknown : [...unknown, windows]
}

function ringsOf(
  { definition, history }: ReplayedAlarm,
  minutes: number,
  warmUp: number,
): readonly Ringing[] {
  return history.flatMap(({ minute, state }, at) => {
    const end = history[at + 1]?.minute
    if (state !== 'ALARM' || (end ?? minutes) <= warmUp) return []
    const from = Math.max(0, minute + 1 - warmUp)
    return [{ alarm: definition.name, from, until: end === undefined ? undefined : end + 1 - warmUp }]
  })
}

/** Each expected call exactly once, and no other. */
function unexpectedIn(
  messages: readonly Message[],
  expect: NonNullable<Scenario['expect']>,
): readonly string[] {
  return (['page', 'ticket'] as const).flatMap((audience) => {
    const called = messages
      .filter(({ to, state }) => to === audience && state === 'ALARM')
      .map(({ alarm }) => alarm)
    const missing = expect[audience].filter((alarm) => !called.includes(alarm))
    const others = called.filter(
      (alarm, at) => !expect[audience].includes(alarm) || called.indexOf(alarm) !== at,
    )
    return [
      ...missing.map((alarm) => `no ${audience} by ${alarm}`),
      ...others.map((alarm) => `a ${audience} by ${alarm} that was not expected`),
    ]
  })
}

/** The report as a person reads it. */
export function reportLines(report: Report): readonly string[] {
  const { title, about, rang, messages, notEvaluated, unexpected, alarms, minutes } = report
  const time = (minute: number | undefined) => (minute === undefined ? 'still' : formatMinutes(minute))
  const rows = firstRings(rang).map(({ first, times }) => [
    time(first.from),
    time(first.until),
    times === 1 ? first.alarm : `${first.alarm} (the first of ${times} times)`,
  ])
  return [
    title,
    about,
    '',
    ...section('Alarms that rang', ['from', 'until', 'alarm'], rows),
    ...section(
      'Whom they called',
      ['at', 'whom', 'alarm', 'state'],
      messages.map(({ minute, to, alarm, state }) => [time(minute), to, alarm, state]),
    ),
    ...(notEvaluated.length === 0
      ? []
      : section(
          'Not evaluated',
          ['alarm', 'why'],
          notEvaluated.map(({ alarm, reason }) => [alarm, reason]),
        )),
    `${alarms} alarms over ${formatMinutes(minutes)}: ${counted(rang.length, 'ring')}, ${counted(countOf(messages, 'page'), 'page')}, ${counted(countOf(messages, 'ticket'), 'ticket')}`,
    ...unexpected.map((problem) => `unexpected: ${problem}`),
  ]
}

/** Each alarm once, in the order in which they rang. */
function firstRings(
  rang: readonly Ringing[],
): readonly { readonly first: Ringing; readonly times: number }[] {
  const inOrder = rang.toSorted((a, b) => a.from - b.from)
  const timesOf = (name: string) => rang.filter(({ alarm }) => alarm === name).length
  return inOrder
    .filter(({ alarm }, at) => inOrder.findIndex((other) => other.alarm === alarm) === at)
    .map((first) => ({ first, times: timesOf(first.alarm) }))
}

function counted(count: number, of: string): string {
  return `${count} ${of}${count === 1 ? '' : 's'}`
}

function countOf(messages: readonly Message[], audience: Audience): number {
  return messages.filter(({ to, state }) => to === audience && state === 'ALARM').length
}

function section(
  title: string,
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): readonly string[] {
  return rows.length === 0
    ? [`${title}: none`, '']
    : [`${title}:`, ...tableLines(headings, rows).map((line) => `  ${line}`), '']
}

/** `5 min`, `1 h 20 min`, `2 d 3 h`. */
export function formatMinutes(minutes: number): string {
  const parts = [
    [Math.floor(minutes / 1440), 'd'],
    [Math.floor((minutes % 1440) / 60), 'h'],
    [minutes % 60, 'min'],
  ] as const
  const shown = parts.filter(([count]) => count > 0).map(([count, unit]) => `${count} ${unit}`)
  return shown.length === 0 ? '0 min' : shown.join(' ')
}
