import { type AppAlarms, alarmsOfAssembly, resourcesOfAssembly } from '../../alarms/app-alarms.ts'
import { EmfMetrics } from '../../alarms/emf-metrics.ts'
import type { ResolvedResource } from '../resolved-stacks.ts'
import { alarmsNow } from './alarms-now.ts'
import { drawDashboards } from './dashboards.ts'
import type { MonitoringView } from './wire.ts'

/** Measurements that are remembered; a line is about 700 bytes. */
const MOST_LINES = 3000
const MINUTE_MILLISECONDS = 60_000

/** What CloudWatch would show of this run: the template's dashboards and alarms, over what the functions have published. */
export class Monitoring {
  readonly #assemblyFolder: string
  readonly #lines: string[] = []
  #app: { readonly alarms: AppAlarms; readonly resources: readonly ResolvedResource[] } | undefined

  constructor(assemblyFolder: string) {
    this.#assemblyFolder = assemblyFolder
  }

  /** A line that a function has printed. */
  addLine(line: string): void {
    if (!line.includes('"_aws"')) return
    this.#lines.push(line)
    if (this.#lines.length > MOST_LINES) this.#lines.shift()
  }

  /** `undefined` as long as nothing was published. `now` in epoch milliseconds. */
  view(now: number): MonitoringView | undefined {
    if (this.#lines.length === 0) return undefined
    // Read when it is first asked for: who never looks does not wait for it.
    this.#app ??= {
      alarms: alarmsOfAssembly(this.#assemblyFolder),
      resources: resourcesOfAssembly(this.#assemblyFolder),
    }
    const { alarms, resources } = this.#app
    const metrics = metricsUntil(this.#lines, now)
    return {
      startsAt: metrics.startsAt,
      minutes: metrics.minutes,
      alarms: alarmsNow(alarms, metrics),
      dashboards: drawDashboards(resources, metrics),
    }
  }
}

function metricsUntil(lines: readonly string[], now: number): EmfMetrics {
  const text = lines.join('\n')
  const published = new EmfMetrics(text, 0)
  const last = published.startsAt + published.minutes - 1
  const after = Math.floor(now / MINUTE_MILLISECONDS) - last
  return after <= 0 ? published : new EmfMetrics(text, after)
}
