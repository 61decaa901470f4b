import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { claimAt } from '../../../functions/core/policy/claims.ts'
import type { CompiledPolicy, Grant } from '../../../functions/core/policy/compiled.ts'
import {
  decideGrant,
  type GrantQuestion,
  indexPolicy,
  resolveTarget,
} from '../../../functions/core/policy/decide.ts'
import { renderClaims } from '../../../functions/core/policy/render-claims.ts'
import type { ClientId, JsonObject, TargetId } from '../../../functions/core/types.ts'
import {
  CHECKOUT,
  compiled,
  deepFreeze,
  PAYMENTS_CI,
  POLICY,
  withGrant,
  withIssuer,
} from './policy-fixture.ts'

const CLAIMS = claimsOf({ repository_id: '123456', ref: 'refs/heads/main', repository: 'o/r' })

/** Claims as the exchange has them: without a prototype. */
function claimsOf(claims: unknown): JsonObject {
  return deepFreeze(JSON.parse(JSON.stringify(claims), withoutPrototype))
}

function withoutPrototype(_: string, value: unknown): unknown {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isObject ? Object.assign(Object.create(null), value) : value
}

function question(policy: CompiledPolicy, changes: Partial<GrantQuestion> = {}): GrantQuestion {
  const [issuer] = policy.issuers
  const [target] = policy.targets
  if (issuer === undefined || target === undefined) throw new Error('no issuer or target')
  return { issuerId: issuer.id, target, claims: CLAIMS, ...changes }
}

function decide(source: unknown, changes: Partial<GrantQuestion> = {}) {
  const policy = compiled(source)
  return decideGrant(indexPolicy(policy), question(policy, changes))
}

/** Whether a grant with these conditions allows a token with these claims. */
function allows(when: unknown, claims: unknown): boolean {
  return !('kind' in decide(withGrant({ when }), { claims: claimsOf(claims) }))
}

function onlyGrant(source: unknown): Grant {
  const [grant] = compiled(source).grants
  if (grant === undefined) throw new Error('no grant')
  return grant
}

describe('the target', () => {
  const policy = compiled(
    { issuers: withIssuer({ default_target: 'payments' })['issuers'] },
    { targets: { ...POLICY.targets, ledger: { audience: 'ledger', resources: ['urn:ledger'] } } },
  )
  const index = indexPolicy(policy)
  const github = index.issuers.get('https://token.actions.githubusercontent.com') ?? {}
  const ask = (audiences: readonly string[], resources: readonly string[] = [], issuer = github) =>
    resolveTarget(index, { audiences, resources, issuer })

  it.each([
    ['an audience', ['https://payments.example.com'], []],
    ['a resource', [], ['https://payments.example.com/v1']],
    ['both', ['https://payments.example.com'], ['https://payments.example.com/v1']],
    ['an audience twice', ['https://payments.example.com', 'https://payments.example.com'], []],
    ['nothing, where the issuer has a default', [], []],
  ])('is found by %s', (_, audiences, resources) => {
    expect(ask(audiences, resources)).toMatchObject({ id: 'payments' })
  })

  it('is that of the client, before that of the issuer, where nothing names it', () => {
    const client = { defaultTarget: index.targetsByAudience.get('ledger')?.id as TargetId }
    const asked = { audiences: [], resources: [], client }
    expect(resolveTarget(index, { ...asked, issuer: github })).toMatchObject({ id: 'ledger' })
    expect(resolveTarget(index, { ...asked, issuer: {} })).toMatchObject({ id: 'ledger' })
    const named = { ...asked, audiences: ['https://payments.example.com'], issuer: {} }
    expect(resolveTarget(index, named)).toMatchObject({ id: 'payments' })
    expect(resolveTarget(index, { ...asked, client: {} as never, issuer: github })).toMatchObject({
      id: 'payments',
    })
  })

  it('is missing where nothing names it and the issuer has no default', () => {
    expect(ask([], [], {})).toEqual({ kind: 'target_missing' })
  })

  it.each(['payments', 'https://payments.example.com/', 'https://PAYMENTS.example.com', '', 'constructor'])(
    'is not found by the audience %j, even with a default',
    (audience) => {
      expect(ask([audience])).toEqual({ kind: 'audience_not_in_policy', audience })
    },
  )

  it('is not found by a resource that only begins like its own', () => {
    const resource = 'https://payments.example.com/v1/more'
    expect(ask([], [resource])).toEqual({ kind: 'resource_not_in_policy', resource })
  })

  it('is refused when one of several names is unknown', () => {
    expect(ask(['https://payments.example.com', 'x'])).toMatchObject({ kind: 'audience_not_in_policy' })
    expect(ask(['https://payments.example.com'], ['urn:x'])).toMatchObject({ kind: 'resource_not_in_policy' })
  })

  it('is refused when there are two', () => {
    const both = { kind: 'two_targets', targets: ['payments', 'ledger'] }
    expect(ask(['https://payments.example.com', 'ledger'])).toEqual(both)
    expect(ask(['https://payments.example.com'], ['urn:ledger'])).toEqual(both)
  })
})

describe('the grant', () => {
  it('is the one whose conditions all hold', () => {
    expect(decide(POLICY)).toMatchObject({ id: 'payments-ci' })
  })

  it('is refused when one condition does not hold, with the number of candidates', () => {
    const claims = claimsOf({ ...CLAIMS, ref: 'refs/heads/evil' })
    expect(decide(POLICY, { claims })).toEqual({ kind: 'no_grant_matches', candidates: 1 })
  })

  it('is refused to an issuer without grants', () => {
    const policy = compiled(withIssuer({ issuer: 'https://a.example' }, 'a-other'))
    expect(policy.issuers[0]?.id).toBe('a-other')
    expect(decideGrant(indexPolicy(policy), question(policy))).toEqual({
      kind: 'no_grant_matches',
      candidates: 0,
    })
  })

  it('is refused for a target that the issuer has no grants for', () => {
    const policy = compiled({ ...POLICY, targets: { ...POLICY.targets, 'a-other': { audience: 'a-other' } } })
    expect(policy.targets[0]?.id).toBe('a-other')
    expect(decideGrant(indexPolicy(policy), question(policy))).toEqual({
      kind: 'no_grant_matches',
      candidates: 0,
    })
  })

  it('is refused when several match, with their ids', () => {
    const grants = { b: PAYMENTS_CI, a: { ...PAYMENTS_CI, when: { repository: 'o/*' } } }
    expect(decide({ ...POLICY, grants })).toEqual({ kind: 'several_grants_match', grants: ['a', 'b'] })
  })

  it('for one client is refused to any other and to none', () => {
    const policy = compiled(POLICY)
    const client = 'checkout' as ClientId
    const bound = { ...policy, grants: policy.grants.map((grant) => ({ ...grant, client })) }
    const ask = (clientId?: ClientId) => decideGrant(indexPolicy(bound), question(bound, { clientId }))
    expect(ask(client)).toMatchObject({ id: 'payments-ci' })
    expect(ask('other' as ClientId)).toEqual({ kind: 'client_not_allowed' })
    expect(ask()).toMatchObject({ kind: 'no_grant_matches' })
  })

  it('is not there for a client for other reasons than its token says', () => {
    const client = 'checkout' as ClientId
    const other = { ...PAYMENTS_CI, client: 'other', when: { repository_id: '1' } }
    const clients = { other: CHECKOUT }
    const both = { ...POLICY, clients, grants: { all: PAYMENTS_CI, other } }
    expect(decide(both, { clientId: client })).toMatchObject({ id: 'all' })
    const claims = claimsOf({ ...CLAIMS, repository_id: '9' })
    expect(decide(both, { clientId: client, claims })).toMatchObject({ kind: 'no_grant_matches' })
    expect(decide({ ...POLICY, clients, grants: { other } }, { clientId: client })).toEqual({
      kind: 'client_not_allowed',
    })
    const elsewhere = { ...POLICY, targets: { ...POLICY.targets, 'a-other': { audience: 'a-other' } } }
    expect(decide(elsewhere, { clientId: client })).toEqual({ kind: 'no_grant_matches', candidates: 0 })
  })

  it('whose actor has no conditions is for nobody', () => {
    const policy = compiled(POLICY)
    const actorOf = (when: Grant['when']) => {
      const [issuer] = policy.issuers.map(({ id }) => id)
      if (issuer === undefined) throw new Error('no issuer')
      const grants = policy.grants.map((grant) => ({ ...grant, actors: [{ issuer, when }] }))
      const actor = { issuerId: issuer, claims: CLAIMS }
      return decideGrant(indexPolicy({ ...policy, grants }), question(policy, { actor }))
    }
    const [grant] = policy.grants
    expect(actorOf(grant?.when ?? [])).toHaveProperty('id', 'payments-ci')
    expect(actorOf([])).toHaveProperty('kind', 'actor_not_allowed')
  })

  it('without conditions allows nothing', () => {
    const policy = compiled(POLICY)
    const open = { ...policy, grants: policy.grants.map((grant) => ({ ...grant, when: [] })) }
    expect(decideGrant(indexPolicy(open), question(open))).toMatchObject({ kind: 'no_grant_matches' })
  })

  it('is looked for only among those of its issuer and target, of 10,000', () => {
    const ids = Array.from({ length: 100 }, (_, n) => `n${n}`)
    const issuers = Object.fromEntries(
      ids.map((id) => [id, { preset: 'gitlab', issuer: `https://${id}.example`, audiences: ['a'] }]),
    )
    const targets = Object.fromEntries(ids.map((id) => [id, { audience: id }]))
    const pairs = ids.flatMap((issuer) =>
      ids.map((target) => ({ issuer, target, when: { repository_id: '123456' } })),
    )
    const grants = Object.fromEntries(pairs.map((pair) => [`${pair.issuer}-${pair.target}`, pair]))
    const policy = compiled({ issuers, targets, grants })
    const index = indexPolicy(policy)
    const sizes = [...index.grants.values()].flatMap((byTarget) =>
      [...byTarget.values()].map(({ all }) => all.length),
    )
    expect(sizes).toEqual(Array.from({ length: 10_000 }, () => 1))
    expect(decideGrant(index, question(policy))).toMatchObject({ id: 'n0-n0' })
    expect(decideGrant(index, question(policy, { claims: claimsOf({}) }))).toEqual({
      kind: 'no_grant_matches',
      candidates: 1,
    })
  })

  it('is looked for only among those that want a value which the token has, of 10,000', () => {
    const grants = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, n) => [
        `n${n}`,
        { issuer: 'github', target: 'payments', when: { repository_id: String(n), ref: 'refs/heads/main' } },
      ]),
    )
    const policy = compiled({ ...POLICY, grants })
    const index = indexPolicy(policy)
    const [group] = [...index.grants.values()].flatMap((byTarget) => [...byTarget.values()])
    expect([...(group?.byValue.keys() ?? [])]).toEqual(['["repository_id"]'])
    expect(group?.rest).toEqual([])
    const ask = (repository_id: unknown) =>
      decideGrant(index, question(policy, { claims: claimsOf({ repository_id, ref: 'refs/heads/main' }) }))
    expect(ask('4711')).toMatchObject({ id: 'n4711' })
    expect(ask(['x', '4711'])).toMatchObject({ id: 'n4711' })
    expect(ask(['4711', '4712'])).toMatchObject({ kind: 'several_grants_match', grants: ['n4711', 'n4712'] })
    expect(ask(4711)).toEqual({ kind: 'no_grant_matches', candidates: 10_000 })
  })

  it('does not depend on the order of grants', () => {
    const values = fc.constantFrom('a', 'b', 'c')
    const whens = fc.dictionary(fc.constantFrom('x', 'y'), fc.array(values, { minLength: 1 }), { minKeys: 1 })
    const claims = fc.record({ x: values, y: values })
    fc.assert(
      fc.property(
        fc.array(whens, { minLength: 1, maxLength: 6 }),
        claims,
        fc.nat(),
        (conditions, token, seed) => {
          const grants = Object.fromEntries(conditions.map((when, n) => [`g${n}`, { ...PAYMENTS_CI, when }]))
          const policy = compiled({ ...POLICY, grants })
          const by = seed % conditions.length
          const turned = {
            ...policy,
            grants: [...policy.grants.slice(by), ...policy.grants.slice(0, by)].toReversed(),
          }
          const asked = question(policy, { claims: claimsOf(token) })
          expect(decideGrant(indexPolicy(turned), asked)).toEqual(decideGrant(indexPolicy(policy), asked))
        },
      ),
    )
  })

  it('is found for no token that an empty policy sees', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.string()), (claims) => {
        const policy = compiled({ ...POLICY, grants: {} })
        expect(decideGrant(indexPolicy(policy), question(policy, { claims }))).toMatchObject({
          kind: 'no_grant_matches',
        })
      }),
    )
  })
})

describe('a condition', () => {
  it.each([
    ['the same text', 'a', 'a'],
    ['the same number', 1, 1],
    ['the same boolean', true, true],
    ['one of a list', ['a', 'b'], 'b'],
    ['a glob', 'refs/*/v*', 'refs/tags/v1'],
    ['an array with a matching element', 'b', ['a', 'b']],
    ['an array with an element that one of a list matches', ['x', 'b*'], ['a', 'bc']],
    [
      'a nested claim',
      { 'kubernetes.io': { namespace: 'a' } },
      { 'kubernetes.io': { namespace: 'a', pod: 1 } },
    ],
    ['a name like those that objects inherit', { constructor: 'a' }, { constructor: 'a' }],
  ])('holds for %s', (_, condition, claim) => {
    expect(allows({ claim: condition }, { claim })).toBe(true)
  })

  it.each([
    ['another text', 'a', 'b'],
    ['another case', 'a', 'A'],
    ['a text for a number', 123, '123'],
    ['a number for a text', '123', 123],
    ['a text for a boolean', true, 'true'],
    ['a boolean for a text', 'true', true],
    ['a number for a boolean', true, 1],
    ['null', 'null', null],
    ['an object', 'a', { a: 'a' }],
    ['an object where a glob accepts any text', '**', {}],
    ['a number where a glob accepts any text', '**', 1],
    ['null where a glob accepts any text', '**', null],
    ['an empty array', '**', []],
    ['an array in an array', 'a', [['a']]],
    ['a text that looks composed alike', '\u00e9', 'e\u0301'],
    ['a text for a nested claim', { a: 'b' }, 'b'],
    ['a nested claim that is not there', { a: { b: 'c' } }, { a: {} }],
    ['the length of an array', { length: 1 }, ['a']],
    ['the length of a text', { length: 1 }, 'a'],
  ])('does not hold for %s', (_, condition, claim) => {
    expect(allows({ claim: condition }, { claim })).toBe(false)
  })

  it.each(['**', '*'])('never holds for a missing claim: %s', (condition) => {
    expect(allows({ claim: condition }, {})).toBe(false)
  })
})

describe('claimAt', () => {
  it('sees no member that the claims inherit', () => {
    expect(claimAt({}, ['constructor'])).toBeUndefined()
    expect(claimAt({ a: {} }, ['a', '__proto__'])).toBeUndefined()
  })

  it('sees a claim that has the name of one', () => {
    expect(
      claimAt(claimsOf(JSON.parse('{"__proto__":{"constructor":"a"}}')), ['__proto__', 'constructor']),
    ).toBe('a')
  })

  it('reads array elements by position (RFC 6901)', () => {
    expect(claimAt({ a: ['x', 'y'] }, ['a', '1'])).toBe('y')
    expect(claimAt({ a: ['x', 'y'] }, ['a', '01'])).toBeUndefined()
    expect(claimAt({ a: ['x', 'y'] }, ['a', '2'])).toBeUndefined()
    expect(claimAt({ a: ['x', 'y'] }, ['a', 'length'])).toBeUndefined()
  })
})

describe('mapped claims', () => {
  const render = (template: string, claims: unknown) =>
    renderClaims(onlyGrant(withGrant({ claims: { x: template } })), claimsOf(claims))
  const refused = { kind: 'claim_not_insertable', claim: 'x' }

  it.each([
    ['{a}', { a: 'text' }, 'text'],
    ['{a}', { a: 12 }, '12'],
    ['{a}', { a: false }, 'false'],
    ['{a}', { a: '' }, ''],
    ['{a}', { a: '{b}', b: 'no' }, '{b}'],
    ['{a}-{/b/c}', { a: 1, b: { c: 2 } }, '1-2'],
    ['{/a/1}', { a: ['x', 'y'] }, 'y'],
    ['plain', {}, 'plain'],
  ])('%s of %j is %j', (template, claims, text) => {
    expect(render(template, claims)).toMatchObject({ kind: 'rendered', claims: { x: text } })
  })

  it.each([
    ['a missing claim', {}],
    ['a claim that objects inherit', { toString: undefined }],
    ['null', { a: null }],
    ['an object', { a: {} }],
    ['an array', { a: ['b'] }],
  ])('are refused for %s', (_, claims) => {
    expect(render('x{a}', claims)).toEqual(refused)
  })

  it.each(['\0', '\n', '\r\n', '\x1b[2J', '\x7f', '\x9b', '\u2028', '\u202e', '\u2066', '\u200f'])(
    'are refused for %j: whoever logs or shows them would be misled',
    (text) => {
      expect(render('{a}', { a: `main${text}` })).toEqual(refused)
    },
  )

  it.each(['feature/café', 'リリース', '👩‍💻', 'a b'])('may be in any language: %s', (text) => {
    expect(render('{a}', { a: text })).toMatchObject({ claims: { x: text } })
  })

  it('are refused beyond 1024 characters', () => {
    expect(render('{a}', { a: 'x'.repeat(1024) })).toMatchObject({ kind: 'rendered' })
    expect(render('-{a}', { a: 'x'.repeat(1024) })).toEqual(refused)
  })

  it('are refused together when one of them is', () => {
    const grant = onlyGrant(withGrant({ claims: { fine: 'a', x: '{missing}' } }))
    expect(renderClaims(grant, CLAIMS)).toEqual(refused)
  })

  it('can have the name of an answer', () => {
    const grant = onlyGrant(withGrant({ claims: { kind: 'claim_not_insertable' } }))
    expect(renderClaims(grant, CLAIMS)).toMatchObject({
      kind: 'rendered',
      claims: { kind: 'claim_not_insertable' },
    })
  })
})
