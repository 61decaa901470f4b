import { describe, expect, it } from 'vitest'
import { auditOutbox, type Mistakes, type Setting } from './audit-outbox.ts'
import { explore } from './explore.ts'

const MANY_RECORDS: Setting = { records: [2, 1], faults: 1 }
const MANY_FAULTS: Setting = { records: [1, 1], faults: 3 }

describe('the audit trail, whoever dies and whatever is late', () => {
  it.each([
    ['three records, one fault', MANY_RECORDS],
    ['two records, three faults', MANY_FAULTS],
  ])('gets the record of every released token, in one chain without gap or fork: %s', (name, setting) => {
    const { states, counterexample } = explore(auditOutbox(setting))
    process.stdout.write(`audit outbox, ${name}: ${states} states\n`)
    expect(counterexample).toBeUndefined()
    // A model that cannot move would prove anything.
    expect(states).toBeGreaterThan(10_000)
  })

  it.each<[string, Mistakes, RegExp]>([
    [
      'tokens are released before their records are written',
      { releasesBeforeRecord: true },
      /without a record/,
    ],
    ['objects are put without condition', { putsUnconditionally: true }, /left behind|broken/],
    ['whatever stands in the way counts as written', { takesAnyObjectForItsOwn: true }, /left behind/],
    ['what stands in the way is not read', { passesOverUnread: true }, /broken/],
    [
      'the hint is trusted, and objects are put without condition',
      { trustsHint: true, putsUnconditionally: true },
      /left behind|broken/,
    ],
    ['the hint moves before the object stands', { hintsBeforeItPuts: true }, /the hint names/],
    ['the stream moves on before the object stands', { movesOnBeforeItPuts: true }, /left behind/],
  ])('loses that if %s', (_mistake, mistakes, violation) => {
    expect(explore(auditOutbox(MANY_RECORDS, mistakes)).counterexample?.at(-1)).toMatch(violation)
  })
})
