import type { IMetric, MathExpression } from 'aws-cdk-lib/aws-cloudwatch'
import { type BurnWindow, errorBudget } from './burn-rate.ts'
import { awsMetric, brokerMetric, computed, requestCount } from './metrics.ts'

/** What the alarms on failed requests are named after: as functions count them, and as API Gateway does. */
export const AVAILABILITY = 'availability'
export const GATEWAY = 'gateway'

/** What is promised of requests, and how it is counted. */
export interface Objective {
  /** Part of the alarms' names. */
  readonly id: string
  /** Percent of all requests that are good. */
  readonly targetPercent: number
  readonly count: CountRequests
}

export interface RequestCounts {
  /** By what `bad` calls them. */
  readonly metrics: Readonly<Record<string, IMetric>>
  /** The requests that count against the budget. */
  readonly bad: string
  /** All that count, by the name of a metric. */
  readonly total: string
}

/** The requests of datapoints of so many minutes. */
export type CountRequests = (minutes: number) => RequestCounts

/** Bad is what failed by the broker's own fault or a dependency's. A refusal is good work. */
export function failures(stage: string): CountRequests {
  return (minutes) => ({
    metrics: {
      [`failed${minutes}`]: brokerMetric(stage, 'Failed', { statistic: 'Sum', minutes }),
      [`total${minutes}`]: requestCount(stage, { minutes }),
    },
    bad: `failed${minutes}`,
    total: `total${minutes}`,
  })
}

/** Bad is what was answered, but not fast. What failed has a budget of its own. */
export function slowness(stage: string): CountRequests {
  return (minutes) => ({
    metrics: {
      [`fast${minutes}`]: brokerMetric(stage, 'Fast', { statistic: 'Sum', minutes }),
      [`timed${minutes}`]: brokerMetric(stage, 'Fast', { statistic: 'SampleCount', minutes }),
    },
    bad: `(timed${minutes} - fast${minutes})`,
    total: `timed${minutes}`,
  })
}

/** Bad is what API Gateway answered with 5xx: also what never reached a function, which no metric of ours knows. */
export function gatewayErrors(apiId: string): CountRequests {
  const read = (name: string, minutes: number) =>
    awsMetric('AWS/ApiGateway', name, { statistic: 'Sum', minutes, dimensions: { ApiId: apiId } })
  return (minutes) => ({
    metrics: { [`faults${minutes}`]: read('5xx', minutes), [`calls${minutes}`]: read('Count', minutes) },
    bad: `faults${minutes}`,
    total: `calls${minutes}`,
  })
}

/**
 * How many times faster than the objective allows its budget is spent, or 0 where there is too little to judge by. The
 * metrics' names hold the window: CloudWatch wants a name to mean one metric in all of a graph.
 */
export function burn(
  { count, targetPercent }: Objective,
  { minutes, fewestRequests }: BurnWindow,
): MathExpression {
  const { metrics, bad, total } = count(minutes)
  return computed(
    `IF(${total} >= ${fewestRequests}, ${bad} / ${total} / ${errorBudget(targetPercent)}, 0)`,
    metrics,
    { minutes, label: `burn rate over ${minutes} min` },
  )
}
