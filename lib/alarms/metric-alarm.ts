import { TemplateDefect } from '../local/intrinsics.ts'
import { COMPARISONS, type MetricAlarm } from './alarm-definition.ts'
import type { AlarmState } from './alarm-state.ts'
import { ExpressionError } from './expression.ts'
import { evaluateExpression, type MathScope } from './metric-math.ts'
import {
  isMissing,
  KNOWN_TO_CLOUDWATCH,
  type MetricId,
  metricKey,
  type Points,
  type Series,
} from './series.ts'
import { statisticOver, UnknownStatistic } from './statistic.ts'

/** Where the replayer finds what was published. */
export interface Metrics {
  readonly minutes: number
  /** When the first minute begins. Epoch minutes. */
  readonly startsAt: number
  /** `undefined` if nobody has told whether anything was published: not the same as nothing. */
  series(metric: MetricId): Series | undefined
}

/** An alarm reads something that is not known: what it would have done is not either. */
export class UnknownMetric extends Error {
  override readonly name = 'UnknownMetric'

  constructor(metric: MetricId) {
    super(`nothing is known of ${metricKey(metric)}`)
  }
}

/**
 * So many data points beyond those that an alarm evaluates does CloudWatch look back, in case some are missing. How many
 * in general is not documented; of an alarm of three it looks at five, in the examples of its user guide.
 */
const EXTRA_POINTS = 2

/** What comes to one time series: of an alarm, or of a line in a dashboard. */
export type Computed = Pick<MetricAlarm, 'where' | 'queries' | 'returned' | 'period'>

/**
 * The values that an alarm compares with its threshold. Throws {@link UnknownMetric}, and {@link TemplateDefect} for what
 * the replayer cannot compute, by its name.
 */
export function valuesOf(alarm: Computed, metrics: Metrics): Points {
  const scope = new AlarmScope(alarm, metrics)
  try {
    return scope.series(alarm.returned)
  } catch (error) {
    if (!(error instanceof ExpressionError || error instanceof UnknownStatistic)) throw error
    throw new TemplateDefect(alarm.where, error.message)
  }
}

/** Every metric that an alarm looks at. */
export function metricsRead(alarm: MetricAlarm): readonly MetricId[] {
  const read: MetricId[] = []
  const series = (metric: MetricId) => {
    read.push(metric)
    return []
  }
  valuesOf(alarm, { minutes: 0, startsAt: 0, series })
  return read
}

export interface Rhythm {
  /** Epoch minutes of the first minute. */
  readonly startsAt: number
  /** How often an alarm on more than a day is evaluated. */
  readonly multiDayMinutes: number
}

/** CloudWatch evaluates an alarm on more than a day once an hour, on what was published until the hour. */
export const MULTI_DAY_MINUTES = 60
const DAY_MINUTES = 24 * 60

/** The alarm's state after each minute, from the values that it compares. */
export function statesOf(
  alarm: MetricAlarm,
  values: Points,
  { startsAt, multiDayMinutes }: Rhythm = { startsAt: 0, multiDayMinutes: MULTI_DAY_MINUTES },
): readonly AlarmState[] {
  const every = alarm.period * alarm.evaluationPeriods > DAY_MINUTES ? multiDayMinutes : 1
  let state: AlarmState = 'INSUFFICIENT_DATA'
  return Array.from(values, (_, minute) => {
    if ((startsAt + minute + 1) % every === 0)
      state = stateAfter(alarm, rangeAt(alarm, values, minute), state)
    return state
  })
}

/** What an alarm finds in its evaluation range. */
interface Range {
  /** Data points that are there, at most as many as the alarm evaluates. */
  readonly existing: number
  readonly breaching: number
  /** How many periods back the oldest data point of the range is, the newest being the first. */
  readonly oldest: number
}

/** Windows slide: the data point before is one period back, not one minute. Called for every minute, hence no arrays. */
function rangeAt(alarm: MetricAlarm, values: Points, minute: number): Range {
  const { evaluationPeriods, period, comparison, threshold } = alarm
  const isBreaching = COMPARISONS[comparison]
  let existing = 0
  let breaching = 0
  let oldest = 0
  for (let back = 0; back < evaluationPeriods + EXTRA_POINTS; back += 1) {
    const value = values[minute - back * period] ?? Number.NaN
    if (isMissing(value)) continue
    oldest = back + 1
    if (existing === evaluationPeriods) continue
    existing += 1
    if (isBreaching(value, threshold)) breaching += 1
  }
  return { existing, breaching, oldest }
}

function stateAfter(alarm: MetricAlarm, range: Range, current: AlarmState): AlarmState {
  const { evaluationPeriods, datapointsToAlarm, missingData } = alarm
  const { existing, breaching, oldest } = range
  const toFill = evaluationPeriods - existing
  const byCount = (count: number): AlarmState => (count >= datapointsToAlarm ? 'ALARM' : 'OK')
  if (toFill === 0 || missingData === 'notBreaching') return byCount(breaching)
  if (missingData === 'breaching') return byCount(breaching + toFill)
  // One good data point tells enough; so do enough bad ones.
  if (breaching < existing || breaching >= datapointsToAlarm) return byCount(breaching)
  if (missingData === 'ignore') return current
  return existing > 0 && oldest >= datapointsToAlarm ? 'ALARM' : 'INSUFFICIENT_DATA'
}

/** The metrics and expressions of one alarm, each computed once. */
class AlarmScope implements MathScope {
  readonly minutes: number
  readonly period: number
  readonly #alarm: Computed
  readonly #metrics: Metrics
  readonly #computed = new Map<string, Points>()
  readonly #computing = new Set<string>()

  constructor(alarm: Computed, metrics: Metrics) {
    this.#alarm = alarm
    this.#metrics = metrics
    this.minutes = metrics.minutes
    this.period = alarm.period
  }

  series(id: string): Points {
    const known = this.#computed.get(id)
    if (known !== undefined) return known
    if (this.#computing.has(id)) throw new ExpressionError(`${id} depends on itself`)
    this.#computing.add(id)
    const points = this.#compute(id)
    this.#computed.set(id, points)
    return points
  }

  periodOf(id: string): number {
    const query = this.#alarm.queries.get(id)
    if (query?.kind !== 'metric') throw new ExpressionError(`PERIOD(${id}): ${id} is no metric`)
    return query.period * 60
  }

  metrics(text: string): readonly Points[] {
    return [...this.#alarm.queries]
      .filter(([id, { kind }]) => kind === 'metric' && id.includes(text))
      .map(([id]) => this.series(id))
  }

  quotaOf(id: string): Points {
    const query = this.#alarm.queries.get(id)
    if (query?.kind !== 'metric') throw new ExpressionError(`SERVICE_QUOTA(${id}): ${id} is no metric`)
    const metric = { ...query.metric, namespace: KNOWN_TO_CLOUDWATCH.quotas, unit: undefined }
    return this.#read(metric, 'Maximum', this.period)
  }

  insightRule(rule: string, statistic: string): Points {
    const metric = {
      namespace: KNOWN_TO_CLOUDWATCH.insights,
      name: statistic,
      dimensions: { rule },
      unit: undefined,
    }
    // Of one contributor: what it counts adds up, how many there are does not.
    return this.#read(metric, statistic === 'UniqueContributors' ? 'Maximum' : 'Sum', this.period)
  }

  #compute(id: string): Points {
    const query = this.#alarm.queries.get(id)
    if (query === undefined) throw new ExpressionError(`there is no metric or expression ${id}`)
    switch (query.kind) {
      case 'expression':
        return evaluateExpression(query.expression, this)
      case 'metric':
        return this.#read(query.metric, query.statistic, query.period)
      case 'above-band': {
        const edge = this.#read(query.band, 'Maximum', this.period)
        return this.series(query.of).map((value, minute) => value - (edge[minute] ?? Number.NaN))
      }
    }
  }

  #read(metric: MetricId, statistic: string, period: number): Points {
    const series = this.#metrics.series(metric)
    if (series === undefined) throw new UnknownMetric(metric)
    return statisticOver(statistic, series, period)
  }
}
