import { generateKeyPairSync, sign, verify } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { rawEcdsaSignature } from '../../functions/adapters/ecdsa-der.ts'

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })

describe('DER to r‖s', () => {
  it('gives a signature that verifies, short halves included', () => {
    // Each is in one of 256 signatures: any fixed number of them could be without.
    const short = { r: 0, s: 0 }
    for (let i = 0; short.r === 0 || short.s === 0; i++) {
      const text = Buffer.from(`message ${i}`)
      const der = sign('sha256', text, privateKey)
      const raw = rawEcdsaSignature(der, 32)
      if (raw?.[0] === 0) short.r++
      if (raw?.[32] === 0) short.s++
      expect(raw).toHaveLength(64)
      expect(
        verify('sha256', text, { key: publicKey, dsaEncoding: 'ieee-p1363' }, raw ?? new Uint8Array()),
      ).toBe(true)
    }
  })

  it.each([
    ['nothing', ''],
    ['no sequence', '31060201010201017f'],
    ['a wrong length', '3007020101020101'],
    ['one integer', '3003020101'],
    ['something behind', '300602010102010100'],
    ['a negative integer', '3006020181020101'],
    ['a padded integer', '300702020001020101'],
    ['zero', '3006020100020101'],
    ['an empty integer', '30050200020101'],
    ['an integer that is too long', `302602210100${'00'.repeat(31)}020101`],
    ['an integer that runs over the end', '3006020101020501'],
  ])('refuses %s', (_name, hex) => {
    expect(rawEcdsaSignature(Buffer.from(hex, 'hex'), 32)).toBeUndefined()
  })
})
