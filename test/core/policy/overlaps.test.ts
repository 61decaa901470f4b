import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Grant } from '../../../functions/core/policy/compiled.ts'
import { overlaps } from '../../../functions/core/policy/overlaps.ts'
import { grantList } from '../../properties/policies.ts'

const idsIn = (grants: readonly Grant[]) => overlaps(grants).map(([one, other]) => `${one.id} ${other.id}`)

describe('overlaps', () => {
  it('of a policy are those of its pairs', () => {
    fc.assert(
      fc.property(grantList, (grants) => {
        const pairs = grants.flatMap((one, at) => grants.slice(at + 1).map((other) => [one, other]))
        expect(idsIn(grants).toSorted()).toEqual(pairs.flatMap(idsIn).toSorted())
      }),
      { numRuns: 1000 },
    )
  })

  it('of 10,000 grants that want different values are none', () => {
    const grants = Array.from({ length: 10_000 }, (_, n) => ({
      id: `g${n}`,
      issuer: 'ci',
      target: 'payments',
      when: [
        { path: ['ref'], anyOf: [{ kind: 'equals', value: 'main' }] },
        { path: ['id'], anyOf: [{ kind: 'equals', value: n }] },
      ],
    })) as unknown as readonly Grant[]
    expect(overlaps(grants)).toEqual([])
  })
})
