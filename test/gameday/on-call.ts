import { METRICS_NAMESPACE } from '../../functions/telemetry.ts'
import { type AppAlarms, alarmsOfAssembly } from '../../lib/alarms/app-alarms.ts'
import { EmfMetrics } from '../../lib/alarms/emf-metrics.ts'
import { publishedWhenHealthy } from '../../lib/alarms/healthy-broker.ts'
import type { Metrics } from '../../lib/alarms/metric-alarm.ts'
import { type Replay, replayAlarms } from '../../lib/alarms/replay.ts'
import { type Report, reportOf } from '../../lib/alarms/report.ts'
import { KNOWN_TO_CLOUDWATCH, type MetricId, type Series } from '../../lib/alarms/series.ts'
import { statisticOver } from '../../lib/alarms/statistic.ts'
import type { Exercise, GameDay, Phase } from './exercise.ts'

const STARTS_AT = Date.parse('2026-03-02T08:00:00Z')
const MINUTE_MILLISECONDS = 60_000

/** Everything to draw or to read of what somebody on call would have seen. */
export interface OnCall {
  readonly app: AppAlarms
  readonly metrics: Metrics
  readonly replay: Replay
  readonly report: Report
  /** Minutes of the first phase, before anything happened. */
  readonly warmUp: number
}

/** What alarms would have done, had each phase of the exercise gone on for its minutes. */
export function onCallOf(exercise: Exercise, { name, about }: GameDay): OnCall {
  const app = alarmsOfAssembly(exercise.assemblyFolder)
  const metrics = new RunMetrics(exercise.phases)
  const replay = replayAlarms(app.alarms, metrics)
  const warmUp = exercise.phases[0]?.minutes ?? 0
  return { app, metrics, replay, report: reportOf(replay, app, { title: name, about, warmUp }), warmUp }
}

/** The lines of each phase, once in each of its minutes. */
function timelineOf(phases: readonly Phase[]): string {
  let minute = 0
  return phases
    .flatMap(({ minutes, lines }) =>
      Array.from({ length: minutes }, () => {
        const at = STARTS_AT + MINUTE_MILLISECONDS * minute
        minute += 1
        return lines.map((line) => line.replace(/"Timestamp":\d+/, `"Timestamp":${at}`))
      }),
    )
    .flat()
    .join('\n')
}

/** How long this machine takes says nothing of AWS. */
const OF_THIS_MACHINE = ['Duration', 'Fast']

/** What the functions have measured, but for latencies; of AWS's own metrics, what AWS would publish of these requests while it is well. */
class RunMetrics implements Metrics {
  readonly minutes: number
  readonly startsAt: number
  readonly #emf: EmfMetrics
  #requests: Readonly<Record<'all' | 'failed', Float64Array>> | undefined

  constructor(phases: readonly Phase[]) {
    this.#emf = new EmfMetrics(timelineOf(phases), 0)
    this.minutes = this.#emf.minutes
    this.startsAt = this.#emf.startsAt
  }

  series(metric: MetricId): Series | undefined {
    if (metric.namespace === METRICS_NAMESPACE) this.#requests ??= this.#requestsLike(metric)
    if (metric.namespace === METRICS_NAMESPACE && !OF_THIS_MACHINE.includes(metric.name))
      return this.#emf.series(metric)
    const published = publishedWhenHealthy(metric)
    if (published === undefined || metric.namespace === KNOWN_TO_CLOUDWATCH.bands) return undefined
    const asked = this.#requests ?? { all: new Float64Array(), failed: new Float64Array() }
    return Array.from({ length: this.minutes }, (_, minute) => {
      const requests = asked.all[minute] ?? 0
      const failed = requests === 0 ? 0 : (asked.failed[minute] ?? 0) / requests
      const samples = published({ requests, failed, slow: 0 }, this.startsAt + minute)
      return samples.length === 0 ? undefined : samples
    })
  }

  #requestsLike({ dimensions, namespace }: MetricId) {
    const series = this.#emf.series({ namespace, name: 'Failed', dimensions, unit: undefined }) ?? []
    return { all: statisticOver('SampleCount', series, 1), failed: statisticOver('Sum', series, 1) }
  }
}
