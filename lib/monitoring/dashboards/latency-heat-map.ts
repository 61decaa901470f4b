import type { IWidget } from 'aws-cdk-lib/aws-cloudwatch'
import { LIMITS } from '../../../functions/core/limits.ts'
import { brokerMetric } from '../metrics.ts'
import { graph } from './widgets.ts'

/** Where one band ends and the next begins: each at twice the last, and one at what a fast answer takes at most. */
const BORDERS = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4]
/** From pale to dark; red begins where an answer is no longer a fast one. */
const COLORS = ['#fbe7a1', '#f7cf5f', '#f2b134', '#e8912d', '#d64933', '#a4161a', '#5a0a14']

/** The answers that took longer than `above`, and no longer than `upTo`. Milliseconds; `undefined` is without a bound. */
export interface LatencyBand {
  readonly above: number | undefined
  readonly upTo: number | undefined
  readonly color: string
}

/** Bands from the fastest to the slowest, of which every answer is in one. */
export function latencyBands(latencyMilliseconds: number): readonly LatencyBand[] {
  const borders = BORDERS.map((part) => Math.round(part * latencyMilliseconds)).filter(
    (border) => border < LIMITS.deadlineMilliseconds,
  )
  return COLORS.slice(0, borders.length + 1).map((color, at) => ({
    above: borders[at - 1],
    upTo: borders[at],
    color,
  }))
}

/**
 * What part of the answers took how long. CloudWatch draws no heat map of a metric: these are the shares of bands, each on
 * top of the faster ones, by its percentile rank, which leaves the lower bound out and takes the upper one in.
 */
export function latencyHeatMap(stage: string, latencyMilliseconds: number): IWidget {
  return graph(`Latency heat map: how many answers take how long, red where over ${latencyMilliseconds} ms`, {
    left: latencyBands(latencyMilliseconds).map(({ above, upTo, color }) =>
      brokerMetric(stage, 'Duration', {
        statistic: `PR(${above ?? ''}:${upTo ?? ''})`,
        label: labelOf(above, upTo),
        color,
      }),
    ),
    unit: '% of answers',
    stacked: true,
    most: 100,
    width: 12,
  })
}

function labelOf(above: number | undefined, upTo: number | undefined): string {
  if (above === undefined) return `up to ${upTo} ms`
  return upTo === undefined ? `over ${above} ms` : `${above} to ${upTo} ms`
}
