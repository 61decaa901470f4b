import { DynamoDBClient, GetItemCommand, ListTablesCommand } from '@aws-sdk/client-dynamodb'
import {
  AssumeRoleCommand,
  AssumeRoleWithWebIdentityCommand,
  GetCallerIdentityCommand,
  GetWebIdentityTokenCommand,
  STSClient,
} from '@aws-sdk/client-sts'
import { describe, expect, test } from 'vitest'
import type { VerifyWebIdentity } from '../../../lib/local/aws/sts.ts'
import { ACCOUNT, clientsOf, clientsWith, failureOf, REGION, type Rig, startRig, table } from './support.ts'

const ROLE = 'arn:aws:iam::222222222222:role/team/deploy'
const NOW = Date.UTC(2026, 10, 22)
const allowAll = { Effect: 'Allow', Action: 'sts:*', Resource: '*' }
const assume = (more = {}) => new AssumeRoleCommand({ RoleArn: ROLE, RoleSessionName: 'ci-1', ...more })
const tag = (Key: string, Value = 'v') => ({ Key, Value })

describe('AssumeRole', () => {
  test('gives credentials, and the session is remembered with what was asked', async () => {
    const { sts, endpoint } = await startRig({ clock: () => NOW })
    const Policy = '{"Version":"2012-10-17","Statement":[]}'
    const output = await sts.send(
      assume({
        DurationSeconds: 900,
        Policy,
        Tags: [tag('repository', 'a/b'), tag('run')],
        TransitiveTagKeys: ['run'],
        SourceIdentity: 'octocat',
        ExternalId: 'ex:te/rnal',
      }),
    )
    expect(output).toMatchObject({
      Credentials: {
        AccessKeyId: expect.stringMatching(/^ASIA[A-Z2-7]{16}$/),
        Expiration: new Date(NOW + 900_000),
      },
      AssumedRoleUser: {
        Arn: 'arn:aws:sts::222222222222:assumed-role/deploy/ci-1',
        AssumedRoleId: expect.stringMatching(/^AROA[A-Z0-9]{17}:ci-1$/),
      },
      SourceIdentity: 'octocat',
      PackedPolicySize: 2,
    })
    expect(endpoint.sts.sessions).toMatchObject([
      {
        accessKeyId: output.Credentials?.AccessKeyId,
        roleArn: ROLE,
        sessionName: 'ci-1',
        tags: { repository: 'a/b', run: 'v' },
        transitiveTagKeys: ['run'],
        sourceIdentity: 'octocat',
        externalId: 'ex:te/rnal',
        policy: Policy,
        by: 'AssumeRole',
        startedBy: 'operator',
        expiresAt: NOW + 900_000,
      },
    ])
  })

  test('lasts an hour if nothing else is asked', async () => {
    const { sts } = await startRig({ clock: () => NOW })
    expect((await sts.send(assume())).Credentials?.Expiration).toEqual(new Date(NOW + 3_600_000))
  })

  const failed = (value: string, member: string, constraint: string) =>
    `1 validation error detected: Value '${value}' at '${member}' failed to satisfy constraint: ${constraint}`

  test.each([
    [
      'a colon in the session name',
      { RoleSessionName: 'Session1:2' },
      failed('Session1:2', 'roleSessionName', 'Member must satisfy regular expression pattern: [\\w+=,.@-]*'),
    ],
    [
      'a short session name',
      { RoleSessionName: 'a' },
      failed('a', 'roleSessionName', 'Member must have length greater than or equal to 2'),
    ],
    [
      'a long session name',
      { RoleSessionName: 's'.repeat(65) },
      failed('s'.repeat(65), 'roleSessionName', 'Member must have length less than or equal to 64'),
    ],
    [
      'a short duration',
      { DurationSeconds: 899 },
      failed('899', 'durationSeconds', 'Member must have value greater than or equal to 900'),
    ],
    [
      'a long duration',
      { DurationSeconds: 43_201 },
      failed('43201', 'durationSeconds', 'Member must have value less than or equal to 43200'),
    ],
    ['no role ARN', { RoleArn: 'nothing-valid-in-here' }, 'nothing-valid-in-here is invalid'],
    [
      'a user ARN',
      { RoleArn: 'arn:aws:iam::222222222222:user/deploy' },
      'arn:aws:iam::222222222222:user/deploy is invalid',
    ],
    ['a short account', { RoleArn: 'arn:aws:iam::22222222222:role/deploy' }, 'is invalid'],
    ['a source identity with a space', { SourceIdentity: 'octo cat' }, "at 'sourceIdentity' failed"],
    ['a short source identity', { SourceIdentity: 'o' }, "at 'sourceIdentity' failed"],
    ['an external id with a space', { ExternalId: 'a b' }, "at 'externalId' failed"],
    ['a long external id', { ExternalId: 'e'.repeat(1225) }, "at 'externalId' failed"],
    ['a long policy', { Policy: `{"Statement":"${'x'.repeat(2048)}"}` }, "at 'policy' failed"],
    ['51 tags', { Tags: Array.from({ length: 51 }, (_, index) => tag(`k${index}`)) }, "at 'tags' failed"],
    ['a long tag key', { Tags: [tag('k'.repeat(129))] }, "at 'tags.1.member.key' failed"],
    ['an empty tag key', { Tags: [tag('')] }, "at 'tags.1.member.key' failed"],
    ['a long tag value', { Tags: [tag('ok'), tag('k', 'v'.repeat(257))] }, "at 'tags.2.member.value' failed"],
    ['a character that no tag may have', { Tags: [tag('k', 'a*b')] }, "at 'tags.1.member.value' failed"],
  ])('refuses %s', async (_, more, message) => {
    const { sts, endpoint } = await startRig()
    expect(await failureOf(sts.send(assume(more)))).toMatchObject({
      name: 'ValidationError',
      message: expect.stringContaining(message),
      $metadata: { httpStatusCode: 400 },
    })
    expect(endpoint.sts.sessions).toEqual([])
  })

  test.each([
    [
      'a tag key twice, in other case',
      { Tags: [tag('Run'), tag('run')] },
      'InvalidParameterValue',
      'Duplicate tag keys found. Please note that Tag keys are case insensitive.',
    ],
    [
      'a transitive key that is no tag',
      { Tags: [tag('run')], TransitiveTagKeys: ['other'] },
      'InvalidParameterValue',
      'The specified transitive tag key must be included in the requested tags.',
    ],
    ['a reserved tag key', { Tags: [tag('aws:run')] }, 'InvalidParameterValue', 'reserved'],
    ['a policy that is no JSON', { Policy: 'hello' }, 'MalformedPolicyDocumentException', 'Json'],
    ['a policy without statements', { Policy: '{}' }, 'MalformedPolicyDocumentException', 'Syntax errors'],
    [
      'policy and tags that do not fit',
      { Tags: Array.from({ length: 20 }, (_, index) => tag(`k${index}`, 'v'.repeat(256))) },
      'PackedPolicyTooLargeException',
      'Packed policy consumes',
    ],
  ])('refuses %s', async (_, more, name, message) => {
    const { sts } = await startRig()
    const failure = await failureOf(sts.send(assume(more)))
    expect(failure).toMatchObject({ name, message: expect.stringContaining(message) })
  })

  test('a role that assumes a role gets an hour at most', async () => {
    const rig = await startRig()
    const { sts } = clientsWith(rig, 'bridge', allowAll)
    const failure = await failureOf(sts.send(assume({ DurationSeconds: 3601 })))
    expect(failure.message).toContain('exceeds the 1 hour session limit for roles assumed by role chaining')
    await sts.send(assume({ DurationSeconds: 3600 }))
    await rig.sts.send(assume({ DurationSeconds: 43_200 }))
  })
})

test('a session is forgotten an hour after its end', async () => {
  let now = NOW
  const { sts, endpoint } = await startRig({ clock: () => now })
  const assumed = () => sts.send(assume({ DurationSeconds: 900 }))
  const first = await assumed()
  now += 900_000 + 3_600_000 - 1
  await assumed()
  expect(endpoint.sts.sessions).toHaveLength(2)
  now += 1
  await assumed()
  const keys = endpoint.sts.sessions.map(({ accessKeyId }) => accessKeyId)
  expect(keys).toHaveLength(2)
  expect(keys).not.toContain(first.Credentials?.AccessKeyId)
})

describe('AssumeRoleWithWebIdentity', () => {
  const verifyWebIdentity: VerifyWebIdentity = async (token, roleArn) => {
    if (token === 'expired')
      return { kind: 'refused', code: 'ExpiredTokenException', message: 'Token expired' }
    if (token === 'rejected') return { kind: 'refused', code: 'IDPRejectedClaim', message: 'no' }
    if (token === 'untrusted') return { kind: 'refused', code: 'AccessDenied', message: `not for ${roleArn}` }
    return { kind: 'verified', claims: JSON.parse(token) }
  }
  const claims = {
    iss: 'https://broker.example.com',
    sub: 'github:repo',
    aud: 'sts.amazonaws.com',
    'https://aws.amazon.com/tags': { principal_tags: { run: ['7'] }, transitive_tag_keys: ['run'] },
    'https://aws.amazon.com/source_identity': 'octocat',
  }
  const unsigned = (rig: Rig) => new STSClient({ region: REGION, endpoint: rig.endpoint.url, maxAttempts: 1 })
  const present = (rig: Rig, WebIdentityToken: string, more = {}) =>
    unsigned(rig).send(
      new AssumeRoleWithWebIdentityCommand({
        RoleArn: ROLE,
        RoleSessionName: 'ci-1',
        WebIdentityToken,
        ...more,
      }),
    )

  test('needs no credentials, and takes tags and source identity from the token', async () => {
    const rig = await startRig({ verifyWebIdentity })
    expect(await present(rig, JSON.stringify(claims))).toMatchObject({
      SubjectFromWebIdentityToken: 'github:repo',
      Provider: 'https://broker.example.com',
      Audience: 'sts.amazonaws.com',
      SourceIdentity: 'octocat',
      AssumedRoleUser: { Arn: 'arn:aws:sts::222222222222:assumed-role/deploy/ci-1' },
    })
    expect(rig.endpoint.sts.sessions).toMatchObject([
      {
        by: 'AssumeRoleWithWebIdentity',
        startedBy: 'github:repo',
        tags: { run: '7' },
        transitiveTagKeys: ['run'],
        sourceIdentity: 'octocat',
      },
    ])
    expect(rig.defects).toEqual([])
  })

  test.each([
    ['expired', 'ExpiredTokenException', 400],
    ['rejected', 'IDPRejectedClaimException', 403],
    ['untrusted', 'AccessDenied', 403],
  ])('a token that is %s is refused with %s', async (token, name, httpStatusCode) => {
    const rig = await startRig({ verifyWebIdentity })
    expect(await failureOf(present(rig, token))).toMatchObject({ name, $metadata: { httpStatusCode } })
    expect(rig.endpoint.sts.sessions).toEqual([])
  })

  test('without a verifier every token is refused', async () => {
    const rig = await startRig()
    const failure = await failureOf(present(rig, JSON.stringify(claims)))
    expect(failure).toHaveProperty('name', 'InvalidIdentityTokenException')
  })

  test('is as strict about the request and the token’s tags as AssumeRole', async () => {
    const rig = await startRig({ verifyWebIdentity })
    const good = JSON.stringify(claims)
    for (const more of [{ RoleSessionName: 'a:b' }, { DurationSeconds: 899 }, { RoleArn: 'x'.repeat(20) }]) {
      expect(await failureOf(present(rig, good, more))).toHaveProperty('name', 'ValidationError')
    }
    const tags = { 'https://aws.amazon.com/tags': { principal_tags: { a: ['1'], A: ['2'] } } }
    const twice = await failureOf(present(rig, JSON.stringify({ ...claims, ...tags })))
    expect(twice).toHaveProperty('name', 'InvalidParameterValue')
  })
})

describe('GetWebIdentityToken', () => {
  const asked = { Audience: ['https://a.example'], SigningAlgorithm: 'RS256' }
  const ask = (sts: STSClient, more = {}) => sts.send(new GetWebIdentityTokenCommand({ ...asked, ...more }))
  const outbound = { sign: async (account: string, claims: object) => JSON.stringify({ account, ...claims }) }

  test('is signed by the caller’s account, and ends when it says', async () => {
    const rig = await startRig({ outbound, clock: () => NOW })
    const { WebIdentityToken = '', Expiration } = await ask(rig.sts)
    expect(JSON.parse(WebIdentityToken)).toMatchObject({
      account: ACCOUNT,
      sub: `arn:aws:iam::${ACCOUNT}:user/operator`,
      exp: NOW / 1000 + 300,
    })
    expect(Expiration).toEqual(new Date(NOW + 300_000))
  })

  test('is refused where the account has not switched it on', async () => {
    const rig = await startRig()
    expect(await failureOf(ask(rig.sts))).toMatchObject({
      name: 'OutboundWebIdentityFederationDisabledException',
      $metadata: { httpStatusCode: 403 },
    })
  })

  test('carries tags, as long as they fit, for whom may set them', async () => {
    const rig = await startRig({ outbound })
    const { WebIdentityToken = '' } = await ask(rig.sts, { Tags: [tag('job', 'nightly')] })
    expect(JSON.parse(WebIdentityToken)['https://sts.amazonaws.com/']).toMatchObject({
      request_tags: { job: 'nightly' },
    })
    const Tags = Array.from({ length: 50 }, (_, index) => tag(`k${index}`, 'v'.repeat(256)))
    expect(await failureOf(ask(rig.sts, { Tags }))).toHaveProperty('name', 'JWTPayloadSizeExceededException')
    const { sts } = clientsWith(rig, 'worker', { ...allowAll, Action: 'sts:GetWebIdentityToken' })
    await ask(sts)
    expect(await failureOf(ask(sts, { Tags: [tag('job')] }))).toHaveProperty('name', 'AccessDenied')
  })

  test('does not outlive the session that asks for it', async () => {
    const rig = await startRig({ outbound })
    rig.endpoint.registerPrincipal('AKIADEPLOY', {
      name: 'deploy',
      roleArn: ROLE,
      policies: [{ Statement: allowAll }],
    })
    const { Credentials } = await rig.sts.send(assume({ DurationSeconds: 900, Tags: [tag('run', '7')] }))
    const { AccessKeyId = '', SecretAccessKey = '', SessionToken = '' } = Credentials ?? {}
    const given = { secretAccessKey: SecretAccessKey, sessionToken: SessionToken }
    const { sts } = clientsOf(rig.endpoint, AccessKeyId, given)
    const { WebIdentityToken = '' } = await ask(sts, { DurationSeconds: 800 })
    expect(JSON.parse(WebIdentityToken)).toMatchObject({
      sub: ROLE,
      'https://sts.amazonaws.com/': { aws_account: '222222222222', principal_tags: { run: '7' } },
    })
    expect(await failureOf(ask(sts, { DurationSeconds: 901 }))).toMatchObject({
      name: 'SessionDurationEscalationException',
      $metadata: { httpStatusCode: 403 },
    })
  })
})

describe('GetCallerIdentity', () => {
  const identityOf = async (sts: STSClient) => (await sts.send(new GetCallerIdentityCommand())).Arn

  test('names users, roles and sessions as AWS does, and needs no permission', async () => {
    const rig = await startRig()
    expect(await identityOf(rig.sts)).toBe(`arn:aws:iam::${ACCOUNT}:user/operator`)
    const { sts } = clientsWith(rig, 'exchange', { ...allowAll, Action: 'kms:Sign' })
    expect(await identityOf(sts)).toBe(`arn:aws:sts::${ACCOUNT}:assumed-role/exchange-role/exchange`)
  })

  test('a session’s own credentials work until they expire, with the permissions of its role', async () => {
    let now = NOW
    const rig = await startRig({ clock: () => now })
    const { Credentials } = await rig.sts.send(assume({ DurationSeconds: 900 }))
    const { AccessKeyId = '', SecretAccessKey = '', SessionToken = '' } = Credentials ?? {}
    const given = { secretAccessKey: SecretAccessKey, sessionToken: SessionToken }
    const { sts, dynamodb } = clientsOf(rig.endpoint, AccessKeyId, given)
    expect(await identityOf(sts)).toBe('arn:aws:sts::222222222222:assumed-role/deploy/ci-1')
    expect(await failureOf(dynamodb.send(new ListTablesCommand()))).toHaveProperty(
      'name',
      'AccessDeniedException',
    )
    rig.endpoint.registerPrincipal('AKIADEPLOY', {
      name: 'deploy',
      roleArn: ROLE,
      policies: [{ Statement: { Effect: 'Allow', Action: 'dynamodb:ListTables', Resource: '*' } }],
    })
    await dynamodb.send(new ListTablesCommand())
    const { sts: withoutToken } = clientsOf(rig.endpoint, AccessKeyId, { ...given, sessionToken: '' })
    expect(await failureOf(identityOf(withoutToken))).toHaveProperty('name', 'InvalidClientTokenId')
    const { sts: withWrongKey } = clientsOf(rig.endpoint, AccessKeyId, {
      ...given,
      secretAccessKey: 'guessed',
    })
    expect(await failureOf(identityOf(withWrongKey))).toHaveProperty('name', 'SignatureDoesNotMatch')
    now += 900_000
    expect(await failureOf(identityOf(sts))).toHaveProperty('name', 'ExpiredToken')
    expect(await failureOf(dynamodb.send(new ListTablesCommand()))).toHaveProperty(
      'name',
      'ExpiredTokenException',
    )
  })
})

test('the endpoint is found by AWS_ENDPOINT_URL alone', async () => {
  const rig = await startRig()
  await rig.endpoint.dynamodb.createTable(table('things'))
  const before = { ...process.env }
  Object.assign(process.env, {
    AWS_ENDPOINT_URL: rig.endpoint.url,
    AWS_REGION: REGION,
    AWS_ACCESS_KEY_ID: 'AKIAOPERATOR',
    AWS_SECRET_ACCESS_KEY: 'secret',
  })
  try {
    const { Item } = await new DynamoDBClient({}).send(
      new GetItemCommand({ TableName: 'things', Key: { pk: { S: 'a' } } }),
    )
    expect(Item).toBeUndefined()
    expect((await new STSClient({}).send(new GetCallerIdentityCommand())).Account).toBe(ACCOUNT)
  } finally {
    process.env = before
  }
})
