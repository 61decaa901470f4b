import { describe, expect, it } from 'vitest'
import { compilePolicy } from '../../../functions/core/policy/compile.ts'
import {
  compiled,
  GITHUB,
  PAYMENTS_CI,
  POLICY,
  policyFile,
  withGrant,
  withIssuer,
  withTarget,
} from './policy-fixture.ts'

describe('a part of a policy', () => {
  it('is checked, but for what it refers to, and never gives a policy', () => {
    const of = (policy: object) =>
      compilePolicy([policyFile(policy)], { loopbackIssuers: false, isPart: true })
    expect(of(POLICY)).toEqual({ findings: [] })
    expect(of(withGrant({ target: 'elsewhere', lifetime: '2h' }))).toMatchObject({
      findings: [{ path: 'grants.payments-ci.lifetime' }],
    })
  })
})

describe('a compiled policy', () => {
  it('has the issuer of the preset, and safe defaults', () => {
    const { replay: _, ...withoutReplay } = GITHUB
    const [issuer] = compiled({ ...POLICY, issuers: { github: withoutReplay } }).issuers
    expect(issuer).toEqual({
      id: 'github',
      preset: 'github-actions',
      issuer: 'https://token.actions.githubusercontent.com',
      keys: { kind: 'discovery' },
      algorithms: ['RS256'],
      audiences: ['https://broker.example.com'],
      maxLifetimeSeconds: 3600,
      clockSkewSeconds: 30,
      replay: 'single-use',
      clientAuthentication: 'none',
    })
  })

  it('prefers what an issuer says over its preset', () => {
    const keys = { jwks_uri: 'https://ghes.example/jwks?v=1' }
    const [issuer] = compiled(
      withIssuer({ issuer: 'https://ghes.example', algorithms: ['ES256'], keys }),
    ).issuers
    expect(issuer).toMatchObject({
      issuer: 'https://ghes.example',
      algorithms: ['ES256'],
      keys: { kind: 'jwks_uri', uri: 'https://ghes.example/jwks?v=1' },
    })
  })

  it('has the durations in seconds', () => {
    const changes = { max_lifetime: '10m', clock_skew: '0s', default_target: 'payments' }
    expect(compiled(withIssuer(changes)).issuers).toMatchObject([
      { maxLifetimeSeconds: 600, clockSkewSeconds: 0, defaultTarget: 'payments' },
    ])
    expect(compiled(withTarget({ token: { max_lifetime: '1h', algorithm: 'ES256' } })).targets).toMatchObject(
      [{ maxLifetimeSeconds: 3600, algorithm: 'ES256' }],
    )
  })

  it('has the lifetime of a grant from the grant, else the defaults, else 5 minutes', () => {
    const lifetimeOf = (policy: unknown) => compiled(policy).grants[0]?.lifetimeSeconds
    expect(lifetimeOf({ ...withGrant({ lifetime: '90s' }), defaults: { lifetime: '10m' } })).toBe(90)
    expect(lifetimeOf({ ...POLICY, defaults: { lifetime: '10m' } })).toBe(600)
    expect(lifetimeOf(POLICY)).toBe(300)
  })

  it('has the default scopes of a grant, else all of its scopes', () => {
    const { default_scopes: _, ...withoutDefault } = PAYMENTS_CI
    expect(compiled(POLICY).grants[0]?.defaultScopes).toEqual(['payments.read'])
    const policy = { ...POLICY, grants: { 'payments-ci': withoutDefault } }
    expect(compiled(policy).grants[0]?.defaultScopes).toEqual(['payments.read', 'payments.write'])
  })

  it('has nested conditions flattened to the claim paths, and texts with a star as globs', () => {
    const when = { n: 1, 'kubernetes.io': { namespace: ['a', 'b*'], pod: { ok: true } } }
    expect(compiled(withGrant({ when })).grants[0]?.when).toEqual([
      { path: ['n'], anyOf: [{ kind: 'equals', value: 1 }] },
      {
        path: ['kubernetes.io', 'namespace'],
        anyOf: [
          { kind: 'equals', value: 'a' },
          { kind: 'glob', pattern: 'b*' },
        ],
      },
      { path: ['kubernetes.io', 'pod', 'ok'], anyOf: [{ kind: 'equals', value: true }] },
    ])
  })

  it('is plain JSON', () => {
    const policy = compiled(POLICY)
    expect(JSON.parse(JSON.stringify(policy))).toEqual(policy)
  })

  it('is the same however it is spread over files and ordered', () => {
    const other = { ...PAYMENTS_CI, when: { repository_id: '7' } }
    const whole = compiled({ ...POLICY, grants: { a: other, b: PAYMENTS_CI } })
    const { issuers, targets } = POLICY
    expect(compiled({ grants: { b: PAYMENTS_CI } }, { targets, grants: { a: other } }, { issuers })).toEqual(
      whole,
    )
  })

  it('has a digest that changes with its content', () => {
    expect(compiled(POLICY).digest).toMatch(/^[\w-]{43}$/)
    expect(compiled(withGrant({ lifetime: '6m' })).digest).not.toBe(compiled(POLICY).digest)
  })

  it('can have 10,000 grants', () => {
    const ids = Array.from({ length: 10_000 }, (_, n) => `grant-${n}`)
    const grants = Object.fromEntries(ids.map((id) => [id, { ...PAYMENTS_CI, when: { repository_id: id } }]))
    expect(compiled({ ...POLICY, grants }).grants).toHaveLength(10_000)
  })
})
