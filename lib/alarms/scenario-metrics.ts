import { METRICS_NAMESPACE } from '../../functions/telemetry.ts'
import { seededRandom } from '../local/aws/random.ts'
import type { AppAlarms } from './app-alarms.ts'
import { binomial, poisson } from './chance.ts'
import { type Load, publishedWhenHealthy } from './healthy-broker.ts'
import { type Metrics, metricsRead } from './metric-alarm.ts'
import { type MetricOverride, type Scenario, ScenarioError } from './scenario.ts'
import { KNOWN_TO_CLOUDWATCH, type MetricId, metricKey, type Sample, type Series } from './series.ts'

/** Before a scenario starts its background has gone on for so long: longer than the longest window of an alarm. */
export const WARM_UP_MINUTES = 4 * 24 * 60

const DEFAULT_LOAD: Load = { requests: 600, failed: 0.0002, slow: 0.001 }
const MINUTE_MILLISECONDS = 60_000

/** What is published while a scenario goes on, and for {@link WARM_UP_MINUTES} before. */
export class ScenarioMetrics implements Metrics {
  readonly minutes: number
  readonly startsAt: number
  /** By minute, from the start of the warm-up. */
  readonly loads: readonly Load[]
  readonly #scenario: Scenario
  readonly #known = new Map<string, Series>()

  constructor(scenario: Scenario) {
    this.#scenario = scenario
    this.minutes = WARM_UP_MINUTES + scenario.lasts
    this.startsAt = Date.parse(scenario.starts) / MINUTE_MILLISECONDS - WARM_UP_MINUTES
    this.loads = loadsOf(scenario, this)
  }

  /** Throws {@link ScenarioError} for a metric of which neither the scenario nor anybody else says what is published. */
  series(metric: MetricId): Series | undefined {
    const key = metricKey(metric)
    const known = this.#known.get(key) ?? this.#publish(metric)
    if (known !== undefined) this.#known.set(key, known)
    return known
  }

  #publish(metric: MetricId): Series | undefined {
    const share = sharing()
    const healthy = publishedWhenHealthy(metric)
    const always = overrideOf(this.#scenario.background.metrics, metric)
    // What CloudWatch has learned of other weeks nobody knows who does not say it.
    if (metric.namespace === KNOWN_TO_CLOUDWATCH.bands && always === undefined) return undefined
    if (healthy === undefined && always === undefined)
      throw new ScenarioError(
        `an alarm reads ${metricKey(metric)}: say in lib/alarms/healthy-broker.ts what a broker without trouble publishes`,
      )
    return this.loads.map((load, minute) => {
      const override = this.#overrideAt(metric, minute - WARM_UP_MINUTES) ?? always
      const now = this.startsAt + minute
      return share(override === undefined ? (healthy?.(load, now) ?? []) : samplesOf(override, now))
    })
  }

  /** The last incident that says anything of it has the last word. */
  #overrideAt(metric: MetricId, minute: number): MetricOverride | undefined {
    return this.#scenario.incidents
      .filter((incident) => isDuring(incident, minute))
      .map(({ metrics }) => overrideOf(metrics, metric))
      .findLast((override) => override !== undefined)
  }
}

/** Throws {@link ScenarioError} if the scenario names a metric that no alarm reads, or an alarm that is not there. */
export function checkNames(scenario: Scenario, { alarms, idOf }: Pick<AppAlarms, 'alarms' | 'idOf'>): void {
  const read = alarms.flatMap((alarm) => (alarm.kind === 'metric' ? metricsRead(alarm) : []))
  for (const { metrics } of [scenario.background, ...scenario.incidents])
    for (const name of Object.keys(metrics))
      if (!read.some((metric) => isNamed(metric, name)))
        throw new ScenarioError(`metrics.${name}: no alarm reads it`)
  const ids = alarms.map(({ name }) => idOf(name))
  for (const id of [...(scenario.expect?.page ?? []), ...(scenario.expect?.ticket ?? [])])
    if (!ids.includes(id)) throw new ScenarioError(`expect: there is no alarm ${id}`)
}

type Incident = Scenario['incidents'][number]

function isDuring({ at, for: length }: Incident, minute: number): boolean {
  return minute >= at && (length === undefined || minute < at + length)
}

function loadsOf(scenario: Scenario, { minutes, startsAt }: Metrics): readonly Load[] {
  const draw = scenario.seed === undefined ? (load: Load) => load : drawing(scenario.seed)
  const usual = { ...DEFAULT_LOAD, ...loadIn(scenario.background) }
  return Array.from({ length: minutes }, (_, minute) => {
    const hour = Math.floor((startsAt + minute) / 60) % 24
    const quiet = isNight(scenario.nights, hour) ? { requests: scenario.nights?.requests ?? 0 } : {}
    const incidents = scenario.incidents.filter((one) => isDuring(one, minute - WARM_UP_MINUTES))
    return draw(Object.assign({}, usual, quiet, ...incidents.map(loadIn)) as Load)
  })
}

function loadIn(given: Partial<Record<keyof Load, number | undefined>>): Partial<Load> {
  const entries = (['requests', 'failed', 'slow'] as const).flatMap((key) =>
    given[key] === undefined ? [] : [[key, given[key]] as const],
  )
  return Object.fromEntries(entries)
}

function isNight(nights: Scenario['nights'], hour: number): boolean {
  if (nights === undefined) return false
  const { from, until } = nights
  return from <= until ? hour >= from && hour < until : hour >= from || hour < until
}

/** Whole requests, of which each fails or is slow by chance. */
function drawing(seed: number): (mean: Load) => Load {
  const random = seededRandom(seed)
  return (mean) => {
    const requests = poisson(random, mean.requests)
    if (requests === 0) return { requests, failed: 0, slow: 0 }
    const failed = binomial(random, requests, mean.failed)
    const succeeded = requests - failed
    const slow = succeeded === 0 ? 0 : binomial(random, succeeded, mean.slow) / succeeded
    return { requests, failed: failed / requests, slow }
  }
}

function overrideOf(
  metrics: Readonly<Record<string, MetricOverride>>,
  metric: MetricId,
): MetricOverride | undefined {
  return Object.entries(metrics).find(([name]) => isNamed(metric, name))?.[1]
}

/** `Failed`, `AWS/Lambda Errors`, or `AWS/Lambda Errors Exchange` for what has `Exchange` in a dimension. */
function isNamed({ namespace, name, dimensions }: MetricId, given: string): boolean {
  const words = given.split(' ')
  if (words.length === 1) return name === given && namespace === METRICS_NAMESPACE
  const [ofNamespace, ofName, part] = words
  return (
    namespace === ofNamespace &&
    name === ofName &&
    (part === undefined || Object.values(dimensions).some((value) => value.includes(part)))
  )
}

function samplesOf(override: MetricOverride, minute: number): readonly Sample[] {
  if (override === 'none') return []
  if (typeof override === 'number') return [{ value: override, count: 1 }]
  const { value, times, every } = override
  return times === 0 || minute % every !== 0 ? [] : [{ value, count: times }]
}

/** Gives the minute before back where nothing has changed: a month of them is then computed with as one. */
function sharing(): (samples: readonly Sample[]) => readonly Sample[] | undefined {
  const shared = new Map<string, readonly Sample[]>()
  return (samples) => {
    if (samples.length === 0) return undefined
    const key = samples.map(({ value, count }) => `${value}*${count}`).join()
    const known = shared.get(key) ?? samples
    shared.set(key, known)
    return known
  }
}
