import { STSClient } from '@aws-sdk/client-sts'
import { decodeJwt } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { STS_CLIENT, StsCredentialIssuer } from '../../functions/adapters/sts-credential-issuer.ts'
import { type AwsSession, sessionFor } from '../../functions/core/aws-session.ts'
import { DependencyUnavailable, SessionRejected } from '../../functions/core/fault.ts'
import type { AwsTarget } from '../../functions/core/policy/compiled.ts'
import type { CredentialIssuer } from '../../functions/core/ports.ts'
import type { ValidatedSubject } from '../../functions/core/subject-token.ts'
import type { TargetId } from '../../functions/core/types.ts'
import { signWebIdentity } from '../../functions/core/web-identity.ts'
import { type AwsEndpoint, startAwsEndpoint } from '../../lib/local/aws/endpoint.ts'
import { awsTarget, MemoryCredentialIssuer, OWN_ROLE, webIdentityJudge } from '../support/aws-roles.ts'
import { BROKER_ISSUER } from '../support/broker.ts'
import { MemoryKeys } from '../support/fakes.ts'

const NOW = Math.floor(Date.UTC(2026, 10, 28, 12) / 1000)
const FUNCTION = { accessKeyId: 'ASIAFUNCTION00000000', secretAccessKey: 'local', sessionToken: 'local' }
const OPERATION = 'sts:AssumeRoleWithWebIdentity'
const OTHER_ROLE = 'arn:aws:iam::222222222222:role/other'

const keys = new MemoryKeys()
let aws: AwsEndpoint
let client: STSClient

beforeAll(async () => {
  await keys.activate('RS256')
  aws = await startAwsEndpoint({
    region: 'eu-west-1',
    clock: () => NOW * 1000,
    verifyWebIdentity: webIdentityJudge(keys),
    onDefect: () => undefined,
  })
  aws.registerPrincipal(FUNCTION.accessKeyId, {
    name: 'aws-credentials',
    roleArn: 'arn:aws:iam::111111111111:role/aws-credentials',
    policies: [
      {
        Statement: {
          Effect: 'Allow',
          Action: ['sts:AssumeRole', 'sts:TagSession', 'sts:SetSourceIdentity'],
          Resource: OWN_ROLE,
        },
      },
    ],
  })
  client = new STSClient({ ...STS_CLIENT, endpoint: aws.url, region: 'eu-west-1', credentials: FUNCTION })
})
afterEach(() => aws.faults.clear())
afterAll(async () => {
  client.destroy()
  await aws.close()
})

function session(changes: Partial<AwsTarget> = {}): AwsSession {
  const claims = { repository: 'octo/pay', run_id: '7' }
  const subject = {
    subject: 'ci:repo:octo/pay',
    claims,
    expiresAt: NOW + 3600,
  } as unknown as ValidatedSubject
  const made = sessionFor(awsTarget(changes), subject, NOW)
  if ('kind' in made) throw new Error(made.kind)
  return made
}

const tokenFor = async (given: AwsSession, target = 'deploy') =>
  signWebIdentity(
    given,
    {
      issuer: BROKER_ISSUER,
      target: target as TargetId,
      jti: 'jti',
      now: NOW,
      key: await keys.activeKey('RS256'),
    },
    keys,
  )

describe.each<[string, () => CredentialIssuer]>([
  ['in memory', () => new MemoryCredentialIssuer(webIdentityJudge(keys), () => NOW, [OWN_ROLE])],
  ['STS', () => new StsCredentialIssuer(client)],
])('a credential issuer: %s', (_name, create) => {
  it('gives whole credentials for a token of ours, for as long as the session says', async () => {
    const given = session({ durationSeconds: 1200 })
    expect(await create().withWebIdentity(given, await tokenFor(given))).toEqual({
      kind: 'issued',
      credentials: {
        accessKeyId: expect.stringMatching(/^ASIA/),
        secretAccessKey: expect.stringMatching(/.{8}/),
        sessionToken: expect.stringMatching(/.{8}/),
        expiresAt: NOW + 1200,
      },
    })
  })

  it('is denied the role that trusts another target', async () => {
    const given = session()
    const token = await tokenFor(given, 'other')
    expect(await create().withWebIdentity(given, token)).toEqual({ kind: 'denied', code: 'AccessDenied' })
  })

  it('has a fault for a token that does not verify', async () => {
    const given = session()
    const token = (await tokenFor(given))
      .split('.')
      .with(1, Buffer.from('{}').toString('base64url'))
      .join('.')
    await expect(create().withWebIdentity(given, token)).rejects.toThrow(SessionRejected)
  })

  it('assumes a role of its own list, and no other', async () => {
    const issuer = create()
    expect(await issuer.withOwnRole(session({ roleArn: OWN_ROLE }))).toMatchObject({ kind: 'issued' })
    expect(await issuer.withOwnRole(session({ roleArn: OTHER_ROLE }))).toEqual({
      kind: 'denied',
      code: 'AccessDenied',
    })
  })
})

describe('STS', () => {
  const issuer = () => new StsCredentialIssuer(client)
  const ask = async () => {
    const given = session()
    return issuer().withWebIdentity(given, await tokenFor(given))
  }

  it('is told all of a session by AssumeRole', async () => {
    const given = session({
      roleArn: OWN_ROLE,
      sourceIdentity: ['octocat'],
      externalId: 'ours',
      sessionPolicy: [{ Effect: 'Allow', Action: ['s3:GetObject'], Resource: [['arn:aws:s3:::b/*']] }],
    })
    await issuer().withOwnRole(given)
    expect(aws.sts.sessions.at(-1)).toMatchObject({
      by: 'AssumeRole',
      roleArn: OWN_ROLE,
      sessionName: given.sessionName,
      tags: { repository: 'octo/pay' },
      transitiveTagKeys: ['repository'],
      sourceIdentity: 'octocat',
      externalId: 'ours',
      policy: given.policy,
      expiresAt: (NOW + 900) * 1000,
    })
  })

  it('is told of no tags where there are none, not of an empty list', async () => {
    const asked: Record<string, unknown>[] = []
    const send = async ({ input }: { readonly input: Record<string, unknown> }) => {
      asked.push(input)
      throw new DependencyUnavailable('sts', 'not sent')
    }
    const bare = session({ sessionTags: {}, transitiveTags: [] })
    const call = new StsCredentialIssuer({ send } as unknown as STSClient).withOwnRole(bare)
    await expect(call).rejects.toThrow(DependencyUnavailable)
    expect([asked[0]?.['Tags'], asked[0]?.['TransitiveTagKeys']]).toEqual([undefined, undefined])
    expect(decodeJwt(await tokenFor(bare))).not.toHaveProperty(['https://aws.amazon.com/tags'])
    const claims = decodeJwt(await tokenFor(session({ transitiveTags: [] })))
    expect(claims['https://aws.amazon.com/tags']).toEqual({ principal_tags: { repository: ['octo/pay'] } })
  })

  it('is told all of a session by AssumeRoleWithWebIdentity, tags and source identity in the token', async () => {
    const given = session({ sourceIdentity: ['octocat'], durationSeconds: 3600 })
    await issuer().withWebIdentity(given, await tokenFor(given))
    expect(aws.sts.sessions.at(-1)).toMatchObject({
      by: 'AssumeRoleWithWebIdentity',
      startedBy: 'target:deploy',
      sessionName: given.sessionName,
      tags: { repository: 'octo/pay' },
      transitiveTagKeys: ['repository'],
      sourceIdentity: 'octocat',
    })
  })

  it.each(['AccessDenied', 'IDPRejectedClaim'])('that answers %s denies the role', async (code) => {
    aws.faults.set({ operation: OPERATION, kind: 'error', code, status: 403 })
    expect(await ask()).toEqual({ kind: 'denied', code })
  })

  it.each([
    'MalformedPolicyDocument',
    'PackedPolicyTooLarge',
    'RegionDisabledException',
    'InvalidIdentityToken',
    'ExpiredTokenException',
    'ValidationError',
    'InvalidParameterValue',
  ])('that answers %s finds fault with us', async (code) => {
    aws.faults.set({ operation: OPERATION, kind: 'error', code, status: 400 })
    const fault = await ask().catch((error: unknown) => error)
    expect(fault).toBeInstanceOf(SessionRejected)
    expect(fault).toHaveProperty('message', expect.stringContaining(code.replace('Exception', '')))
  })

  it.each([
    ['Throttling', 400],
    ['IDPCommunicationError', 400],
    ['RequestLimitExceeded', 503],
    ['ServiceUnavailable', 503],
    ['InternalFailure', 500],
  ])('that answers %s is asked once more, then unavailable', async (code, status) => {
    aws.faults.set({ operation: OPERATION, kind: 'error', code, status, times: 1 })
    expect(await ask()).toMatchObject({ kind: 'issued' })
    aws.faults.set({ operation: OPERATION, kind: 'error', code, status })
    await expect(ask()).rejects.toThrow(DependencyUnavailable)
  })

  it.each(['eu-west-1', 'us-east-1'])('is the one of the function’s Region: %s', async (region) => {
    const asked: string[] = []
    const handle = async ({ hostname }: { readonly hostname: string }) => {
      asked.push(hostname)
      throw new Error('not sent')
    }
    const requestHandler = { handle } as never
    const regional = new STSClient({ ...STS_CLIENT, region, credentials: FUNCTION, requestHandler })
    const given = session()
    const call = new StsCredentialIssuer(regional).withWebIdentity(given, await tokenFor(given))
    await expect(call).rejects.toThrow(DependencyUnavailable)
    expect(new Set(asked)).toEqual(new Set([`sts.${region}.amazonaws.com`]))
  })

  it('that breaks the connection is unavailable', async () => {
    aws.faults.set({ operation: OPERATION, kind: 'reset' })
    await expect(ask()).rejects.toThrow(DependencyUnavailable)
  })

  it.each(['AccessKeyId', 'SecretAccessKey', 'SessionToken', 'Expiration'])(
    'that leaves out %s has given nothing',
    async (missing) => {
      const send = async () => {
        const Credentials = {
          AccessKeyId: 'ASIA',
          SecretAccessKey: 's',
          SessionToken: 't',
          Expiration: new Date(NOW * 1000),
        }
        return { Credentials: { ...Credentials, [missing]: undefined } }
      }
      const partial = new StsCredentialIssuer({ send } as unknown as STSClient)
      await expect(partial.withOwnRole(session())).rejects.toThrow('incomplete credentials')
    },
  )

  it('that answers without credentials has given nothing', async () => {
    const partial = new StsCredentialIssuer({ send: async () => ({}) } as unknown as STSClient)
    await expect(partial.withWebIdentity(session(), 'token')).rejects.toThrow(DependencyUnavailable)
  })
})
