import { describe, expect, it } from 'vitest'
import { PRESET_NAMES } from '../../../functions/core/policy/presets.ts'
import { policySchema } from '../../../functions/core/policy/schema.ts'
import { findingsIn, POLICY, withGrant, withIssuer, withTarget } from './policy-fixture.ts'

/** Every key of the policy language, as its reference shows it. */
const EVERYTHING = {
  defaults: { lifetime: '5m', max_delegation_depth: 3 },
  issuers: {
    github: {
      preset: 'github-actions',
      audiences: ['https://broker.example.com'],
      max_lifetime: '10m',
      clock_skew: '30s',
      replay: 'single-use',
      client_authentication: 'none',
      default_target: 'payments-api',
    },
    'billing-cluster': {
      issuer: 'https://oidc.eks.eu-west-1.amazonaws.com/id/ABC',
      keys: 'discovery',
      algorithms: ['RS256'],
      audiences: ['https://broker.example.com'],
      replay: 'reusable',
    },
    fetched: { audiences: ['a'], keys: { jwks_uri: 'https://a.example/jwks' } },
    inline: { audiences: ['a'], keys: { jwks: { keys: [{ kty: 'EC', kid: '1' }] } } },
  },
  clients: {
    checkout: {
      authentication: { method: 'private_key_jwt', jwks: { keys: [{ kty: 'EC' }] } },
      introspects: ['payments-api'],
    },
    legacy: { authentication: { method: 'client_secret_basic' } },
  },
  targets: {
    'payments-api': {
      audience: 'https://payments.example.com',
      resources: ['https://payments.example.com/v1'],
      scopes: ['payments.read', 'payments.write'],
      token: { format: 'jwt', algorithm: 'RS256', max_lifetime: '15m', binding: 'none' },
    },
    'deploy-prod': {
      aws_role: 'arn:aws:iam::111122223333:role/deploy',
      assume: 'web-identity',
      duration: '15m',
      session_tags: { repository: '{repository}', run: '{run_id}' },
      session_name: 'ci-{run_id}',
      transitive_tags: ['repository'],
      source_identity: '{actor}',
      session_policy: {
        Version: '2012-10-17',
        Statement: [
          {
            Sid: 'OwnFolder',
            Effect: 'Allow',
            Action: 's3:GetObject',
            Resource: ['arn:aws:s3:::artifacts/{repository}/*'],
            Condition: { StringEquals: { 'aws:RequestedRegion': 'eu-west-1' } },
          },
          { Effect: 'Deny', NotAction: ['s3:GetObject'], NotResource: '*' },
        ],
      },
      external_id: 'token-broker',
      outlive: 'deadline',
    },
  },
  grants: {
    'payments-ci': {
      issuer: 'github',
      when: { repository_id: '123456', ref: ['refs/heads/main', 'refs/tags/v*'], nested: { deep: { n: 1 } } },
      client: 'checkout',
      target: 'payments-api',
      scopes: ['payments.read', 'payments.write'],
      default_scopes: ['payments.read'],
      lifetime: '5m',
      claims: { repository: '{repository}', sha: '{sha}' },
      rate: { limit: 60, per: '1m', by: 'subject' },
      delegation: {
        actors: [{ issuer: 'billing-cluster', when: { sub: 'system:serviceaccount:payments:worker' } }],
      },
    },
  },
}

describe('the form of a policy file', () => {
  it('has every key of the policy language', () => {
    expect(policySchema.safeParse(EVERYTHING).error).toBeUndefined()
  })

  it('has no key that must be there', () => {
    expect(policySchema.safeParse({}).success).toBe(true)
  })

  it.each(PRESET_NAMES)('knows the preset %s', (preset) => {
    const policy = { issuers: { one: { preset, audiences: ['a'] } } }
    expect(policySchema.safeParse(policy).success).toBe(true)
  })
})

describe('findings about the form', () => {
  it.each([
    ['at the top', { ...POLICY, grant: {} }, 'grant'],
    ['of an issuer', withIssuer({ audience: ['a'] }), 'issuers.github.audience'],
    ['of a target', withTarget({ scope: ['a'] }), 'targets.payments.scope'],
    ['of a token', withTarget({ token: { alg: 'RS256' } }), 'targets.payments.token.alg'],
    ['of a grant', withGrant({ if: {} }), 'grants.payments-ci.if'],
    ['of the defaults', { ...POLICY, defaults: { lifetimes: '5m' } }, 'defaults.lifetimes'],
  ])('refuse an unknown key %s', (_, policy, path) => {
    expect(findingsIn(policy)).toEqual([
      expect.stringMatching(`^${path.replaceAll('.', '\\.')}: found the unknown key`),
    ])
  })

  it('say which keys are allowed instead of an unknown one', () => {
    expect(findingsIn({ ...POLICY, grant: {} })).toEqual([
      'grant: found the unknown key "grant"; allowed: a map with the keys defaults, issuers, clients, targets, grants; did you mean grants?',
    ])
  })

  it.each(['Github', '-a', 'a b', '', 'a.b', 'x'.repeat(64)])('refuse the name %j', (id) => {
    expect(findingsIn(withIssuer({ issuer: 'https://a.example' }, id))).toEqual([
      expect.stringContaining('allowed: a name of at most 63 characters'),
    ])
  })

  it.each(['issuers', 'targets', 'grants'])('refuse __proto__ as a name among %s', (section) => {
    const policy = JSON.parse(`{"${section}": {"__proto__": {}}}`)
    expect(findingsIn(policy)).toEqual([
      `${section}.__proto__: found the key __proto__; allowed: any other name`,
    ])
  })

  it('refuse __proto__ as a claim in a condition', () => {
    const when = JSON.parse('{"sub": "a", "nested": {"__proto__": "b"}}')
    expect(findingsIn(withGrant({ when }))).toEqual([
      'grants.payments-ci.when.nested.__proto__: found the key __proto__; allowed: any other name',
    ])
  })

  it.each([
    [
      'a text for a list',
      withIssuer({ audiences: 'a' }),
      'issuers.github.audiences: found "a"; allowed: a list',
    ],
    [
      'no audience',
      withIssuer({ audiences: [] }),
      'issuers.github.audiences: found an empty list; allowed: a list',
    ],
    [
      'a symmetric algorithm',
      withIssuer({ algorithms: ['HS256'] }),
      'issuers.github.algorithms[0]: found "HS256"',
    ],
    [
      'an unknown preset',
      withIssuer({ preset: 'github' }),
      'issuers.github.preset: found "github"; allowed: github-ac',
    ],
    [
      'an unknown replay mode',
      withIssuer({ replay: 'never' }),
      'issuers.github.replay: found "never"; allowed: single-',
    ],
    [
      'an unknown key source',
      withIssuer({ keys: 'none' }),
      'issuers.github.keys: found "none"; allowed: discovery, {',
    ],
    [
      'a bare number for a duration',
      withGrant({ lifetime: 300 }),
      'grants.payments-ci.lifetime: found 300; allowed: a d',
    ],
    [
      'a duration in days',
      withGrant({ lifetime: '1d' }),
      'grants.payments-ci.lifetime: found "1d"; allowed: a duration',
    ],
    [
      'no value',
      withGrant({ target: null }),
      'grants.payments-ci.target: found nothing; allowed: the id of a',
    ],
    [
      'an empty condition',
      withGrant({ when: { ref: null } }),
      'grants.payments-ci.when.ref: found nothing; allowed: a',
    ],
    [
      'an empty any-of list',
      withGrant({ when: { ref: [] } }),
      'grants.payments-ci.when.ref: found an empty list; allo',
    ],
    [
      'a map in an any-of list',
      withGrant({ when: { a: { b: ['x', {}] } } }),
      'grants.payments-ci.when.a.b[1]: found a map',
    ],
    [
      'conditions as a list',
      withGrant({ when: ['a'] }),
      'grants.payments-ci.when: found a list; allowed: a map of at',
    ],
  ])('say what was found and what is allowed: %s', (_, policy, start) => {
    expect(findingsIn(policy)).toEqual([expect.stringContaining(start)])
  })

  it('come all at once', () => {
    expect(
      findingsIn({ ...withIssuer({ replay: 'x' }), targets: { payments: { audience: 1 } } }),
    ).toHaveLength(2)
  })

  it('show no more than the start of a long text', () => {
    const [finding] = findingsIn(withGrant({ lifetime: 'x'.repeat(5000) }))
    expect(finding?.length).toBeLessThan(200)
  })
})
