import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Terminal } from '../cli/terminal.ts'
import { TemplateDefect } from '../local/intrinsics.ts'
import { synthesize } from '../local/synthesize.ts'
import { type AppAlarms, alarmsOfAssembly } from './app-alarms.ts'
import { EmfError, EmfMetrics } from './emf-metrics.ts'
import type { Metrics } from './metric-alarm.ts'
import { replayAlarms } from './replay.ts'
import { type Reported, reportLines, reportOf } from './report.ts'
import { minutesIn, readScenario, ScenarioError } from './scenario.ts'
import { checkNames, ScenarioMetrics, WARM_UP_MINUTES } from './scenario-metrics.ts'
import { drawReplay } from './svg.ts'

/** Where the scenarios are that come with the project. */
export const SCENARIOS = fileURLToPath(new URL('../../docs/scenarios', import.meta.url))

const USAGE = `Usage: npm run alarms -- <scenario> [options]
       npm run alarms -- --emf FILE [--after 30m] [options]

Tells which of the app's alarms ring in a scenario, when, when they return, and whom they call: the synthesized template's
alarms, evaluated minute by minute as CloudWatch does.

  <scenario>     a name from the list below, or the path of a scenario file
  --emf FILE     instead of a scenario, what a run has published: npm start -- --emf FILE
  --after TIME   how long after its last line to go on, for example 2h (default 30m)
  --svg FILE     draw a picture
  --json         print JSON, for machines
  --help         print this

Scenarios: {scenarios}

Example: npm run alarms -- outage --svg outage.svg

Exit codes: 0 as the scenario expects, 1 not, or an alarm or file cannot be used, 2 wrong usage.
`

const PATIENCE_MILLISECONDS = 2000
const DEFAULT_AFTER = '30m'

class UsageError extends Error {
  override readonly name = 'UsageError'
}

class PictureError extends Error {
  override readonly name = 'PictureError'
}

interface Options {
  readonly input: { readonly scenario: string } | { readonly emf: string; readonly after: number }
  readonly svg: string | undefined
  readonly json: boolean
}

/** What the command needs of the world. */
export interface AlarmsWorld {
  readonly terminal: Terminal
  /** @default - those of the app, which is synthesized */
  readonly app?: () => AppAlarms
}

/** Runs one command line. Never throws but for a defect. */
export function runAlarms(args: readonly string[], world: AlarmsWorld): 0 | 1 | 2 {
  const { terminal } = world
  try {
    const options = readOptions(args)
    if (options === 'help') {
      terminal.out(usage())
      return 0
    }
    return run(options, world)
  } catch (error) {
    if (error instanceof UsageError) {
      terminal.err(`${error.message}\n\n${usage()}`)
      return 2
    }
    const isExpected = [ScenarioError, EmfError, PictureError, TemplateDefect].some(
      (kind) => error instanceof kind,
    )
    if (!isExpected || !(error instanceof Error)) throw error
    terminal.err(error.message)
    return 1
  }
}

function usage(): string {
  return USAGE.replace('{scenarios}', scenarioNames().join(', ')).trimEnd()
}

/** The names of the scenarios that come with the project. */
export function scenarioNames(): readonly string[] {
  return readdirSync(SCENARIOS)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => name.slice(0, -'.yaml'.length))
    .toSorted()
}

function readOptions(args: readonly string[]): Options | 'help' {
  const { values, positionals } = parsed(args)
  if (values.help === true) return 'help'
  const [scenario, ...others] = positionals
  if (others.length > 0) throw new UsageError(`one scenario at a time, found ${others[0]} too`)
  const { svg, json = false, emf, after } = values
  if (emf === undefined) {
    if (scenario === undefined) throw new UsageError('say which scenario')
    if (after !== undefined) throw new UsageError('--after is for --emf; a scenario says how long it lasts')
    return { input: { scenario }, svg, json }
  }
  if (scenario !== undefined) throw new UsageError('a scenario or --emf, not both')
  const minutes = minutesIn(after ?? DEFAULT_AFTER)
  if (minutes === undefined) throw new UsageError(`--after ${after}: allowed is a time such as 5m, 2h or 3d`)
  return { input: { emf, after: minutes }, svg, json }
}

function parsed(args: readonly string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  try {
    return parseArgs({
      args: [...args],
      options: { emf: text, after: text, svg: text, json: flag, help: flag },
      allowPositionals: true,
    })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function run({ input, svg, json }: Options, { terminal, app: given = appAlarms }: AlarmsWorld): 0 | 1 {
  const say = patientProgress(terminal)
  say('synthesizing the app')
  const app = given()
  const { metrics, reported } =
    'scenario' in input ? scenarioInput(input.scenario, app) : emfInput(input.emf, input.after)
  const replay = replayAlarms(app.alarms, metrics, {
    onProgress: (done, of) => say(`${done} of ${of} alarms replayed`),
  })
  const report = reportOf(replay, app, reported)
  if (svg !== undefined) write(svg, drawReplay({ report, replay, metrics, app, warmUp: reported.warmUp }))
  if (json) terminal.out(JSON.stringify(report, null, 2))
  else for (const line of reportLines(report)) terminal.out(line)
  return report.unexpected.length === 0 ? 0 : 1
}

function appAlarms(): AppAlarms {
  const { assemblyFolder, dispose } = synthesize()
  try {
    return alarmsOfAssembly(assemblyFolder)
  } finally {
    dispose()
  }
}

interface Input {
  readonly metrics: Metrics
  readonly reported: Reported
}

function scenarioInput(nameOrPath: string, app: AppAlarms): Input {
  const path = scenarioNames().includes(nameOrPath) ? join(SCENARIOS, `${nameOrPath}.yaml`) : nameOrPath
  const scenario = readScenario(path)
  checkNames(scenario, app)
  const { title, about, expect } = scenario
  return {
    metrics: new ScenarioMetrics(scenario),
    reported: { title, about, expect, warmUp: WARM_UP_MINUTES },
  }
}

function emfInput(path: string, after: number): Input {
  const about =
    'What was published, and nothing before and after it; of what AWS publishes itself nothing is known.'
  return {
    metrics: new EmfMetrics(readText(path), after),
    reported: { title: `A run: ${path}`, about, warmUp: 0 },
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new EmfError(`${path}: cannot be read; npm start -- --emf FILE writes one`, { cause })
  }
}

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text)
  } catch (cause) {
    throw new PictureError(`${path}: cannot be written; name another file`, { cause })
  }
}

/** Says how far it is, once it takes longer than somebody waits without wondering. */
function patientProgress(terminal: Terminal): (text: string) => void {
  let next = performance.now() + PATIENCE_MILLISECONDS
  return (text) => {
    if (performance.now() < next) return
    next = performance.now() + PATIENCE_MILLISECONDS
    terminal.err(terminal.style('dim', text, 'err'))
  }
}
