import { compactVerify, importJWK } from 'jose'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { compactJws } from '../../functions/core/access-token.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import { INTROSPECTION_JWT } from '../../functions/core/introspection.ts'
import { BROKER_ISSUER, createTestBroker, LEDGER, NOW, PAYMENTS, type TestBroker } from '../support/broker.ts'
import { assertionParameters, basic, SECRETS } from '../support/clients.ts'
import { createEndpoints, type Sent, type TestEndpoints } from '../support/endpoints.ts'
import { decode } from '../support/tokens.ts'

let broker: TestBroker
let endpoints: TestEndpoints

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: NOW * 1000 })
  broker = await createTestBroker()
  endpoints = createEndpoints(broker)
})
afterEach(() => vi.useRealTimers())

/** `checkout` may introspect tokens for payments, `legacy` those for the ledger, `billing` none. */
const introspect = async (token: string, form: Record<string, string> = {}, sent: Sent = {}) =>
  endpoints.introspect({
    ...sent,
    form: { token, ...assertionParameters(await broker.assertion('checkout')), ...form },
  })
const byLegacy = (token: string, headers: Record<string, string> = {}) =>
  endpoints.introspect({
    form: { token },
    headers: { authorization: basic('legacy', SECRETS[0].secret), ...headers },
  })
const asJwt = { headers: { accept: INTROSPECTION_JWT } }
const reasons = () => endpoints.said.audit.map(({ event, reason }) => `${String(event)}: ${String(reason)}`)

describe('introspection', () => {
  it('tells a registered client what a token of its target says, and not who descends from whom', async () => {
    const subject_token = await broker.subjectToken()
    const granted = await broker.exchange({ subject_token })
    const token = 'answer' in granted ? granted.answer.access_token : ''
    const { statusCode, headers, json } = await introspect(token)
    expect(statusCode).toBe(200)
    expect(headers).toMatchObject({ 'content-type': 'application/json', 'cache-control': 'no-store' })
    const { lineage, ...claims } = decode(token).claims
    expect(lineage).toHaveLength(1)
    expect(json).toEqual({ active: true, token_type: 'Bearer', ...claims })
    expect(json).toMatchObject({ repository: 'octo/pay', grant: 'ci-payments', txn: claims['jti'] })
    expect(Object.keys(json)[0]).toBe('active')
    expect(endpoints.said.audit).toEqual([])
  })

  it('names neither the ancestors of a token nor their keys and clients', async () => {
    const { json } = await introspect(
      await broker.own({ lineage: ['root'], lineage_keys: ['old'], lineage_clients: ['web'] }),
    )
    expect(json['active']).toBe(true)
    expect(Object.keys(json).filter((name) => name.startsWith('lineage'))).toEqual([])
  })

  it('passes on actor and confirmation, and calls no bound token a bearer token', async () => {
    const act = { sub: 'pod:worker' }
    const cnf = { jkt: 'thumbprint'.padEnd(43, 'x') }
    expect((await introspect(await broker.own({ act, cnf }))).json).toMatchObject({
      act,
      cnf,
      token_type: 'DPoP',
    })
  })

  it('knows a client by its secret too', async () => {
    expect((await byLegacy(await broker.own({ aud: LEDGER }))).json['active']).toBe(true)
  })

  it.each([
    ['expires this second', { exp: NOW, iat: NOW - 100 }, 'token_expired'],
    ['is from another issuer', { iss: 'https://ci.example.com' }, 'issuer_not_trusted'],
    ['is for a target that the client may not see', { aud: LEDGER }, 'token_of_others'],
    ['is for a target that policy does not know', { aud: 'https://gone.example.com' }, 'token_of_others'],
    ['was issued in the future', { iat: NOW + 31 }, 'token_not_yet_valid'],
  ])('says only that a token is not active that %s', async (_case, changes, reason) => {
    const token = await broker.own(changes)
    for (const { statusCode, body } of [await introspect(token), await introspect(token, {}, {})]) {
      expect(statusCode).toBe(200)
      expect(body).toBe('{"active":false}')
    }
    expect(reasons()).toEqual(Array(2).fill(`introspection_refused: ${reason}`))
    expect(broker.keys.signatures).toBe(1)
  })

  it.each(['', 'x', 'a.b.c', 'rt_unknown', `${'a'.repeat(17_000)}.b.c`])(
    'of %.9s is inactive or malformed',
    async (token) => {
      const { statusCode, json } = await introspect(token)
      expect([statusCode, json['active']]).toEqual(token === '' ? [400, undefined] : [200, false])
    },
  )

  it('finds a token of a key inactive that is not published any more', async () => {
    const token = await broker.own({})
    broker.issuerKeys.keys.set(BROKER_ISSUER, new Map())
    expect((await introspect(token)).body).toBe('{"active":false}')
    expect(reasons()).toEqual(['introspection_refused: key_unknown'])
  })

  it.each([
    'token#root',
    'subject#ci:repo:octo/pay',
    'client#ci:repo:octo/pay',
    'client#web',
    'issuer#https://ci.example.com',
    'lineage#txn',
    'key#old',
    'subject#pod:worker',
    'token#of-actor',
  ] as const)('finds a token inactive once %s is revoked', async (key) => {
    const token = await broker.own({
      lineage_keys: ['old'],
      lineage_clients: ['web'],
      act: { sub: 'pod:worker' },
      lineage_actors: ['token#of-actor', 'subject#pod:worker'],
    })
    expect((await introspect(token)).json['active']).toBe(true)
    broker.revocations.stored.set(key, NOW)
    expect((await introspect(token)).body).toBe('{"active":false}')
    expect(reasons()).toEqual(['introspection_refused: token_revoked'])
  })

  it('names who acts, and not by what they could be revoked', async () => {
    const act = { sub: 'pod:worker', act: { sub: 'pod:earlier' } }
    const { json } = await introspect(await broker.own({ act, lineage_actors: ['subject#pod:worker'] }))
    expect(json).toMatchObject({ active: true, act })
    expect(json).not.toHaveProperty('lineage_actors')
  })

  it.each([{ act: 'worker' }, { act: [{ sub: 'worker' }] }, { lineage_actors: 'subject#x' }])(
    'finds a token inactive whose actors it cannot tell: %j',
    async (claims) => {
      expect((await introspect(await broker.own(claims))).body).toBe('{"active":false}')
      expect(reasons()).toEqual(['introspection_refused: claim_malformed'])
    },
  )

  it('compares a cut-off with the time at which the token itself was issued', async () => {
    broker.revocations.stored.set('subject#ci:repo:octo/pay', NOW - 10)
    expect((await introspect(await broker.own({ iat: NOW - 9 }))).json['active']).toBe(true)
    expect((await introspect(await broker.own({ iat: NOW - 10 }))).json['active']).toBe(false)
  })

  it('answers whatever the hint says', async () => {
    for (const token_type_hint of ['refresh_token', 'nonsense'])
      expect((await introspect(await broker.own({}), { token_type_hint })).json['active']).toBe(true)
  })

  it('answers 503 and nothing else while the cut-offs cannot be read', async () => {
    Object.assign(broker.revocations, {
      cutOffs: () => Promise.reject(new DependencyUnavailable('dynamodb', 'down')),
    })
    const { statusCode, headers, json } = await introspect(await broker.own({}))
    expect(statusCode).toBe(503)
    expect(headers).toHaveProperty('retry-after')
    expect(json).toEqual({ error: 'temporarily_unavailable', error_description: 'try again later' })
  })

  it('works while KMS is down', async () => {
    const token = await broker.own({})
    broker.keys.active.clear()
    expect((await introspect(token)).json['active']).toBe(true)
  })

  it('reads everything about a token at once', async () => {
    const cutOffs = vi.spyOn(broker.revocations, 'cutOffs')
    await introspect(await broker.own({}))
    expect(cutOffs).toHaveBeenCalledTimes(1)
  })
})

describe('a client that introspects', () => {
  it('must say who it is', async () => {
    const { statusCode, json, headers } = await endpoints.introspect({
      form: { token: await broker.own({}) },
    })
    expect(statusCode).toBe(401)
    expect(json['error']).toBe('invalid_client')
    expect(headers).not.toHaveProperty('www-authenticate')
    expect(reasons()).toEqual(['introspection_refused: client_authentication_failed'])
  })

  it('must prove it', async () => {
    const token = await broker.own({})
    const wrong = basic('legacy', 'guess')
    const { statusCode, headers } = await endpoints.introspect({
      form: { token },
      headers: { authorization: wrong },
    })
    expect(statusCode).toBe(401)
    expect(headers).toHaveProperty('www-authenticate')
    const bearer = { authorization: `Bearer ${token}` }
    expect((await endpoints.introspect({ form: { token }, headers: bearer })).statusCode).toBe(401)
  })

  it('uses an assertion once', async () => {
    const form = { token: await broker.own({}), ...assertionParameters(await broker.assertion('checkout')) }
    expect((await endpoints.introspect({ form })).statusCode).toBe(200)
    const again = await endpoints.introspect({ form })
    expect(again.statusCode).toBe(401)
    expect(again.body).not.toContain('active')
  })

  it.each([
    ['the token twice', { body: 'token=a&token=b' }, 400],
    ['a parameter in the query', { event: { queryStringParameters: { a: '1' } } }, 400],
    ['JSON', { headers: { 'content-type': 'application/json' } }, 415],
    ['GET', { method: 'GET' }, 405],
  ])('may not send %s', async (_case, sent, status) => {
    const { statusCode, json } = await endpoints.introspect(sent)
    expect(statusCode).toBe(status)
    expect(json['error']).toBe('invalid_request')
  })
})

describe('a signed answer', () => {
  const verified = async (body: string) => {
    const key = await broker.keys.activeKey('RS256')
    const { payload, protectedHeader } = await compactVerify(
      body,
      await importJWK({ ...key.publicJwk } as never, 'RS256'),
    )
    return {
      header: protectedHeader,
      claims: JSON.parse(new TextDecoder().decode(payload)) as object,
      kid: key.kid,
    }
  }

  it('says the same, to the client that asked and nobody else', async () => {
    const token = await broker.own({})
    const { json } = await introspect(token)
    const { statusCode, headers, body } = await introspect(token, {}, asJwt)
    expect(statusCode).toBe(200)
    expect(headers).toMatchObject({ 'content-type': INTROSPECTION_JWT, 'cache-control': 'no-store' })
    const { header, claims, kid } = await verified(body)
    expect(header).toEqual({ alg: 'RS256', typ: 'token-introspection+jwt', kid })
    expect(claims).toEqual({ iss: BROKER_ISSUER, aud: 'checkout', iat: NOW, token_introspection: json })
  })

  it.each([
    ['somebody else’s', { aud: LEDGER }],
    ['expired', { exp: NOW - 1, iat: NOW - 100 }],
    ['revoked', { lineage: ['revoked'] }],
  ])('says of a token that is %s only that it is not active', async (_case, changes) => {
    broker.revocations.stored.set('token#revoked', NOW)
    const { body } = await introspect(await broker.own(changes), {}, asJwt)
    const { claims } = await verified(body)
    const token_introspection = { active: false }
    expect(claims).toEqual({ iss: BROKER_ISSUER, aud: 'checkout', iat: NOW, token_introspection })
  })

  it.each([
    ['application/json', false],
    ['*/*', false],
    ['application/token-introspection+jwt;q=0', false],
    ['application/json;q=0.5, Application/Token-Introspection+JWT;q=0.9', true],
  ])('is given for Accept: %s: %s', async (accept, isSigned) => {
    const { headers } = await introspect(await broker.own({}), {}, { headers: { accept } })
    expect(headers['content-type']).toBe(isSigned ? INTROSPECTION_JWT : 'application/json')
  })

  it('is 503 while KMS is down, and says nothing', async () => {
    const token = await broker.own({})
    Object.assign(broker.keys, { sign: () => Promise.reject(new DependencyUnavailable('kms', 'down')) })
    const { statusCode, body } = await introspect(token, {}, asJwt)
    expect(statusCode).toBe(503)
    expect(body).not.toContain('active')
  })

  it('is never signed with a key that is revoked, and the key that took over is asked for', async () => {
    const { kid } = await broker.keys.activeKey('RS256')
    const forget = vi.spyOn(broker.keys, 'forget')
    broker.revocations.stored.set(`key#${kid}`, NOW)
    expect((await introspect('unknown', {}, asJwt)).statusCode).toBe(503)
    expect(forget).toHaveBeenCalledWith('RS256')
  })

  it('A25: is no token: neither exchange nor introspection nor revocation takes it for one', async () => {
    const { body } = await introspect(await broker.own({}), {}, asJwt)
    // Even with all claims of a token of ours, its type gives it away.
    const { kid } = await broker.keys.activeKey('RS256')
    const header = { alg: 'RS256', typ: 'token-introspection+jwt', kid }
    const { claims } = decode(await broker.own({}))
    const parts = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    const forged = compactJws(
      parts.join('.'),
      await broker.keys.sign(await broker.keys.activeKey('RS256'), parts.join('.')),
    )
    for (const subject_token of [body, forged]) {
      const exchanged = await broker.exchange({ subject_token, audience: PAYMENTS })
      expect(exchanged).toMatchObject({ event: { reason: 'token_type_mismatch' } })
      expect((await introspect(subject_token)).body).toBe('{"active":false}')
      const revoked = await endpoints.revoke({
        form: { token: subject_token, ...assertionParameters(await broker.assertion('checkout')) },
      })
      expect(revoked.statusCode).toBe(200)
      expect(broker.revocations.written.size).toBe(0)
    }
  })
})
