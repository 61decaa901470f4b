import { decodeJwt, decodeProtectedHeader } from 'jose'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { DependencyUnavailable, SessionRejected } from '../../functions/core/fault.ts'
import type { Grant } from '../../functions/core/policy/compiled.ts'
import type { RevocationKey } from '../../functions/core/ports.ts'
import { AWS_CREDENTIALS_TYPE, TOKEN_EXCHANGE_GRANT } from '../../functions/core/token-request.ts'
import { serveToken } from '../../functions/exchange/serve-token.ts'
import { readProxyEvent } from '../../functions/http/event.ts'
import { tokenEvent } from '../attacks/proxy-event.ts'
import { awsBrokerOf, createAwsBroker, createDelegatingAwsBroker } from '../support/aws-broker.ts'
import { OWN_ROLE, policyWithRoles, ROLE } from '../support/aws-roles.ts'
import { NOW, PAYMENTS, REPORTS } from '../support/broker.ts'
import { requestContext } from '../support/request-context.ts'

const KEY = 'retry-me-0123456789'
const BY_OWN_ROLE = { id: 'batch', audience: OWN_ROLE, roleArn: OWN_ROLE, assume: 'role' } as never

beforeAll(() => void vi.useFakeTimers({ toFake: ['Date'], now: NOW * 1000 }))
afterAll(() => void vi.useRealTimers())

const until = (seconds: number) => new Date((NOW + seconds) * 1000).toISOString().replace('.000Z', 'Z')

describe('an exchange for AWS credentials', () => {
  it('answers with a credential_process document, which is no access token', async () => {
    const { exchange, subjectToken } = await createAwsBroker()
    const { statusCode, headers, json } = await exchange({ subject_token: await subjectToken() })
    expect(statusCode).toBe(200)
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'x-correlation-id': 'request-1' })
    const { access_token, ...rest } = json
    expect(rest).toEqual({ issued_token_type: AWS_CREDENTIALS_TYPE, token_type: 'N_A', expires_in: 900 })
    expect(JSON.parse(String(access_token))).toEqual({
      Version: 1,
      AccessKeyId: 'ASIAMEMORY1',
      SecretAccessKey: 'memory-secret-1',
      SessionToken: 'memory-session-1',
      Expiration: until(900),
    })
  })

  it('has STS look at a token of its own, for this target alone, which lives two minutes', async () => {
    const { exchange, subjectToken, sts } = await createAwsBroker({ sourceIdentity: [{ path: ['actor'] }] })
    await exchange({ subject_token: await subjectToken({ actor: 'octocat' }) })
    const token = sts.sessions[0]?.token ?? ''
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: 'RS256', typ: 'JWT' })
    expect(decodeJwt(token)).toEqual({
      iss: 'https://tokens.example.com',
      sub: 'target:deploy',
      aud: 'sts.amazonaws.com',
      iat: NOW,
      exp: NOW + 120,
      jti: expect.stringMatching(/^.{22}$/),
      'https://aws.amazon.com/tags': {
        principal_tags: { repository: ['octo/pay'] },
        transitive_tag_keys: ['repository'],
      },
      'https://aws.amazon.com/source_identity': 'octocat',
    })
  })

  it('needs no signature where our own role assumes the other', async () => {
    const { exchange, subjectToken, sts, broker } = await createAwsBroker(BY_OWN_ROLE)
    const sign = vi.spyOn(broker.keys, 'sign')
    const form = { audience: OWN_ROLE, subject_token: await subjectToken() }
    expect((await exchange(form)).statusCode).toBe(200)
    expect(sts.sessions).toMatchObject([{ token: undefined, session: { roleArn: OWN_ROLE } }])
    expect(sign).not.toHaveBeenCalled()
  })

  it('records whom CloudTrail will name, before STS is asked', async () => {
    const { exchange, subjectToken, broker, sts } = await createAwsBroker({
      sourceIdentity: ['octocat'],
      sessionName: ['run ', { path: ['run_id'] }],
    })
    sts.ends.push(new DependencyUnavailable('sts', 'sts: down'))
    await exchange({ subject_token: await subjectToken({ run_id: '7' }) })
    const [record] = [...broker.ledger.records.values()]
    expect(record?.event).toMatchObject({
      event: 'exchange_granted',
      target: 'deploy',
      format: 'aws-credentials',
      kid: expect.any(String),
      aws_session: {
        role_arn: ROLE,
        session_name: expect.stringMatching(/^run-7=[\w-]{22}$/),
        source_identity: 'octocat',
        tag_keys: ['repository'],
        duration_seconds: 900,
      },
    })
    expect(JSON.stringify(record)).not.toMatch(/memory-s/)
  })

  it.each([
    ['a role without saying so', { requested_token_type: 'urn:ietf:params:oauth:token-type:access_token' }],
    ['credentials of what gives tokens', { audience: PAYMENTS }],
  ])('refuses %s', async (_, form) => {
    const { exchange, subjectToken, endpoints, sts } = await createAwsBroker()
    const { statusCode, json } = await exchange({ subject_token: await subjectToken(), ...form })
    expect([statusCode, json['error']]).toEqual([400, 'invalid_request'])
    expect(endpoints.said.audit).toMatchObject([{ reason: 'requested_token_type_not_supported' }])
    expect(sts.sessions).toEqual([])
  })

  it('can be named in its session, as its record names it, also for a retry', async () => {
    const { exchange, subjectToken, broker, sts } = await createAwsBroker({
      sessionName: [{ path: ['jti'] }, '@', { path: ['run_id'] }],
      sessionTags: { family: [{ path: ['txn'] }] },
      transitiveTags: [],
    })
    const form = { subject_token: await subjectToken({ run_id: '7' }) }
    const headers = { 'idempotency-key': KEY }
    for (const each of [headers, headers, {}]) expect((await exchange(form, each)).statusCode).toBe(200)
    const [once, other] = [...broker.ledger.records.values()].map(({ issued }) => issued.jti)
    expect(other).not.toBe(once)
    expect(sts.sessions.map(({ session }) => [session.sessionName, session.tags['family']])).toEqual([
      [`${once}@7`, once],
      [`${once}@7`, once],
      [`${other}@7`, other],
    ])
  })

  it('can say in its session who acts in it', async () => {
    const { exchange, subjectToken, broker, sts } = await createDelegatingAwsBroker({
      sessionTags: { acting: [{ path: ['act', 'sub'] }] },
      transitiveTags: ['acting'],
    })
    const actor_token = await subjectToken({ sub: 'worker' }, 'job')
    const actor_token_type = 'urn:ietf:params:oauth:token-type:jwt'
    await exchange({ subject_token: await subjectToken(), actor_token, actor_token_type })
    expect(sts.sessions[0]?.session.tags).toEqual({ acting: 'job:worker' })
    expect([...broker.ledger.records.values()][0]?.event).toMatchObject({ actor: 'job:worker' })
  })

  it('gives a retry credentials of its own for the same exchange, and replays none', async () => {
    const { exchange, subjectToken, broker, sts } = await createAwsBroker()
    const form = { subject_token: await subjectToken({}, 'ci') }
    const headers = { 'idempotency-key': KEY }
    sts.ends.push(new DependencyUnavailable('sts', 'sts: down'))
    expect((await exchange(form, headers)).statusCode).toBe(503)
    expect((await exchange(form, headers)).statusCode).toBe(200)
    expect((await exchange(form, headers)).statusCode).toBe(200)
    expect(broker.ledger.records.size).toBe(1)
    expect(sts.sessions).toHaveLength(2)
    expect((await exchange(form, { 'idempotency-key': `${KEY}x` })).statusCode).toBe(400)
    expect((await exchange(form)).statusCode).toBe(400)
    expect(sts.sessions).toHaveLength(2)
  })

  it('starts no session for a token that is replayed or revoked', async () => {
    const { exchange, subjectToken, broker, endpoints, sts } = await createAwsBroker()
    const once = { subject_token: await subjectToken({}, 'ci') }
    await exchange(once)
    await exchange(once)
    const pod = await subjectToken()
    broker.revocations.cutOffs = async (keys) => new Map(keys.map((key) => [key, NOW]))
    await exchange({ subject_token: pod })
    expect(endpoints.said.audit.map(({ reason }) => reason)).toEqual(['token_replayed', 'token_revoked'])
    expect(sts.sessions).toHaveLength(1)
  })

  it('waits for the record and the revocations before STS is asked', async () => {
    const { exchange, subjectToken, broker, sts } = await createAwsBroker()
    const order: string[] = []
    const later = <Result>(name: string, result: Promise<Result>) =>
      new Promise<Result>((resolve) => setTimeout(() => resolve(result), 20)).finally(() => order.push(name))
    const { record } = broker.ledger
    const { cutOffs } = broker.revocations
    broker.ledger.record = (one) => later('record', record.call(broker.ledger, one))
    broker.revocations.cutOffs = (keys) => later('revocations', cutOffs.call(broker.revocations, keys))
    const { withWebIdentity } = sts
    sts.withWebIdentity = (...given) => {
      order.push('sts')
      return withWebIdentity.apply(sts, given)
    }
    await exchange({ subject_token: await subjectToken() })
    expect(order.at(-1)).toBe('sts')
    expect(order).toHaveLength(3)
  })

  it.each([
    ['unavailable', new DependencyUnavailable('sts', 'sts: down'), 503, 'temporarily_unavailable'],
    ['at odds with us', new SessionRejected('MalformedPolicyDocument'), 500, 'server_error'],
  ])(
    'releases nothing where STS is %s, and says that the record was in vain',
    async (_, end, status, error) => {
      const { exchange, subjectToken, broker, endpoints, sts } = await createAwsBroker()
      sts.ends.push(end)
      const { statusCode, headers, json } = await exchange({ subject_token: await subjectToken() })
      expect([statusCode, json['error']]).toEqual([status, error])
      expect('retry-after' in headers).toBe(status === 503)
      const [record] = [...broker.ledger.records.values()]
      expect(endpoints.said.audit).toEqual([
        expect.objectContaining({
          event: 'exchange_failed',
          withheld: record?.issued.id,
          grant: 'pod-deploy',
        }),
      ])
      expect(endpoints.said.failed).toEqual([end])
      expect(endpoints.said.measured).toMatchObject([{ outcome: 'failed', fault: end }])
    },
  )

  it('says invalid_target where the role does not trust us, and that the record was in vain', async () => {
    const { exchange, subjectToken, endpoints, broker, sts } = await createAwsBroker()
    sts.ends.push({ kind: 'denied', code: 'AccessDenied' })
    const { statusCode, json } = await exchange({ subject_token: await subjectToken() })
    expect([statusCode, json['error']]).toEqual([400, 'invalid_target'])
    const [record] = [...broker.ledger.records.values()]
    expect(endpoints.said.audit).toMatchObject([
      { event: 'exchange_refused', reason: 'role_not_assumable', withheld: record?.issued.id },
    ])
  })
})

describe('the token endpoint of the function that starts no sessions', () => {
  const form = { grant_type: TOKEN_EXCHANGE_GRANT, requested_token_type: AWS_CREDENTIALS_TYPE }
  const SILENT = { refused: () => undefined, repeated: () => undefined }

  async function handedOver(result: unknown) {
    const { broker } = await createAwsBroker()
    const event = tokenEvent({ body: new URLSearchParams(form).toString() }, 'request-1')
    const given: unknown[] = []
    const serve = serveToken(broker.world, SILENT, async (one) => {
      given.push(one)
      return result
    })
    const served = await serve(readProxyEvent(event), requestContext(NOW))
    expect(given).toEqual([event])
    return served
  }

  it('hands the whole event over, and passes on the answer as it is', async () => {
    const answer = { statusCode: 200, headers: { a: 'b' }, body: '{}' }
    expect(await handedOver(answer)).toEqual({ outcome: 'handed_over', answer })
  })

  it.each([
    null,
    'x',
    {},
    { statusCode: '200', headers: {}, body: '' },
    { statusCode: 200, headers: null, body: '' },
    { statusCode: 200, headers: {}, body: { SecretAccessKey: 'x' } },
  ])('passes on nothing that is no answer: %j', async (result) => {
    await expect(handedOver(result)).rejects.toThrow(DependencyUnavailable)
  })

  it('refuses to give credentials', async () => {
    const { broker, subjectToken } = await createAwsBroker()
    const outcome = await broker.exchange({ subject_token: await subjectToken(), ...form })
    expect(outcome).toMatchObject({ refused: { kind: 'requested_token_type_not_supported' } })
  })
})

describe('GET /aws/credentials/{target}', () => {
  it.each([
    ['as it stands in a token file', ''],
    ['after Bearer', 'Bearer '],
    ['after bearer', 'bearer '],
  ])('gives credentials for the token %s, as SDKs read them', async (_, prefix) => {
    const { endpoints, subjectToken, sts } = await createAwsBroker()
    const authorization = prefix + (await subjectToken())
    const { statusCode, headers, json } = await endpoints.awsCredentials('deploy', {
      headers: { authorization },
    })
    expect(statusCode).toBe(200)
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'x-correlation-id': 'request-1',
    })
    expect(json).toEqual({
      AccessKeyId: 'ASIAMEMORY1',
      SecretAccessKey: 'memory-secret-1',
      Token: 'memory-session-1',
      Expiration: until(900),
      RoleArn: ROLE,
      AccountId: '222222222222',
    })
    expect(sts.sessions).toHaveLength(1)
  })

  it('is the same exchange: same record, same replay rule, same measurement', async () => {
    const { endpoints, exchange, subjectToken, broker } = await createAwsBroker()
    const token = await subjectToken({}, 'job')
    await endpoints.awsCredentials('deploy', { headers: { authorization: token } })
    const [record] = [...broker.ledger.records.values()]
    expect(record?.event).toMatchObject({ event: 'exchange_granted', target: 'deploy', grant: 'job-deploy' })
    expect(endpoints.said.measured).toMatchObject([{ outcome: 'succeeded', measured: { TokensIssued: 1 } }])
    expect((await exchange({ subject_token: token })).json['error']).toBe('invalid_request')
    expect(endpoints.said.audit).toMatchObject([{ reason: 'token_replayed' }])
  })

  it('takes of the same rate as any other way to ask', async () => {
    const policy = policyWithRoles()
    const rate = { limit: 1, perSeconds: 60, by: 'subject' } as const
    const grants = policy.grants.map((grant) => (grant.id === 'pod-deploy' ? { ...grant, rate } : grant))
    const { endpoints, exchange, subjectToken, sts } = await awsBrokerOf({ ...policy, grants })
    const token = await subjectToken()
    expect((await exchange({ subject_token: token })).statusCode).toBe(200)
    const again = await endpoints.awsCredentials('deploy', { headers: { authorization: token } })
    expect([again.statusCode, again.json['code']]).toEqual([429, 'temporarily_unavailable'])
    expect(again.headers).toHaveProperty('retry-after')
    expect(sts.sessions).toHaveLength(1)
  })

  it('tells SDKs to come back before a deadline, not when the session would end', async () => {
    const { endpoints, subjectToken } = await createAwsBroker({ outlive: 'deadline' })
    const authorization = await subjectToken({ exp: NOW + 300 })
    const { json } = await endpoints.awsCredentials('deploy', { headers: { authorization } })
    expect(json['Expiration']).toBe(until(300))
  })

  it.each([
    ['no token', 'deploy', {}, 400, 'invalid_request'],
    ['a token that is none', 'deploy', { headers: { authorization: 'x' } }, 400, 'invalid_request'],
    ['another method', 'deploy', { method: 'POST' }, 405, 'invalid_request'],
    ['a path below', 'deploy/x', {}, 404, 'not_found'],
    ['an encoded name', 'de%70loy', {}, 404, 'not_found'],
    ['no name', '', {}, 404, 'not_found'],
    ['a query', 'deploy', { event: { queryStringParameters: { a: 'b' } } }, 400, 'invalid_request'],
    [
      'two tokens',
      'deploy',
      { event: { multiValueHeaders: { authorization: ['a', 'b'] } } },
      400,
      'invalid_request',
    ],
  ])('refuses %s in the words that SDKs show', async (_, target, sent, status, code) => {
    const { endpoints } = await createAwsBroker()
    const { statusCode, headers, json } = await endpoints.awsCredentials(target, sent)
    expect(statusCode).toBe(status)
    expect(json).toEqual({ code, message: expect.stringMatching(/.{8}/) })
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'x-correlation-id': 'request-1' })
  })

  it('gives credentials for the handle of a token of ours, until it is revoked', async () => {
    const policy = policyWithRoles({ outlive: 'deadline' })
    const ofPod = policy.grants.find(({ id }) => id === 'pod-deploy') as Grant
    const when = [{ path: ['aud'], anyOf: [{ kind: 'equals', value: REPORTS }] }] as const
    const ofOurs = { ...ofPod, id: 'ours-deploy', issuer: 'broker', when } as unknown as Grant
    const { exchange, subjectToken, endpoints, broker, sts } = await awsBrokerOf({
      ...policy,
      grants: [...policy.grants, ofOurs],
    })
    const reference = {
      audience: REPORTS,
      requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    }
    const { json } = await exchange({ subject_token: await subjectToken(), ...reference })
    const asked = () =>
      endpoints.awsCredentials('deploy', { headers: { authorization: String(json['access_token']) } })
    expect((await asked()).json).toMatchObject({ RoleArn: ROLE, Expiration: until(300) })
    const [issued] = [...broker.ledger.records.values()]
    broker.revocations.stored.set(`token#${issued?.issued.id}` as RevocationKey, NOW)
    expect((await asked()).statusCode).toBe(400)
    expect(endpoints.said.audit).toMatchObject([{ reason: 'token_revoked' }])
    expect(sts.sessions).toHaveLength(1)
  })

  it('does not choose between two tokens, good as each may be', async () => {
    const { endpoints, subjectToken, sts } = await createAwsBroker()
    const authorization = [await subjectToken(), await subjectToken()]
    const sent = { event: { multiValueHeaders: { authorization } } }
    expect((await endpoints.awsCredentials('deploy', sent)).statusCode).toBe(400)
    expect(endpoints.said.audit).toMatchObject([{ reason: 'parameter_repeated' }])
    expect(sts.sessions).toEqual([])
  })

  it('tells of an unknown target only to who has a good token', async () => {
    const { endpoints, subjectToken } = await createAwsBroker()
    const asked = async (authorization: string) =>
      (await endpoints.awsCredentials('nothing', { headers: { authorization } })).json['code']
    expect([await asked('x'), await asked(await subjectToken())]).toEqual([
      'invalid_request',
      'invalid_target',
    ])
    expect(JSON.stringify(endpoints.said.audit)).not.toContain('nothing')
  })

  it('gives no credentials of what gives tokens', async () => {
    const { endpoints, subjectToken } = await createAwsBroker()
    const authorization = await subjectToken()
    const { statusCode } = await endpoints.awsCredentials('payments-api', { headers: { authorization } })
    expect(statusCode).toBe(400)
    expect(endpoints.said.audit).toMatchObject([{ reason: 'requested_token_type_not_supported' }])
  })

  it('does not take Basic credentials for a token, nor a client for one', async () => {
    const { endpoints } = await createAwsBroker()
    const authorization = `Basic ${Buffer.from('checkout:secret').toString('base64')}`
    const { statusCode } = await endpoints.awsCredentials('deploy', { headers: { authorization } })
    expect(statusCode).toBe(400)
    expect(endpoints.said.audit).toMatchObject([{ reason: 'token_malformed' }])
  })

  it('says 401 where policy wants a client, which this protocol cannot name', async () => {
    const { endpoints, broker } = await createAwsBroker()
    const authorization = await broker.subjectToken('desk', { exp: NOW + 3600 })
    const { statusCode, json } = await endpoints.awsCredentials('deploy', { headers: { authorization } })
    expect([statusCode, json['code']]).toEqual([401, 'invalid_client'])
  })

  it.each([
    [new DependencyUnavailable('sts', 'sts: down'), 503, 'temporarily_unavailable'],
    [new SessionRejected('RegionDisabled'), 500, 'server_error'],
  ])('says when it failed: %s', async (end, status, code) => {
    const { endpoints, subjectToken, sts } = await createAwsBroker()
    sts.ends.push(end)
    const authorization = await subjectToken()
    const { statusCode, json, headers } = await endpoints.awsCredentials('deploy', {
      headers: { authorization },
    })
    expect([statusCode, json['code']]).toEqual([status, code])
    expect('retry-after' in headers).toBe(status === 503)
  })
})
