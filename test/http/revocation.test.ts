import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import { tokenIdOf } from '../../functions/core/token-id.ts'
import {
  BROKER_ISSUER,
  createTestBroker,
  LEDGER,
  NOW,
  PAYMENTS,
  RECEIPTS,
  type TestBroker,
} from '../support/broker.ts'
import { assertionParameters, basic, SECRETS } from '../support/clients.ts'
import { createEndpoints, OPERATOR_ARN, type Sent, type TestEndpoints } from '../support/endpoints.ts'
import { decode } from '../support/tokens.ts'

let broker: TestBroker
let endpoints: TestEndpoints

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: NOW * 1000 })
  broker = await createTestBroker()
  endpoints = createEndpoints(broker)
})
afterEach(() => vi.useRealTimers())

const { secret } = SECRETS[0]
/** `checkout` may revoke its own tokens and those for the ledger; `billing` and `legacy` only their own. */
const revoke = async (
  token: string,
  form: Record<string, string> = {},
  by: 'checkout' | 'billing' = 'checkout',
) => endpoints.revoke({ form: { token, ...assertionParameters(await broker.assertion(by)), ...form } })
const own = (changes: Record<string, unknown> = {}) => broker.own({ client_id: 'checkout', ...changes })
const idOf = (token: string) =>
  tokenIdOf({
    kind: 'token',
    issuer: BROKER_ISSUER,
    jti: decode(token).claims['jti'] as string,
    signingInput: '',
  })
const written = () => [...broker.revocations.written.values()]
const reasons = () => endpoints.said.audit.map(({ event, reason }) => `${String(event)}: ${String(reason)}`)
const storageFails = () =>
  Object.assign(broker.revocations, {
    revoke: () => Promise.reject(new DependencyUnavailable('dynamodb', 'down')),
  })

describe('a client', () => {
  it('revokes a token that was issued to it, before the answer', async () => {
    const token = await own()
    const { statusCode, headers, body } = await revoke(token)
    expect([statusCode, body]).toEqual([200, ''])
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'x-correlation-id': 'request-1' })
    const key = `token#${idOf(token)}`
    expect(written()).toEqual([
      {
        key,
        cutOff: NOW,
        reason: 'revoked by a client',
        author: 'checkout',
        at: NOW,
        expiresAt: NOW + 200 + 120,
      },
    ])
    expect(endpoints.said.audit).toEqual([
      {
        event: 'revocation',
        correlation_id: 'request-1',
        time: NOW,
        policy: 'test-policy',
        author: 'checkout',
        kind: 'token',
        keys: [key],
        cut_off: NOW,
        reason: 'revoked by a client',
      },
    ])
    expect(endpoints.said.measured).toEqual([
      expect.objectContaining({
        outcome: 'succeeded',
        measured: { RevocationLatency: expect.any(Number) as number },
      }),
    ])
  })

  it('may do it by secret, again, and after the token has expired', async () => {
    const token = await own({ client_id: 'legacy', iat: NOW - 500, exp: NOW - 400 })
    const headers = { authorization: basic('legacy', secret) }
    for (const _time of [1, 2])
      expect((await endpoints.revoke({ form: { token }, headers })).statusCode).toBe(200)
    expect(written()).toHaveLength(1)
  })

  it('revokes what is for a target that policy lets it revoke for, whoever holds it', async () => {
    const token = await broker.own({ aud: LEDGER })
    await revoke(token)
    expect(written()).toHaveLength(1)
    await revoke(await broker.own({ aud: LEDGER }), {}, 'billing')
    expect(written()).toHaveLength(1)
  })

  it.each([
    ['was issued to another client', { client_id: 'billing' }],
    ['is its holder’s own credential', { client_id: 'ci:repo:octo/pay' }],
    ['is for a target that it may only introspect for', { client_id: 'legacy' }],
  ])('cannot revoke a token that %s, and is not told', async (_case, changes) => {
    const { statusCode, body } = await revoke(await broker.own(changes))
    expect([statusCode, body]).toEqual([200, ''])
    expect(written()).toEqual([])
    expect(reasons()).toEqual(['revocation_refused: token_of_others'])
    expect(endpoints.said.measured).toMatchObject([{ outcome: 'succeeded' }])
    expect(endpoints.said.measured[0]).not.toHaveProperty('measured')
  })

  it.each(['x', 'a.b.c', 'rt_unknown'])('is answered 200 for %s', async (token) => {
    expect((await revoke(token)).statusCode).toBe(200)
    expect(written()).toEqual([])
    expect(reasons()).toEqual(['revocation_refused: token_malformed'])
  })

  it.each(['access_token', 'refresh_token', 'nonsense'])(
    'revokes whatever the hint says: %s',
    async (token_type_hint) => {
      expect((await revoke(await own(), { token_type_hint })).statusCode).toBe(200)
      expect(written()).toHaveLength(1)
    },
  )

  it('must be authenticated, also for its own token', async () => {
    const token = await own()
    expect((await endpoints.revoke({ form: { token } })).statusCode).toBe(401)
    const authorization = basic('legacy', 'guess')
    expect((await endpoints.revoke({ form: { token }, headers: { authorization } })).statusCode).toBe(401)
    expect(written()).toEqual([])
    expect(reasons()).toEqual(Array(2).fill('revocation_refused: client_authentication_failed'))
  })

  it('revokes nothing with an assertion that was used before', async () => {
    const assertion = assertionParameters(await broker.assertion('checkout'))
    await endpoints.revoke({ form: { token: await own(), ...assertion } })
    const again = await endpoints.revoke({ form: { token: await own(), ...assertion } })
    expect(again.statusCode).toBe(401)
    expect(written()).toHaveLength(1)
  })

  it('is answered 503, never 200, while the cut-off cannot be written', async () => {
    storageFails()
    const { statusCode, headers, json } = await revoke(await own())
    expect(statusCode).toBe(503)
    expect(headers).toHaveProperty('retry-after')
    expect(json['error']).toBe('temporarily_unavailable')
  })

  it.each<[string, Sent, number]>([
    ['no token', { form: {} }, 400],
    ['an empty token', { form: { token: '' } }, 400],
    ['GET', { method: 'GET' }, 405],
    ['JSON', { headers: { 'content-type': 'application/json' } }, 415],
  ])('may not send %s', async (_case, sent, status) => {
    const form = { ...sent.form, ...assertionParameters(await broker.assertion('checkout')) }
    expect((await endpoints.revoke({ ...sent, form })).statusCode).toBe(status)
  })
})

describe('an operator', () => {
  const why = { reason: 'leaked in a build log' }
  const admin = (body: object) => endpoints.revokeByOperator({ ...why, ...body })

  it.each<[string, string, string, number, boolean | undefined]>([
    ['subject', 'ci:repo:octo/pay', 'subject#ci:repo:octo/pay', NOW + 30, true],
    ['subject', 'gone:repo', 'subject#gone:repo', NOW + 30, false],
    ['client', 'checkout', 'client#checkout', NOW + 30, true],
    ['client', 'removed', 'client#removed', NOW + 30, false],
    ['issuer', 'ci', 'issuer#https://ci.example.com', NOW + 30, true],
    ['issuer', 'https://ci.example.com', 'issuer#https://ci.example.com', NOW + 30, true],
    ['issuer', 'https://gone.example.com', 'issuer#https://gone.example.com', NOW + 30, false],
    ['lineage', 'l'.repeat(22), `lineage#${'l'.repeat(22)}`, NOW, undefined],
    ['key', 'k'.repeat(43), `key#${'k'.repeat(43)}`, NOW, undefined],
    ['token', 'A'.repeat(22), `token#${'A'.repeat(22)}`, NOW, undefined],
    ['upstream_token', 'A'.repeat(22), `token#${'A'.repeat(22)}`, NOW, undefined],
  ])('revokes by %s %s', async (kind, id, key, cutOff, known) => {
    const { statusCode, json } = await admin({ kind, id })
    expect(statusCode).toBe(200)
    expect(json).toEqual({
      revoked: [key],
      cut_off: cutOff,
      author: OPERATOR_ARN,
      ...why,
      at: NOW,
      ...(known !== undefined && { known }),
    })
    expect(written()).toEqual([{ key, cutOff, author: OPERATOR_ARN, ...why, at: NOW }])
    expect(endpoints.said.audit).toEqual([
      {
        event: 'revocation',
        correlation_id: 'request-1',
        time: NOW,
        policy: 'test-policy',
        author: OPERATOR_ARN,
        kind,
        keys: [key],
        cut_off: cutOff,
        ...why,
      },
    ])
    expect(endpoints.said.measured).toEqual([
      expect.objectContaining({ measured: { RevocationLatency: expect.any(Number) as number } }),
    ])
  })

  it('revokes a whole token of ours, expired or not, and knows when that may be forgotten', async () => {
    const token = await broker.own({ aud: RECEIPTS, iat: NOW - 500, exp: NOW - 400 })
    expect((await admin({ kind: 'token', token })).statusCode).toBe(200)
    expect(written()).toMatchObject([{ key: `token#${idOf(token)}`, expiresAt: NOW - 400 + 120 }])
  })

  it('revokes a whole token of somebody else’s without believing its expiry', async () => {
    const token = await broker.subjectToken('pod', { exp: NOW - 1, jti: 'upstream' })
    expect((await admin({ kind: 'upstream_token', token })).statusCode).toBe(200)
    const id = tokenIdOf({
      kind: 'token',
      issuer: 'https://pod.example.com',
      jti: 'upstream',
      signingInput: '',
    })
    expect(written()).toMatchObject([{ key: `token#${id}` }])
    expect(written()[0]).not.toHaveProperty('expiresAt')
  })

  it('knows a whole token without `iss` by the trust domain in its `sub`, as the exchange does', async () => {
    const token = await broker.subjectToken('pod', {
      iss: undefined,
      sub: 'spiffe://example.org/pay',
      jti: 'svid',
    })
    expect((await admin({ kind: 'upstream_token', token })).statusCode).toBe(200)
    const id = tokenIdOf({ kind: 'token', issuer: 'spiffe://example.org', jti: 'svid', signingInput: '' })
    expect(written()).toMatchObject([{ key: `token#${id}` }])
  })

  it('cuts off a trust domain that has left the policy', async () => {
    const { json } = await admin({ kind: 'issuer', id: 'spiffe://gone.example.org' })
    expect(json).toMatchObject({ revoked: ['issuer#spiffe://gone.example.org'], known: false })
  })

  it.each([{ jti: 'named' }, { jti: undefined }])(
    'ends what was exchanged for that token, by %j',
    async (changes) => {
      const subject_token = await broker.subjectToken('pod', changes)
      const granted = await broker.exchange({ subject_token })
      const token = 'answer' in granted ? granted.answer.access_token : ''
      await admin({ kind: 'upstream_token', token: subject_token })
      expect(await broker.exchange({ subject_token })).toMatchObject({ event: { reason: 'token_revoked' } })
      const introspected = await endpoints.introspect({
        form: { token, ...assertionParameters(await broker.assertion('checkout')) },
      })
      expect(introspected.body).toBe('{"active":false}')
    },
  )

  it('refuses a whole token that is not authentic, where it could be checked', async () => {
    const token = await broker.own({})
    const forged = `${token.slice(0, token.lastIndexOf('.'))}.${'A'.repeat(342)}`
    for (const text of [forged, await broker.subjectToken(), 'x'])
      expect((await admin({ kind: 'token', token: text })).statusCode).toBe(400)
    for (const text of [
      'x',
      await broker.subjectToken('pod', { jti: 5 }),
      await broker.subjectToken('pod', { iss: 1 }),
    ])
      expect((await admin({ kind: 'upstream_token', token: text })).statusCode).toBe(400)
    expect(written()).toEqual([])
    expect(new Set(reasons())).toEqual(new Set(['revocation_refused: revocation_token_not_acceptable']))
  })

  const id = 'A'.repeat(22)
  it.each<[string, object]>([
    ['no kind', { id }],
    ['an unknown kind', { kind: 'everything', id }],
    ['a kind of the prototype', { kind: 'toString', id }],
    ['a kind that is no text', { kind: ['token'], id }],
    ['neither id nor token', { kind: 'token' }],
    ['id and token', { kind: 'token', id, token: 'x' }],
    ['a token where an id belongs', { kind: 'subject', token: 'x' }],
    ['an id that is no text', { kind: 'subject', id: 5 }],
    ['a short token id', { kind: 'token', id: id.slice(1) }],
    ['a token id that no hash has', { kind: 'token', id: `${id.slice(1)}B` }],
    ['an issuer with a fragment', { kind: 'issuer', id: 'https://a.example.com#client#b' }],
    ['a subject without its issuer', { kind: 'subject', id: 'repo' }],
    ['a subject that is too long', { kind: 'subject', id: `ci:${'x'.repeat(400)}` }],
    ['a subject with control characters', { kind: 'subject', id: 'ci:a\nb' }],
    ['a client that could have no such id', { kind: 'client', id: 'Check Out' }],
    ['an issuer that is neither id nor URL', { kind: 'issuer', id: 'nobody' }],
    ['a lineage that is none', { kind: 'lineage', id: 'x' }],
    ['a key that is none', { kind: 'key', id: 'x' }],
    ['an unknown member', { kind: 'token', id, dry_run: true }],
    ['no reason', { kind: 'token', id, reason: undefined }],
    ['an empty reason', { kind: 'token', id, reason: '' }],
    ['a blank reason', { kind: 'token', id, reason: '  ' }],
    ['a reason of 501 characters', { kind: 'token', id, reason: 'x'.repeat(501) }],
    ['a reason of two lines', { kind: 'token', id, reason: 'a\nb' }],
    ['a reason that is no text', { kind: 'token', id, reason: 5 }],
    ['a token in the reason', { kind: 'token', id, reason: `found ${'e'.repeat(20)}.${'e'.repeat(20)}.sig` }],
  ])('is refused %s', async (_case, body) => {
    const { statusCode, json } = await admin(body)
    expect(statusCode).toBe(400)
    expect(json['error']).toBe('invalid_request')
    expect(written()).toEqual([])
    expect(reasons()).toEqual(['revocation_refused: revocation_malformed'])
    expect(endpoints.said.audit[0]).toMatchObject({ author: OPERATOR_ARN })
  })

  it.each<[string, object | string, Sent, number]>([
    ['no JSON', 'kind=token', {}, 400],
    ['an array', '[]', {}, 400],
    ['a member twice', `{"kind":"token","kind":"key","id":"${id}","reason":"x"}`, {}, 400],
    ['an unsafe number', `{"kind":"token","id":"${id}","reason":"x","n":1e400}`, {}, 400],
    ['a byte order mark', '\ufeff{}', {}, 400],
    [
      'a form',
      { kind: 'token', id, ...why },
      { headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      415,
    ],
    [
      'compressed',
      { kind: 'token', id, ...why },
      { headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' } },
      415,
    ],
    ['too much', JSON.stringify({ reason: 'x'.repeat(70_000) }), {}, 413],
    ['by PUT', { kind: 'token', id, ...why }, { method: 'PUT' }, 405],
  ])('may not send %s', async (_case, body, sent, status) => {
    const { statusCode } = await endpoints.revokeByOperator(body, sent)
    expect(statusCode).toBe(status)
    expect(written()).toEqual([])
  })

  it('is nobody unless the gateway names them', async () => {
    const body = { kind: 'token', id, ...why }
    for (const identity of [undefined, {}, { userArn: null }, { userArn: '' }, { userArn: 5 }]) {
      const event = { requestContext: { requestId: 'request-1', identity } }
      const { statusCode, json } = await endpoints.revokeByOperator(body, { event })
      expect(statusCode).toBe(403)
      expect(json['error']).toBe('access_denied')
    }
    const event = { headers: { 'x-user-arn': OPERATOR_ARN }, requestContext: {} }
    expect((await endpoints.revokeByOperator(body, { event })).statusCode).toBe(403)
    expect(written()).toEqual([])
  })

  it('is answered 503 while the cut-off cannot be written, and no event says that it was', async () => {
    storageFails()
    expect((await admin({ kind: 'client', id: 'checkout' })).statusCode).toBe(503)
    expect(endpoints.said.audit).toEqual([])
  })
})

describe('the token endpoint', () => {
  it('says what was issued, and what was presented once too often', async () => {
    const subject_token = await broker.subjectToken()
    const form = {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      audience: PAYMENTS,
    }
    for (const _time of [1, 2]) await endpoints.token({ form })
    await endpoints.token({ form: { ...form, subject_token: 'x' } })
    expect(endpoints.said.measured).toMatchObject([
      { outcome: 'succeeded', measured: { TokensIssued: 1 } },
      { outcome: 'refused', refusal: { kind: 'token_replayed' } },
      { outcome: 'refused', refusal: { kind: 'token_malformed' } },
    ])
    const assertion = assertionParameters(await broker.assertion('checkout'))
    for (const _time of [1, 2])
      await endpoints.token({
        form: { ...form, ...assertion, subject_token: await broker.subjectToken('pod') },
      })
    expect(endpoints.said.measured.at(-1)?.['refusal']).toMatchObject({ failure: 'assertion_replayed' })
  })
})
