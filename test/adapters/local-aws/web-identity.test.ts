import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb'
import {
  AssumeRoleCommand,
  AssumeRoleWithWebIdentityCommand,
  GetCallerIdentityCommand,
  STSClient,
} from '@aws-sdk/client-sts'
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { accountsOf, parseTemplate } from '../../../lib/local/account-templates.ts'
import { trailLine } from '../../../lib/local/trail-line.ts'
import { clientsOf, clientsWith, failureOf, REGION, type Rig, startRig, table } from './support.ts'

const ROLE = 'arn:aws:iam::222222222222:role/team/deploy'
const BRIDGE_ROLE = 'arn:aws:iam::222222222222:role/bridged'
const NOW = Date.UTC(2026, 10, 28, 12)
const SECONDS = NOW / 1000

/** An issuer on loopback, whose documents a test may change. */
const issuer = { url: '', metadata: {} as object, keys: [] as JWK[], status: 200, answers: true }
const server = createServer((request, response) => {
  if (!issuer.answers) return
  const body = request.url === '/.well-known/openid-configuration' ? issuer.metadata : { keys: issuer.keys }
  response.writeHead(issuer.status).end(JSON.stringify(body))
})
let key: Awaited<ReturnType<typeof generateKeyPair>>
let jwk: JWK

beforeAll(async () => {
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  issuer.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  key = await generateKeyPair('RS256')
  jwk = { ...(await exportJWK(key.publicKey)), kid: 'one', alg: 'RS256', use: 'sig' }
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
beforeEach(() => {
  const metadata = { issuer: issuer.url, jwks_uri: `${issuer.url}/keys` }
  Object.assign(issuer, { metadata, keys: [jwk], status: 200, answers: true })
})

const template = (condition = '') => `
Resources:
  Broker:
    Type: AWS::IAM::OIDCProvider
    Properties: {Url: '${issuer.url}', ClientIdList: [sts.amazonaws.com]}
  Deploy:
    Type: AWS::IAM::Role
    Properties:
      RoleName: deploy
      Path: /team/
      MaxSessionDuration: 7200
      AssumeRolePolicyDocument:
        Version: '2012-10-17'
        Statement:
          - Sid: Broker
            Effect: Allow
            Principal: {Federated: !Ref Broker}
            Action: [sts:AssumeRoleWithWebIdentity, sts:TagSession, sts:SetSourceIdentity]
            Condition:
              StringEquals:
                '${issuer.url.slice('http://'.length)}:aud': sts.amazonaws.com
                '${issuer.url.slice('http://'.length)}:sub': target:deploy
              StringLike: {aws:RequestTag/repository: 'octo-org/*', sts:SourceIdentity: 'octo*'}
              ForAllValues:StringEquals: {aws:TagKeys: [repository, run]}
              ${condition}
      Policies:
        - PolicyName: tables
          PolicyDocument:
            Statement: {Effect: Allow, Action: 'dynamodb:*', Resource: '*'}
  Bridged:
    Type: AWS::IAM::Role
    Properties:
      RoleName: bridged
      AssumeRolePolicyDocument:
        Statement:
          - Effect: Allow
            Principal: {AWS: !Sub 'arn:\${AWS::Partition}:iam::111111111111:role/path/bridge-role'}
            Action: [sts:AssumeRole, sts:TagSession]
            Condition:
              StringEquals: {sts:ExternalId: tenant-7, aws:RequestTag/run: '7'}
          - {Effect: Deny, Principal: '*', Action: 'sts:*', Condition: {StringEquals: {sts:RoleSessionName: evil}}}
`

const CLAIMS = {
  sub: 'target:deploy',
  aud: 'sts.amazonaws.com',
  iat: SECONDS,
  exp: SECONDS + 60,
  jti: '1',
  'https://aws.amazon.com/tags': {
    principal_tags: { repository: ['octo-org/app'], run: ['7'] },
    transitive_tag_keys: ['run'],
  },
  'https://aws.amazon.com/source_identity': 'octocat',
}

async function rigOf(condition?: string, clock = () => NOW): Promise<Rig> {
  const account = {
    name: 'other',
    account: '222222222222',
    template: parseTemplate('other', template(condition)),
  }
  return startRig({ accounts: accountsOf([account], REGION), clock })
}

async function tokenOf(
  changes: object = {},
  header: object = {},
  privateKey = key.privateKey,
): Promise<string> {
  const claims = { iss: issuer.url, ...CLAIMS, ...changes }
  const protectedHeader = { alg: 'RS256', kid: 'one', ...header }
  return new SignJWT(JSON.parse(JSON.stringify(claims))).setProtectedHeader(protectedHeader).sign(privateKey)
}

function present(rig: Rig, WebIdentityToken: string, more = {}) {
  const sts = new STSClient({ region: REGION, endpoint: rig.endpoint.url, maxAttempts: 1 })
  const asked = { RoleArn: ROLE, RoleSessionName: 'run-7', WebIdentityToken, ...more }
  return sts.send(new AssumeRoleWithWebIdentityCommand(asked))
}

const lastEvent = ({ endpoint }: Rig) => endpoint.cloudtrail.events.at(-1)

describe('a web identity token', () => {
  it('gets a session of a role that trusts its issuer, audience, subject, tags and source identity', async () => {
    const rig = await rigOf()
    const output = await present(rig, await tokenOf(), { DurationSeconds: 7200 })
    expect(output).toMatchObject({
      SubjectFromWebIdentityToken: 'target:deploy',
      Provider: issuer.url,
      Audience: 'sts.amazonaws.com',
      SourceIdentity: 'octocat',
      AssumedRoleUser: { Arn: 'arn:aws:sts::222222222222:assumed-role/deploy/run-7' },
    })
    expect(rig.defects).toEqual([])
  })

  const otherTags = (principal_tags: object) => ({ 'https://aws.amazon.com/tags': { principal_tags } })
  it.each([
    [
      'for another target',
      { sub: 'target:deploy-prod' },
      'AccessDenied',
      'Not authorized to perform sts:AssumeRoleWithWebIdentity',
    ],
    [
      'of a provider that the account does not have',
      { iss: 'https://elsewhere.example' },
      'InvalidIdentityTokenException',
      'No OpenIDConnect provider found in your account for https://elsewhere.example',
    ],
    [
      'for another audience',
      { aud: 'https://api.example.com' },
      'InvalidIdentityTokenException',
      'Incorrect token audience',
    ],
    [
      'whose azp is another',
      { azp: 'somebody' },
      'InvalidIdentityTokenException',
      'Incorrect token audience',
    ],
    [
      'that has expired',
      { exp: SECONDS },
      'ExpiredTokenException',
      `Token expired: current date/time ${SECONDS} must be before the expiration date/time ${SECONDS}`,
    ],
    ['that is not valid yet', { nbf: SECONDS + 301 }, 'IDPRejectedClaimException', 'not valid yet'],
    [
      'without a subject',
      { sub: undefined },
      'InvalidIdentityTokenException',
      'Missing a required claim: sub',
    ],
    ['without iat', { iat: undefined }, 'InvalidIdentityTokenException', 'Missing a required claim: iat'],
    [
      'that lacks a tag which the role asks for',
      otherTags({ run: ['7'] }),
      'AccessDenied',
      'Not authorized to perform',
    ],
    [
      'with a tag of another value',
      otherTags({ repository: ['evil/app'] }),
      'AccessDenied',
      'Not authorized to perform',
    ],
    [
      'with a tag that the role does not know',
      otherTags({ repository: ['octo-org/app'], admin: ['1'] }),
      'AccessDenied',
      'Not authorized',
    ],
    [
      'without the source identity',
      { 'https://aws.amazon.com/source_identity': undefined },
      'AccessDenied',
      'Not authorized',
    ],
    [
      'with another source identity',
      { 'https://aws.amazon.com/source_identity': 'mallory' },
      'AccessDenied',
      'Not authorized',
    ],
    [
      'that says of itself that it is verified',
      { kind: 'verified', claims: {}, sub: 'target:other' },
      'AccessDenied',
      'Not authorized',
    ],
  ])('%s is refused as on AWS', async (_, changes, name, message) => {
    const rig = await rigOf()
    const failure = await failureOf(present(rig, await tokenOf(changes)))
    expect(failure).toMatchObject({ name, message: expect.stringContaining(message) })
    expect(rig.endpoint.sts.sessions).toEqual([])
    expect(rig.defects).toEqual([])
  })

  it('is refused if somebody else signed it, if it is unsigned, or no JWT', async () => {
    const rig = await rigOf()
    const forger = await generateKeyPair('RS256')
    const forged = await tokenOf({}, {}, forger.privateKey)
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${forged.split('.')[1]}.`
    for (const token of [forged, unsigned, 'hello.world', 'a.b.c'])
      expect(await failureOf(present(rig, token))).toHaveProperty('name', 'InvalidIdentityTokenException')
  })

  it('is verified by the keys that its issuer publishes at that moment', async () => {
    const rig = await rigOf()
    const next = await generateKeyPair('RS256')
    const token = await tokenOf({}, { kid: 'two' }, next.privateKey)
    const before = await failureOf(present(rig, token))
    expect(before).toMatchObject({
      name: 'InvalidIdentityTokenException',
      message: expect.stringContaining("Couldn't retrieve verification key"),
    })
    issuer.keys.push({ ...(await exportJWK(next.publicKey)), kid: 'two', alg: 'RS256' })
    await present(rig, token)
  })

  it.each([
    ['answers with an error', { status: 500 }, 'InvalidIdentityTokenException'],
    [
      'names another issuer',
      { metadata: { issuer: 'https://other.example', jwks_uri: 'https://other.example' } },
      'InvalidIdentityTokenException',
    ],
    ['names no keys', { metadata: {} }, 'InvalidIdentityTokenException'],
    [
      'has its keys where there is no TLS',
      { metadata: { jwks_uri: 'http://10.0.0.1/keys' } },
      'InvalidIdentityTokenException',
    ],
  ])('is refused if its issuer %s', async (_, changes, name) => {
    const rig = await rigOf()
    const metadata = { issuer: issuer.url, ...('metadata' in changes ? changes.metadata : issuer.metadata) }
    Object.assign(issuer, { ...changes, metadata })
    expect(await failureOf(present(rig, await tokenOf()))).toHaveProperty('name', name)
  })

  it('is refused if its issuer publishes more keys than AWS takes', async () => {
    const rig = await rigOf()
    issuer.keys = [jwk, ...Array.from({ length: 99 }, (_, at) => ({ ...jwk, kid: `more-${at}` }))]
    await present(rig, await tokenOf())
    issuer.keys.push({ ...jwk, kid: 'one-too-many' })
    expect(await failureOf(present(rig, await tokenOf()))).toHaveProperty(
      'name',
      'InvalidIdentityTokenException',
    )
  })

  it('is refused if its issuer cannot be reached', async () => {
    const rig = await rigOf()
    issuer.metadata = { issuer: issuer.url, jwks_uri: 'http://127.0.0.1:1/keys' }
    expect(await failureOf(present(rig, await tokenOf()))).toMatchObject({
      name: 'IDPCommunicationErrorException',
      $metadata: { httpStatusCode: 400 },
    })
  })

  it('cannot have a role that is not there, nor a session longer than the role gives', async () => {
    const rig = await rigOf()
    const elsewhere = await failureOf(present(rig, await tokenOf(), { RoleArn: `${ROLE}-2` }))
    expect(elsewhere).toHaveProperty('name', 'AccessDenied')
    const long = await failureOf(present(rig, await tokenOf(), { DurationSeconds: 7201 }))
    expect(long).toMatchObject({
      name: 'ValidationError',
      message: expect.stringContaining('MaxSessionDuration'),
    })
  })
})

describe('AssumeRole', () => {
  const asked = {
    RoleArn: BRIDGE_ROLE,
    RoleSessionName: 'run-7',
    ExternalId: 'tenant-7',
    Tags: [{ Key: 'run', Value: '7' }],
  }
  const assume = (sts: STSClient, more = {}) => sts.send(new AssumeRoleCommand({ ...asked, ...more }))
  const mayAssume = { Effect: 'Allow', Action: 'sts:*', Resource: BRIDGE_ROLE }

  it('is for the role that the trust policy names, with its external id and tags', async () => {
    const rig = await rigOf()
    await assume(clientsWith(rig, 'bridge', mayAssume).sts)
    expect(rig.endpoint.sts.sessions).toMatchObject([{ roleArn: BRIDGE_ROLE, externalId: 'tenant-7' }])
  })

  it.each([
    ['another external id', { ExternalId: 'tenant-8' }, 'sts:AssumeRole'],
    ['no external id', { ExternalId: undefined }, 'sts:AssumeRole'],
    ['another tag', { Tags: [{ Key: 'run', Value: '8' }] }, 'sts:AssumeRole'],
    ['what the policy denies', { RoleSessionName: 'evil' }, 'sts:AssumeRole'],
    [
      'a source identity that the policy does not allow to set',
      { SourceIdentity: 'octocat' },
      'sts:SetSourceIdentity',
    ],
  ])('is refused with %s', async (_, more, action) => {
    const rig = await rigOf()
    const failure = await failureOf(assume(clientsWith(rig, 'bridge', mayAssume).sts, more))
    expect(failure).toMatchObject({
      name: 'AccessDenied',
      message: `User: arn:aws:sts::111111111111:assumed-role/bridge-role/bridge is not authorized to perform: ${action} on resource: ${BRIDGE_ROLE}`,
    })
  })

  it('is refused to another role, whatever its own policies allow', async () => {
    const rig = await rigOf()
    const failure = await failureOf(assume(clientsWith(rig, 'exchange', mayAssume).sts))
    expect(failure).toHaveProperty('name', 'AccessDenied')
    expect(lastEvent(rig)).toMatchObject({
      additionalEventData: { trustPolicy: [expect.stringContaining('no statement has the Principal')] },
    })
  })
})

describe('a session', () => {
  async function clientsFor(rig: Rig, more = {}) {
    const { Credentials } = await present(rig, await tokenOf(), more)
    return clientsOf(rig.endpoint, Credentials?.AccessKeyId ?? '', {
      secretAccessKey: Credentials?.SecretAccessKey ?? '',
      sessionToken: Credentials?.SessionToken ?? '',
    })
  }

  it('may do what its role may, as far as its session policy lets it, and until that ends', async () => {
    let now = NOW
    const rig = await rigOf('', () => now)
    await rig.endpoint.dynamodb.createTable(table('things'))
    const put = { TableName: 'things', Item: { pk: { S: 'a' } } }
    const get = { TableName: 'things', Key: { pk: { S: 'a' } } }
    const whole = await clientsFor(rig)
    await whole.dynamodb.send(new PutItemCommand(put))
    const until = new Date(NOW + 60_000).toISOString()
    const policy = {
      Effect: 'Allow',
      Action: 'dynamodb:GetItem',
      Resource: '*',
      Condition: { DateLessThan: { 'aws:CurrentTime': until } },
    }
    const narrowed = await clientsFor(rig, {
      Policy: JSON.stringify({ Version: '2012-10-17', Statement: policy }),
    })
    await narrowed.dynamodb.send(new GetItemCommand(get))
    expect(await failureOf(narrowed.dynamodb.send(new PutItemCommand(put)))).toHaveProperty(
      'name',
      'AccessDeniedException',
    )
    now += 60_000
    expect(await failureOf(narrowed.dynamodb.send(new GetItemCommand(get)))).toHaveProperty(
      'name',
      'AccessDeniedException',
    )
    await whole.dynamodb.send(new GetItemCommand(get))
    expect(rig.defects).toEqual([])
  })

  it('may do nothing where a managed policy narrows it, as nobody here knows what that allows', async () => {
    const rig = await rigOf()
    await rig.endpoint.dynamodb.createTable(table('things'))
    const { dynamodb, sts } = await clientsFor(rig, {
      PolicyArns: [{ arn: 'arn:aws:iam::aws:policy/ReadOnlyAccess' }],
    })
    const failure = await failureOf(
      dynamodb.send(new GetItemCommand({ TableName: 'things', Key: { pk: { S: 'a' } } })),
    )
    expect(failure).toHaveProperty('name', 'AccessDeniedException')
    expect((await sts.send(new GetCallerIdentityCommand())).Account).toBe('222222222222')
  })
})

describe('CloudTrail', () => {
  /** As `aws cloudtrail lookup-events` asks. */
  async function lookup({ endpoint }: Rig, input: object): Promise<readonly Record<string, string>[]> {
    const authorization =
      'AWS4-HMAC-SHA256 Credential=AKIAOPERATOR/20261128/eu-west-1/cloudtrail/aws4_request'
    const target = 'com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents'
    const headers = { authorization, 'x-amz-target': target, 'content-type': 'application/x-amz-json-1.1' }
    const response = await fetch(endpoint.url, { method: 'POST', headers, body: JSON.stringify(input) })
    return ((await response.json()) as { Events: Record<string, string>[] }).Events
  }

  it('keeps who got which session and for what, and no secret', async () => {
    const rig = await rigOf()
    const token = await tokenOf()
    const { Credentials } = await present(rig, token)
    const byKey = { AttributeKey: 'AccessKeyId', AttributeValue: Credentials?.AccessKeyId }
    const [found, ...more] = await lookup(rig, { LookupAttributes: [byKey] })
    expect(more).toEqual([])
    expect(found).toMatchObject({ EventName: 'AssumeRoleWithWebIdentity', Username: 'target:deploy' })
    const event = JSON.parse(found?.['CloudTrailEvent'] ?? '')
    const provider = `arn:aws:iam::222222222222:oidc-provider/${issuer.url.slice('http://'.length)}`
    expect(event).toMatchObject({
      eventSource: 'sts.amazonaws.com',
      userIdentity: {
        type: 'WebIdentityUser',
        identityProvider: provider,
        principalId: `${provider}:sts.amazonaws.com:target:deploy`,
      },
      requestParameters: {
        roleArn: ROLE,
        roleSessionName: 'run-7',
        principalTags: { repository: 'octo-org/app', run: '7' },
        transitiveTagKeys: ['run'],
        sourceIdentity: 'octocat',
      },
      responseElements: { subjectFromWebIdentityToken: 'target:deploy' },
      recipientAccountId: '222222222222',
    })
    const text = JSON.stringify(rig.endpoint.cloudtrail.events)
    for (const secret of [token, Credentials?.SecretAccessKey, Credentials?.SessionToken])
      expect(text).not.toContain(secret)
  })

  it('says of a refusal what AWS says and, as AWS does not, which condition was in the way', async () => {
    const rig = await rigOf()
    await failureOf(present(rig, await tokenOf({ sub: 'target:other' })))
    const event = lastEvent(rig)
    expect(event && trailLine(event)).toMatch(
      /^sts: AssumeRoleWithWebIdentity of \S+ as run-7: AccessDenied: StringEquals \S+:sub wants "target:deploy"/,
    )
    expect(event).toMatchObject({
      errorCode: 'AccessDenied',
      responseElements: null,
      additionalEventData: {
        trustPolicy: [
          expect.stringMatching(
            /^StringEquals 127\.0\.0\.1:\d+:sub wants "target:deploy", found "target:other"$/,
          ),
        ],
      },
    })
  })

  it('gives the newest first, a page at a time', async () => {
    const rig = await rigOf()
    for (const RoleSessionName of ['first', 'second'])
      await present(rig, await tokenOf(), { RoleSessionName })
    const [newest] = await lookup(rig, { MaxResults: 1 })
    expect(newest?.['CloudTrailEvent']).toContain('"roleSessionName":"second"')
    const [older, ...rest] = await lookup(rig, { MaxResults: 1, NextToken: '1' })
    expect(older?.['CloudTrailEvent']).toContain('"roleSessionName":"first"')
    expect(rest).toEqual([])
    expect(
      await lookup(rig, { LookupAttributes: [{ AttributeKey: 'EventName', AttributeValue: 'AssumeRole' }] }),
    ).toEqual([])
  })
})
