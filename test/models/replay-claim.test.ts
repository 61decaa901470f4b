import { describe, expect, it } from 'vitest'
import { explore } from './explore.ts'
import { type Ask, type Mistakes, replayClaim, type Setting } from './replay-claim.ts'

const RETRIES: readonly Ask[] = [{}, { idempotencyKey: 'again-and-again' }]
const SETTINGS: readonly (readonly [string, Setting])[] = [
  [
    'two requests for a single-use token, with and without idempotency key',
    { mode: 'single-use', asks: [...RETRIES, { token: 'namesake' }], requests: 2 },
  ],
  [
    'two requests for a token that has one use per target',
    {
      mode: 'once-per-target',
      asks: [{ idempotencyKey: 'again-and-again' }, { target: 'ledger' }],
      requests: 2,
    },
  ],
  ['two requests for a reusable token', { mode: 'reusable', asks: RETRIES, requests: 2 }],
  [
    'three requests for a single-use token',
    { mode: 'single-use', asks: RETRIES, requests: 3, clocks: [0], copies: 1 },
  ],
]

describe('whatever is lost, late, repeated or killed', () => {
  it.each(SETTINGS)('%s get no token but one, recorded before, and none for nothing', (name, setting) => {
    const { states, counterexample } = explore(replayClaim(setting))
    process.stdout.write(`replay claim, ${name}: ${states} states\n`)
    expect(counterexample).toBeUndefined()
    // A model that cannot move would prove anything.
    expect(states).toBeGreaterThan(10_000)
  })

  it.each<[string, Mistakes, RegExp]>([
    ['looks before it writes', { checksThenPuts: true }, /two tokens/],
    ['claims before the signature is checked', { claimsBeforeSignatureCheck: true }, /replay of nothing/],
    ['releases before the record is written', { releasesBeforeRecord: true }, /without a record/],
    ['leaves expiry to deletion', { trustsDeletion: true }, /replay of nothing/],
    ['forgets a record with its subject token', { recordEndsWithToken: true }, /two tokens/],
    ['does not know its own write', { forgetsOwnWrite: true }, /replay of nothing/],
    [
      'takes the write of a retry for its own',
      { takesRetryForOwnWrite: true },
      /two tokens|without a record/,
    ],
  ])('that does not hold for a broker that %s', (_mistake, mistakes, violation) => {
    const [, setting] = SETTINGS[0] as (typeof SETTINGS)[0]
    expect(explore(replayClaim(setting, mistakes)).counterexample?.at(-1)).toMatch(violation)
  })
})
