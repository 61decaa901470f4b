import { METRICS_NAMESPACE } from '../../functions/telemetry.ts'
import type { AppAlarms } from './app-alarms.ts'
import { type Metrics, metricsRead } from './metric-alarm.ts'
import type { Replay, ReplayedAlarm } from './replay.ts'
import type { Message, Report, Ringing } from './report.ts'
import { isMissing, type Points, type Series } from './series.ts'
import { statisticOver } from './statistic.ts'
import { element, pathThrough, plain, text } from './svg-elements.ts'

export interface Drawing {
  readonly report: Report
  readonly replay: Replay
  readonly metrics: Metrics
  readonly app: AppAlarms
  readonly warmUp: number
}

const WIDTH = 1120
const LEFT = 250
const RIGHT = 40
const PLOT = WIDTH - LEFT - RIGHT
const PANEL = 120
const GAP = 46
const ROW = 24
const BAR = 14
const INK = '#1f2933'
const FAINT = '#6b7785'
const LINE = '#d9dfe6'
const TRAFFIC = '#b8cde6'
const BAD = '#c62828'
const COLOURS = { page: BAD, ticket: '#d98200', quiet: '#f0cf95', nobody: '#aab6c4' } as const
/** Told apart also by those who see few colours. */
const CURVES = ['#0b5cad', '#c2410c', '#2e7d32', '#7b1fa2', '#00838f', '#8d6e00'] as const

/** A picture of a replay: traffic, burn rates, who rang when and whom that called. No script, one file, light. */
export function drawReplay(drawing: Drawing): string {
  const { report } = drawing
  const rows = rowsOf(drawing)
  const curves = curvesOf(drawing)
  const trafficAt = 100
  const burnAt = trafficAt + PANEL + GAP
  const rowsAt = curves.length === 0 ? burnAt : burnAt + PANEL + GAP
  const axisAt = rowsAt + Math.max(1, rows.length) * ROW + 8
  const height = axisAt + 74
  const content = [
    element('rect', { width: WIDTH, height, fill: '#ffffff' }),
    text(24, 38, report.title, { 'font-size': 20, 'font-weight': 600, fill: INK }),
    text(24, 62, report.about, { 'font-size': 13, fill: FAINT }),
    ...grid(report, { from: trafficAt, to: axisAt }),
    ...trafficPanel(drawing, trafficAt),
    ...report.messages.map((message) => callLine(message, report.minutes, { from: trafficAt, to: axisAt })),
    ...(curves.length === 0 ? [] : burnPanel(curves, report.minutes, burnAt)),
    ...rows.flatMap((row, at) => band(row, report, rowsAt + at * ROW)),
    ...axis(report, axisAt),
    ...legend(height - 18),
  ]
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    viewBox: `0 0 ${WIDTH} ${Math.round(height)}`,
    width: WIDTH,
    height,
    'font-family': 'Helvetica, Arial, sans-serif',
    role: 'img',
  }
  return `${element('svg', attributes, `\n${element('title', {}, plain(report.title))}\n${content.join('\n')}\n`)}\n`
}

const xOf = (minute: number, minutes: number): number => LEFT + (minute / minutes) * PLOT

/** The highest value of each column that can be told apart. */
function columnsOf(points: Points): readonly { readonly minute: number; readonly value: number }[] {
  const width = Math.max(1, Math.ceil(points.length / PLOT))
  return Array.from({ length: Math.ceil(points.length / width) }, (_, column) => {
    const values = [...points.slice(column * width, (column + 1) * width)].filter(
      (value) => !isMissing(value),
    )
    return { minute: column * width, value: Math.max(0, ...values) }
  })
}

function area(
  points: Points,
  { top, highest, fill }: { top: number; highest: number; fill: string },
): string {
  const bottom = top + PANEL
  // Steps: a minute is as high from its beginning to its end.
  const width = Math.max(1, Math.ceil(points.length / PLOT))
  const steps = columnsOf(points).flatMap(({ minute, value }) => {
    const y = bottom - (value / highest) * PANEL
    const end = Math.min(points.length, minute + width)
    return [[xOf(minute, points.length), y] as const, [xOf(end, points.length), y] as const]
  })
  const d = `${pathThrough([[LEFT, bottom], ...steps, [LEFT + PLOT, bottom]])}Z`
  return element('path', { d, fill })
}

function trafficPanel({ app, metrics, warmUp }: Drawing, top: number): readonly string[] {
  const published = requestsIn(app, metrics)
  const perMinute = (statistic: 'SampleCount' | 'Sum') => statisticOver(statistic, published, 1).slice(warmUp)
  const [requests, failed] = [perMinute('SampleCount'), perMinute('Sum')]
  const highest = Math.max(1, ...columnsOf(requests).map(({ value }) => value)) * 1.1
  return [
    heading(top, 'Requests a minute', 'red: failed'),
    area(requests, { top, highest, fill: TRAFFIC }),
    area(failed, { top, highest, fill: BAD }),
    text(LEFT - 8, top + 10, String(Math.round(highest / 1.1)), {
      'font-size': 11,
      'text-anchor': 'end',
      fill: FAINT,
    }),
    text(LEFT - 8, top + PANEL, '0', { 'font-size': 11, 'text-anchor': 'end', fill: FAINT }),
  ]
}

/** What was published of requests: a sample each, 1 if it failed. */
function requestsIn({ alarms }: AppAlarms, metrics: Metrics): Series {
  const failed = alarms
    .flatMap((alarm) => (alarm.kind === 'metric' ? metricsRead(alarm) : []))
    .find(({ namespace, name }) => namespace === METRICS_NAMESPACE && name === 'Failed')
  return (failed && metrics.series(failed)) ?? Array.from({ length: metrics.minutes }, () => undefined)
}

function heading(top: number, title: string, more: string): string {
  return [
    text(24, top + 14, title, { 'font-size': 13, 'font-weight': 600, fill: INK }),
    text(24, top + 32, more, { 'font-size': 11, fill: FAINT }),
  ].join('')
}

interface Curve {
  readonly label: string
  /** In multiples of the alarm's threshold. */
  readonly points: Points
}

const BURN = /burn-(\w+(?:-\w+)*?)-over-(\d+)m$/

/** The burn rates of the windows that judge, of objectives of which something rang: the longer of each two. */
function curvesOf({ replay, report, app, warmUp }: Drawing): readonly Curve[] {
  const rang = new Set(report.rang.map(({ alarm }) => alarm))
  const windows = replay.alarms.flatMap((alarm) => {
    const id = app.idOf(alarm.definition.name)
    const [, , minutes] = BURN.exec(id) ?? []
    return minutes === undefined || !rang.has(id) ? [] : [{ alarm, id, minutes: Number(minutes) }]
  })
  return windows
    .filter(({ id, minutes }) => {
      const rule = id.replace(/-over-\d+m$/, '')
      return !windows.some((other) => other.id.startsWith(`${rule}-over-`) && other.minutes > minutes)
    })
    .slice(0, CURVES.length)
    .map(({ alarm, id }) => ({ label: id.replace('-burn', ''), points: relative(alarm, warmUp) }))
}

function relative({ definition, values }: ReplayedAlarm, warmUp: number): Points {
  const threshold = definition.kind === 'metric' ? definition.threshold : 1
  return (values ?? new Float64Array()).slice(warmUp).map((value) => value / threshold)
}

const LOWEST = 0.1
const HIGHEST = 100
const DECADES = Math.log10(HIGHEST / LOWEST)

function burnPanel(curves: readonly Curve[], minutes: number, top: number): readonly string[] {
  const yOf = (value: number): number => {
    const within = Math.min(HIGHEST, Math.max(LOWEST, value))
    return top + PANEL - (Math.log10(within / LOWEST) / DECADES) * PANEL
  }
  const levels = [0.1, 1, 10, 100].map((value) => [
    element('line', {
      x1: LEFT,
      x2: LEFT + PLOT,
      y1: yOf(value),
      y2: yOf(value),
      stroke: value === 1 ? BAD : LINE,
      ...(value === 1 && { 'stroke-dasharray': '5 3' }),
    }),
    text(LEFT - 8, yOf(value) + 4, `${value} ×`, { 'font-size': 11, 'text-anchor': 'end', fill: FAINT }),
  ])
  const drawn = curves.map(({ points }, at) => {
    const d = pathThrough(
      columnsOf(points).map(({ minute, value }) => [xOf(minute + 1, minutes), yOf(value)]),
    )
    // The last ones often lie on the first.
    const dashes = at > 3 ? { 'stroke-dasharray': '7 7' } : {}
    return element('path', { d, fill: 'none', stroke: CURVES[at] ?? INK, 'stroke-width': 1.8, ...dashes })
  })
  const labels = curves.map(({ label }, at) =>
    text(24, top + 52 + at * 15, `― ${label}`, { 'font-size': 11, fill: CURVES[at] ?? INK }),
  )
  return [
    heading(top, 'Burn rate, of the threshold', 'dashed: there the window rings'),
    ...levels.flat(),
    ...labels,
    ...drawn,
  ]
}

interface Row {
  readonly alarm: string
  /** Whom it called, or that it would have, or that it never does. */
  readonly kind: keyof typeof COLOURS
  readonly rings: readonly Ringing[]
  readonly messages: readonly Message[]
}

/** What rang, in the order in which it did: what called somebody first, and nothing of which only another is made. */
function rowsOf({ report: { rang, messages }, app }: Drawing): readonly Row[] {
  const isPart = (id: string) =>
    app.alarms.some(
      ({ kind, name, actions }) => kind === 'metric' && app.idOf(name) === id && actions.onAlarm.length === 0,
    )
  const inOrder = rang.toSorted((one, other) => one.from - other.from).map(({ alarm }) => alarm)
  const names = [...new Set([...inOrder, ...messages.map(({ alarm }) => alarm)])].filter((id) => !isPart(id))
  const rows = names.map((alarm): Row => {
    const own = messages.filter((message) => message.alarm === alarm)
    const calls = app.alarms.some(
      ({ name, actions }) => app.idOf(name) === alarm && actions.onAlarm.length > 0,
    )
    const to = own.find(({ state }) => state === 'ALARM')?.to
    const kind = to === 'page' || to === 'ticket' ? to : calls ? 'quiet' : 'nobody'
    return { alarm, kind, rings: rang.filter((ring) => ring.alarm === alarm), messages: own }
  })
  const order = Object.keys(COLOURS)
  return rows.toSorted((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind))
}

function band({ alarm, kind, rings, messages }: Row, { minutes }: Report, top: number): readonly string[] {
  const weight = messages.length > 0 ? 600 : 400
  return [
    text(LEFT - 8, top + 11, alarm, {
      'font-size': 12,
      'text-anchor': 'end',
      'font-weight': weight,
      fill: INK,
    }),
    element('rect', { x: LEFT, y: top, width: PLOT, height: BAR, fill: '#f3f5f8' }),
    ...rings.map(({ from, until = minutes }) => {
      const x = xOf(from, minutes)
      const width = Math.max(2, xOf(Math.min(minutes, until), minutes) - x)
      return element('rect', { x, y: top, width, height: BAR, fill: COLOURS[kind] })
    }),
    ...messages.map((message) => mark(message, xOf(message.minute, minutes), top + BAR / 2)),
  ]
}

/** Filled: it rings. Hollow: it has returned. */
function mark({ to, state }: Message, x: number, y: number): string {
  const colour = to === 'ticket' ? COLOURS.ticket : COLOURS.page
  const isRinging = state === 'ALARM'
  return element('circle', {
    cx: x,
    cy: y,
    r: 6,
    fill: isRinging ? colour : '#ffffff',
    stroke: isRinging ? '#ffffff' : colour,
    'stroke-width': 2,
  })
}

/** When somebody was called, through everything that is drawn. */
function callLine(
  { minute, to, state }: Message,
  minutes: number,
  span: { readonly from: number; readonly to: number },
): string {
  const x = xOf(minute, minutes)
  const stroke = to === 'ticket' ? COLOURS.ticket : COLOURS.page
  const dashes = state === 'ALARM' ? {} : { 'stroke-dasharray': '2 4' }
  return element('line', { x1: x, x2: x, y1: span.from, y2: span.to, stroke, opacity: '0.55', ...dashes })
}

/** Between two ticks; the first that leaves them apart. Minutes. */
const TICKS = [1, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7200] as const
const MOST_TICKS = 12

function ticksOf(minutes: number): readonly number[] {
  const step = TICKS.find((each) => minutes / each <= MOST_TICKS) ?? 14_400
  return Array.from({ length: Math.floor(minutes / step) + 1 }, (_, at) => at * step)
}

function grid({ minutes }: Report, { from, to }: { from: number; to: number }): readonly string[] {
  return ticksOf(minutes).map((minute) => {
    const x = xOf(minute, minutes)
    return element('line', { x1: x, x2: x, y1: from, y2: to, stroke: LINE })
  })
}

function axis({ minutes, startsAt }: Report, top: number): readonly string[] {
  return ticksOf(minutes).map((minute) => {
    const clock = new Date((startsAt + minute) * 60_000).toISOString()
    const label = minutes > 2880 ? clock.slice(5, 10) : clock.slice(11, 16)
    return text(xOf(minute, minutes), top + 16, label, {
      'font-size': 11,
      'text-anchor': 'middle',
      fill: FAINT,
    })
  })
}

function legend(y: number): readonly string[] {
  const items = [
    ['page', 'wakes somebody'],
    ['ticket', 'can wait for the morning'],
    ['quiet', 'kept quiet: a page says it already'],
    ['nobody', 'only part of another'],
  ] as const
  const places = [0, 140, 340, 590]
  const drawn = items.flatMap(([kind, meaning], at) => {
    const x = LEFT + (places[at] ?? 0)
    return [
      element('rect', { x, y: y - 10, width: 12, height: 12, fill: COLOURS[kind] }),
      text(x + 18, y, meaning, { 'font-size': 11, fill: INK }),
    ]
  })
  return [text(24, y, '● calls   ○ says that it is over', { 'font-size': 11, fill: INK }), ...drawn]
}
