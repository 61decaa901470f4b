import { Color, type IMetric, type IWidget } from 'aws-cdk-lib/aws-cloudwatch'
import type { MetricName } from '../../../functions/telemetry.ts'
import { awsMetric, brokerMetric, computed, requestCount } from '../metrics.ts'
import type { Watched } from '../watched.ts'
import { latencyHeatMap } from './latency-heat-map.ts'
import { burnLimits, fastLimit, graph, InsightWidget, logTable } from './widgets.ts'

export interface DashboardSources {
  readonly watched: Watched
  readonly prefix: string
  readonly region: string
  readonly availabilityPercent: number
  readonly latencyPercent: number
  /** An answer within so many milliseconds is a fast one. */
  readonly latencyMilliseconds: number
}

/** What whoever is called looks at first. */
export function onCallRows(sources: DashboardSources): readonly (readonly IWidget[])[] {
  const insight = (name: ConstructorParameters<typeof InsightWidget>[0]) => new InsightWidget(name, sources)
  const { watched } = sources
  return [
    [failing(sources), slow(sources), requests(watched)],
    [insight('failures-by-endpoint'), dependencies(watched), gateway(watched)],
    [latencyHeatMap(watched.stage, sources.latencyMilliseconds), percentiles(sources)],
    [throttles(watched), probe(watched)],
    [insight('refusals-by-reason'), insight('denied-clients'), insight('replay-sources')],
    [logTable('faults', watched, 12), logTable('revocations', watched, 12)],
  ]
}

const count = (stage: string, name: MetricName, label: string, color: string): IMetric =>
  brokerMetric(stage, name, { statistic: 'Sum', label, color })

function failing({ watched: { stage }, availabilityPercent }: DashboardSources): IWidget {
  const metrics = {
    failed: brokerMetric(stage, 'Failed', { statistic: 'Sum' }),
    total: requestCount(stage),
  }
  return graph('How many of all requests fail', {
    left: [computed('100 * failed / total', metrics, { label: 'failed', color: Color.RED })],
    unit: '% of requests',
    limits: burnLimits(availabilityPercent),
  })
}

function slow({ watched: { stage }, latencyPercent, latencyMilliseconds }: DashboardSources): IWidget {
  const metrics = {
    fast: brokerMetric(stage, 'Fast', { statistic: 'Sum' }),
    timed: brokerMetric(stage, 'Fast', { statistic: 'SampleCount' }),
  }
  const label = `longer than ${latencyMilliseconds} ms`
  return graph('How many of the answered requests are slow', {
    left: [computed('100 * (timed - fast) / timed', metrics, { label, color: Color.ORANGE })],
    unit: '% of answers',
    limits: burnLimits(latencyPercent),
  })
}

function requests({ stage }: Watched): IWidget {
  return graph('What is asked, and what becomes of it', {
    left: [
      requestCount(stage, { label: 'requests', color: Color.BLUE }),
      count(stage, 'TokensIssued', 'tokens issued', Color.GREEN),
      count(stage, 'Failed', 'failed', Color.RED),
      count(stage, 'InvalidInput', 'malformed', Color.GREY),
      count(stage, 'ReplayRefusals', 'replays refused', Color.PURPLE),
    ],
    unit: 'a minute',
  })
}

function dependencies({ stage }: Watched): IWidget {
  return graph('Which dependencies fail', {
    left: [
      count(stage, 'KmsFailures', 'KMS', Color.RED),
      count(stage, 'DynamoDbFailures', 'DynamoDB', Color.ORANGE),
      count(stage, 'StsFailures', 'STS', Color.PURPLE),
      count(stage, 'IssuerKeyFailures', 'keys of issuers', Color.BROWN),
    ],
    unit: 'requests a minute',
    stacked: true,
  })
}

function gateway({ apiId }: Watched): IWidget {
  const of = (name: string, label: string, color: string) =>
    awsMetric('AWS/ApiGateway', name, { statistic: 'Sum', label, color, dimensions: { ApiId: apiId } })
  return graph('What API Gateway answers, also where no function did', {
    left: [of('5xx', '5xx', Color.RED), of('4xx', '4xx', Color.GREY)],
    right: [of('Count', 'all (right)', Color.BLUE)],
    unit: 'answers a minute',
  })
}

function percentiles({ watched: { stage }, latencyMilliseconds }: DashboardSources): IWidget {
  const of = (statistic: string, color: string) =>
    brokerMetric(stage, 'Duration', { statistic, label: statistic, color })
  return graph('How long answers take, but for cold starts', {
    left: [of('p50', Color.GREEN), of('p90', Color.BLUE), of('p99', Color.ORANGE), of('p99.9', Color.RED)],
    unit: 'ms',
    limits: fastLimit(latencyMilliseconds),
    width: 12,
  })
}

function throttles({ stage, requestFunctions }: Watched): IWidget {
  const ofLambda = requestFunctions.map(({ id, functionName }) =>
    awsMetric('AWS/Lambda', 'Throttles', {
      statistic: 'Sum',
      label: `Lambda: ${id}`,
      dimensions: { FunctionName: functionName },
    }),
  )
  return graph('Who is throttled: functions by Lambda, clients by their rate', {
    left: [...ofLambda, count(stage, 'Throttled', 'clients (429)', Color.PURPLE)],
    unit: 'a minute',
    width: 12,
  })
}

function probe({ stage }: Watched): IWidget {
  return graph('What the probe finds wrong', {
    left: [
      count(stage, 'ProbeFailures', 'did not work', Color.ORANGE),
      count(stage, 'NegativeProbeSuccesses', 'was not refused', Color.RED),
    ],
    unit: 'checks a minute',
    limits: [{ value: 1, label: 'one is too many', color: Color.RED }],
    width: 12,
  })
}
