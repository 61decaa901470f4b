import { z } from 'zod'
import type { MetricQuery } from '../../alarms/alarm-definition.ts'
import { parseExpression } from '../../alarms/expression.ts'
import { type Metrics, UnknownMetric, valuesOf } from '../../alarms/metric-alarm.ts'
import { isMissing } from '../../alarms/series.ts'
import type { ResolvedResource } from '../resolved-stacks.ts'
import type { DrawnDashboard, DrawnLine, DrawnWidget } from './wire.ts'

const OPTIONS = z.looseObject({
  id: z.string().optional(),
  expression: z.string().optional(),
  label: z.string().optional(),
  color: z.string().optional(),
  visible: z.boolean().default(true),
  stat: z.string().default('Average'),
  period: z.number().optional(),
})
const LEVEL = z.looseObject({ value: z.number(), label: z.string().default('') })
const AXIS = z.looseObject({ label: z.string().default(''), max: z.number().optional() })
const WIDGET = z.looseObject({
  type: z.string(),
  properties: z.looseObject({
    title: z.string().default(''),
    view: z.string().default('timeSeries'),
    metrics: z.array(z.array(z.unknown())).default([]),
    period: z.number().default(300),
    setPeriodToTimeRange: z.boolean().default(false),
    stacked: z.boolean().default(false),
    annotations: z.looseObject({ horizontal: z.array(LEVEL).default([]) }).optional(),
    yAxis: z.looseObject({ left: AXIS.optional() }).optional(),
    markdown: z.string().optional(),
  }),
})
type Widget = z.output<typeof WIDGET>
const BODY = z.looseObject({ widgets: z.array(WIDGET) })

/** One entry of a widget's `metrics`. */
interface Entry {
  readonly id: string
  readonly options: z.output<typeof OPTIONS>
  /** Namespace, name, and names and values of dimensions in turn; empty for an expression. */
  readonly names: readonly string[]
}

/** The dashboards among `resources`, each widget with what was published in the run. */
export function drawDashboards(
  resources: readonly ResolvedResource[],
  metrics: Metrics,
): readonly DrawnDashboard[] {
  return resources
    .filter(({ type }) => type === 'AWS::CloudWatch::Dashboard')
    .map(({ name, properties }) => ({
      name,
      widgets: BODY.parse(JSON.parse(z.string().parse(properties['DashboardBody']))).widgets.flatMap(
        (widget) => drawWidget(widget, metrics),
      ),
    }))
}

function drawWidget({ type, properties }: Widget, metrics: Metrics): readonly DrawnWidget[] {
  const { title, view, annotations, yAxis, stacked: isStacked } = properties
  // The alarms are drawn once for all dashboards; text is links to AWS.
  if (type === 'alarm' || type === 'text') return []
  const { label: unit = '', max: most } = yAxis?.left ?? {}
  const base = { title, unit, isStacked, ...(most !== undefined && { most }) }
  const levels = (annotations?.horizontal ?? []).map(({ value, label }) => ({ value, label }))
  if (type !== 'metric' || properties.metrics.length === 0)
    return [
      { ...base, view: 'elsewhere', lines: [], levels, note: 'Read from the logs, by CloudWatch alone.' },
    ]
  const entries = properties.metrics.map(entryOf)
  const lines = entries
    .filter(({ options }) => options.visible)
    .map((entry) => drawLine(entry, entries, { properties, metrics }))
  return [{ ...base, view: view === 'timeSeries' ? 'chart' : 'value', lines, levels }]
}

function entryOf(entry: readonly unknown[], index: number): Entry {
  const last = entry.at(-1)
  const options = OPTIONS.parse(typeof last === 'object' ? last : {})
  const names = entry.filter((each) => typeof each === 'string')
  return { id: options.id ?? `line${index}`, options, names }
}

function drawLine(
  entry: Entry,
  entries: readonly Entry[],
  { properties, metrics }: { readonly properties: Widget['properties']; readonly metrics: Metrics },
): DrawnLine {
  const { label = entry.names[1] ?? entry.options.expression ?? '', color } = entry.options
  const minutesOf = ({ options }: Entry) =>
    properties.setPeriodToTimeRange ? metrics.minutes : (options.period ?? properties.period) / 60
  const shown = { label, ...(color !== undefined && { color }) }
  try {
    const queries = new Map(entries.map((each) => [each.id, queryOf(each, minutesOf(each))]))
    const computed = { where: properties.title, queries, returned: entry.id, period: minutesOf(entry) }
    const values = Array.from(valuesOf(computed, metrics), (value) => (isMissing(value) ? null : value))
    return { ...shown, values }
  } catch (error) {
    const note =
      error instanceof UnknownMetric ? 'AWS itself publishes it' : 'CloudWatch alone can compute it'
    return { ...shown, values: [], note }
  }
}

function queryOf(
  { options, names: [namespace = '', name = '', ...dimensions] }: Entry,
  period: number,
): MetricQuery {
  if (options.expression !== undefined)
    return { kind: 'expression', expression: parseExpression(options.expression) }
  const pairs = dimensions.flatMap((dimension, index) =>
    index % 2 === 0 ? [[dimension, dimensions[index + 1] ?? '']] : [],
  )
  const metric = { namespace, name, dimensions: Object.fromEntries(pairs), unit: undefined }
  return { kind: 'metric', metric, statistic: options.stat, period }
}
