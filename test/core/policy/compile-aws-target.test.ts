import { describe, expect, it } from 'vitest'
import { compiled, findingsIn, GITHUB, PAYMENTS } from './policy-fixture.ts'

const ROLE = 'arn:aws:iam::111122223333:role/ci/deploy'
const DEPLOY = {
  aws_role: ROLE,
  session_tags: { repository: '{repository}', run: 'run {run_id}' },
  transitive_tags: ['repository'],
  source_identity: '{actor}',
}
/** What begins a variable of IAM. */
const DOLLAR = '$'
const TEAM = `${DOLLAR}{aws:PrincipalTag/team}`
const ARTIFACTS = 'arn:aws:s3:::artifacts/{repository}/*'
const statement = (changes: object = {}) => ({
  Effect: 'Allow',
  Action: 's3:GetObject',
  Resource: ARTIFACTS,
  ...changes,
})
const sessionPolicy = (...statements: readonly object[]) => ({ Version: '2012-10-17', Statement: statements })

function withRole(changes: object, grant: object = {}) {
  return {
    issuers: { github: GITHUB },
    targets: { deploy: { ...DEPLOY, ...changes } },
    grants: {
      ci: {
        issuer: 'github',
        when: { repository_id: '1', ref: 'refs/heads/main' },
        target: 'deploy',
        ...grant,
      },
    },
  }
}

function targetOf(changes: object) {
  return compiled(withRole(changes)).targets[0]
}

describe('an AWS role as a target', () => {
  it('has no finding', () => {
    expect(findingsIn(withRole({}))).toEqual([])
  })

  it('is named by its ARN, is assumed by web identity, for 15 minutes, and never outlives the subject', () => {
    expect(targetOf({})).toEqual({
      id: 'deploy',
      audience: ROLE,
      resources: [],
      scopes: [],
      format: 'aws-credentials',
      roleArn: ROLE,
      assume: 'web-identity',
      durationSeconds: 900,
      sessionTags: { repository: [{ path: ['repository'] }], run: ['run ', { path: ['run_id'] }] },
      transitiveTags: ['repository'],
      sourceIdentity: [{ path: ['actor'] }],
      outlive: 'refuse',
    })
  })

  it('may have another audience, which no other target has', () => {
    expect(targetOf({ audience: 'deploy' })?.audience).toBe('deploy')
    const twice = withRole({})
    const targets = { ...twice.targets, other: { audience: ROLE } }
    expect(findingsIn({ ...twice, targets })).toEqual([expect.stringContaining('targets.other.audience')])
  })

  it.each([
    'arn:aws:iam::111122223333:role/*',
    'arn:aws:iam::*:role/deploy',
    'arn:aws:iam::11112222333:role/deploy',
    'arn:aws:iam::111122223333:user/deploy',
    'arn:aws:iam::111122223333:role/deploy/',
    'arn:aws:iam::111122223333:role/{role}',
    'arn:aws:iam::111122223333:role/a b',
    ' arn:aws:iam::111122223333:role/deploy',
    'arn:aws:iam::111122223333:role/deploy\n',
    'arn:aws:sts::111122223333:assumed-role/deploy/x',
    `arn:aws:iam::111122223333:role/${'a'.repeat(65)}`,
    `arn:aws:iam::111122223333:role/${'a/'.repeat(1010)}a`,
  ])('is not %j', (role) => {
    expect(findingsIn(withRole({ aws_role: role }))).toEqual([
      expect.stringContaining('targets.deploy.aws_role: found '),
    ])
  })

  it.each(['arn:aws-cn:iam::111122223333:role/a', 'arn:aws-us-gov:iam::111122223333:role/x/y/a+=,.@-_'])(
    'may be %s',
    (role) => {
      expect(findingsIn(withRole({ aws_role: role }))).toEqual([])
    },
  )

  it('has what it tells STS to itself: no tokens are for that audience', () => {
    const { issuers } = withRole({})
    expect(findingsIn({ issuers, targets: { sts: { audience: 'sts.amazonaws.com' } } })).toEqual([
      expect.stringContaining('targets.sts.audience: found sts.amazonaws.com'),
    ])
    expect(findingsIn({ issuers: { target: GITHUB } })).toEqual([
      expect.stringContaining('issuers.target: found the issuer id target'),
    ])
  })

  it.each(['14m', '899s', '61m', '2h'])('has no duration of %s', (duration) => {
    expect(findingsIn(withRole({ duration }))).toEqual([expect.stringContaining('targets.deploy.duration')])
  })

  it.each([
    ['resources', { resources: ['urn:example:a'] }],
    ['scopes', { scopes: ['a'] }],
    ['token', { token: { format: 'jwt' } }],
  ])('has no %s', (key, changes) => {
    expect(findingsIn(withRole(changes))).toEqual([
      expect.stringContaining(`targets.deploy.${key}: found ${key} beside aws_role`),
    ])
  })

  it.each([
    ['assume', 'role'],
    ['duration', '15m'],
    ['session_name', 'a'],
    ['session_tags', { a: 'b' }],
    ['transitive_tags', ['a']],
    ['source_identity', 'ci'],
    ['session_policy', sessionPolicy(statement())],
    ['external_id', 'ab'],
    ['outlive', 'refuse'],
  ])('is needed for %s', (key, value) => {
    const targets = { payments: { ...PAYMENTS, [key]: value } }
    expect(findingsIn({ issuers: { github: GITHUB }, targets })).toEqual([
      expect.stringContaining(`targets.payments.${key}: found ${key}, but no aws_role`),
    ])
  })

  it('has an external id only where we call with a role of our own', () => {
    expect(findingsIn(withRole({ external_id: 'ours', assume: 'role' }))).toEqual([])
    expect(findingsIn(withRole({ external_id: 'ours' }))).toHaveLength(1)
    for (const id of ['x', 'a b', 'é1', 'a'.repeat(1225)])
      expect(findingsIn(withRole({ external_id: id, assume: 'role' }))).toHaveLength(1)
  })

  it.each([
    ['a key of AWS', { 'aws:PrincipalTag': 'x' }],
    ['a key of AWS in capitals', { 'AWS:x': 'x' }],
    ['an empty key', { '': 'x' }],
    ['a key of 129 characters', { ['k'.repeat(129)]: 'x' }],
    ['a value of 257 characters', { k: 'v'.repeat(257) }],
    ['a semicolon', { k: 'a;b' }],
    ['a line break', { k: 'a\nb' }],
    ['half a template', { k: '{a' }],
    ['two keys that differ in case', { team: 'a', Team: 'b' }],
    ['51 tags', Object.fromEntries(Array.from({ length: 51 }, (_, at) => [`k${at}`, 'v']))],
  ])('has no session tag with %s', (_, tags) => {
    const changes = { session_tags: tags, transitive_tags: undefined }
    expect(findingsIn(withRole(changes))).toEqual([expect.stringMatching(/^targets\.deploy\.session_tags/)])
  })

  it.each([[['other']], [['Repository']], [['repository', 'repository']]])(
    'has no transitive tags %j',
    (transitive) => {
      expect(findingsIn(withRole({ transitive_tags: transitive }))).toEqual([
        expect.stringMatching(/^targets\.deploy\.transitive_tags\[/),
      ])
    },
  )

  it.each(['x', 'a b', '{actor}:ci', 'a'.repeat(65), '{'])('has no source identity %j', (identity) => {
    expect(findingsIn(withRole({ source_identity: identity }))).not.toEqual([])
  })

  it('may hold as much of tags as AWS is sure to pack, and no more', () => {
    const tags = (length: number) =>
      Object.fromEntries(Array.from({ length: 12 }, (_, at) => [`key${at}`, 'v'.repeat(length)]))
    const changes = (length: number) => ({ session_tags: tags(length), transitive_tags: undefined })
    expect(findingsIn(withRole(changes(256)))).toEqual([])
    const more = { ...tags(256), more: 'v'.repeat(200) }
    expect(findingsIn(withRole({ session_tags: more, transitive_tags: undefined }))).toEqual([
      expect.stringContaining('bytes of policy and tags; allowed: 3276'),
    ])
  })

  it.each([
    ['lifetime', { lifetime: '5m' }],
    ['claims', { claims: { a: 'b' } }],
  ])('leaves a grant no %s', (key, grant) => {
    expect(findingsIn(withRole({}, grant))).toEqual([
      `grants.ci.${key}: found ${key}, but the target is an AWS role; allowed: to leave it out`,
    ])
  })
})

describe('a session policy', () => {
  const findingsOf = (...statements: readonly object[]) =>
    findingsIn(withRole({ session_policy: sessionPolicy(...statements) }))

  it('keeps the statements as they are, cut at what they insert', () => {
    const Condition = { StringLike: { 's3:prefix': ['{repository}/*', `${TEAM}/{sha}`] } }
    expect(targetOf({ session_policy: sessionPolicy(statement({ Condition })) })).toMatchObject({
      sessionPolicy: [
        {
          Effect: 'Allow',
          Action: ['s3:GetObject'],
          Resource: [['arn:aws:s3:::artifacts/', { path: ['repository'] }, '/*']],
          Condition: {
            StringLike: {
              's3:prefix': [
                [{ path: ['repository'] }, '/*'],
                [TEAM, '/', { path: ['sha'] }],
              ],
            },
          },
        },
      ],
    })
  })

  it.each([
    ['the whole of a resource', { Resource: '{arn}' }],
    ['the account of a resource', { Resource: 'arn:aws:iam::{account}:role/x' }],
    ['the account, after a variable', { Resource: `arn:aws:s3:${TEAM}:{account}:x` }],
    ['the service of a resource', { Resource: 'arn:aws:{service}:::x' }],
    ['an action', { Action: 's3:{action}' }],
    ['what is not meant', { Resource: undefined, NotResource: 'arn:aws:s3:::{bucket}' }],
    ['half a variable', { Resource: `arn:aws:s3:::${DOLLAR}{bucket` }],
    ['the name of a statement', { Sid: '{sha}' }],
    ['an operator of a condition', { Condition: { 'String{sha}': { 's3:prefix': 'x' } } }],
    ['a key of a condition', { Condition: { StringEquals: { 'aws:PrincipalTag/{team}': 'x' } } }],
    ['a variable made of claims', { Resource: `arn:aws:s3:::${DOLLAR}{{bucket}}` }],
  ])('inserts no claim as %s', (_, changes) => {
    expect(findingsOf(statement(changes))).toHaveLength(1)
  })

  it.each([
    ['a principal', { Principal: '*' }],
    ['two kinds of actions', { NotAction: 's3:PutObject' }],
    ['no action', { Action: undefined }],
    ['no resource', { Resource: undefined }],
    ['another effect', { Effect: 'allow' }],
    ['a character that IAM refuses', { Sid: '€' }],
  ])('has no %s', (_, changes) => {
    expect(findingsOf(statement(changes))).toHaveLength(1)
  })

  it('has one deadline at most', () => {
    const Condition = { DateLessThan: { 'AWS:currentTime': '2030-01-01T00:00:00Z' } }
    const session_policy = sessionPolicy(statement({ Condition }))
    expect(findingsIn(withRole({ session_policy }))).toEqual([])
    expect(findingsIn(withRole({ session_policy, outlive: 'deadline' }))).toEqual([
      expect.stringContaining('found a deadline beside'),
    ])
  })

  it('has 80 % of 2048 characters of its own, and never more with the longest claims', () => {
    const long = (length: number, resource: string) =>
      statement({ Resource: [`arn:aws:s3:::${'b'.repeat(length)}`, resource] })
    expect(findingsOf(long(1480, 'arn:aws:s3:::b'))).toEqual([])
    expect(findingsOf(long(1600, 'arn:aws:s3:::b'))).toEqual([
      expect.stringContaining('session_policy: found '),
    ])
    const claims = '{a}'.repeat(4)
    expect(findingsOf(long(1380, `arn:aws:s3:::${claims}`))).toEqual([])
    expect(findingsOf(long(1480, `arn:aws:s3:::${claims}`))).toEqual([
      expect.stringContaining('with the longest claims'),
    ])
  })
})
