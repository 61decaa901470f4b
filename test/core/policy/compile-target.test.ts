import { describe, expect, it } from 'vitest'
import { compiled, findingsIn, PAYMENTS, POLICY, withTarget } from './policy-fixture.ts'

describe('a target', () => {
  it('needs an audience', () => {
    const { audience: _, ...rest } = PAYMENTS
    expect(findingsIn({ ...POLICY, targets: { payments: rest } })).toEqual([
      expect.stringContaining('targets.payments.audience: found nothing'),
    ])
  })

  it.each(['/v1', 'payments', 'https://a.example/#b', 'https://a.example/#', 'https://a example', '1a:b'])(
    'cannot have the resource %j',
    (resource) => {
      expect(findingsIn(withTarget({ resources: [resource] }))).toEqual([
        expect.stringContaining('targets.payments.resources[0]: found '),
      ])
    },
  )

  it('can have a resource that is a URN', () => {
    expect(findingsIn(withTarget({ resources: ['urn:example:payments'] }))).toEqual([])
  })

  it.each(['a b', 'a"b', 'a\\b', 'é', 'a\n'])('cannot have the scope %j', (scope) => {
    const scopes = [...PAYMENTS.scopes, scope]
    expect(findingsIn(withTarget({ scopes }))).toEqual([
      expect.stringContaining('targets.payments.scopes[2]: found '),
    ])
  })

  it('cannot have a scope twice', () => {
    const scopes = [...PAYMENTS.scopes, 'payments.read']
    expect(findingsIn(withTarget({ scopes }))).toEqual([
      expect.stringContaining('found "payments.read" twice'),
    ])
  })

  it('cannot have more than 64 scopes', () => {
    const scopes = [...PAYMENTS.scopes, ...Array.from({ length: 63 }, (_, n) => `s${n}`)]
    expect(findingsIn(withTarget({ scopes }))).toEqual([
      expect.stringContaining('found 65 scopes; allowed: at most 64'),
    ])
    expect(findingsIn(withTarget({ scopes: scopes.slice(0, 64) }))).toEqual([])
  })

  it.each([{}, { algorithm: 'RS256' }])('cannot sign with delegated keys of %j', (algorithm) => {
    expect(findingsIn(withTarget({ token: { ...algorithm, signing: 'delegated' } }))).toEqual([
      'targets.payments.token.signing: found "delegated"; allowed: kms, or delegated with algorithm: ES256',
    ])
  })

  it('signs with delegated keys only if it asks for it', () => {
    const signing = (token: object) => compiled(withTarget({ token })).targets[0]?.signing
    expect(signing({ algorithm: 'ES256', signing: 'delegated' })).toBe('delegated')
    expect(signing({ algorithm: 'ES256', signing: 'kms' })).toBe('kms')
    expect(signing({ algorithm: 'ES256' })).toBe('kms')
  })

  it.each(['0s', '61m'])('cannot have tokens that live %s', (lifetime) => {
    expect(findingsIn(withTarget({ token: { max_lifetime: lifetime } }))).toEqual([
      expect.stringContaining(
        `targets.payments.token.max_lifetime: found "${lifetime}"; allowed: 1s to 3600s`,
      ),
    ])
  })
})
