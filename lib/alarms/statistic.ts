import type { Points, Sample, Series } from './series.ts'

/** The statistic is none that the replayer knows: the message names it. */
export class UnknownStatistic extends Error {
  override readonly name = 'UnknownStatistic'
}

/** What the samples of a window come to, for the windows that end with each minute. */
type Windowed = (series: Series, width: number) => Points

const PLAIN: Readonly<Record<string, Windowed>> = {
  Sum: (series, width) => sumOver(series, width, ({ value, count }) => value * count),
  SampleCount: (series, width) => sumOver(series, width, ({ count }) => count),
  Average: (series, width) => {
    const counts = sumOver(series, width, ({ count }) => count)
    const sums = sumOver(series, width, ({ value, count }) => value * count)
    return sums.map((sum, minute) => sum / (counts[minute] ?? Number.NaN))
  },
  Minimum: (series, width) => fromSamples(series, width, (sorted) => sorted[0]?.value),
  Maximum: (series, width) => fromSamples(series, width, (sorted) => sorted.at(-1)?.value),
}

/**
 * The statistic of a metric over windows of `width` minutes, the last of them the minute itself: `Sum`, `SampleCount`,
 * `Average`, `Minimum`, `Maximum`, `p99`, `tm99`, `TC(200:)`, `PR(:200)`. Throws {@link UnknownStatistic} for any other.
 */
export function statisticOver(statistic: string, series: Series, width: number): Points {
  return windowedFor(statistic)(series, width)
}

function windowedFor(statistic: string): Windowed {
  const plain = Object.hasOwn(PLAIN, statistic) ? PLAIN[statistic] : undefined
  if (plain !== undefined) return plain
  const bounded = trimmedCount(statistic) ?? percentileRank(statistic)
  if (bounded !== undefined) return bounded
  const reduce = percentile(statistic) ?? trimmedMean(statistic)
  if (reduce === undefined)
    throw new UnknownStatistic(`the statistic ${JSON.stringify(statistic)} is not known to the replayer`)
  return (series, width) => fromSamples(series, width, reduce)
}

/** Whether a value is above the first bound, if there is one, and not above the second. */
function within(bounds: RegExpExecArray | null): ((sample: Sample) => boolean) | undefined {
  const [, low, high] = bounds ?? []
  if (low === undefined && high === undefined) return undefined
  const above = low === undefined ? Number.NEGATIVE_INFINITY : Number(low)
  const upTo = high === undefined ? Number.POSITIVE_INFINITY : Number(high)
  return ({ value }) => value > above && value <= upTo
}

function trimmedCount(statistic: string): Windowed | undefined {
  const isCounted = within(/^TC\((\d+(?:\.\d+)?)?:(\d+(?:\.\d+)?)?\)$/.exec(statistic))
  if (isCounted === undefined) return undefined
  return (series, width) => sumOver(series, width, (sample) => (isCounted(sample) ? sample.count : 0))
}

/** Per cent of all values. */
function percentileRank(statistic: string): Windowed | undefined {
  const isCounted = within(/^PR\((\d+(?:\.\d+)?)?:(\d+(?:\.\d+)?)?\)$/.exec(statistic))
  if (isCounted === undefined) return undefined
  return (series, width) => {
    const counts = sumOver(series, width, ({ count }) => count)
    const counted = sumOver(series, width, (sample) => (isCounted(sample) ? sample.count : 0))
    return counted.map((count, minute) => (100 * count) / (counts[minute] ?? Number.NaN))
  }
}

type Reduce = (sorted: readonly Sample[]) => number | undefined

const percentOf = (pattern: RegExp, statistic: string): number | undefined => {
  const percent = Number(pattern.exec(statistic)?.[1] ?? Number.NaN)
  return percent >= 0 && percent <= 100 ? percent : undefined
}

/** Nearest rank; CloudWatch's own, from a histogram, differs from it by less than a per cent of the value. */
function percentile(statistic: string): Reduce | undefined {
  const percent = percentOf(/^p(\d{1,3}(?:\.\d{1,10})?)$/, statistic)
  if (percent === undefined) return undefined
  return (sorted) => {
    let left = (countOf(sorted) * percent) / 100
    for (const { value, count } of sorted) {
      left -= count
      if (left <= 0) return value
    }
    return sorted.at(-1)?.value
  }
}

/** The mean without the highest values. */
function trimmedMean(statistic: string): Reduce | undefined {
  const percent = percentOf(/^tm(\d{1,3}(?:\.\d{1,10})?)$/, statistic)
  if (percent === undefined) return undefined
  return (sorted) => {
    const wanted = (countOf(sorted) * percent) / 100
    let left = wanted
    let sum = 0
    for (const { value, count } of sorted) {
      const taken = Math.min(count, left)
      sum += value * taken
      left -= taken
    }
    return wanted === 0 ? undefined : sum / wanted
  }
}

function countOf(samples: readonly Sample[]): number {
  return samples.reduce((sum, { count }) => sum + count, 0)
}

/** Of differences between prefix sums something may be left where nothing is; an alarm on `> 0` would see it. */
const PRECISION = 1e6

function sumOver(series: Series, width: number, of: (sample: Sample) => number): Points {
  const prefix = new Float64Array(series.length + 1)
  const published = new Float64Array(series.length + 1)
  for (const [minute, samples] of series.entries()) {
    const sum = samples?.reduce((total, sample) => total + of(sample), 0) ?? 0
    prefix[minute + 1] = (prefix[minute] ?? 0) + sum
    published[minute + 1] = (published[minute] ?? 0) + (samples === undefined ? 0 : 1)
  }
  return new Float64Array(series.length).map((_, minute) => {
    const start = Math.max(0, minute + 1 - width)
    if (published[minute + 1] === published[start]) return Number.NaN
    const sum = (prefix[minute + 1] ?? 0) - (prefix[start] ?? 0)
    return Math.round(sum * PRECISION) / PRECISION
  })
}

/** For what only the samples themselves tell. A quiet metric repeats its minutes: each different one is looked at once. */
function fromSamples(series: Series, width: number, reduce: Reduce): Points {
  const inWindow = new Map<readonly Sample[], number>()
  let last = Number.NaN
  let changed = true
  return new Float64Array(series.length).map((_, minute) => {
    const entering = series[minute]
    const leaving = minute >= width ? series[minute - width] : undefined
    if (entering !== leaving) {
      changed = true
      if (entering !== undefined) inWindow.set(entering, (inWindow.get(entering) ?? 0) + 1)
      if (leaving !== undefined) forgetOne(inWindow, leaving)
    }
    if (changed) last = reduce(sortedSamples(inWindow)) ?? Number.NaN
    changed = false
    return last
  })
}

function forgetOne(inWindow: Map<readonly Sample[], number>, samples: readonly Sample[]): void {
  const left = (inWindow.get(samples) ?? 0) - 1
  if (left > 0) inWindow.set(samples, left)
  else inWindow.delete(samples)
}

function sortedSamples(inWindow: ReadonlyMap<readonly Sample[], number>): readonly Sample[] {
  return [...inWindow]
    .flatMap(([samples, times]) => samples.map(({ value, count }) => ({ value, count: count * times })))
    .toSorted((a, b) => a.value - b.value)
}
