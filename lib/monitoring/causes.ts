import { ComparisonOperator, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch'
import { RECONCILE_MINUTES } from '../../functions/core/key-times.ts'
import type { MetricName } from '../../functions/telemetry.ts'
import { RECORD_AGE_HOURS } from '../constructs/audit-export.ts'
import type { Signal } from './cause.ts'
import type { CauseId } from './cause-texts.ts'
import { awsMetric, brokerMetric, computed, type Reading, requestCount } from './metrics.ts'
import type { Watched, WatchedFunction } from './watched.ts'

export interface CauseRule {
  readonly id: CauseId
  readonly signals: readonly Signal[]
  /** What makes it say nothing new: that clients are paged for already, or another cause. */
  readonly quietBy?: 'paging' | 'audit-lagging'
}

const { BREACHING, NOT_BREACHING } = TreatMissingData
const DAY_SECONDS = 24 * 3600
/** Seldom enough for a ticket, and no blip: most of five minutes. */
const MOST_OF_FIVE = [3, 5] as const
/** Four runs of the rotation. */
const OVERDUE_SECONDS = 4 * RECONCILE_MINUTES * 60
/** Later than what the plan knows to be overdue pages: it is news only of what the plan does not know. */
export const BEYOND_PERIOD_SECONDS = DAY_SECONDS + OVERDUE_SECONDS
/** What may wait so long is no news: Lambda gathers records, and tries again. */
export const LAG_SECONDS = 15 * 60
const LOST_AFTER_SECONDS = RECORD_AGE_HOURS * 3600
const FEWEST_UNEXPORTED = 5
const UNEXPORTED_SHARE = 0.01
/** In 15 minutes: far more than what the probe has refused on purpose. */
const FEWEST_REFUSED = 300

/** The causes that there are alarms for, and what is seen of each. */
export function causeRules(watched: Watched, refusals: string): readonly CauseRule[] {
  return [
    ...securityRules(watched),
    ...dependencyRules(watched),
    ...functionRules(watched),
    ...keyRules(watched),
    ...auditRules(watched),
    ...usageRules(watched, refusals),
  ]
}

/** What must be 0, always. One is enough. */
function securityRules({ stage, prober }: Watched): readonly CauseRule[] {
  const never = (id: CauseId, name: MetricName): CauseRule => ({
    id,
    signals: [
      {
        metric: brokerMetric(stage, name, { statistic: 'Sum' }),
        threshold: 1,
        datapoints: [1, 1],
        missing: NOT_BREACHING,
      },
    ],
  })
  return [
    never('replay-accepted', 'ReplaysAccepted'),
    never('retired-key-signing', 'RetiredKeySignatures'),
    ...(prober === undefined ? [] : [never('negative-probe-accepted', 'NegativeProbeSuccesses')]),
  ]
}

/** That nobody gets a token, however few ask: part of the page for failures. A probe that says nothing fails. */
export function probeSignal(stage: string): Signal {
  return {
    metric: brokerMetric(stage, 'ProbeFailures', { statistic: 'Sum' }),
    threshold: 1,
    datapoints: MOST_OF_FIVE,
    missing: BREACHING,
  }
}

function dependencyRules({ stage, tables }: Watched): readonly CauseRule[] {
  const failing = (id: CauseId, name: MetricName): CauseRule => ({
    id,
    signals: [often(brokerMetric(stage, name, { statistic: 'Sum' }))],
    quietBy: 'paging',
  })
  const throttled = (part: 'exchanges' | 'revocations', metricName: string) => {
    const dimensions = { TableName: tables[part] }
    return { ...often(awsMetric('AWS/DynamoDB', metricName, { statistic: 'Sum', dimensions })), part }
  }
  return [
    failing('kms-failing', 'KmsFailures'),
    failing('dynamodb-failing', 'DynamoDbFailures'),
    failing('sts-failing', 'StsFailures'),
    failing('issuer-keys-stale', 'IssuerKeyFailures'),
    {
      id: 'dynamodb-throttled',
      signals: [
        throttled('exchanges', 'WriteThrottleEvents'),
        throttled('revocations', 'ReadThrottleEvents'),
      ],
      quietBy: 'paging',
    },
  ]
}

function functionRules({ requestFunctions, schedules }: Watched): readonly CauseRule[] {
  const ofEach = (metricName: string) =>
    requestFunctions.map((each) => ({
      ...often(lambdaMetric(each, metricName, { statistic: 'Sum' })),
      part: each.id,
    }))
  // Of the whole account; the metric by which Service Quotas knows this quota is Lambda's own, not one of AWS/Usage.
  const usage = awsMetric('AWS/Lambda', 'ConcurrentExecutions', {
    statistic: 'Maximum',
    minutes: 5,
    dimensions: {},
  })
  const share = computed('usage / SERVICE_QUOTA(usage) * 100', { usage }, { minutes: 5 })
  const uninvoked = schedules.map(({ id: part, ruleName }) => {
    const reading = { statistic: 'Sum', minutes: RECONCILE_MINUTES }
    const failed = awsMetric('AWS/Events', 'FailedInvocations', {
      ...reading,
      dimensions: { RuleName: ruleName },
    })
    return { ...once(failed), part }
  })
  return [
    { id: 'functions-throttled', signals: ofEach('Throttles'), quietBy: 'paging' },
    { id: 'functions-crashing', signals: ofEach('Errors'), quietBy: 'paging' },
    {
      id: 'concurrency-high',
      signals: [{ metric: share, threshold: 80, datapoints: [3, 3], missing: NOT_BREACHING }],
    },
    { id: 'schedules-failing', signals: uninvoked },
  ]
}

function keyRules({ stage, rotateKeys }: Watched): readonly CauseRule[] {
  const overdue = (id: CauseId, seconds: number): CauseRule => ({
    id,
    signals: [
      {
        metric: brokerMetric(stage, 'SecondsToNextKeyStep', {
          statistic: 'Minimum',
          minutes: 2 * RECONCILE_MINUTES,
        }),
        threshold: -seconds,
        comparison: ComparisonOperator.LESS_THAN_OR_EQUAL_TO_THRESHOLD,
        datapoints: [2, 2],
        // The ticket is also for a rotation that says nothing; the page for what is known.
        missing: id === 'key-step-overdue' ? BREACHING : NOT_BREACHING,
      },
    ],
  })
  const failed = lambdaMetric(rotateKeys, 'Errors', { statistic: 'Sum', minutes: RECONCILE_MINUTES })
  return [
    overdue('key-step-overdue', OVERDUE_SECONDS),
    overdue('key-rotation-stalled', DAY_SECONDS),
    {
      id: 'key-too-old',
      signals: [
        {
          metric: brokerMetric(stage, 'SecondsBeyondKeyPeriod', {
            statistic: 'Maximum',
            minutes: 2 * RECONCILE_MINUTES,
          }),
          threshold: BEYOND_PERIOD_SECONDS,
          datapoints: [2, 2],
          // A rotation that says nothing has its ticket.
          missing: NOT_BREACHING,
        },
      ],
    },
    {
      id: 'rotation-failing',
      signals: [{ metric: failed, threshold: 1, datapoints: [4, 4], missing: NOT_BREACHING }],
    },
  ]
}

function auditRules({ stage, exportAudit, undelivered }: Watched): readonly CauseRule[] {
  const lag = brokerMetric(stage, 'AuditLag', { statistic: 'Maximum', minutes: 5 })
  // Lambda's own: there also when the function cannot even start. Milliseconds.
  const age = lambdaMetric(exportAudit, 'IteratorAge', { statistic: 'Maximum', minutes: 5 })
  const failed = lambdaMetric(exportAudit, 'Errors', { statistic: 'Sum', minutes: 5 })
  const waiting = awsMetric('AWS/SQS', 'ApproximateNumberOfMessagesVisible', {
    statistic: 'Maximum',
    minutes: 5,
    dimensions: { QueueName: undelivered.queueName },
  })
  return [
    {
      id: 'audit-lagging',
      signals: [{ metric: lag, threshold: LAG_SECONDS, datapoints: [3, 3], missing: NOT_BREACHING }],
    },
    {
      id: 'audit-at-risk',
      signals: [
        {
          metric: age,
          threshold: (LOST_AFTER_SECONDS / 2) * 1000,
          datapoints: [3, 3],
          missing: NOT_BREACHING,
        },
      ],
    },
    {
      id: 'audit-export-failing',
      signals: [{ metric: failed, threshold: 1, datapoints: [3, 3], missing: NOT_BREACHING }],
    },
    { id: 'audit-undelivered', signals: [once(waiting)] },
    { id: 'audit-incomplete', signals: [unexported(stage)], quietBy: 'audit-lagging' },
  ]
}

/** In both of two hours, so that what was issued in the last seconds, and is on its way, counts for nothing. */
function unexported(stage: string): Signal {
  const issued = brokerMetric(stage, 'TokensIssued', { statistic: 'Sum', minutes: 60 })
  const exported = brokerMetric(stage, 'AuditExported', { statistic: 'Sum', minutes: 60 })
  const share = computed(
    `IF(issued - FILL(exported, 0) >= ${FEWEST_UNEXPORTED}, (issued - FILL(exported, 0)) / issued, 0)`,
    { issued, exported },
    { minutes: 60 },
  )
  return { metric: share, threshold: UNEXPORTED_SHARE, datapoints: [2, 2], missing: NOT_BREACHING }
}

function usageRules({ stage }: Watched, refusals: string): readonly CauseRule[] {
  const total = requestCount(stage, { minutes: 15 })
  const refused = computed(`INSIGHT_RULE_METRIC("${refusals}", "SampleCount")`, {}, { minutes: 15 })
  const share = computed(
    `IF(refused >= ${FEWEST_REFUSED}, refused / total, 0)`,
    { refused, total },
    { minutes: 15 },
  )
  return [
    {
      id: 'denials-unusual',
      signals: [{ metric: share, threshold: 0.5, datapoints: [2, 2], missing: NOT_BREACHING }],
      quietBy: 'paging',
    },
  ]
}

function lambdaMetric({ functionName }: WatchedFunction, metricName: string, reading: Reading) {
  return awsMetric('AWS/Lambda', metricName, { ...reading, dimensions: { FunctionName: functionName } })
}

/** At least one in most of five minutes. */
function often(metric: Signal['metric']): Signal {
  return { metric, threshold: 1, datapoints: MOST_OF_FIVE, missing: NOT_BREACHING }
}

function once(metric: Signal['metric']): Signal {
  return { metric, threshold: 1, datapoints: [1, 1], missing: NOT_BREACHING }
}
