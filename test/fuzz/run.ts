/** `npm run fuzz`: hands everything that reads input from outside whatever it may be handed, for as long as wanted. */

import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { NOW } from '../attacks/broker.ts'
import { FUZZ_TARGETS, type FuzzTarget } from './targets.ts'

const USAGE = `Usage: npm run fuzz -- [--minutes N] [--seed N] [--target TEXT]

  --minutes N     how long, over all targets (default 5)
  --seed N        repeat a run (default: random)
  --target TEXT   only targets whose name has TEXT in it
  --help          print this

Example: npm run fuzz -- --minutes 1 --target policies
`

async function fuzz(
  { name, input, nasty, check }: FuzzTarget,
  seed: number,
  milliseconds: number,
): Promise<boolean> {
  let tried = 0
  const property = fc.asyncProperty(input, async (value) => {
    tried++
    await check(value as never)
  })
  const details = await fc.check(property, {
    seed,
    numRuns: Number.MAX_SAFE_INTEGER,
    examples: nasty.map((value) => [value]),
    interruptAfterTimeLimit: milliseconds,
    // Without limit it would keep every value drawn.
    verbose: fc.VerbosityLevel.None,
  })
  const failure = details.counterexample === null ? '' : `\n${fc.defaultReportMessage(details)}`
  process.stdout.write(`${name}: ${tried} inputs, seed ${seed}${failure}\n`)
  return details.counterexample === null
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '5' },
      seed: { type: 'string' },
      target: { type: 'string', default: '' },
      help: { type: 'boolean', default: false },
    },
  })
  const minutes = Number(values.minutes)
  const seed = values.seed === undefined ? (Math.random() * 2 ** 31) | 0 : Number(values.seed)
  const targets = FUZZ_TARGETS.filter(({ name }) => name.includes(values.target))
  if (values.help) {
    process.stdout.write(USAGE)
    return 0
  }
  if (!(minutes > 0 && minutes <= 1440) || !Number.isInteger(seed) || targets.length === 0) {
    const names = FUZZ_TARGETS.map(({ name }) => name).join(', ')
    process.stderr.write(
      `--minutes: above 0, up to 1440; --seed: a whole number; --target: part of ${names}\n\n${USAGE}`,
    )
    return 2
  }
  // The tokens of the corpus are of this moment.
  Date.now = () => NOW * 1000
  let isGood = true
  for (const target of targets)
    isGood = (await fuzz(target, seed, (minutes * 60_000) / targets.length)) && isGood
  return isGood ? 0 : 1
}

process.exit(await main())
