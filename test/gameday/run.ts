/** `npm run gameday`: practise an incident on a broker on this machine. */

import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { reportLines } from '../../lib/alarms/report.ts'
import { drawReplay } from '../../lib/alarms/svg.ts'
import { Exercise, type GameDay } from './exercise.ts'
import { issuerOutage } from './issuer-outage.ts'
import { keyRotation } from './key-rotation.ts'
import { onCallOf } from './on-call.ts'
import { revocation } from './revocation.ts'

const GAME_DAYS = [revocation, keyRotation(), issuerOutage]

const USAGE = `Usage: npm run gameday -- <name> [--svg FILE]

Starts the broker on this machine, injects what the game day is about, checks what must hold, and tells what somebody on call
would have seen and typed. It takes one or two minutes.

${GAME_DAYS.map(({ name, about }) => `  ${name.padEnd(14)} ${about}`).join('\n')}

  --svg FILE     draw what the alarms would have done
  --help         print this

Example: npm run gameday -- issuer-outage

Exit codes: 0 everything held, 1 something did not, 2 wrong usage.
`

// The AWS SDK tells of its plans for Node: nothing to practise.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true'

const print = (line: string): void => void process.stdout.write(`${line}\n`)
const progress = (step: string): void => void process.stderr.write(`  ${step}\n`)

type Options = { readonly gameDay: GameDay; readonly svg: string | undefined } | { readonly wrong: string }

function readOptions(): Options | 'help' {
  try {
    const options = { svg: { type: 'string' }, help: { type: 'boolean' } } as const
    const { values, positionals } = parseArgs({ options, allowPositionals: true })
    if (values.help === true) return 'help'
    const [wanted, ...others] = positionals
    const gameDay = GAME_DAYS.find(({ name }) => name === wanted)
    if (gameDay === undefined)
      return { wrong: wanted === undefined ? 'say which game day' : `there is no ${wanted}` }
    return others.length > 0
      ? { wrong: `one at a time, found ${others[0]} too` }
      : { gameDay, svg: values.svg }
  } catch (error) {
    return { wrong: error instanceof Error ? error.message : String(error) }
  }
}

async function run(gameDay: GameDay, svg: string | undefined): Promise<number> {
  const exercise = await Exercise.start(progress)
  try {
    await gameDay.play(exercise)
    const onCall = onCallOf(exercise, gameDay)
    if (svg !== undefined) writeFileSync(svg, drawReplay(onCall))
    const times = exercise.phases.map(({ name, minutes }) => `${name} ${minutes} min`)
    for (const line of [
      ...reportLines(onCall.report),
      `as if it had lasted: ${times.join(', ')}; times are from the end of the first`,
      '',
      'What to type:',
      ...gameDay.commands.map((command) => `  ${command}`),
      `  (${gameDay.runbook})`,
      '',
      ...exercise.checks.map(({ what, holds }) => `${holds ? 'held ' : 'NOT HELD'} ${what}`),
      ...exercise.defects.map((defect) => `DEFECT ${JSON.stringify(defect)}`),
    ])
      print(line)
    return exercise.checks.every(({ holds }) => holds) && exercise.defects.length === 0 ? 0 : 1
  } finally {
    await exercise.close()
  }
}

async function main(): Promise<number> {
  const options = readOptions()
  if (options === 'help') {
    process.stdout.write(USAGE)
    return 0
  }
  if ('wrong' in options) {
    process.stderr.write(`${options.wrong}\n\n${USAGE}`)
    return 2
  }
  return run(options.gameDay, options.svg)
}

process.exit(await main())
