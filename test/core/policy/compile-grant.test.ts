import { describe, expect, it } from 'vitest'
import { compiled, findingsIn, PAYMENTS_CI, POLICY, withGrant } from './policy-fixture.ts'

describe('a grant', () => {
  it('cannot have a scope that its target lacks', () => {
    expect(findingsIn(withGrant({ scopes: ['payments.read', 'admin'] }))).toEqual([
      'grants.payments-ci.scopes[1]: found "admin"; allowed: the scopes of its target: payments.read, payments.write',
    ])
  })

  it('cannot have a default scope that it lacks itself', () => {
    const changes = { scopes: ['payments.read'], default_scopes: ['payments.write'] }
    expect(findingsIn(withGrant(changes))).toEqual([
      'grants.payments-ci.default_scopes[0]: found "payments.write"; allowed: the scopes of the grant: payments.read',
    ])
  })

  it.each([undefined, {}])('cannot do without conditions: %j', (when) => {
    const { when: _, ...rest } = PAYMENTS_CI
    const grants = { 'payments-ci': when === undefined ? rest : { ...rest, when } }
    expect(findingsIn({ ...POLICY, grants })).toEqual([
      expect.stringContaining('grants.payments-ci.when: found no'),
    ])
  })

  it('cannot have a nested condition without conditions', () => {
    expect(findingsIn(withGrant({ when: { sub: 'a', 'kubernetes.io': {} } }))).toEqual([
      expect.stringContaining('grants.payments-ci.when["kubernetes.io"]: found no condition'),
    ])
  })

  it('cannot have conditions deeper than a token can be', () => {
    const nest = (levels: number): unknown => (levels === 0 ? 'a' : { a: nest(levels - 1) })
    expect(findingsIn(withGrant({ when: nest(16) }))).toEqual([])
    expect(findingsIn(withGrant({ when: nest(17) }))).toEqual([
      expect.stringContaining('more levels than a token'),
    ])
  })

  it('cannot compare with a number that YAML rounds', () => {
    expect(findingsIn(withGrant({ when: { repository_id: 2 ** 53 } }))).toEqual([
      expect.stringContaining('grants.payments-ci.when.repository_id: found 9007199254740992'),
    ])
  })

  it('cannot have a pattern of more than 1024 characters', () => {
    expect(findingsIn(withGrant({ when: { ref: ['a', `${'x'.repeat(1024)}*`] } }))).toEqual([
      expect.stringContaining('grants.payments-ci.when.ref[1]: found '),
    ])
  })

  it('can have a bare wildcard as a condition', () => {
    expect(findingsIn(withGrant({ when: { a: '*', b: '**' } }))).toEqual([])
  })

  it.each(['0s', '61m'])('cannot live %s', (lifetime) => {
    expect(findingsIn(withGrant({ lifetime }))).toEqual([
      `grants.payments-ci.lifetime: found "${lifetime}"; allowed: 1s to 3600s`,
    ])
    expect(findingsIn({ ...POLICY, defaults: { lifetime } })).toContainEqual(
      `defaults.lifetime: found "${lifetime}"; allowed: 1s to 3600s`,
    )
  })

  it.each(
    [
      'iss sub aud exp iat nbf jti client_id scope grant txn lineage lineage_actors idp act cnf may_act active token_type'.split(
        ' ',
      ),
      ['nonce', 'at_hash', 'https://aws.amazon.com/tags'],
    ].flat(),
  )('cannot map the claim %s', (name) => {
    expect(findingsIn(withGrant({ claims: { [name]: '{sha}' } }))).toEqual([
      expect.stringContaining(`found the claim ${name}, which only the broker sets`),
    ])
  })

  it.each(['{', '}', '{}', 'a{b', 'a}b', '{a{b}}', '{a}}', '{/a~}', '{/a~2b}', 'a\nb', '\u202e{a}'])(
    'cannot have the claim template %j',
    (template) => {
      expect(findingsIn(withGrant({ claims: { x: template } }))).toEqual([
        expect.stringContaining('grants.payments-ci.claims.x: found '),
      ])
    },
  )

  it.each([
    ['{sha}', [{ path: ['sha'] }]],
    ['plain', ['plain']],
    ['a {b}/{c}.', ['a ', { path: ['b'] }, '/', { path: ['c'] }, '.']],
    ['{oidc.circleci.com/project-id}', [{ path: ['oidc.circleci.com/project-id'] }]],
    ['{/kubernetes.io/pod/name}', [{ path: ['kubernetes.io', 'pod', 'name'] }]],
    ['{/https:~1~1a~1/b~0c~01}', [{ path: ['https://a/', 'b~c~1'] }]],
    ['{a~2}', [{ path: ['a~2'] }]],
  ])('can have the claim template %j', (template, parts) => {
    expect(compiled(withGrant({ claims: { x: template } })).grants[0]?.claims).toEqual({ x: parts })
  })
})

describe('the rate of a grant', () => {
  const rate = { limit: 60, per: '1m', by: 'subject' }

  it('is compiled with its window in seconds', () => {
    expect(compiled(withGrant({ rate })).grants[0]?.rate).toEqual({
      limit: 60,
      perSeconds: 60,
      by: 'subject',
    })
    expect(compiled(POLICY).grants[0]).not.toHaveProperty('rate')
  })

  it.each([
    [{ limit: 0 }, 'rate.limit: found 0'],
    [{ limit: 1.5 }, 'rate.limit: found 1.5'],
    [{ limit: 1_000_001 }, 'rate.limit: found 1000001; allowed: a whole number from 1 to 1000000'],
    [{ per: '0s' }, 'rate.per: found "0s"; allowed: 1s to 86400s'],
    [{ per: '25h' }, 'rate.per: found "25h"; allowed: 1s to 86400s'],
    [{ by: 'issuer' }, 'rate.by: found "issuer"; allowed: subject, client, grant'],
  ])('cannot be %j', (changes, finding) => {
    expect(findingsIn(withGrant({ rate: { ...rate, ...changes } }))).toEqual([
      expect.stringContaining(`grants.payments-ci.${finding}`),
    ])
  })
})

describe('the delegation of a grant', () => {
  const rule = { issuer: 'github', when: { repository_id: '1', ref: 'refs/heads/*' } }
  const withActors = (actors: readonly unknown[], changes: object = {}) => ({
    ...withGrant({ delegation: { actors } }),
    ...changes,
  })

  it('is compiled with its conditions', () => {
    expect(compiled(withActors([rule, { issuer: 'broker', when: { aud: 'x' } }])).grants[0]?.actors).toEqual([
      {
        issuer: 'github',
        when: [
          { path: ['repository_id'], anyOf: [{ kind: 'equals', value: '1' }] },
          { path: ['ref'], anyOf: [{ kind: 'glob', pattern: 'refs/heads/*' }] },
        ],
      },
      { issuer: 'broker', when: [{ path: ['aud'], anyOf: [{ kind: 'equals', value: 'x' }] }] },
    ])
    expect(compiled(POLICY).grants[0]).not.toHaveProperty('actors')
    expect(compiled(POLICY).maxDelegationDepth).toBe(3)
    expect(compiled({ ...POLICY, defaults: { max_delegation_depth: 1 } }).maxDelegationDepth).toBe(1)
  })

  it.each([
    [[], 'delegation.actors: found an empty list; allowed: a list of {issuer: …, when: …}'],
    [
      [{ ...rule, issuer: 'gitlab' }],
      'delegation.actors[0].issuer: found "gitlab"; allowed: github, or broker',
    ],
    [[rule, { ...rule, when: {} }], 'delegation.actors[1].when: found no condition'],
    [[{ issuer: 'github' }], 'delegation.actors[0].when: '],
    [[{ ...rule, when: { sub: [] } }], 'delegation.actors[0].when.sub: '],
    [[{ ...rule, when: { sub: `${'x'.repeat(1024)}*` } }], 'delegation.actors[0].when.sub: found '],
    [[{ ...rule, unless: { sub: 'x' } }], 'delegation.actors[0].unless: '],
  ])('cannot be %j', (actors, finding) => {
    expect(findingsIn(withActors(actors))).toEqual([expect.stringContaining(`grants.payments-ci.${finding}`)])
  })

  it('cannot be where nobody may act', () => {
    expect(findingsIn(withActors([rule], { defaults: { max_delegation_depth: 0 } }))).toEqual([
      'grants.payments-ci.delegation: found delegation, but max_delegation_depth is 0; allowed: to leave it out',
    ])
  })
})
