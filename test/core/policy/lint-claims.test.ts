import { describe, expect, it } from 'vitest'
import { lintPolicy } from '../../../functions/core/policy/lint.ts'
import { compiled, GITHUB, PAYMENTS_CI, POLICY, policyFile } from './policy-fixture.ts'

type Fields = Readonly<Record<string, unknown>>

/** Warnings as `path: message`, of what each of these grants says; `platform` is of the preset. */
function warnings(grant: Fields, issuer: Fields = {}, more: Fields = {}): readonly string[] {
  const source = {
    ...POLICY,
    issuers: { platform: { ...GITHUB, ...issuer } },
    grants: { it: { ...PAYMENTS_CI, claims: {}, issuer: 'platform', ...grant } },
    ...more,
  }
  return lintPolicy([policyFile(source)], compiled(source)).map(({ path, message }) => `${path}: ${message}`)
}

const ID = { repository_id: '1' }
const CLUSTER = { preset: 'kubernetes', issuer: 'https://cluster.example', replay: 'reusable' }
const OKTA = { preset: 'okta', issuer: 'https://a.okta.com/oauth2/default' }

describe('policy lint of claims', () => {
  it.each([
    [{ ...ID, enviroment: 'production' }, {}, '.enviroment', 'did you mean environment?'],
    [{ ...ID, project_id: '1' }, {}, '.project_id', 'allowed: iss, sub, aud, jti, exp, iat, nbf, actor, '],
    [
      { sub: 'a', 'kubernetes.io.namespace': 'a' },
      CLUSTER,
      '["kubernetes.io.namespace"]',
      'did you mean kubernetes.io, and below it namespace?',
    ],
    [
      { sub: 'a', 'kubernetes.io': { namespaces: 'a' } },
      CLUSTER,
      '["kubernetes.io"].namespaces',
      'did you mean kubernetes.io, and below it namespace?',
    ],
    [
      { sub: 'a', namespace: { name: 'a' } },
      CLUSTER,
      '.namespace.name',
      'not known of kubernetes: no token meets it',
    ],
  ])('warns of one that the platform does not have: %j', (when, issuer, path, message) => {
    const [warning, ...others] = warnings({ when }, issuer)
    expect(others).toEqual([])
    expect(warning?.startsWith(`grants.it.when${path}: found a claim that is not known of `)).toBe(true)
    expect(warning).toContain(message)
  })

  it.each([
    [{ ...ID, repo_property_team: 'pay' }, {}],
    [{ project_id: '1', source_project_visibility: 'private', runner_id: 7 }, { preset: 'gitlab' }],
    [
      { sub: 'a', 'oidc.circleci.com/ssh-rerun': false },
      { preset: 'circleci', issuer: 'https://a.example' },
    ],
    [{ sub: 'a', 'kubernetes.io': { pod: { name: 'a' } } }, CLUSTER],
    [
      { sub: 'a', 'https://sts.amazonaws.com/': { principal_tags: { team: 'a' } } },
      { preset: 'aws-outbound', issuer: 'https://a.example' },
    ],
    [{ sub: 'a', uid: 'a', whatever: 1 }, OKTA],
    [
      { sub: 'a', whatever: true },
      { preset: undefined, issuer: 'https://a.example', algorithms: ['RS256'] },
    ],
  ])(
    'does not warn of what it may have, nor where customers have claims of their own: %j',
    (when, issuer) => {
      expect(warnings({ when }, issuer)).toEqual([])
    },
  )

  it.each([
    [
      { repository_id: 123456 },
      {},
      'found a number, but github-actions writes a text: no token meets it; allowed: a text in quotes: "123456"',
    ],
    [
      { ...ID, ref_protected: [true] },
      {},
      'found a boolean, but github-actions writes a text: no token meets it; allowed: a text in quotes: "true"',
    ],
    [
      { project_id: '1', runner_id: '7' },
      { preset: 'gitlab' },
      'found a text, but gitlab writes a number: no token meets it; allowed: a number, without quotes',
    ],
    [
      { sub: 'a', 'kubernetes.io': 'a' },
      CLUSTER,
      'found a value for a map of claims: no token meets it; allowed: namespace, node, pod, secret, serviceaccount, warnafter below it',
    ],
  ])('warns of a value in a form that the platform does not write: %j', (when, issuer, message) => {
    expect(warnings({ when }, issuer)).toEqual([expect.stringContaining(message)])
  })

  it('warns of them in conditions on actors too', () => {
    const delegation = { actors: [{ issuer: 'platform', when: { repository_id: 1 } }] }
    expect(warnings({ when: ID, delegation })).toEqual([
      expect.stringContaining('grants.it.delegation.actors[0].when.repository_id: found a number'),
    ])
  })

  it.each(['main', 'refs/*', 'heads/main', ['refs/heads/main', 'v*']])(
    'warns of a ref that no job has, since * crosses no slash: %j',
    (ref) => {
      expect(warnings({ when: { ...ID, ref } })).toEqual([
        expect.stringMatching(
          /when\.ref: found ".+", which no ref of github-actions matches: .* refs\/heads\/main/,
        ),
      ])
    },
  )

  it.each(['refs/heads/*', 'refs/heads/a/b', '**', '**/main', 'refs/heads/**'])(
    'does not warn of the ref %s',
    (ref) => {
      const found = warnings({ when: { ...ID, ref } })
      expect(found.filter((warning) => warning.includes('which no ref'))).toEqual([])
    },
  )

  it('does not warn of a branch of GitLab, whose ref has no prefix', () => {
    expect(warnings({ when: { project_id: '1', ref: 'main' } }, { preset: 'gitlab' })).toEqual([])
  })

  it.each([
    '^refs/heads/main$',
    'refs/tags/v[0-9]+',
    'refs/(heads|tags)/main',
    'refs/heads/.*',
    'refs/tags/v\\d',
    'refs/tags/v?',
    'refs/heads/{main,next}',
  ])('warns of what looks like a regular expression or a shell’s pattern: %s', (ref) => {
    expect(warnings({ when: { ...ID, ref } })).toEqual([
      expect.stringContaining(
        `when.ref: found ${JSON.stringify(ref)}, which looks like a regular expression`,
      ),
    ])
  })

  it.each([
    ['dependabot[bot]', 'actor_id'],
    ['release-1.*', 'environment'],
    ['v1.2+build', 'environment'],
    ['https://a.example/?x={a,b}', 'environment'],
    ['(a)', 'environment'],
    ['auth0|5f7c8ec7', 'environment'],
  ])('does not warn of %s', (text, claim) => {
    expect(warnings({ when: { ...ID, [claim]: text } })).toEqual([])
  })

  it('warns of a template that no token fills, and of a $ that is not part of it', () => {
    const claims = { fine: '{repository}', lost: '{repositry}', dollar: `$${'{sha}'}`, price: '$5 {sha}' }
    expect(warnings({ when: ID, claims })).toEqual([
      expect.stringMatching(/^grants\.it\.claims\.dollar: found a \$ before a claim/),
      expect.stringMatching(
        /^grants\.it\.claims\.lost: .* every exchange is refused; .* did you mean repository\?$/,
      ),
    ])
  })

  it('warns of one in the session of a role', () => {
    const role = { aws_role: 'arn:aws:iam::111122223333:role/deploy', outlive: 'deadline' }
    const session = {
      session_tags: { Repository: '{repo}' },
      session_name: '{run}',
      source_identity: '{actor}',
    }
    const targets = { payments: { ...role, ...session } }
    const grant = { when: ID, scopes: undefined, default_scopes: undefined, claims: undefined }
    expect(warnings(grant, {}, { targets })).toEqual([
      expect.stringMatching(/^targets\.payments\.session_name: .* every exchange is refused/),
      expect.stringMatching(/^targets\.payments\.session_tags\.Repository: .* every exchange is refused/),
    ])
  })

  describe('of what a session is described by beside the subject’s claims', () => {
    const role = { aws_role: 'arn:aws:iam::111122223333:role/deploy', outlive: 'deadline' }
    const grant = { when: ID, scopes: undefined, default_scopes: undefined, claims: undefined }
    const delegation = { actors: [{ issuer: 'platform', when: { repository_id: '2' } }] }
    const session_tags = { Txn: '{txn}', Actor: '{/act/sub}' }
    const targets = { payments: { ...role, session_name: '{jti}', session_tags } }

    it('does not warn: every exchange has a name and a lineage, and here somebody may act', () => {
      expect(warnings({ ...grant, delegation }, {}, { targets })).toEqual([])
    })

    it('warns of who acts where nobody may', () => {
      expect(warnings(grant, {}, { targets })).toEqual([
        expect.stringMatching(/^targets\.payments\.session_tags\.Actor: .* every exchange is refused/),
      ])
    })

    it('warns where a token is described: a mapped claim is the subject’s own', () => {
      expect(warnings({ when: ID, claims: { of: '{txn}' } })).toEqual([
        expect.stringMatching(/^grants\.it\.claims\.of: .* every exchange is refused/),
      ])
    })
  })
})
