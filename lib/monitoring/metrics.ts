import { type IMetric, MathExpression, Metric, type Unit } from 'aws-cdk-lib/aws-cloudwatch'
import { Duration } from 'aws-cdk-lib/core'
import {
  METRIC_UNITS,
  METRICS_NAMESPACE,
  type MetricName,
  metricDimensions,
} from '../../functions/telemetry.ts'

export interface Reading {
  /** `Sum`, `Maximum`, `p99`, or any other statistic that CloudWatch knows. */
  readonly statistic: string
  /**
   * Length of a datapoint.
   * @default 1
   */
  readonly minutes?: number
  /**
   * What a graph calls it.
   * @default - the name of the metric
   */
  readonly label?: string
  readonly color?: string
}

/** A metric that the functions of a stage emit, read in one way. */
export function brokerMetric(stage: string, metricName: MetricName, reading: Reading): Metric {
  return new Metric({
    namespace: METRICS_NAMESPACE,
    metricName,
    dimensionsMap: { ...metricDimensions(stage) },
    // The words of Powertools are those of CloudWatch.
    unit: METRIC_UNITS[metricName] as unknown as Unit,
    ...readAs(reading),
  })
}

/** How many requests there were: each publishes `Failed` once, as 0 or 1. */
export function requestCount(stage: string, reading: Omit<Reading, 'statistic'> = {}): Metric {
  return brokerMetric(stage, 'Failed', { ...reading, statistic: 'SampleCount' })
}

/** A metric of AWS's own about one of the broker's resources. */
export function awsMetric(
  namespace: `AWS/${string}`,
  metricName: string,
  { dimensions, ...reading }: Reading & { readonly dimensions: Readonly<Record<string, string>> },
): Metric {
  return new Metric({ namespace, metricName, dimensionsMap: { ...dimensions }, ...readAs(reading) })
}

function readAs({ statistic, minutes = 1, label, color }: Reading) {
  return {
    statistic,
    period: Duration.minutes(minutes),
    ...(label !== undefined && { label }),
    ...(color !== undefined && { color }),
  }
}

/** A metric that is computed from others, over datapoints of one length. */
export function computed(
  expression: string,
  usingMetrics: Readonly<Record<string, IMetric>>,
  { minutes = 1, label, color }: Omit<Reading, 'statistic'> = {},
): MathExpression {
  return new MathExpression({
    expression,
    usingMetrics: { ...usingMetrics },
    period: Duration.minutes(minutes),
    ...(label !== undefined && { label }),
    ...(color !== undefined && { color }),
  })
}
