/** `npm run conformance`: checks of the product with parts that it does not need itself. */

import { parseArgs } from 'node:util'
import { type Synthesis, synthesize } from '../../lib/local/synthesize.ts'
import { type Leg, type LegContext, type LegOutcome, LegSkipped } from './leg.ts'
import { LEGS } from './legs.ts'
import { killAll } from './processes.ts'

const USAGE = `Usage: npm run conformance -- [options]

Checks the broker with independent implementations. What a check needs is installed from package registries into
node_modules/.cache/conformance; everything listens on loopback alone and has ended when the command ends.

  --only NAME    run this leg alone; may be repeated, or name several with commas
  --list         list the legs
  --json         print one JSON document at the end instead of text
  --help         print this

Example: npm run conformance -- --only cfn-lint,dynamodb-local

Legs: ${LEGS.map(({ name }) => name).join(', ')}
`

interface Options {
  readonly legs: readonly Leg[]
  readonly json: boolean
  readonly list: boolean
  readonly help: boolean
}

interface LegReport {
  readonly name: string
  readonly seconds: number
  readonly outcome: LegOutcome
}

class UsageError extends Error {
  override readonly name = 'UsageError'
}

function readOptions(args: readonly string[]): Options {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        only: { type: 'string', multiple: true, default: [] },
        json: { type: 'boolean', default: false },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    const { json, list, help } = values
    return { legs: legsNamed(values.only.flatMap((names) => names.split(','))), json, list, help }
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function legsNamed(names: readonly string[]): readonly Leg[] {
  if (names.length === 0) return LEGS
  const unknown = names.find((name) => !LEGS.some((leg) => leg.name === name))
  if (unknown === undefined) return LEGS.filter(({ name }) => names.includes(name))
  throw new UsageError(`--only ${unknown}: there is ${LEGS.map(({ name }) => name).join(', ')}`)
}

type Print = (text: string) => void

const print: Print = (text) => void process.stdout.write(`${text}\n`)

async function runLegs(legs: readonly Leg[], say: Print): Promise<readonly LegReport[]> {
  let shared: Synthesis | undefined
  const synthesis = () => {
    shared ??= synthesize()
    return shared
  }
  const reports: LegReport[] = []
  try {
    for (const leg of legs) {
      say(`${leg.name}: ${leg.proves}`)
      const started = Date.now()
      const outcome = await runLeg(leg, (text) => say(`  ${text}`), synthesis)
      const seconds = Math.round((Date.now() - started) / 1000)
      reports.push({ name: leg.name, seconds, outcome })
      for (const line of describe(outcome)) say(`  ${line}`)
      say(`${leg.name}: ${verdict(outcome)} [${seconds} s]\n`)
    }
  } finally {
    shared?.dispose()
  }
  return reports
}

async function runLeg(leg: Leg, say: Print, synthesis: () => Synthesis): Promise<LegOutcome> {
  const closers: (() => unknown)[] = []
  const context: LegContext = { say, synthesis, defer: (close) => void closers.push(close) }
  try {
    return await leg.run(context)
  } catch (error) {
    if (error instanceof LegSkipped) return { kind: 'skipped', why: error.message }
    return {
      kind: 'failed',
      problems: [error instanceof Error ? (error.stack ?? error.message) : String(error)],
    }
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

function describe(outcome: LegOutcome): readonly string[] {
  switch (outcome.kind) {
    case 'passed':
      return (outcome.notes ?? []).map((note) => `- ${note}`)
    case 'failed':
      return outcome.problems.map((problem) => `! ${problem}`)
    case 'skipped':
      return []
  }
}

function verdict(outcome: LegOutcome): string {
  switch (outcome.kind) {
    case 'passed':
      return `passed (${outcome.summary})`
    case 'failed':
      return `failed (${outcome.problems.length} ${outcome.problems.length === 1 ? 'problem' : 'problems'})`
    case 'skipped':
      return `skipped (${outcome.why})`
  }
}

function tally(reports: readonly LegReport[]): string {
  const count = (kind: LegOutcome['kind']) => reports.filter(({ outcome }) => outcome.kind === kind).length
  return `${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`
}

async function main(): Promise<number> {
  let options: Options
  try {
    options = readOptions(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
    return 2
  }
  if (options.help) {
    print(USAGE)
    return 0
  }
  if (options.list) {
    for (const { name, proves } of LEGS) print(`${name}: ${proves}`)
    return 0
  }
  const reports = await runLegs(options.legs, options.json ? () => {} : print)
  print(options.json ? JSON.stringify({ legs: reports }, null, 2) : tally(reports))
  return reports.some(({ outcome }) => outcome.kind === 'failed') ? 1 : 0
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
process.on('exit', killAll)
process.exit(await main())
