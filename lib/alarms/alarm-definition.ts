import type { Rule } from './composite-rule.ts'
import type { Expression } from './expression.ts'
import type { MetricId } from './series.ts'

/** What an alarm does when it changes its state: the ARNs of topics, by the state. */
export interface AlarmActions {
  readonly areEnabled: boolean
  readonly onAlarm: readonly string[]
  readonly onOk: readonly string[]
  readonly onInsufficientData: readonly string[]
}

interface AlarmIdentity {
  /** Stack and logical id, for messages. */
  readonly where: string
  readonly logicalId: string
  readonly name: string
  readonly arn: string
  /** Markdown that CloudWatch puts into the notification. */
  readonly description: string
  readonly actions: AlarmActions
}

/** One metric or expression that an alarm computes with. */
export type MetricQuery =
  | {
      readonly kind: 'metric'
      readonly metric: MetricId
      readonly statistic: string
      readonly period: number
    }
  | { readonly kind: 'expression'; readonly expression: Expression }
  /** By how much another query is above the band that CloudWatch has learned for its metric. */
  | { readonly kind: 'above-band'; readonly of: string; readonly band: MetricId }

export type Comparison = keyof typeof COMPARISONS

/** Whether a value breaches the threshold. */
export const COMPARISONS = {
  GreaterThanOrEqualToThreshold: (value: number, threshold: number) => value >= threshold,
  GreaterThanThreshold: (value: number, threshold: number) => value > threshold,
  LessThanThreshold: (value: number, threshold: number) => value < threshold,
  LessThanOrEqualToThreshold: (value: number, threshold: number) => value <= threshold,
} as const

export type MissingData = 'missing' | 'ignore' | 'breaching' | 'notBreaching'

/** An alarm on a metric, or on metric math. */
export interface MetricAlarm extends AlarmIdentity {
  readonly kind: 'metric'
  readonly queries: ReadonlyMap<string, MetricQuery>
  /** The query that is compared with the threshold. */
  readonly returned: string
  readonly comparison: Comparison
  readonly threshold: number
  /** Minutes of one data point. */
  readonly period: number
  /** Data points that are looked at. */
  readonly evaluationPeriods: number
  /** How many of them must breach. */
  readonly datapointsToAlarm: number
  readonly missingData: MissingData
}

/** What keeps a composite alarm quiet. Periods in minutes. */
export interface Suppressor {
  /** Name or ARN. */
  readonly alarm: string
  readonly waitPeriod: number
  readonly extensionPeriod: number
}

/** An alarm on other alarms. */
export interface CompositeAlarm extends AlarmIdentity {
  readonly kind: 'composite'
  readonly rule: Rule
  readonly suppressor: Suppressor | undefined
}

export type AlarmDefinition = MetricAlarm | CompositeAlarm
