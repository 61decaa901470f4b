import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { freezeTime } from '../attacks/attack.ts'
import { FUZZ_TARGETS } from './targets.ts'

/** A short run. `npm run fuzz -- --minutes 5` is a long one. */
const RUNS = 1000

describe('whatever it is given, there is an answer:', () => {
  freezeTime()

  it.each(FUZZ_TARGETS)('$name', async ({ input, nasty, check }) => {
    let tried = 0
    const property = fc.asyncProperty(input, async (value) => {
      tried++
      await check(value as never)
    })
    await fc.assert(property, { numRuns: RUNS, examples: nasty.map((value) => [value]) })
    expect(tried).toBe(RUNS)
  })
})
