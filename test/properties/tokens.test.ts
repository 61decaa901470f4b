import fc from 'fast-check'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { describe, expect, it } from 'vitest'
import { preparseJwt } from '../../functions/core/jwt-preparse.ts'
import { hostileCompact } from '../fuzz/tokens.ts'
import { holds } from './world.ts'

describe('of every token that is read', () => {
  it('I13 jose reads the same, and its bytes could not have been written otherwise', async () => {
    let accepted = 0
    await holds(
      fc.property(hostileCompact, (compact) => {
        const read = preparseJwt(compact)
        if (typeof read === 'string') return
        accepted++
        const header = decodeProtectedHeader(compact)
        expect([header.alg, header.kid]).toEqual([read.algorithm, read.kid])
        expect(decodeJwt(compact)).toEqual(structuredClone(read.claims))
        const parts = compact.split('.').map((part) => Buffer.from(part, 'base64url').toString('base64url'))
        expect(parts.join('.')).toBe(compact)
        expect(read.signingInput).toBe(parts.slice(0, 2).join('.'))
      }),
    )
    expect(accepted).toBeGreaterThan(20)
  })
})
