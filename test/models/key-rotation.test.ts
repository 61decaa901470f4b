import { describe, expect, it } from 'vitest'
import { DELEGATED_RING } from '../../functions/core/key-times.ts'
import { explore } from './explore.ts'
import { keyRotation, type Mistakes, MODEL_TIMES } from './key-rotation.ts'

const UNIT = 60
const { publishedSeconds, retiredSeconds } = MODEL_TIMES

describe('signing keys, whatever runs, dies and is cached', () => {
  it('are active one at a time, published before they sign, and until their last token has ended', () => {
    const { states, counterexample } = explore(keyRotation())
    expect(counterexample).toBeUndefined()
    // A model that cannot move would prove anything.
    expect(states).toBeGreaterThan(20_000)
  })

  it('are so in a ring that comes later than the others too, whose first key must not sign at once', () => {
    const { states, counterexample } = explore(keyRotation({}, DELEGATED_RING))
    expect(counterexample).toBeUndefined()
    expect(states).toBeGreaterThan(20_000)
    const hasty = explore(keyRotation({ activatesAtOnce: true }, DELEGATED_RING))
    expect(hasty.counterexample?.at(-1)).toMatch(/a verifier may hold a set without/)
  })

  it.each<[string, Mistakes, RegExp]>([
    [
      'sign before every cache has them',
      {
        times: { publishedSeconds: publishedSeconds - 2 * UNIT, activeSeconds: publishedSeconds - 2 * UNIT },
      },
      /a verifier may hold a set without/,
    ],
    ['sign as soon as they are published', { activatesAtOnce: true }, /a verifier may hold a set without/],
    [
      'are disabled before their last token has ended',
      { times: { retiredSeconds: 0 } },
      /a verifier may hold a set without|disabled/,
    ],
    [
      'are disabled when the caches, but not the tokens, have forgotten them',
      { times: { retiredSeconds: UNIT } },
      /a verifier may hold a set without|disabled/,
    ],
    ['switch in two writes', { switchesInTwoWrites: true }, /two keys are active/],
    ['are written without a condition', { writesUnconditionally: true }, /./],
    [
      'sign with a manifest that is too old',
      { manifestCache: retiredSeconds + UNIT },
      /a verifier may hold a set without|disabled/,
    ],
    [
      'are taken for stray before the manifest is written',
      { disablesStraysFirst: true },
      /which is disabled/,
    ],
  ])('break that if they %s', (_mistake, mistakes, violation) => {
    const { counterexample } = explore(keyRotation(mistakes))
    expect(counterexample?.at(-1)).toMatch(violation)
  })
})
