import { describe, expect, it } from 'vitest'
import { lintPolicy } from '../../../functions/core/policy/lint.ts'
import {
  CHECKOUT,
  compiled,
  GITHUB,
  PAYMENTS,
  PAYMENTS_CI,
  POLICY,
  policyFile,
  withClient,
  withGrant,
  withIssuer,
} from './policy-fixture.ts'

/** Warnings as `path: message`. */
function warnings(source: unknown): readonly string[] {
  const findings = lintPolicy([policyFile(source)], compiled(source))
  expect(findings.every(({ severity }) => severity === 'warning')).toBe(true)
  return findings.map(({ path, message }) => `${path}: ${message}`)
}

function warningsFor(when: unknown, issuer: Readonly<Record<string, unknown>> = {}): readonly string[] {
  const { grants } = withGrant({ when, claims: {} })
  return warnings({ ...withIssuer(issuer), grants })
}

const AWS = { preset: 'aws-outbound', issuer: 'https://a.example' }
const ID = { repository_id: '1' }
const BOTH_FORMS = ['repo:o/r:ref:refs/heads/main', 'repo:o@1/r@2:ref:refs/heads/main']

describe('policy lint', () => {
  it('has nothing to say about the ids of a repository and its branch', () => {
    expect(warnings(POLICY)).toEqual([])
  })

  it('says where', () => {
    const source = withGrant({ when: { repository: 'o/r' } })
    expect(
      lintPolicy([policyFile({}, 'a.yaml'), policyFile(source, 'b.yaml')], compiled(source)),
    ).toMatchObject([
      { file: 'b.yaml', line: 4, severity: 'warning', path: 'grants.payments-ci.when.repository' },
    ])
  })

  it.each([
    ['github-actions', { repository: 'o/r' }, 'repository', 'repository_id'],
    ['github-actions', { ...ID, actor: 'octocat' }, 'actor', 'actor_id'],
    ['gitlab', { project_path: 'g/p' }, 'project_path', 'project_id'],
    ['buildkite', { organization_slug: 'o' }, 'organization_slug', 'organization_id'],
  ])('warns of a name where an id exists: %s', (preset, when, name, id) => {
    expect(warningsFor(when, { preset })).toEqual([
      `grants.payments-ci.when.${name}: found a name, which can change hands; allowed, but safer: ${id} as well`,
    ])
  })

  it('does not warn of a name beside its id', () => {
    expect(warningsFor({ ...ID, repository: 'o/r' })).toEqual([])
  })

  it.each([
    ['a bare wildcard', { repository_id: '*' }, 'when.repository_id'],
    ['a glob over owners', { repository_id: ['1', '2*'] }, 'when.repository_id'],
    ['a glob over owners in sub', { sub: ['repo:*/r:ref:a', 'repo:o*@1/r@2:ref:a'] }, 'when.sub'],
    ['a sub without its beginning', { sub: ['**:ref:a', 'repo:o@1/r@2:ref:a'] }, 'when.sub'],
    ['no owner at all', { ref: 'refs/heads/main' }, 'when'],
    [
      "somebody's reusable workflow",
      { job_workflow_ref: 'o/r/.github/workflows/a.yml@refs/heads/main' },
      'when',
    ],
  ])('warns of %s', (_, when, path) => {
    expect(warningsFor(when)).toEqual([
      expect.stringContaining(
        `grants.payments-ci.${path}: found no condition that says whose token it must be`,
      ),
    ])
  })

  it('warns of bare wildcards alone, at an issuer with one owner', () => {
    expect(warningsFor({ sub: '**' }, AWS)).toEqual([
      expect.stringContaining('when: found no condition that says whose'),
    ])
    expect(warningsFor({ sub: 'arn:aws:iam::111122223333:role/*' }, AWS)).toEqual([])
  })

  it.each([
    ['github-actions', 'event_name', 'pull_request'],
    ['github-actions', 'event_name', ['push', 'pull_request_target']],
    ['github-actions', 'event_name', 'pull*'],
    ['github-actions', 'ref', 'refs/**'],
    ['gitlab', 'pipeline_source', 'merge_request_event'],
    ['gitlab', 'ref_path', 'refs/merge-requests/*/head'],
  ])('warns of a pull-request trigger: %s %s %j', (preset, claim, condition) => {
    const owner = preset === 'gitlab' ? { project_id: '1' } : ID
    expect(warningsFor({ ...owner, [claim]: condition }, { preset })).toEqual([
      expect.stringMatching(
        `^grants\\.payments-ci\\.when\\.${claim}: found that .* matches: anybody's pull request`,
      ),
    ])
  })

  it.each(['pull_request', '*', '**'])('warns of a sub that ends in %s', (end) => {
    expect(warningsFor({ sub: [`repo:o/r:${end}`, 'repo:o@1/r@2:ref:a'] })).toEqual([
      expect.stringContaining('"repo:o/r:pull_request" matches'),
    ])
  })

  it('does not warn of other triggers', () => {
    expect(warningsFor({ ...ID, event_name: 'push', ref: 'refs/heads/**' })).toEqual([])
  })

  it('warns of one form of sub', () => {
    for (const sub of BOTH_FORMS)
      expect(warningsFor({ sub })).toEqual([expect.stringContaining('when.sub: found one form of sub')])
  })

  it('does not warn of both forms of sub, nor of the sub of another issuer', () => {
    expect(warningsFor({ sub: BOTH_FORMS })).toEqual([])
    expect(warningsFor({ sub: 'arn:aws:iam::111122223333:role/a' }, AWS)).toEqual([])
  })

  it('warns of an onward exchange for any audience', () => {
    const grantFor = (when: unknown) => withGrant({ issuer: 'broker', when })
    expect(warnings(grantFor({ sub: 'github:a' }))).toEqual([
      expect.stringContaining('when: found no condition on aud'),
    ])
    expect(warnings(grantFor({ aud: PAYMENTS.audience }))).toEqual([])
    expect(warnings(grantFor({ sub: 'github:a', aud: '**' }))).toHaveLength(1)
    expect(warnings(grantFor({ aud: '**' }))).toHaveLength(2)
  })
})

describe('policy lint for clients', () => {
  const UNUSED = [expect.stringContaining('clients.checkout: found a client that nothing uses')]

  it('warns of a client that nothing uses', () => {
    expect(warnings(withClient({ introspects: [] }))).toEqual(UNUSED)
    const { grants } = withGrant({ client: 'checkout' })
    expect(warnings({ ...withClient({ introspects: [] }), grants })).toEqual([])
  })

  it.each([{ introspects: ['payments'] }, { revokes: ['payments'] }, { default_target: 'payments' }])(
    'does not warn of one that may do something: %j',
    (may) => {
      expect(warnings(withClient({ introspects: [], ...may }))).toEqual([])
    },
  )

  it('does not warn where an issuer requires clients', () => {
    const { clients } = withClient({ introspects: [] })
    expect(warnings({ ...withIssuer({ client_authentication: 'required' }), clients })).toEqual([])
  })
})

describe('policy lint for two grants', () => {
  const pair = (a: unknown, b: unknown, changes = {}) => {
    const grants = { a: { ...PAYMENTS_CI, when: a }, b: { ...PAYMENTS_CI, when: b, ...changes } }
    return warnings({ ...POLICY, grants }).filter((warning) => /too: they|every token of this/.test(warning))
  }

  const unreachable = (grant: string, by: string) =>
    `grants.${grant}: found that ${by} matches every token of this grant: all of them are refused, and it is never used; allowed: conditions that exclude each other`

  it('reports a grant that another one makes unreachable', () => {
    const narrow = { ...ID, environment: 'prod-1' }
    expect(pair(narrow, { ...ID, environment: 'prod-*' })).toEqual([unreachable('a', 'b')])
    expect(pair(ID, narrow)).toEqual([unreachable('b', 'a')])
    expect(pair(ID, ID)).toEqual([unreachable('a', 'b'), unreachable('b', 'a')])
    expect(pair({ ...ID, environment: ['prod-1', 'test'] }, { ...ID, environment: 'prod-*' })).toEqual([
      expect.stringContaining('found tokens that b matches too'),
    ])
  })

  it.each([
    ['conditions on different claims', { ...ID, ref: 'a' }, { ...ID, environment: 'b' }],
    [
      'a value in a glob',
      { ...ID, environment: 'prod-1', ref: 'a' },
      { ...ID, environment: 'prod-*', actor_id: '1' },
    ],
    ['a value in common', { ...ID, environment: ['a', 'b'] }, { ...ID, environment: ['b', 'c'] }],
  ])('reports that they overlap: %s', (_, a, b) => {
    expect(pair(a, b)).toEqual([
      'grants.a: found tokens that b matches too: they are refused; allowed: conditions that exclude each other',
    ])
  })

  it.each([
    ['other values', { repository_id: '1' }, { repository_id: '2' }],
    ['other types', { ...ID, a: 1 }, { ...ID, a: '1' }],
    ['globs that may or may not meet', { ...ID, a: 'x*' }, { ...ID, a: '*y' }],
    ['a claim that is a text here and nested there', { ...ID, a: 'x' }, { ...ID, a: { b: 'x' } }],
  ])('does not report %s', (_, a, b) => {
    expect(pair(a, b)).toEqual([])
  })

  it('reports a grant for one client beside one for all, and not beside one for another', () => {
    const clients = { ...withClient({}).clients, ...withClient({}, 'other').clients }
    const lint = (a: object, b: object) =>
      warnings({ ...POLICY, clients, grants: { a: { ...PAYMENTS_CI, ...a }, b: { ...PAYMENTS_CI, ...b } } })
    expect(lint({ client: 'checkout' }, {})).toEqual([unreachable('a', 'b')])
    expect(lint({}, { client: 'checkout' })).toEqual([unreachable('b', 'a')])
    expect(lint({ client: 'checkout' }, { client: 'checkout' })).toHaveLength(2)
    expect(lint({ client: 'checkout' }, { client: 'other' })).toEqual([])
  })

  it('does not report grants for different targets', () => {
    const targets = { ...POLICY.targets, other: { audience: 'other' } }
    const other = { ...PAYMENTS_CI, target: 'other', scopes: [], default_scopes: [] }
    expect(warnings({ ...POLICY, targets, grants: { a: PAYMENTS_CI, b: other } })).toEqual([])
  })
})

describe('policy lint for what is never used', () => {
  it("warns of a lifetime that the issuer's tokens cannot reach", () => {
    const policy = {
      ...withGrant({ lifetime: '10m' }),
      issuers: { github: { ...GITHUB, max_lifetime: '5m' } },
    }
    expect(warnings(policy)).toEqual([
      'grants.payments-ci.lifetime: found a lifetime of 600s, which no token reaches: those of github live 300s at most; allowed, but clearer: that',
    ])
    expect(warnings(withGrant({ lifetime: '10m' }))).toEqual([])
  })

  it.each([
    ['aud', 'https://elsewhere.example', 'https://broker.example.com'],
    ['iss', 'https://elsewhere.example', 'https://token.actions.githubusercontent.com'],
  ])('warns of a condition on %s that contradicts the issuer', (claim, value, right) => {
    expect(warnings(withGrant({ when: { ...ID, [claim]: value } }))).toEqual([
      expect.stringContaining(`when.${claim}: found a condition that no accepted token meets`),
    ])
    expect(warnings(withGrant({ when: { ...ID, [claim]: right } }))).toEqual([])
  })

  it('warns of an onward grant for the audience of no target', () => {
    expect(warnings(withGrant({ issuer: 'broker', when: { aud: 'https://elsewhere.example' } }))).toEqual([
      expect.stringContaining('when.aud: found a condition that no accepted token meets'),
    ])
  })
})

describe('policy lint for issuers', () => {
  it.each([
    'sts.amazonaws.com',
    'https://kubernetes.default.svc',
    'https://kubernetes.default.svc.cluster.local',
    'api://AzureADTokenExchange',
    'sigstore',
    'https://github.com/octo-org',
  ])('warns of the audience %s, which others accept too', (audience) => {
    expect(warnings(withIssuer({ audiences: ['https://broker.example.com', audience] }))).toEqual([
      expect.stringContaining('issuers.github.audiences[1]: found an audience that others accept too'),
    ])
  })

  it("does not warn of an audience of the broker's own", () => {
    expect(warnings(withIssuer({ audiences: ['https://github.com/octo-org/broker'] }))).toEqual([])
  })

  it.each([
    ['kubernetes', { issuer: 'https://cluster.example' }],
    ['spiffe', { issuer: 'spiffe://example.org', keys: { jwks_uri: 'https://example.org/bundle' } }],
  ])('warns where tokens of %s may be presented once only', (preset, changes) => {
    const policy = (replay: string) => withIssuer({ preset, replay, ...changes }, 'workloads')
    expect(warnings(policy('single-use'))).toEqual([
      expect.stringContaining('issuers.workloads: found replay single-use'),
    ])
    expect(warnings(policy('reusable'))).toEqual([])
    expect(warnings(policy('once-per-target'))).toEqual([])
  })
})

describe('policy lint of AWS roles', () => {
  const ROLE = 'arn:aws:iam::111122223333:role/deploy'
  const about = (issuer: object, target: object = {}, grant: object = {}) =>
    warnings({
      issuers: { a: { audiences: ['https://broker.example.com'], ...issuer } },
      clients: { checkout: CHECKOUT },
      targets: { payments: PAYMENTS, deploy: { aws_role: ROLE, ...target } },
      grants: { a: { issuer: 'a', when: { sub: 'x' }, target: 'deploy', ...grant } },
    })
  const plain = { issuer: 'https://a.example', algorithms: ['RS256'], replay: 'reusable' }

  it('has nothing to say where a token can be presented again, and lives long enough', () => {
    expect(about(plain)).toEqual([])
    expect(about({ ...plain, max_lifetime: '24h' })).toEqual([])
  })

  it('warns where no token lives as long as the shortest session', () => {
    expect(about({ ...plain, max_lifetime: '15m' })).toEqual([
      expect.stringMatching(/^grants\.a\.target: .*every exchange is refused/),
    ])
    expect(about({ ...plain, max_lifetime: '15m' }, { outlive: 'deadline' })).toEqual([])
  })

  it.each(['single-use', 'once-per-target'])('warns that SDKs present a token again: %s', (replay) => {
    expect(about({ ...plain, replay })).toEqual([
      expect.stringMatching(/^grants\.a\.target: .*an SDK that refreshes/),
    ])
  })

  it('does not where a job asks for a token at each call, or the protocol of SDKs is no way in', () => {
    const github = { preset: 'github-actions', replay: 'single-use' }
    const when = { when: { repository_id: '1', ref: 'refs/heads/main' } }
    expect(about(github, { outlive: 'deadline' }, when)).toEqual([])
    expect(about({ ...plain, replay: 'single-use' }, {}, { client: 'checkout' })).toEqual([])
  })
})

describe('policy lint, of actors', () => {
  const delegation = (...actors: readonly object[]) => ({ delegation: { actors } })
  const ofActor = (when: object, issuer = 'github') => warnings(withGrant(delegation({ issuer, when })))

  it('has nothing to say where their conditions are narrow', () => {
    expect(ofActor({ ...ID, ref: 'refs/heads/main' })).toEqual([])
  })

  it.each([
    [{ ref: 'refs/heads/main' }, 'when', 'found no condition that says whose token'],
    [{ repository: 'o/r' }, 'when.repository', 'found a name, which can change hands'],
    [{ ...ID, ref: 'refs/pull/*/merge' }, 'when.ref', "anybody's pull request"],
    [{ ...ID, sub: 'repo:o/r:ref:refs/heads/main' }, 'when.sub', 'found one form of sub'],
    [{ ...ID, aud: 'https://other.example.com' }, 'when.aud', 'no accepted token meets'],
  ])('warns as it does of subjects: %j', (when, path, message) => {
    expect(ofActor(when)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(new RegExp(`^grants.payments-ci.delegation.actors.0..${path}: .*${message}`)),
      ]),
    )
  })

  it('warns of our own tokens that count whoever received them', () => {
    expect(ofActor({ sub: 'github:x' }, 'broker')).toEqual([
      expect.stringContaining('actors[0].when: found no condition on aud'),
    ])
  })

  const pair = (one: object, other: object) =>
    warnings({
      ...POLICY,
      grants: { 'payments-ci': { ...PAYMENTS_CI, ...one }, another: { ...PAYMENTS_CI, ...other } },
    }).filter((warning) => warning.includes('too') || warning.includes('never used'))
  const main = delegation({ issuer: 'github', when: { ...ID, ref: 'refs/heads/main' } })
  const any = delegation({ issuer: 'github', when: ID })
  const other = delegation({ issuer: 'github', when: { repository_id: '2' } })
  const ours = delegation({ issuer: 'broker', when: { aud: 'https://payments.example.com', sub: 'x' } })

  it.each([
    ['one with an actor, one without', main, {}, 0],
    ['different actors', main, other, 0],
    ['actors of different issuers', main, ours, 0],
    ['the same actor', main, main, 2],
    ['an actor among others', main, any, 1],
  ])('warns of two grants that one pair of tokens can match: %s', (_what, one, two, count) => {
    expect(pair(one, two)).toHaveLength(count)
  })
})
