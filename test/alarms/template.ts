import type { AlarmDefinition, MetricAlarm } from '../../lib/alarms/alarm-definition.ts'
import type { Metrics } from '../../lib/alarms/metric-alarm.ts'
import { readAlarms } from '../../lib/alarms/read-alarms.ts'
import { metricKey, type Sample, type Series } from '../../lib/alarms/series.ts'
import type { JsonObject } from '../../lib/local/assembly.ts'
import { resolveStacks } from '../../lib/local/resolved-stacks.ts'

const DEPLOYMENT = { account: '111111111111', region: 'eu-west-1', apiEndpoint: 'https://api.example.com' }

interface TestResource {
  readonly Type: string
  readonly Properties: JsonObject
}

/** The alarms of a template that has these resources. */
export function alarmsOf(resources: Readonly<Record<string, TestResource>>): readonly AlarmDefinition[] {
  return readAlarms(
    resolveStacks([{ name: 'stack', template: { Resources: resources }, assets: new Map() }], DEPLOYMENT),
  )
}

const BASE = {
  Namespace: 'Test',
  MetricName: 'Count',
  Statistic: 'Sum',
  Period: 60,
  EvaluationPeriods: 1,
  ComparisonOperator: 'GreaterThanThreshold',
  Threshold: 0,
}

export const metric = (properties: JsonObject = {}): TestResource => ({
  Type: 'AWS::CloudWatch::Alarm',
  Properties: { ...BASE, ...properties },
})

export const composite = (rule: string, properties: JsonObject = {}): TestResource => ({
  Type: 'AWS::CloudWatch::CompositeAlarm',
  Properties: { AlarmRule: rule, ...properties },
})

/** An alarm on an expression over metrics `a`, `b`, `c`: sums over `minutes`. */
export function math(expression: string, properties: JsonObject = {}, minutes = 1): TestResource {
  const { Namespace, MetricName: _, Statistic, Period, ...rest } = BASE
  const query = (id: string) => ({
    Id: id,
    ReturnData: false,
    MetricStat: { Metric: { Namespace, MetricName: id }, Period: minutes * Period, Stat: Statistic },
  })
  return {
    Type: 'AWS::CloudWatch::Alarm',
    Properties: {
      ...rest,
      Metrics: [...['a', 'b', 'c'].map(query), { Id: 'e', Expression: expression, ReturnData: true }],
      ...properties,
    },
  }
}

/** The one alarm of these properties. */
export function metricAlarm(resource: TestResource): MetricAlarm {
  const [alarm] = alarmsOf({ Subject: resource })
  if (alarm?.kind !== 'metric') throw new Error('no metric alarm')
  return alarm
}

/** One value a minute; `undefined` where nothing was published. */
export const valuesAsSeries = (values: readonly (number | undefined)[]): Series =>
  values.map((value) => (value === undefined ? undefined : [{ value, count: 1 }]))

/** What was published, by `Test a` and so on. */
export function metricsOf(series: Readonly<Record<string, Series>>): Metrics {
  const [any = []] = Object.values(series)
  return { minutes: any.length, startsAt: 0, series: (id) => series[metricKey(id)] }
}

export const samples = (...values: readonly number[]): readonly Sample[] =>
  values.map((value) => ({ value, count: 1 }))
