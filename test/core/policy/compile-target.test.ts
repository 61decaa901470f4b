import { describe, expect, it } from 'vitest'
import type { TokenTarget } from '../../../functions/core/policy/compiled.ts'
import { compiled, findingsIn, PAYMENTS, POLICY, withTarget } from './policy-fixture.ts'

const tokenTarget = (document: unknown) => compiled(document).targets[0] as TokenTarget

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

  it('can have reference tokens, and has JWTs unless it says so', () => {
    expect(compiled(withTarget({ token: { format: 'reference' } })).targets[0]?.format).toBe('reference')
    expect(compiled(POLICY).targets[0]).toMatchObject({ format: 'jwt', algorithm: 'RS256' })
  })

  it('cannot choose an algorithm for tokens that nobody signs', () => {
    expect(findingsIn(withTarget({ token: { format: 'reference', algorithm: 'ES256' } }))).toEqual([
      expect.stringContaining('targets.payments.token.algorithm: found ES256, but nothing is signed'),
    ])
    expect(findingsIn(withTarget({ token: { format: 'reference', algorithm: 'RS256' } }))).toEqual([])
  })

  it('has no status list unless it asks for one, and none for reference tokens', () => {
    expect(tokenTarget(POLICY).statusList).toBe(false)
    expect(tokenTarget(withTarget({ token: { status_list: true } })).statusList).toBe(true)
    expect(findingsIn(withTarget({ token: { format: 'reference', status_list: true } }))).toEqual([
      expect.stringContaining('targets.payments.token.status_list: found true, but format reference'),
    ])
  })

  it.each([{}, { algorithm: 'RS256' }])('cannot sign with delegated keys of %j', (algorithm) => {
    expect(findingsIn(withTarget({ token: { ...algorithm, signing: 'delegated' } }))).toEqual([
      'targets.payments.token.signing: found "delegated"; allowed: kms, or delegated with algorithm: ES256',
    ])
  })

  it('signs with delegated keys only if it asks for it', () => {
    const signing = (token: object) => tokenTarget(withTarget({ token })).signing
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
