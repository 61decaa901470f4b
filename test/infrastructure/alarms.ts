import type { Template } from 'aws-cdk-lib/assertions'
import { type Resource, readable, resources } from './synthesize.ts'

/** An alarm of a template, as far as tests look at it. */
export interface ReadAlarm {
  readonly id: string
  readonly isComposite: boolean
  readonly name: string
  readonly description: string
  /** What it does when it rings: references to topics. */
  readonly actions: readonly string[]
  /** Logical ids of the alarms that its rule, or its suppressor, looks at. */
  readonly children: readonly string[]
  readonly suppressor: string | undefined
  readonly properties: Readonly<Record<string, unknown>>
}

/** Every alarm of the template, by its name without the prefix of the deployment. */
export function alarmsOf(template: Template): ReadonlyMap<string, ReadAlarm> {
  const all = [
    ...Object.entries(resources(template, 'AWS::CloudWatch::Alarm')),
    ...Object.entries(resources(template, 'AWS::CloudWatch::CompositeAlarm')),
  ]
  return new Map(
    all.map((entry) => {
      const alarm = readAlarm(...entry)
      return [alarm.name.replace(/^token-broker-[a-z]+-/, ''), alarm]
    }),
  )
}

function readAlarm(id: string, { Type, Properties }: Resource): ReadAlarm {
  const { AlarmName, AlarmDescription, AlarmActions, AlarmRule, ActionsSuppressor } = Properties
  return {
    id,
    isComposite: Type === 'AWS::CloudWatch::CompositeAlarm',
    name: String(AlarmName),
    description: String(readable(AlarmDescription)),
    actions: (readable(AlarmActions ?? []) as readonly unknown[]).map(String),
    children: namedIn(AlarmRule),
    suppressor: namedIn(ActionsSuppressor)[0],
    properties: Properties,
  }
}

/** Logical ids whose ARN is asked for anywhere in the value. */
function namedIn(value: unknown): readonly string[] {
  const text = JSON.stringify(value ?? null)
  return [...text.matchAll(/"Fn::GetAtt":\["(\w+)"/g)].map(([, id = '']) => id)
}

/** One metric that an alarm or a widget reads. */
export interface ReadMetric {
  readonly namespace: string
  readonly name: string
  readonly dimensions: readonly string[]
  readonly unit: string | undefined
}

interface AlarmMetricStat {
  readonly Metric: {
    readonly Namespace: string
    readonly MetricName: string
    readonly Dimensions?: readonly { readonly Name: string; readonly Value: unknown }[]
  }
  readonly Period?: number
  readonly Unit?: string
}

interface AlarmMetric {
  readonly Id: string
  readonly Expression?: string
  readonly MetricStat?: AlarmMetricStat
}

/** The entries of a metric-math alarm. */
export function entriesOf({ properties }: ReadAlarm): readonly AlarmMetric[] {
  return (properties['Metrics'] ?? []) as readonly AlarmMetric[]
}

/** Every metric that the alarm reads, whichever way it says so. */
export function metricsOf(alarm: ReadAlarm): readonly ReadMetric[] {
  const { properties } = alarm
  const own = { Metric: properties, ...(properties['Unit'] !== undefined && { Unit: properties['Unit'] }) }
  const stats = 'MetricName' in properties ? [own] : entriesOf(alarm).map(({ MetricStat }) => MetricStat)
  return stats.flatMap((stat) => (stat === undefined ? [] : [readMetric(stat as AlarmMetricStat)]))
}

function readMetric({ Metric, Unit }: AlarmMetricStat): ReadMetric {
  const dimensions = (Metric.Dimensions ?? []).map(({ Name }) => Name)
  return { namespace: Metric.Namespace, name: Metric.MetricName, dimensions, unit: Unit }
}
