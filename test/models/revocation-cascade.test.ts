import { describe, expect, it } from 'vitest'
import { explore } from './explore.ts'
import { type Mistakes, revocationCascade, type Setting } from './revocation-cascade.ts'

const CASCADE: Setting = {
  exchanges: 4,
  revocations: 1,
  kinds: ['token', 'lineage', 'client', 'key'],
  clocks: [0],
  end: 0,
}
const CUT_OFFS: Setting = {
  exchanges: 3,
  revocations: 1,
  kinds: ['subject'],
  clocks: [0, 1],
  end: 1,
}
const RIVALS: Setting = { ...CUT_OFFS, exchanges: 1, revocations: 2, kinds: ['subject'], end: 2 }
const ACTORS: Setting = {
  ...CASCADE,
  exchanges: 3,
  kinds: ['token', 'lineage', 'client', 'key', 'issuer'],
  actors: true,
}
const ACTORS_IN_TIME: Setting = { ...CUT_OFFS, exchanges: 2, actors: true }
const SETTINGS: readonly (readonly [string, Setting])[] = [
  ['a token, lineage, client or key, among four exchanges', CASCADE],
  ['a cut-off, in time, among three exchanges', CUT_OFFS],
  ['two cut-offs of one subject', RIVALS],
  ['whatever an actor can be revoked by, among three exchanges', ACTORS],
  ['a cut-off of a subject or an actor, in time', ACTORS_IN_TIME],
]

describe('once a revocation is answered', () => {
  it.each(SETTINGS)('nothing that descends from it is active or can be extended: %s', (name, setting) => {
    const { states, counterexample } = explore(revocationCascade(setting))
    process.stdout.write(`revocation cascade, ${name}: ${states} states\n`)
    expect(counterexample).toBeUndefined()
    // A model that cannot move would prove anything.
    expect(states).toBeGreaterThan(1000)
  })

  it.each<[string, Mistakes, RegExp, Setting?]>([
    ['sets a cut-off to the moment of the revocation', { margin: 0 }, /active/, CUT_OFFS],
    ['forgets that a revocation takes its time', { margin: 1 }, /active/, CUT_OFFS],
    ['reads the cut-offs after the release', { readsTooLate: true }, /extended/],
    ['exchanges on stale reads', { exchangesOnStaleReads: true }, /extended/],
    ['introspects on stale reads', { introspectsOnStaleReads: true }, /active/],
    ['does not ask for ancestors', { ignoresAncestors: true }, /active|extended/],
    [
      'does not pass on clients and keys to descendants',
      { carriesNothingOfAncestors: true },
      /active|extended/,
    ],
    ['does not pass on actors to descendants', { carriesNothingOfActors: true }, /active|extended/, ACTORS],
    ['does not look at the actor', { ignoresActors: true }, /extended/, ACTORS],
    ['does not look at the actor in time', { ignoresActors: true }, /extended/, ACTORS_IN_TIME],
    ['answers before it writes', { answersBeforeItWrites: true }, /active|extended/],
    ['lets a cut-off shrink', { lastWriteWins: true }, /active|extended/, RIVALS],
  ])('that does not hold for a broker that %s', (_mistake, mistakes, violation, setting = CASCADE) => {
    expect(explore(revocationCascade(setting, mistakes)).counterexample?.at(-1)).toMatch(violation)
  })
})
