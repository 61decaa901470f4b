import { Color, type IWidget } from 'aws-cdk-lib/aws-cloudwatch'
import { RECONCILE_MINUTES } from '../../../functions/core/key-times.ts'
import { BEYOND_PERIOD_SECONDS, LAG_SECONDS } from '../causes.ts'
import { awsMetric, brokerMetric } from '../metrics.ts'
import type { Watched, WatchedFunction } from '../watched.ts'
import type { DashboardSources } from './on-call.ts'
import { graph, InsightWidget, logTable } from './widgets.ts'

const FIVE = 5

/** What to look at when it is known what is wrong, and not why. */
export function debugRows(sources: DashboardSources): readonly (readonly IWidget[])[] {
  const insight = (name: ConstructorParameters<typeof InsightWidget>[0]) => new InsightWidget(name, sources)
  const { watched } = sources
  return [
    [stages(watched), dynamoDb(watched), insight('faults-by-dependency')],
    [insight('malformed-requests'), insight('refused-issuers'), insight('refused-targets')],
    [audit(watched), auditCounts(watched), keys(watched)],
    [insight('unknown-audiences'), functions(watched), revocation(watched)],
    [insight('issuing-clients'), logTable('stage-timings', watched, 16)],
    [logTable('slowest-requests', watched, 12), logTable('failures-by-endpoint', watched, 12)],
    [logTable('cold-starts', watched, 12), logTable('gateway-errors', watched, 12)],
    [logTable('key-rotation-runs', watched, 12), logTable('audit-export-faults', watched, 12)],
  ]
}

/** From the outside in: what lies between two lines is the time of that stage. */
function stages({ stage, apiId, requestFunctions }: Watched): IWidget {
  const gateway = (name: string, label: string, color: string) =>
    awsMetric('AWS/ApiGateway', name, {
      statistic: 'p95',
      minutes: FIVE,
      label,
      color,
      dimensions: { ApiId: apiId },
    })
  const lambda = requestFunctions
    .filter(({ id }) => id === 'Exchange')
    .map((each) => lambdaMetric(each, 'Duration', { statistic: 'p95', label: 'function: exchange' }))
  return graph('Where the time goes: 95 % take no longer, from the gateway inwards', {
    left: [
      gateway('Latency', 'gateway', Color.GREY),
      gateway('IntegrationLatency', 'integration', Color.BLUE),
      ...lambda,
      brokerMetric(stage, 'Duration', {
        statistic: 'p95',
        minutes: FIVE,
        label: 'handlers',
        color: Color.GREEN,
      }),
    ],
    unit: 'ms',
  })
}

/** The operations that requests wait for. */
function dynamoDb({ tables }: Watched): IWidget {
  const of = (TableName: string, Operation: string, label: string, color: string) =>
    awsMetric('AWS/DynamoDB', 'SuccessfulRequestLatency', {
      statistic: 'p99',
      minutes: FIVE,
      label,
      color,
      dimensions: { TableName, Operation },
    })
  return graph('How long DynamoDB takes for 99 % of calls', {
    left: [
      of(tables.exchanges, 'PutItem', 'record of an exchange', Color.BLUE),
      of(tables.revocations, 'BatchGetItem', 'look-up of revocations', Color.ORANGE),
    ],
    unit: 'ms',
  })
}

function audit({ stage, exportAudit }: Watched): IWidget {
  return graph('For how long records wait for the audit trail', {
    left: [
      brokerMetric(stage, 'AuditLag', {
        statistic: 'Maximum',
        minutes: FIVE,
        label: 'oldest of a batch (s)',
        color: Color.PURPLE,
      }),
    ],
    right: [
      lambdaMetric(exportAudit, 'IteratorAge', { statistic: 'Maximum', label: 'in the stream (ms, right)' }),
    ],
    unit: 's',
    limits: [{ value: LAG_SECONDS, label: 'opens a ticket', color: Color.GREY }],
  })
}

function auditCounts({ stage, undelivered }: Watched): IWidget {
  const sum = (name: 'TokensIssued' | 'AuditExported' | 'ReplaysAccepted', label: string, color: string) =>
    brokerMetric(stage, name, { statistic: 'Sum', minutes: FIVE, label, color })
  return graph('Does every token reach the audit trail, and is anything lost', {
    left: [
      sum('TokensIssued', 'tokens issued', Color.GREEN),
      sum('AuditExported', 'records exported', Color.PURPLE),
      sum('ReplaysAccepted', 'records lost', Color.RED),
    ],
    right: [
      awsMetric('AWS/SQS', 'ApproximateNumberOfMessagesVisible', {
        statistic: 'Maximum',
        minutes: FIVE,
        label: 'given up (right)',
        color: Color.ORANGE,
        dimensions: { QueueName: undelivered.queueName },
      }),
    ],
    unit: 'in 5 minutes',
  })
}

function keys({ stage }: Watched): IWidget {
  return graph('How long until a signing key moves, and how long one signs beyond its period', {
    left: [
      brokerMetric(stage, 'SecondsToNextKeyStep', {
        statistic: 'Minimum',
        minutes: RECONCILE_MINUTES,
        label: 'until the next step (below zero: overdue)',
        color: Color.BLUE,
      }),
      brokerMetric(stage, 'SecondsBeyondKeyPeriod', {
        statistic: 'Maximum',
        minutes: RECONCILE_MINUTES,
        label: 'beyond its period (above zero: too long)',
        color: Color.ORANGE,
      }),
    ],
    right: [
      brokerMetric(stage, 'RetiredKeySignatures', {
        statistic: 'Sum',
        minutes: RECONCILE_MINUTES,
        label: 'signatures by retired keys (right)',
        color: Color.RED,
      }),
    ],
    unit: 's',
    limits: [{ value: BEYOND_PERIOD_SECONDS, label: 'too old: opens a ticket', color: Color.GREY }],
    signed: true,
  })
}

function functions({ requestFunctions, rotateKeys, exportAudit }: Watched): IWidget {
  const all = [...requestFunctions, rotateKeys, exportAudit]
  return graph('Which functions end without an answer', {
    left: all.map((each) => lambdaMetric(each, 'Errors', { statistic: 'Sum', label: each.id })),
    unit: 'in 5 minutes',
  })
}

function revocation({ stage }: Watched): IWidget {
  return graph('How long it takes until a revocation is durable', {
    left: [
      brokerMetric(stage, 'RevocationLatency', {
        statistic: 'p50',
        minutes: FIVE,
        label: 'p50',
        color: Color.GREEN,
      }),
      brokerMetric(stage, 'RevocationLatency', {
        statistic: 'p99',
        minutes: FIVE,
        label: 'p99',
        color: Color.ORANGE,
      }),
    ],
    unit: 'ms',
  })
}

function lambdaMetric(
  { functionName }: WatchedFunction,
  metricName: string,
  reading: { readonly statistic: string; readonly label: string },
) {
  return awsMetric('AWS/Lambda', metricName, {
    ...reading,
    minutes: FIVE,
    dimensions: { FunctionName: functionName },
  })
}
