import { z } from 'zod'
import { METRICS_NAMESPACE } from '../../functions/telemetry.ts'
import type { Metrics } from './metric-alarm.ts'
import { type MetricId, metricKey, type Sample, type Series } from './series.ts'

/** Lines of EMF cannot be used. The message says which line, what of it, and why. */
export class EmfError extends Error {
  override readonly name = 'EmfError'
}

const NAMES = z.array(z.string()).max(100)
const LINE = z.looseObject({
  _aws: z.looseObject({
    Timestamp: z.number().positive(),
    CloudWatchMetrics: z.array(
      z.looseObject({
        Namespace: z.string(),
        Dimensions: z.array(NAMES).max(30),
        Metrics: z.array(z.looseObject({ Name: z.string(), Unit: z.string().optional() })).max(100),
      }),
    ),
  }),
})
type Line = z.output<typeof LINE>
const DIMENSION = z.string().min(1)
const VALUES = z.array(z.number()).min(1).max(100)

const MINUTE_MILLISECONDS = 60_000
/** A file of one bad timestamp must not become a timeline of years. */
const MAX_MINUTES = 60 * 24 * 60

interface Published {
  readonly metric: MetricId
  readonly minute: number
  readonly samples: readonly Sample[]
}

/**
 * What a run of the broker has published, as CloudWatch would read it from its log. Before and after it nothing was
 * published; of what AWS publishes itself nothing is known.
 */
export class EmfMetrics implements Metrics {
  readonly minutes: number
  readonly startsAt: number
  readonly #published = new Map<string, Published[]>()

  /** Throws {@link EmfError}. `after` minutes without anything follow the last line. */
  constructor(text: string, after: number) {
    const all = publishedIn(text)
    const [first, last] = extremes(all.map(({ minute }) => minute))
    if (last - first + after > MAX_MINUTES)
      throw new EmfError(
        `the lines are ${last - first} minutes apart; at most ${MAX_MINUTES} can be replayed`,
      )
    this.startsAt = first
    this.minutes = last - first + 1 + after
    for (const one of all) {
      const key = metricKey(one.metric)
      const known = this.#published.get(key)
      if (known === undefined) this.#published.set(key, [one])
      else known.push(one)
    }
  }

  series(metric: MetricId): Series | undefined {
    const published = this.#published.get(metricKey(metric))
    if (published === undefined && metric.namespace !== METRICS_NAMESPACE) return undefined
    const series: (readonly Sample[] | undefined)[] = Array.from({ length: this.minutes }, () => undefined)
    for (const { metric: own, minute, samples } of published ?? []) {
      if (metric.unit !== undefined && metric.unit !== own.unit) continue
      const at = minute - this.startsAt
      series[at] = [...(series[at] ?? []), ...samples]
    }
    return series
  }

  /** In what unit a metric was published, if it was. */
  unitOf(metric: MetricId): string | undefined {
    return this.#published.get(metricKey(metric))?.[0]?.metric.unit
  }
}

function publishedIn(text: string): readonly Published[] {
  const all = text.split('\n').flatMap((line, at) => {
    if (!line.includes('"_aws"')) return []
    return publishedBy(parsedLine(line, at + 1), at + 1)
  })
  if (all.length === 0) throw new EmfError('there is no line of EMF')
  return all
}

function parsedLine(line: string, number: number): Line {
  const result = LINE.safeParse(jsonIn(line, number))
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw new EmfError(`line ${number}: ${issue?.path.join('.')}: ${issue?.message}`)
}

function jsonIn(line: string, number: number): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw new EmfError(`line ${number} is no JSON: is it cut off?`, { cause })
  }
}

function publishedBy(line: Line, number: number): readonly Published[] {
  const { Timestamp, CloudWatchMetrics } = line._aws
  const minute = Math.floor(Timestamp / MINUTE_MILLISECONDS)
  return CloudWatchMetrics.flatMap(({ Namespace: namespace, Dimensions, Metrics: metrics }) =>
    Dimensions.flatMap((names) => {
      const dimensions = Object.fromEntries(names.map((name) => [name, dimensionIn(line, name, number)]))
      return metrics.map(({ Name: name, Unit: unit }) => ({
        metric: { namespace, name, dimensions, unit },
        minute,
        samples: valuesIn(line, name, number).map((value) => ({ value, count: 1 })),
      }))
    }),
  )
}

function dimensionIn(line: Line, name: string, number: number): string {
  const result = DIMENSION.safeParse(ownIn(line, name))
  if (result.success) return result.data
  throw new EmfError(`line ${number}: ${name}: the value of a dimension is a text, and there`)
}

function valuesIn(line: Line, name: string, number: number): readonly number[] {
  const result = VALUES.safeParse([ownIn(line, name)].flat())
  if (result.success) return result.data
  throw new EmfError(`line ${number}: ${name}: the value of a metric is a number, or up to 100, and there`)
}

/** What the line itself has: `constructor` is no dimension of everything. */
function ownIn(line: Line, name: string): unknown {
  return Object.hasOwn(line, name) ? line[name] : undefined
}

function extremes(minutes: readonly number[]): readonly [number, number] {
  return minutes.reduce(([low, high], minute) => [Math.min(low, minute), Math.max(high, minute)] as const, [
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
  ] as readonly [number, number])
}
