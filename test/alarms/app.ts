import { inject } from 'vitest'
import { type AppAlarms, alarmsOfAssembly } from '../../lib/alarms/app-alarms.ts'
import { type Replay, type ReplayOptions, replayAlarms } from '../../lib/alarms/replay.ts'
import { type Report, reportOf } from '../../lib/alarms/report.ts'
import { parseScenario } from '../../lib/alarms/scenario.ts'
import { ScenarioMetrics, WARM_UP_MINUTES } from '../../lib/alarms/scenario-metrics.ts'

/** The alarms that the app deploys. */
export const appAlarms = (): AppAlarms => alarmsOfAssembly(inject('assemblyFolder'))

interface Replayed {
  readonly replay: Replay
  readonly report: Report
}

/** What the alarms do in a scenario of these lines. */
export function replayText(app: AppAlarms, text: string, options: ReplayOptions = {}): Replayed {
  const scenario = parseScenario('scenario.yaml', `title: a test\nabout: a test\n${text}`)
  const replay = replayAlarms(app.alarms, new ScenarioMetrics(scenario), options)
  const { title, about, expect } = scenario
  return { replay, report: reportOf(replay, app, { title, about, expect, warmUp: WARM_UP_MINUTES }) }
}

/** The app with only the alarms that these are made of: quicker. */
export function only(app: AppAlarms, pattern: RegExp): AppAlarms {
  return { ...app, alarms: app.alarms.filter(({ name }) => pattern.test(app.idOf(name))) }
}

/** Minutes from the start until the alarm rings; `undefined` if it never does. */
export function ringsAfter({ rang }: Report, alarm: string, start: number): number | undefined {
  const ring = rang.find((one) => one.alarm === alarm && one.from > start)
  return ring === undefined ? undefined : ring.from - start
}
