import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { DependencyUnavailable, SessionRejected } from '../../functions/core/fault.ts'
import { openOwnToken } from '../../functions/core/own-token.ts'
import type { AwsTarget } from '../../functions/core/policy/compiled.ts'
import { sessionNameOf } from '../../functions/core/session-name.ts'
import {
  type AwsBroker,
  awsBrokerOf,
  createAwsBroker,
  createDelegatingAwsBroker,
} from '../support/aws-broker.ts'
import { OWN_ROLE, policyWithRoles, ROLE } from '../support/aws-roles.ts'
import { BROKER_ISSUER, NOW, OUR_AUDIENCE, PAYMENTS } from '../support/broker.ts'
import { printedBy } from '../support/printed.ts'

const DOLLAR = '$'
const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt'
const NAME = /^[\w+=,.@-]{2,64}$/
const TENANT_B = 'arn:aws:iam::333333333333:role/tenant-b'
const NARROW: AwsTarget['sessionPolicy'] = [
  {
    Effect: 'Allow',
    Action: ['s3:GetObject'],
    Resource: [['arn:aws:s3:::releases/', { path: ['repository'] }, '/*']],
    Condition: { StringEquals: { 's3:prefix': [[{ path: ['repository'] }]] } },
  },
]

beforeAll(() => void vi.useFakeTimers({ toFake: ['Date'], now: NOW * 1000 }))
afterAll(() => void vi.useRealTimers())

async function proofKey() {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  return { jwk: await exportJWK(publicKey), privateKey }
}

/** Asks for credentials with a token of these claims; what came of it. */
async function asked(by: AwsBroker, claims: Record<string, unknown>, form: Record<string, string> = {}) {
  const answer = await by.exchange({ subject_token: await by.subjectToken(claims), ...form })
  return {
    ...answer,
    session: by.sts.sessions.at(-1)?.session,
    reason: by.endpoints.said.audit.at(-1)?.['reason'],
  }
}

async function expectRefused(by: AwsBroker, claims: Record<string, unknown>, reason: string) {
  const { statusCode, json, reason: found } = await asked(by, claims)
  expect([statusCode, json['error'], found]).toEqual([400, 'invalid_request', reason])
  expect(by.sts.sessions).toEqual([])
  expect(by.broker.ledger.records.size).toBe(0)
}

describe('attacks on what STS is asked for', () => {
  it.each([
    'repo:octo/pay:ref:refs/heads/main',
    'a b',
    'a;b',
    'x'.repeat(200),
    'x',
    '$(id)',
    'system:serviceaccount:payments:worker',
  ])('K01 a subject that is no session name: %j', async (sub) => {
    const { session } = await asked(await createAwsBroker(), { sub })
    expect(session?.sessionName).toMatch(NAME)
    expect(session?.sessionName).toBe(sessionNameOf(`pod:${sub}`))
  })

  it.each([undefined, null, { a: 'b' }, ['a']])('K01 a name from a claim that is %j', async (name) => {
    const by = await createAwsBroker({ sessionName: ['ci-', { path: ['name'] }] })
    await expectRefused(by, { name }, 'session_value_not_acceptable')
  })

  it('K01 a subject that looks like the name that another one got', async () => {
    const name = (await asked(await createAwsBroker({ sessionName: [{ path: ['name'] }] }), { name: 'a b' }))
      .session
    const twin = await createAwsBroker({ sessionName: [{ path: ['name'] }] })
    const forged = (await asked(twin, { name: name?.sessionName })).session
    expect(forged?.sessionName).toMatch(NAME)
    expect(forged?.sessionName).not.toBe(name?.sessionName)
  })

  it.each([
    ['a line break', 'octo/pay\nx'],
    ['a semicolon', 'octo/pay;admin=true'],
    ['a comma', 'a,b'],
    ['257 characters', 'x'.repeat(257)],
    ['an object', { toString: 'x' }],
    ['a list', ['octo/pay']],
    ['null', null],
    ['nothing', undefined],
  ])('K02 a tag from a claim that has or is %s', async (_, repository) => {
    await expectRefused(await createAwsBroker(), { repository }, 'session_value_not_acceptable')
  })

  it('K02 tags that nobody asked for, and keys that a token or a request would add', async () => {
    const by = await createAwsBroker()
    const claims = {
      'https://aws.amazon.com/tags': { principal_tags: { admin: ['true'] }, transitive_tag_keys: ['admin'] },
      'https://aws.amazon.com/source_identity': 'root',
    }
    const { session } = await asked(by, claims, { tags: 'admin=true', duration_seconds: '43200' })
    expect(session).toMatchObject({
      tags: { repository: 'octo/pay' },
      transitiveTags: ['repository'],
      sourceIdentity: undefined,
      durationSeconds: 900,
    })
    expect(by.sts.sessions[0]?.token).not.toContain(Buffer.from('"admin"').toString('base64url').slice(0, 6))
  })

  it('K02 an exchange, a lineage or an actor that a token claims to be of', async () => {
    const forged = { jti: 'forged', txn: 'forged', act: { sub: 'forged' } }
    const names = { sessionName: [{ path: ['jti'] }, '.', { path: ['txn'] }] }
    const { session } = await asked(await createAwsBroker(names), forged)
    expect(session?.sessionName).toMatch(/^([\w-]{22})\.\1$/)
    const by = await createAwsBroker({ sourceIdentity: [{ path: ['act', 'sub'] }] })
    await expectRefused(by, forged, 'session_value_not_acceptable')
  })

  it.each(['a:b', 'octo cat', 'x', 'x'.repeat(65), 'octocat\n'])(
    'K02 a source identity of %j is refused, not rewritten',
    async (actor) => {
      const by = await createAwsBroker({ sourceIdentity: [{ path: ['actor'] }] })
      await expectRefused(by, { actor }, 'session_value_not_acceptable')
    },
  )

  it.each(['PackedPolicyTooLarge', 'MalformedPolicyDocument'])(
    'K03 a policy that STS answers with %s: our fault, an alarm, and no credentials',
    async (code) => {
      const by = await createAwsBroker({ sessionPolicy: NARROW })
      const rejected = new SessionRejected(code)
      by.sts.ends.push(rejected)
      const { statusCode, json } = await asked(by, {})
      expect([statusCode, json['error']]).toEqual([500, 'server_error'])
      expect(by.endpoints.said.failed).toEqual([rejected])
      expect(by.endpoints.said.measured).toMatchObject([{ outcome: 'failed' }])
    },
  )

  it.each([
    '*',
    'octo/*',
    'octo/pay?',
    `${DOLLAR}{aws:username}`,
    'octo/pay"',
    '"},{"Effect":"Allow","Action":"*","Resource":"*"},{"x":"',
    'arn:aws:s3:::secrets',
    'a:b',
    'octo/pay\u0000',
    'octó',
    'x'.repeat(129),
    '',
  ])('K04 a session policy with %j in it', async (repository) => {
    const tagless = { sessionTags: {}, transitiveTags: [], sessionPolicy: NARROW }
    await expectRefused(await createAwsBroker(tagless), { repository }, 'session_value_not_acceptable')
  })

  it('K04 what may be inserted stands in the text where policy has put it, and nowhere else', async () => {
    const { session } = await asked(await createAwsBroker({ sessionPolicy: NARROW }), {})
    expect(JSON.parse(session?.policy ?? '')).toEqual({
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Action: ['s3:GetObject'],
          Resource: ['arn:aws:s3:::releases/octo/pay/*'],
          Condition: { StringEquals: { 's3:prefix': ['octo/pay'] } },
        },
      ],
    })
  })

  it('K05 no session without the session policy that the target has, and none beyond a deadline', async () => {
    const by = await createAwsBroker({ sessionPolicy: NARROW, outlive: 'deadline' })
    const { session } = await asked(by, { exp: NOW + 60 })
    const [statement] = (JSON.parse(session?.policy ?? '') as { Statement: Record<string, unknown>[] })
      .Statement
    expect(statement?.['Condition']).toEqual({
      StringEquals: { 's3:prefix': ['octo/pay'] },
      DateLessThan: { 'aws:CurrentTime': new Date((NOW + 60) * 1000).toISOString().replace('.000Z', 'Z') },
    })
    await asked(by, { repository: undefined })
    expect(by.sts.sessions).toHaveLength(1)
  })

  it('K05 a deadline stands in all that allows, beside what is there, and in nothing that denies', async () => {
    const DateLessThan = { 'aws:TokenIssueTime': [['2030-01-01T00:00:00Z']] }
    const rest = { Action: ['s3:*'], Resource: [['*']] }
    const sessionPolicy: AwsTarget['sessionPolicy'] = [
      { Effect: 'Allow', ...rest },
      { Effect: 'Allow', ...rest, Condition: { DateLessThan } },
      { Effect: 'Allow', ...rest, Condition: { DateLessThan: { 'aws:CurrentTime': [['2099-01-01']] } } },
      { Effect: 'Deny', ...rest, Condition: { DateLessThan } },
    ]
    const by = await createAwsBroker({ sessionPolicy, outlive: 'deadline' })
    const { session } = await asked(by, { exp: NOW + 60 })
    const { Statement } = JSON.parse(session?.policy ?? '') as { Statement: Record<string, unknown>[] }
    const deadline = { 'aws:CurrentTime': new Date((NOW + 60) * 1000).toISOString().replace('.000Z', 'Z') }
    const before = { 'aws:TokenIssueTime': ['2030-01-01T00:00:00Z'] }
    expect(Statement.map(({ Condition }) => Condition)).toEqual([
      { DateLessThan: deadline },
      { DateLessThan: { ...before, ...deadline } },
      { DateLessThan: deadline },
      { DateLessThan: before },
    ])
  })

  it.each([TENANT_B, `${ROLE}-admin`, 'arn:aws:iam::222222222222:role/*', ROLE.toUpperCase(), `${ROLE} `])(
    'K06 a role that the client chooses: %s',
    async (audience) => {
      const by = await createAwsBroker()
      const { statusCode, json, reason } = await asked(by, {}, { audience })
      expect([statusCode, json['error'], reason]).toEqual([400, 'invalid_target', 'audience_not_in_policy'])
      expect(by.sts.sessions).toEqual([])
    },
  )

  it('K06 K07 a tenant asks for the role of another', async () => {
    const b = { id: 'b', audience: TENANT_B, roleArn: TENANT_B } as never
    const policy = policyWithRoles({}, b)
    const grants = policy.grants.filter(({ id }) => id !== 'pod-b')
    const by = await awsBrokerOf({ ...policy, grants })
    const { json, reason } = await asked(by, {}, { audience: TENANT_B })
    expect([json['error'], reason]).toEqual(['invalid_request', 'no_grant_matches'])
    const authorization = await by.subjectToken()
    expect((await by.endpoints.awsCredentials('b', { headers: { authorization } })).statusCode).toBe(400)
    expect(by.sts.sessions).toEqual([])
  })

  it('K07 the broker as a confused deputy: one target per role’s trust policy, or the external id of policy', async () => {
    const stray = await createAwsBroker({ id: 'stray' } as never)
    const { json, reason } = await asked(stray, {})
    expect([json['error'], reason]).toEqual(['invalid_target', 'role_not_assumable'])
    const own = {
      id: 'own',
      audience: 'own',
      roleArn: OWN_ROLE,
      assume: 'role',
      externalId: 'tenant-a',
    } as never
    const by = await createAwsBroker(own)
    expect((await asked(by, {}, { audience: 'own', external_id: 'tenant-b' })).session?.externalId).toBe(
      'tenant-a',
    )
  })

  it.each([
    [3600, 7000, 3600],
    [3600, 1000, 995],
    [900, 905, 900],
  ])('K08 %i s are wanted, %i s are left: %i s are asked for', async (wanted, left, expected) => {
    const { session } = await asked(await createAwsBroker({ durationSeconds: wanted }), {
      exp: NOW + left,
      iat: NOW,
    })
    expect(session).toMatchObject({ durationSeconds: expected, deadline: undefined, policy: undefined })
  })

  it.each([904, 300, 1])('K08 %i s are left, and AWS gives none for less than 900', async (left) => {
    await expectRefused(await createAwsBroker(), { exp: NOW + left }, 'subject_ends_too_soon')
    const by = await createAwsBroker({ outlive: 'deadline' })
    const { session, json } = await asked(by, { exp: NOW + left })
    expect(session).toMatchObject({ durationSeconds: 900, deadline: NOW + left })
    expect(json['expires_in']).toBe(Math.min(left, 900))
  })

  it.each([
    [1000, 'refuse', { durationSeconds: 995, deadline: undefined }],
    [300, 'deadline', { durationSeconds: 900, deadline: NOW + 300 }],
    [300, 'refuse', undefined],
  ] as const)(
    'K08 who acts has %i s left, the subject an hour: the session ends with the first (%s)',
    async (left, outlive, session) => {
      const by = await createDelegatingAwsBroker({ durationSeconds: 3600, outlive })
      const actor_token = await by.subjectToken({ sub: 'worker', exp: NOW + left }, 'job')
      const found = await asked(by, {}, { actor_token, actor_token_type: JWT_TYPE })
      if (session === undefined) expect(found.reason).toBe('subject_ends_too_soon')
      else expect(found.session).toMatchObject(session)
      const events = [...by.broker.ledger.records.values()].map(({ event }) => event)
      expect(events).toMatchObject(session === undefined ? [] : [{ expires_at: NOW + left }])
    },
  )

  it('K08 a token within the skew has no time left to give', async () => {
    await expectRefused(
      await createAwsBroker({ outlive: 'deadline' }),
      { iat: NOW - 300, nbf: NOW - 300, exp: NOW - 1 },
      'token_expired',
    )
  })

  it.each([
    ['throttled', new DependencyUnavailable('sts', 'sts: Throttling'), 503],
    ['at odds with our clock', new SessionRejected('ExpiredToken'), 500],
    ['not in that region', new SessionRejected('RegionDisabled'), 500],
    ['not trusting us', { kind: 'denied', code: 'IDPRejectedClaim' } as const, 400],
  ])('K09 an STS that is %s', async (_, end, status) => {
    const by = await createAwsBroker()
    by.sts.ends.push(end)
    const { statusCode, headers, json } = await asked(by, {})
    expect(statusCode).toBe(status)
    expect('retry-after' in headers).toBe(status === 503)
    expect(json).not.toHaveProperty('access_token')
    const [record] = [...by.broker.ledger.records.values()]
    expect(by.endpoints.said.audit).toMatchObject([{ withheld: record?.issued.id }])
  })

  it('K10 credentials of a retry that end after all that the record tells of', async () => {
    const by = await createAwsBroker()
    const subject_token = await by.subjectToken()
    const again = () => by.exchange({ subject_token }, { 'idempotency-key': 'one-and-the-same-key' })
    await again()
    vi.setSystemTime((NOW + 60) * 1000)
    await again()
    vi.setSystemTime(NOW * 1000)
    expect(by.sts.sessions.map(({ session }) => session.durationSeconds)).toEqual([900, 900])
    const [record] = [...by.broker.ledger.records.values()]
    // STS counts the second session from when it is asked, which is within the deadline of its request.
    expect(record?.event).toMatchObject({ expires_at: NOW + 60 + 900 + 5 })
  })

  it('K10 credentials after the subject was revoked, or after its token has ended', async () => {
    const by = await createAwsBroker({ durationSeconds: 3600 })
    const token = await by.subjectToken({ exp: NOW + 1800 })
    const { json } = await by.exchange({ subject_token: token })
    expect(json['expires_in']).toBe(1795)
    by.broker.revocations.cutOffs = async (keys) =>
      new Map(keys.filter((key) => key.startsWith('subject#')).map((key) => [key, NOW + 30]))
    for (const authorization of [token, await by.subjectToken()]) {
      const { statusCode } = await by.endpoints.awsCredentials('deploy', { headers: { authorization } })
      expect(statusCode).toBe(400)
    }
    expect(by.endpoints.said.audit.map(({ reason }) => reason)).toEqual(['token_revoked', 'token_revoked'])
    expect(by.sts.sessions).toHaveLength(1)
  })

  it('K11 the token that STS is shown: taken by no endpoint of ours, as nothing', async () => {
    const by = await createAwsBroker()
    await asked(by, {})
    const token = by.sts.sessions[0]?.token ?? ''
    const types = ['jwt', 'access_token', 'id_token'].map(
      (type) => `urn:ietf:params:oauth:token-type:${type}`,
    )
    for (const subject_token_type of types)
      for (const audience of [ROLE, PAYMENTS]) {
        const { statusCode } = await by.exchange({ subject_token: token, subject_token_type, audience })
        expect(statusCode).toBe(400)
      }
    const authorization = `Bearer ${token}`
    expect((await by.endpoints.awsCredentials('deploy', { headers: { authorization } })).statusCode).toBe(400)
    const reasons = new Set(by.endpoints.said.audit.map(({ reason }) => reason))
    expect(reasons).toEqual(new Set(['token_type_mismatch']))
    const opened = await openOwnToken(token, by.broker.world, { now: NOW, mayBeExpired: true })
    expect(opened).toMatchObject({ refused: { kind: expect.any(String) } })
    expect(by.sts.sessions).toHaveLength(1)
  })

  it.each(['x-forwarded-host', 'host', 'x-amz-security-token', 'x-amz-sts-endpoint'])(
    'K11 another place for STS in the header %s, and signed requests in place of tokens',
    async (header) => {
      const by = await createAwsBroker()
      const subject_token = await by.subjectToken()
      const { statusCode } = await by.exchange({ subject_token }, { [header]: 'sts.evil.example' })
      expect(statusCode).toBe(200)
      expect(JSON.stringify(by.sts.sessions[0]?.session)).not.toContain('evil')
      const presigned =
        'https://sts.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Signature=0'
      expect((await by.exchange({ subject_token: presigned })).statusCode).toBe(400)
    },
  )

  it('K11 a token for STS that a revoked key has signed', async () => {
    const by = await createAwsBroker()
    const { kid } = await by.broker.keys.activeKey('RS256')
    by.broker.revocations.stored.set(`key#${kid}`, NOW - 1000)
    expect((await asked(by, {})).statusCode).toBe(503)
    expect(by.sts.sessions).toEqual([])
  })

  it('K12 an answer of STS without credentials: nothing is released, not even a part', async () => {
    const by = await createAwsBroker()
    by.sts.ends.push(new DependencyUnavailable('sts', 'sts: incomplete credentials'))
    const authorization = await by.subjectToken()
    const { statusCode, json } = await by.endpoints.awsCredentials('deploy', { headers: { authorization } })
    expect(statusCode).toBe(503)
    expect(json).toEqual({ code: 'temporarily_unavailable', message: expect.any(String) })
  })

  it('K12 nothing of credentials or tokens is in what the process prints or records', async () => {
    const by = await createAwsBroker()
    const { printed } = await printedBy(() => asked(by, {}))
    const { token } = by.sts.sessions[0] ?? {}
    const kept = printed + JSON.stringify([by.endpoints.said, ...by.broker.ledger.records.values()])
    for (const secret of ['memory-secret', 'memory-session', token ?? 'none', OUR_AUDIENCE])
      expect(kept).not.toContain(secret)
  })

  it('K05 credentials for who has proved to have the key of a bound token: they would drop the binding', async () => {
    const by = await createAwsBroker()
    const { jwk, privateKey } = await proofKey()
    const proof = await new SignJWT({ jti: 'proof-1', htm: 'POST', htu: `${BROKER_ISSUER}/token` })
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk })
      .setIssuedAt(NOW)
      .sign(privateKey)
    const subject_token = await by.subjectToken()
    const { statusCode } = await by.exchange({ subject_token }, { dpop: proof })
    expect([statusCode, by.endpoints.said.audit.at(-1)?.['reason']]).toEqual([
      400,
      'credentials_not_bindable',
    ])
    expect(by.sts.sessions).toEqual([])
  })

  it('K05 credentials for a token that is bound to a key, which they cannot be', async () => {
    const by = await createAwsBroker()
    const cnf = { 'x5t#S256': 'A'.repeat(43) }
    const { statusCode } = await asked(by, { cnf })
    expect(statusCode).toBe(400)
    const authorization = await by.subjectToken()
    const dpop = 'eyJhbGciOiJub25lIn0.e30.'
    const { statusCode: withProof } = await by.endpoints.awsCredentials('deploy', {
      headers: { authorization, dpop },
    })
    expect(withProof).toBe(400)
    expect(by.sts.sessions).toEqual([])
  })
})
