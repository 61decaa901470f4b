import { z } from 'zod'
import { TemplateDefect } from '../local/intrinsics.ts'
import type { ResolvedResource } from '../local/resolved-stacks.ts'
import {
  type AlarmDefinition,
  COMPARISONS,
  type Comparison,
  type CompositeAlarm,
  type MetricAlarm,
  type MetricQuery,
} from './alarm-definition.ts'
import { parseRule } from './composite-rule.ts'
import { parseExpression } from './expression.ts'
import { KNOWN_TO_CLOUDWATCH, type MetricId } from './series.ts'

const ARNS = z.array(z.string()).default([])
const IDENTITY = {
  AlarmName: z.string().optional(),
  AlarmDescription: z.string().default(''),
  ActionsEnabled: z.boolean().default(true),
  AlarmActions: ARNS,
  OKActions: ARNS,
  InsufficientDataActions: ARNS,
  Tags: z.array(z.unknown()).optional(),
}

const DIMENSIONS = z.array(z.strictObject({ Name: z.string(), Value: z.string() })).default([])
const METRIC = z.strictObject({ Namespace: z.string(), MetricName: z.string(), Dimensions: DIMENSIONS })
/** Whole minutes: alarms of ten and thirty seconds are evaluated more often than the replayer looks. */
const PERIOD = z.int().positive().multipleOf(60)

const QUERY = z.strictObject({
  Id: z.string(),
  Label: z.string().optional(),
  ReturnData: z.boolean().default(true),
  Expression: z.string().optional(),
  Period: PERIOD.optional(),
  MetricStat: z
    .strictObject({ Metric: METRIC, Period: PERIOD, Stat: z.string(), Unit: z.string().optional() })
    .optional(),
})
type Query = z.infer<typeof QUERY>

const METRIC_ALARM = z.strictObject({
  ...IDENTITY,
  ComparisonOperator: z.string(),
  EvaluationPeriods: z.int().positive(),
  DatapointsToAlarm: z.int().positive().optional(),
  Threshold: z.number().optional(),
  ThresholdMetricId: z.string().optional(),
  TreatMissingData: z.enum(['missing', 'ignore', 'breaching', 'notBreaching']).optional(),
  Namespace: z.string().optional(),
  MetricName: z.string().optional(),
  Dimensions: DIMENSIONS,
  Period: PERIOD.optional(),
  Statistic: z.string().optional(),
  ExtendedStatistic: z.string().optional(),
  Unit: z.string().optional(),
  Metrics: z.array(QUERY).optional(),
})
type MetricAlarmProperties = z.infer<typeof METRIC_ALARM>

const SECONDS = z.number().nonnegative().default(60)
const COMPOSITE_ALARM = z.strictObject({
  ...IDENTITY,
  AlarmRule: z.string(),
  ActionsSuppressor: z.string().optional(),
  ActionsSuppressorWaitPeriod: SECONDS,
  ActionsSuppressorExtensionPeriod: SECONDS,
})

/** Windows in which alarms ring and call nobody. Whoever replays without them has to say so. */
export const MUTE_RULE = 'AWS::CloudWatch::AlarmMuteRule'

/** What is neither replayed nor refused, because it evaluates nothing. */
const SILENT_TYPES = [
  MUTE_RULE,
  'AWS::CloudWatch::Dashboard',
  'AWS::CloudWatch::AnomalyDetector',
  'AWS::CloudWatch::InsightRule',
]

/**
 * The alarms among `resources`. Throws {@link TemplateDefect} for a property, statistic, expression, rule or CloudWatch
 * resource that the replayer does not know: an alarm that it misread could pass for one that is quiet.
 */
export function readAlarms(resources: readonly ResolvedResource[]): readonly AlarmDefinition[] {
  return resources.flatMap((resource): readonly AlarmDefinition[] => {
    if (resource.type === 'AWS::CloudWatch::Alarm') return [metricAlarm(resource)]
    if (resource.type === 'AWS::CloudWatch::CompositeAlarm') return [compositeAlarm(resource)]
    if (resource.type.startsWith('AWS::CloudWatch::') && !SILENT_TYPES.includes(resource.type))
      throw new TemplateDefect(
        resource.where,
        `the replayer does not know the resource type ${resource.type}`,
      )
    return []
  })
}

function parsed<T>({ where, properties }: ResolvedResource, schema: z.ZodType<T>): T {
  const result = schema.safeParse(properties)
  if (result.success) return result.data
  const problems = result.error.issues.map(({ path, message }) => [...path.map(String), message].join(': '))
  throw new TemplateDefect(where, `the replayer cannot evaluate it: ${problems.join('; ')}`)
}

function identityOf(resource: ResolvedResource, properties: z.infer<z.ZodObject<typeof IDENTITY>>) {
  const { where, logicalId, name, arn = '' } = resource
  return {
    where,
    logicalId,
    name,
    arn,
    description: properties.AlarmDescription,
    actions: {
      areEnabled: properties.ActionsEnabled,
      onAlarm: properties.AlarmActions,
      onOk: properties.OKActions,
      onInsufficientData: properties.InsufficientDataActions,
    },
  }
}

function compositeAlarm(resource: ResolvedResource): CompositeAlarm {
  const properties = parsed(resource, COMPOSITE_ALARM)
  const { ActionsSuppressor: alarm } = properties
  return {
    kind: 'composite',
    ...identityOf(resource, properties),
    rule: named(resource.where, 'AlarmRule', () => parseRule(properties.AlarmRule)),
    suppressor:
      alarm === undefined
        ? undefined
        : {
            alarm,
            waitPeriod: Math.ceil(properties.ActionsSuppressorWaitPeriod / 60),
            extensionPeriod: Math.ceil(properties.ActionsSuppressorExtensionPeriod / 60),
          },
  }
}

function metricAlarm(resource: ResolvedResource): MetricAlarm {
  const properties = parsed(resource, METRIC_ALARM)
  const { where } = resource
  const { EvaluationPeriods: evaluationPeriods, DatapointsToAlarm: datapointsToAlarm } = properties
  if (datapointsToAlarm !== undefined && datapointsToAlarm > evaluationPeriods)
    throw new TemplateDefect(where, 'it can never ring: it wants more data points than it looks at')
  const compared =
    properties.ThresholdMetricId === undefined ? comparedOf(where, properties) : aboveBand(where, properties)
  return {
    kind: 'metric',
    ...identityOf(resource, properties),
    ...compared,
    evaluationPeriods,
    datapointsToAlarm: datapointsToAlarm ?? evaluationPeriods,
    missingData: properties.TreatMissingData ?? missingByDefault(compared.queries),
  }
}

type Compared = Pick<MetricAlarm, 'queries' | 'returned' | 'period' | 'comparison' | 'threshold'>

function comparedOf(where: string, properties: MetricAlarmProperties): Compared {
  const { Threshold: threshold, ComparisonOperator: comparison } = properties
  if (threshold === undefined) throw new TemplateDefect(where, 'it has no threshold')
  if (!isComparison(comparison))
    throw new TemplateDefect(where, `the comparison ${comparison} is not known to the replayer`)
  return { ...queriesOf(where, properties), comparison, threshold }
}

/** An alarm on the upper edge of a band of anomaly detection: how far above it its metric is. */
function aboveBand(
  where: string,
  { ThresholdMetricId, Metrics = [], ...properties }: MetricAlarmProperties,
): Compared {
  const { ComparisonOperator: comparison } = properties
  if (comparison !== 'GreaterThanUpperThreshold')
    throw new TemplateDefect(where, `the comparison ${comparison} with a band is not known to the replayer`)
  const band = Metrics.find(({ Id }) => Id === ThresholdMetricId)?.Expression ?? ''
  const [, of = ''] = /^ANOMALY_DETECTION_BAND\((\w+)(?:, *\d+(?:\.\d+)?)?\)$/.exec(band) ?? []
  const query = Metrics.find(({ Id }) => Id === of)
  const watched = query && queryOf(where, query)
  if (watched?.kind !== 'metric') throw new TemplateDefect(where, 'its band is not one of one metric')
  const learned = { ...watched.metric, namespace: KNOWN_TO_CLOUDWATCH.bands, unit: undefined }
  return {
    queries: new Map<string, MetricQuery>([
      [of, watched],
      [ABOVE_BAND, { kind: 'above-band', of, band: learned }],
    ]),
    returned: ABOVE_BAND,
    period: watched.period,
    comparison: 'GreaterThanThreshold',
    threshold: 0,
  }
}

/** No id of CloudWatch's: those have no hyphens. */
const ABOVE_BAND = 'above-band'

function isComparison(operator: string): operator is Comparison {
  return Object.hasOwn(COMPARISONS, operator)
}

/** DynamoDB's metrics are the exception: where they are missing, an alarm keeps its state. */
function missingByDefault(queries: ReadonlyMap<string, MetricQuery>): 'ignore' | 'missing' {
  const isOfDynamoDb = (query: MetricQuery) =>
    query.kind === 'metric' && query.metric.namespace === 'AWS/DynamoDB'
  return [...queries.values()].some(isOfDynamoDb) ? 'ignore' : 'missing'
}

interface Queries {
  readonly queries: ReadonlyMap<string, MetricQuery>
  readonly returned: string
  readonly period: number
}

function queriesOf(where: string, properties: MetricAlarmProperties): Queries {
  const { Metrics: metrics, Namespace, MetricName, Dimensions, Period } = properties
  if (metrics !== undefined) return mathOf(where, metrics)
  const statistic = properties.Statistic ?? properties.ExtendedStatistic
  if (Namespace === undefined || MetricName === undefined || Period === undefined || statistic === undefined)
    throw new TemplateDefect(where, 'it has neither a whole metric nor metric math')
  const metric = metricId({ Namespace, MetricName, Dimensions }, properties.Unit)
  const period = Period / 60
  return { queries: new Map([['m', { kind: 'metric', metric, statistic, period }]]), returned: 'm', period }
}

function mathOf(where: string, given: readonly Query[]): Queries {
  const [returned, ...others] = given.filter(({ ReturnData }) => ReturnData)
  if (returned === undefined || others.length > 0)
    throw new TemplateDefect(where, 'exactly one of its metrics must return data')
  const periods = new Set(given.flatMap(({ Period, MetricStat }) => Period ?? MetricStat?.Period ?? []))
  const [period, ...otherPeriods] = periods
  if (period === undefined || otherPeriods.length > 0)
    throw new TemplateDefect(where, 'its metrics must have one period')
  const queries = new Map(given.map((query) => [query.Id, queryOf(where, query)] as const))
  if (queries.size !== given.length) throw new TemplateDefect(where, 'two of its metrics have one id')
  return { queries, returned: returned.Id, period: period / 60 }
}

function queryOf(where: string, { Id, Expression: expression, MetricStat: stat }: Query): MetricQuery {
  if (expression !== undefined && stat !== undefined)
    throw new TemplateDefect(where, `${Id} is both a metric and an expression`)
  if (expression !== undefined)
    return { kind: 'expression', expression: named(where, Id, () => parseExpression(expression)) }
  if (stat === undefined) throw new TemplateDefect(where, `${Id} is neither a metric nor an expression`)
  return {
    kind: 'metric',
    metric: metricId(stat.Metric, stat.Unit),
    statistic: stat.Stat,
    period: stat.Period / 60,
  }
}

function metricId({ Namespace, MetricName, Dimensions }: z.infer<typeof METRIC>, unit?: string): MetricId {
  const dimensions = Object.fromEntries(Dimensions.map(({ Name, Value }) => [Name, Value]))
  return { namespace: Namespace, name: MetricName, dimensions, unit }
}

function named<T>(where: string, part: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new TemplateDefect(where, `${part}: ${error instanceof Error ? error.message : String(error)}`)
  }
}
