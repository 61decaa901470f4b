import { describe, expect, it } from 'vitest'
import { compiled, findingsIn, withIssuer } from './policy-fixture.ts'

const RSA_KEY = { kty: 'RSA', kid: '1', alg: 'RS256', use: 'sig', n: `${'n'.repeat(341)}Q`, e: 'AQAB' }
const EC_KEY = { kty: 'EC', kid: '2', crv: 'P-256', x: 'x', y: 'y' }

describe('inline keys', () => {
  const withKeys = (...keys: readonly unknown[]) =>
    withIssuer({ algorithms: ['RS256', 'ES256'], keys: { jwks: { keys } } })

  it('are compiled to their public members', () => {
    const published = { ...RSA_KEY, x5c: ['certificate'], n_extra: 1 }
    expect(compiled(withKeys(published, EC_KEY)).issuers[0]?.keys).toEqual({
      kind: 'inline',
      keys: [RSA_KEY, EC_KEY],
    })
  })

  it.each(['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'])(
    'cannot have the secret member %s, nor is it shown',
    (member) => {
      const findings = findingsIn(withKeys({ ...RSA_KEY, [member]: 'hush' }))
      expect(findings).toEqual([
        expect.stringContaining(`keys[0].${member}: found the secret member ${member}`),
      ])
      expect(findings.join()).not.toContain('hush')
    },
  )

  it('cannot be symmetric', () => {
    expect(findingsIn(withKeys({ kty: 'oct', kid: '1', k: 'hush' })).join()).toContain(
      'kty: found "oct"; allowed: RSA, EC',
    )
  })

  it.each([
    ['kid', { ...RSA_KEY, kid: undefined }],
    ['n', { ...RSA_KEY, n: undefined }],
    ['crv', { ...EC_KEY, crv: '' }],
    ['y', { ...EC_KEY, y: 1 }],
  ])('need a %s', (member, key) => {
    const finding = expect.stringContaining(`keys.jwks.keys[0].${member}: found `) as string
    expect(findingsIn(withKeys(key))).toContainEqual(finding)
  })

  it('cannot have less than 2048 bits', () => {
    expect(findingsIn(withKeys({ ...RSA_KEY, n: 'n'.repeat(341) }))).toEqual([
      expect.stringContaining('found a key that no token would be verified with; allowed: '),
    ])
  })

  it.each([
    ['an exponent of 3', { ...RSA_KEY, e: 'Aw' }],
    ['another use', { ...RSA_KEY, use: 'enc' }],
    ['operations without verify', { ...RSA_KEY, key_ops: ['encrypt'] }],
    ['leading zeros that make it look long', { ...RSA_KEY, n: `AAAA${'n'.repeat(338)}` }],
  ])('cannot have %s', (_, key) => {
    expect(findingsIn(withKeys(key))).toEqual([
      expect.stringContaining('keys[0]: found a key that no token would be verified with'),
    ])
  })

  it('must fit one of the algorithms of the issuer', () => {
    expect(findingsIn(withIssuer({ keys: { jwks: { keys: [EC_KEY] } } }))).toEqual([
      expect.stringContaining(
        "keys.jwks.keys: found no key for the issuer's algorithms; allowed: keys for RS256",
      ),
    ])
  })

  it('cannot share a kid', () => {
    expect(findingsIn(withKeys(RSA_KEY, { ...EC_KEY, kid: '1' }))).toEqual([
      expect.stringContaining('keys[1].kid: found "1"; allowed: a kid that no other key of the issuer has'),
    ])
  })

  it('are 100 at most', () => {
    const keys = Array.from({ length: 101 }, (_, n) => ({ ...EC_KEY, kid: `${n}` }))
    expect(findingsIn(withKeys(...keys))).toEqual([
      expect.stringContaining('found 101 keys; allowed: at most 100'),
    ])
    expect(findingsIn(withKeys(...keys.slice(1)))).toEqual([])
  })
})
