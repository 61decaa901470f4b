import { jwtVerify } from 'jose'
import { beforeEach, describe, expect, it } from 'vitest'
import type { ExchangeOutcome, TokenAnswer } from '../../functions/core/exchange.ts'
import { wireErrorFor } from '../../functions/core/refusal.ts'
import {
  BROKER_ISSUER,
  createTestBroker,
  LEDGER,
  NOW,
  PAYMENTS,
  RECEIPTS,
  type TestBroker,
  testPolicy,
} from '../support/broker.ts'
import { decode, rawJws } from '../support/tokens.ts'

let broker: TestBroker

beforeEach(async () => {
  broker = await createTestBroker()
})

function answerIn(outcome: ExchangeOutcome): TokenAnswer {
  if ('refused' in outcome) throw new Error(`refused: ${JSON.stringify(outcome.refused)}`)
  return outcome.answer
}

function reasonIn(outcome: ExchangeOutcome): string {
  return 'refused' in outcome ? outcome.refused.kind : 'granted'
}

describe('a granted exchange', () => {
  it('answers a token that a standard library verifies, with the claims of the contract', async () => {
    const { access_token, ...answer } = answerIn(
      await broker.exchange({ subject_token: await broker.subjectToken() }),
    )
    expect(answer).toEqual({
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      token_type: 'Bearer',
      expires_in: 300,
      scope: 'payments.read',
    })
    const key = await broker.issuerKeys.find(
      { issuer: BROKER_ISSUER } as never,
      decode(access_token).header['kid'] as string,
    )
    const { payload, protectedHeader } = await jwtVerify(access_token, key as never, {
      issuer: BROKER_ISSUER,
      audience: PAYMENTS,
      typ: 'at+jwt',
      currentDate: new Date(NOW * 1000),
    })
    expect(protectedHeader.alg).toBe('RS256')
    expect(payload).toMatchObject({
      sub: 'ci:repo:octo/pay:ref:refs/heads/main',
      client_id: 'ci:repo:octo/pay:ref:refs/heads/main',
      aud: PAYMENTS,
      iat: NOW,
      nbf: NOW,
      exp: NOW + 300,
      scope: 'payments.read',
      grant: 'ci-payments',
      idp: 'https://ci.example.com',
      repository: 'octo/pay',
    })
    expect(payload['txn']).toBe(payload.jti)
    expect(payload['lineage']).toEqual([expect.stringMatching(/^[\w-]{22}$/)])
  })

  it('signs with the algorithm of the target', async () => {
    const subject_token = await broker.subjectToken()
    const { access_token } = answerIn(await broker.exchange({ subject_token, audience: LEDGER }))
    expect(decode(access_token).header).toMatchObject({ alg: 'ES256', typ: 'at+jwt' })
  })

  it.each([
    [{ exp: NOW + 120 }, 120],
    [{ exp: NOW + 600 }, 300],
    [{ exp: NOW + 120.9 }, 120],
  ])('never outlives its subject token nor the grant: %j gives %i s', async (changes, seconds) => {
    const subject_token = await broker.subjectToken('ci', changes)
    expect(answerIn(await broker.exchange({ subject_token })).expires_in).toBe(seconds)
  })

  it('never outlives what its target accepts', async () => {
    const policy = testPolicy()
    const targets = policy.targets.map((target) => ({ ...target, maxLifetimeSeconds: 60 }))
    const strict = await createTestBroker({ ...policy, targets })
    const subject_token = await strict.subjectToken('ci')
    expect(answerIn(await strict.exchange({ subject_token })).expires_in).toBe(60)
  })

  it('finds the target by resource, and by the default of the issuer', async () => {
    const byResource = { audience: undefined, resource: `${PAYMENTS}/v1` }
    const subject_token = await broker.subjectToken()
    expect(answerIn(await broker.exchange({ subject_token, ...byResource })).scope).toBe('payments.read')
    const unnamed = { subject_token: await broker.subjectToken(), audience: undefined }
    expect(answerIn(await broker.exchange(unnamed)).scope).toBe('payments.read')
  })

  it('ignores parameters that it does not know, and treats empty ones as left out', async () => {
    const subject_token = await broker.subjectToken()
    expect(
      reasonIn(
        await broker.exchange({
          subject_token,
          options: '{"x":1}',
          scope: '',
          actor_token: '',
          client_id: 'x',
        }),
      ),
    ).toBe('granted')
  })

  it('names the requested type, and stays a Bearer token', async () => {
    const requested_token_type = 'urn:ietf:params:oauth:token-type:jwt'
    const subject_token = await broker.subjectToken()
    expect(answerIn(await broker.exchange({ subject_token, requested_token_type }))).toMatchObject({
      issued_token_type: requested_token_type,
      token_type: 'Bearer',
    })
  })

  it('is recorded before release, without any part of a token', async () => {
    const subject_token = await broker.subjectToken()
    const { access_token } = answerIn(await broker.exchange({ subject_token }))
    const [record] = [...broker.ledger.records.values()]
    expect(record?.event).toMatchObject({
      event: 'exchange_granted',
      correlation_id: 'correlation-1',
      jti: decode(access_token).claims['jti'],
      issuer: 'ci',
      grant: 'ci-payments',
      target: 'payments-api',
    })
    for (const part of [...subject_token.split('.'), ...access_token.split('.')])
      expect(JSON.stringify(record)).not.toContain(part)
  })
})

describe('a request that is refused before the signature check', () => {
  const cases: readonly (readonly [string, Record<string, string | undefined>, object, string])[] = [
    ['another grant type', { grant_type: 'client_credentials' }, {}, 'grant_type_not_supported'],
    ['no grant type', { grant_type: undefined }, {}, 'parameter_missing'],
    ['no subject token', { subject_token: undefined }, {}, 'parameter_missing'],
    ['no subject token type', { subject_token_type: undefined }, {}, 'parameter_missing'],
    [
      'a SAML assertion',
      { subject_token_type: 'urn:ietf:params:oauth:token-type:saml2' },
      {},
      'subject_token_type_not_supported',
    ],
    [
      'a refresh token wanted',
      { requested_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' },
      {},
      'requested_token_type_not_supported',
    ],
    [
      'AWS credentials wanted',
      { requested_token_type: 'urn:token-broker:token-type:aws-credentials' },
      {},
      'requested_token_type_not_supported',
    ],
    [
      'an actor token of another type',
      { actor_token: 'a', actor_token_type: 'b' },
      {},
      'actor_token_type_not_supported',
    ],
    ['an actor token without its type', { actor_token: 'a' }, {}, 'actor_token_incomplete'],
    ['an actor token type without token', { actor_token_type: 'b' }, {}, 'actor_token_incomplete'],
    ['a client secret', { client_id: 'me', client_secret: 'x' }, {}, 'client_authentication_failed'],
    ['a client assertion', { client_assertion: 'a.b.c' }, {}, 'client_authentication_failed'],
    [
      'an Authorization header',
      {},
      { authorization: ['Basic Zm9vOmJhcg=='] },
      'client_authentication_failed',
    ],
    ['a relative resource', { resource: '/v1' }, {}, 'resource_malformed'],
    ['a resource with a fragment', { resource: `${PAYMENTS}/v1#x` }, {}, 'resource_malformed'],
    ['a scope with two spaces', { scope: 'a  b' }, {}, 'scope_malformed'],
    ['a scope with a quote', { scope: 'a"b' }, {}, 'scope_malformed'],
    ['65 scopes', { scope: Array.from({ length: 65 }, (_, i) => `s${i}`).join(' ') }, {}, 'scope_malformed'],
    ['a short idempotency key', {}, { idempotencyKey: ['short'] }, 'idempotency_key_malformed'],
    [
      'two idempotency keys',
      {},
      { idempotencyKey: ['0123456789abcdef', '0123456789abcdeg'] },
      'idempotency_key_malformed',
    ],
  ]

  it.each(cases)('%s', async (_name, changes, more, reason) => {
    const outcome = await broker.exchange({ subject_token: await broker.subjectToken(), ...changes }, more)
    expect(reasonIn(outcome)).toBe(reason)
    expect(broker.ledger.records.size).toBe(0)
    expect(broker.keys.signatures).toBe(0)
  })

  it('a repeated parameter, empty or not, but not a repeated audience', async () => {
    const subject_token = await broker.subjectToken()
    const twice = (name: string, value: string) =>
      broker.exchange(
        {},
        {
          parameters: [
            ['grant_type', 'urn:ietf:params:oauth:grant-type:token-exchange'],
            ['subject_token', subject_token],
            ['subject_token_type', 'urn:ietf:params:oauth:token-type:jwt'],
            [name, value],
            [name, value],
          ],
        },
      )
    expect(reasonIn(await twice('scope', 'payments.read'))).toBe('parameter_repeated')
    expect(reasonIn(await twice('unknown', ''))).toBe('parameter_repeated')
    expect(reasonIn(await twice('audience', PAYMENTS))).toBe('granted')
  })

  it('more than eight target names', async () => {
    const named = Array.from({ length: 9 }, () => ['audience', PAYMENTS] as const)
    const parameters = [
      ['grant_type', 'urn:ietf:params:oauth:grant-type:token-exchange'],
      ['subject_token', await broker.subjectToken()],
      ['subject_token_type', 'urn:ietf:params:oauth:token-type:jwt'],
      ...named,
    ] as const
    expect(reasonIn(await broker.exchange({}, { parameters: parameters as never }))).toBe('too_many_targets')
  })
})

describe('a subject token that is not acceptable', () => {
  const claims: readonly (readonly [string, Record<string, unknown>, string])[] = [
    ['without exp', { exp: undefined }, 'claim_malformed'],
    ['with exp as text', { exp: String(NOW + 60) }, 'claim_malformed'],
    ['with exp in milliseconds', { exp: (NOW + 60) * 1000 }, 'claim_malformed'],
    ['with exp 0', { exp: 0 }, 'claim_malformed'],
    [
      'with 9 audiences',
      { aud: Array.from({ length: 9 }, () => 'https://broker.example.com') },
      'claim_malformed',
    ],
    ['with 256 characters of jti', { jti: 'j'.repeat(256) }, 'claim_malformed'],
    ['expired by the skew', { exp: NOW - 30, iat: NOW - 90, nbf: NOW - 90 }, 'token_expired'],
    [
      'expired within the skew: nothing is left to pass on',
      { exp: NOW, iat: NOW - 90, nbf: NOW - 90 },
      'token_expired',
    ],
    ['not valid yet', { nbf: NOW + 31 }, 'token_not_yet_valid'],
    ['issued in the future', { iat: NOW + 61, exp: NOW + 90 }, 'token_not_yet_valid'],
    ['issued after it expires', { iat: NOW + 20, exp: NOW + 10, nbf: NOW }, 'claim_malformed'],
    ['living longer than policy accepts', { exp: NOW + 601 }, 'token_lifetime_too_long'],
    [
      'living too long without iat',
      { iat: undefined, nbf: undefined, exp: NOW + 601 },
      'token_lifetime_too_long',
    ],
    ['without sub', { sub: undefined }, 'claim_malformed'],
    ['with a number as sub', { sub: 7 }, 'claim_malformed'],
    ['with an empty sub', { sub: '' }, 'claim_malformed'],
    ['with a line break in sub', { sub: 'a\nb' }, 'claim_malformed'],
    ['with a quote in sub', { sub: 'a"b' }, 'claim_malformed'],
    ['with 256 characters of sub', { sub: 'a'.repeat(256) }, 'claim_malformed'],
    ['without aud', { aud: undefined }, 'claim_malformed'],
    ['with an empty aud list', { aud: [] }, 'claim_malformed'],
    ['with a number in aud', { aud: ['https://broker.example.com', 7] }, 'claim_malformed'],
    ['for another audience', { aud: 'https://other.example.com' }, 'audience_not_ours'],
    [
      'for us and for others',
      { aud: ['https://broker.example.com', 'https://other.example.com'] },
      'audience_not_ours',
    ],
    [
      'for an audience that only looks like ours',
      { aud: 'https://broker.example.com/' },
      'audience_not_ours',
    ],
    ['with an empty jti', { jti: '' }, 'claim_malformed'],
    ['with an object as jti', { jti: {} }, 'claim_malformed'],
    ['bound to a key that nobody has proved', { cnf: { jkt: 'x'.repeat(43) } }, 'token_bound_to_key'],
    ['that no grant matches', { repository_id: '999' }, 'no_grant_matches'],
    ['with a number where policy wants text', { repository_id: 123456 }, 'no_grant_matches'],
    ['without a claim that the grant inserts', { repository: undefined }, 'claim_not_insertable'],
    ['from an issuer that policy does not name', { iss: 'https://evil.example.com' }, 'issuer_not_trusted'],
    ['from an issuer that only looks like one', { iss: 'https://ci.example.com/' }, 'issuer_not_trusted'],
    ['from a list of issuers', { iss: ['https://ci.example.com'] }, 'issuer_not_trusted'],
  ]

  it.each(claims)('%s', async (_name, changes, reason) => {
    const outcome = await broker.exchange({ subject_token: await broker.subjectToken('ci', changes) })
    expect(reasonIn(outcome)).toBe(reason)
    expect(broker.ledger.records.size).toBe(0)
    expect(broker.keys.signatures).toBe(0)
    if ('refused' in outcome)
      expect(wireErrorFor(outcome.refused)).toMatchObject({ status: 400, error: 'invalid_request' })
  })

  it('signed by another key', async () => {
    const forged = await broker.issuers.pod.sign({ iss: 'https://ci.example.com', sub: 'x', exp: NOW + 60 })
    expect(reasonIn(await broker.exchange({ subject_token: forged }))).toBe('signature_invalid')
  })

  it('signed with an algorithm that policy does not allow', async () => {
    const token = rawJws('{"alg":"HS256","kid":"key-1"}', '{"iss":"https://ci.example.com"}')
    expect(reasonIn(await broker.exchange({ subject_token: token }))).toBe('algorithm_not_allowed')
  })

  it('naming a key that its issuer does not publish', async () => {
    const token = await broker.subjectToken('ci', {}, { kid: 'key-2' })
    expect(reasonIn(await broker.exchange({ subject_token: token }))).toBe('key_unknown')
  })

  it('of a type that is not an identity or access token', async () => {
    const token = await broker.subjectToken('ci', {}, { typ: 'dpop+jwt' })
    expect(reasonIn(await broker.exchange({ subject_token: token }))).toBe('token_type_mismatch')
  })

  it('presented as another type than it is', async () => {
    const subject_token_type = 'urn:ietf:params:oauth:token-type:access_token'
    const idToken = await broker.subjectToken('ci', { nonce: 'n' })
    expect(reasonIn(await broker.exchange({ subject_token: idToken, subject_token_type }))).toBe(
      'token_type_mismatch',
    )
    const accessToken = await broker.subjectToken('ci', {}, { typ: 'application/AT+JWT' })
    const asId = {
      subject_token: accessToken,
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    }
    expect(reasonIn(await broker.exchange(asId))).toBe('token_type_mismatch')
    expect(reasonIn(await broker.exchange({ subject_token: accessToken, subject_token_type }))).toBe(
      'granted',
    )
  })

  it('gets one and the same answer, whatever the reason', async () => {
    const wire = async (changes: Record<string, unknown>, header = {}) => {
      const outcome = await broker.exchange({
        subject_token: await broker.subjectToken('ci', changes, header),
      })
      return 'refused' in outcome ? wireErrorFor(outcome.refused) : undefined
    }
    const answers = await Promise.all([
      wire({ exp: NOW - 100, iat: NOW - 200, nbf: NOW - 200 }),
      wire({ iss: 'https://evil.example.com' }),
      wire({ repository_id: '9' }),
      wire({}, { kid: 'unknown' }),
      wire({ aud: 'x' }),
    ])
    for (const answer of answers) expect(answer).toEqual(answers[0])
    expect(answers[0]?.status).toBe(400)
  })
})

describe('target and scope', () => {
  it.each([
    [{ audience: 'https://unknown.example.com' }, 'audience_not_in_policy'],
    [{ audience: `${PAYMENTS}/` }, 'audience_not_in_policy'],
    [{ audience: PAYMENTS, resource: `${LEDGER}/v1` }, 'two_targets'],
    [{ resource: 'https://unknown.example.com/v1' }, 'resource_not_in_policy'],
    [{ scope: 'payments.read admin' }, 'scope_not_allowed'],
  ])('refuses %j', async (changes, reason) => {
    const outcome = await broker.exchange({ subject_token: await broker.subjectToken(), ...changes })
    expect(reasonIn(outcome)).toBe(reason)
    expect(broker.ledger.records.size).toBe(0)
  })

  it('grants exactly the scopes that were asked for', async () => {
    const subject_token = await broker.subjectToken()
    const { access_token, scope } = answerIn(
      await broker.exchange({ subject_token, scope: 'payments.write' }),
    )
    expect(scope).toBe('payments.write')
    expect(decode(access_token).claims['scope']).toBe('payments.write')
  })
})

describe('the record of an exchange', () => {
  it('outlasts the last moment at which its subject token could be presented', async () => {
    await broker.exchange({ subject_token: await broker.subjectToken('ci', { exp: NOW + 600 }) })
    const [record] = broker.ledger.records.values()
    expect(record?.issued.expiresAt).toBe(NOW + 300)
    expect(record?.expiresAt).toBe(NOW + 600 + 2 * 30 + 60)
  })
})

describe('replay', () => {
  it('refuses the second use of a single-use token, for whatever target', async () => {
    const subject_token = await broker.subjectToken('ci')
    expect(reasonIn(await broker.exchange({ subject_token }))).toBe('granted')
    expect(reasonIn(await broker.exchange({ subject_token }))).toBe('token_replayed')
    expect(reasonIn(await broker.exchange({ subject_token, audience: LEDGER }))).toBe('token_replayed')
  })

  it('allows a once-per-target token one use for each target', async () => {
    const subject_token = await broker.subjectToken('job')
    expect(reasonIn(await broker.exchange({ subject_token }))).toBe('granted')
    expect(reasonIn(await broker.exchange({ subject_token, audience: LEDGER }))).toBe('granted')
    expect(reasonIn(await broker.exchange({ subject_token }))).toBe('token_replayed')
  })

  it('allows a reusable token any number of uses, each recorded', async () => {
    const subject_token = await broker.subjectToken('pod')
    for (let use = 0; use < 3; use++)
      expect(reasonIn(await broker.exchange({ subject_token }))).toBe('granted')
    expect(broker.ledger.records.size).toBe(3)
  })

  it('sees through a token without jti that was signed once', async () => {
    const subject_token = await broker.subjectToken('ci', { jti: undefined })
    expect(reasonIn(await broker.exchange({ subject_token }))).toBe('granted')
    expect(reasonIn(await broker.exchange({ subject_token }))).toBe('token_replayed')
  })
})

describe('an idempotency key', () => {
  const idempotencyKey = ['0123456789abcdef']

  it.each(['ci', 'job', 'pod'] as const)('gives a retry the same logical token (%s)', async (from) => {
    const subject_token = await broker.subjectToken(from)
    const first = answerIn(await broker.exchange({ subject_token }, { idempotencyKey }))
    const again = answerIn(await broker.exchange({ subject_token }, { idempotencyKey, now: NOW + 60 }))
    expect(decode(again.access_token).claims).toEqual(decode(first.access_token).claims)
    expect(again.expires_in).toBe(first.expires_in - 60)
    expect(broker.ledger.records.size).toBe(1)
  })

  it.each([
    ['after 60 s', {}, { idempotencyKey, now: NOW + 61 }],
    ['for another target', { audience: LEDGER }, { idempotencyKey }],
    ['for another scope', { scope: 'payments.write' }, { idempotencyKey }],
    ['with another key', {}, { idempotencyKey: ['0123456789abcdeX'] }],
    ['without the key', {}, {}],
  ])('makes anything else a replay: %s', async (_name, changes, more) => {
    const subject_token = await broker.subjectToken('ci')
    await broker.exchange({ subject_token }, { idempotencyKey })
    expect(reasonIn(await broker.exchange({ subject_token, ...changes }, more))).toBe('token_replayed')
  })

  it('binds a key to its request even where the token itself is reusable', async () => {
    const subject_token = await broker.subjectToken('pod')
    await broker.exchange({ subject_token }, { idempotencyKey })
    const other = await broker.exchange({ subject_token, scope: 'payments.write' }, { idempotencyKey })
    expect(reasonIn(other)).toBe('token_replayed')
  })

  it('never gives two tokens one jti', async () => {
    const subject_token = await broker.subjectToken('job')
    const [payments, ledger] = [
      await broker.exchange({ subject_token }, { idempotencyKey }),
      await broker.exchange({ subject_token, audience: LEDGER }, { idempotencyKey }),
    ].map((outcome) => decode(answerIn(outcome).access_token).claims)
    expect(payments?.['jti']).not.toBe(ledger?.['jti'])
  })

  it('does not bring back a lineage that was revoked meanwhile', async () => {
    const subject_token = await broker.subjectToken('ci')
    const { access_token } = answerIn(await broker.exchange({ subject_token }, { idempotencyKey }))
    broker.revocations.stored.set(`lineage#${decode(access_token).claims['txn'] as string}`, NOW)
    expect(reasonIn(await broker.exchange({ subject_token }, { idempotencyKey }))).toBe('token_revoked')
  })

  it('asks for another token when it asks for another type', async () => {
    const subject_token = await broker.subjectToken('ci')
    await broker.exchange({ subject_token }, { idempotencyKey })
    const other = { subject_token, requested_token_type: 'urn:ietf:params:oauth:token-type:jwt' }
    expect(reasonIn(await broker.exchange(other, { idempotencyKey }))).toBe('token_replayed')
  })

  it('gets nothing for a token that has expired since', async () => {
    const subject_token = await broker.subjectToken('ci', { exp: NOW + 20 })
    await broker.exchange({ subject_token }, { idempotencyKey })
    const [record] = broker.ledger.records.values()
    Object.assign(record?.issued ?? {}, { expiresAt: NOW + 10 })
    expect(reasonIn(await broker.exchange({ subject_token }, { idempotencyKey, now: NOW + 10 }))).toBe(
      'token_replayed',
    )
  })

  it('does not bring back a token that was revoked meanwhile', async () => {
    const subject_token = await broker.subjectToken('ci')
    await broker.exchange({ subject_token }, { idempotencyKey })
    const [record] = broker.ledger.records.values()
    broker.revocations.stored.set(`token#${record?.issued.id}`, NOW)
    expect(reasonIn(await broker.exchange({ subject_token }, { idempotencyKey }))).toBe('token_revoked')
  })
})

describe('onward exchange of our own tokens', () => {
  const onward = { audience: RECEIPTS, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token' }

  it('keeps sub, txn and idp, grows the lineage, and outlives nothing', async () => {
    const subject_token = await broker.subjectToken('ci', { exp: NOW + 200 })
    const parent = answerIn(await broker.exchange({ subject_token }))
    const child = answerIn(await broker.exchange({ subject_token: parent.access_token, ...onward }))
    const [before, after] = [decode(parent.access_token).claims, decode(child.access_token).claims]
    expect(after).toMatchObject({
      sub: before['sub'],
      txn: before['txn'],
      idp: before['idp'],
      exp: NOW + 200,
    })
    const [root] = before['lineage'] as string[]
    expect(after['lineage']).toEqual([root, expect.stringMatching(/^[\w-]{22}$/)])
  })

  it('never gives a scope that the parent lacks, asked for or by default', async () => {
    const subject_token = await broker.subjectToken('ci')
    const parent = answerIn(await broker.exchange({ subject_token, scope: 'payments.write' }))
    const wider = { subject_token: parent.access_token, ...onward, scope: 'payments.read' }
    expect(reasonIn(await broker.exchange(wider))).toBe('scope_not_allowed')
    const byDefault = answerIn(await broker.exchange({ subject_token: parent.access_token, ...onward }))
    expect(byDefault.scope).toBeUndefined()
    expect(decode(byDefault.access_token).claims).not.toHaveProperty('scope')
  })

  it('gives no scope at all to the child of a token without scope', async () => {
    const bare = await broker.own({ scope: undefined })
    expect(answerIn(await broker.exchange({ subject_token: bare, ...onward })).scope).toBeUndefined()
    const asked = { subject_token: bare, ...onward, scope: 'payments.read' }
    expect(reasonIn(await broker.exchange(asked))).toBe('scope_not_allowed')
  })

  it.each([
    ['txn', { txn: undefined }, 'claim_malformed'],
    ['idp', { idp: 7 }, 'claim_malformed'],
    ['lineage', { lineage: 'x' }, 'claim_malformed'],
    ['lineage', { lineage: [1] }, 'claim_malformed'],
    ['lineage_keys', { lineage_keys: [1] }, 'claim_malformed'],
    ['16 ancestors', { lineage: Array.from({ length: 16 }, (_, i) => `id-${i}`) }, 'lineage_too_long'],
    ['15 ancestors', { lineage: Array.from({ length: 15 }, (_, i) => `id-${i}`) }, 'granted'],
    ['319 characters of sub', { sub: 's'.repeat(319) }, 'granted'],
    ['320 characters of sub', { sub: 's'.repeat(320) }, 'claim_malformed'],
  ])('checks what it says of itself: %s', async (_name, changes, reason) => {
    const subject_token = await broker.own(changes)
    expect(reasonIn(await broker.exchange({ subject_token, ...onward }))).toBe(reason)
  })

  it('only by a grant whose conditions the token meets', async () => {
    const subject_token = await broker.subjectToken('ci')
    const parent = answerIn(await broker.exchange({ subject_token, audience: LEDGER }))
    expect(reasonIn(await broker.exchange({ subject_token: parent.access_token, ...onward }))).toBe(
      'no_grant_matches',
    )
  })

  it('only while it is presented as an access token', async () => {
    const parent = answerIn(await broker.exchange({ subject_token: await broker.subjectToken() }))
    const asId = { ...onward, subject_token_type: 'urn:ietf:params:oauth:token-type:id_token' }
    expect(reasonIn(await broker.exchange({ subject_token: parent.access_token, ...asId }))).toBe(
      'token_type_mismatch',
    )
  })
})

describe('revocation', () => {
  const onward = { audience: RECEIPTS }

  it.each(['token', 'subject', 'client', 'issuer'] as const)('by %s refuses the exchange', async (kind) => {
    const subject_token = await broker.subjectToken('pod')
    await broker.exchange({ subject_token })
    const [record] = broker.ledger.records.values()
    const event = record?.event as { subject: string; subject_token: string; client_id: string }
    const ids = {
      token: event.subject_token,
      subject: event.subject,
      client: event.client_id,
      issuer: 'https://pod.example.com',
    }
    broker.revocations.stored.set(`${kind}#${ids[kind]}`, NOW)
    expect(reasonIn(await broker.exchange({ subject_token }))).toBe('token_revoked')
  })

  it.each(['subject', 'client', 'issuer'] as const)('by %s spares what was issued later', async (kind) => {
    const sub = 'pod:repo:octo/pay:ref:refs/heads/main'
    const ids = { subject: sub, client: sub, issuer: 'https://pod.example.com' }
    broker.revocations.stored.set(`${kind}#${ids[kind]}`, NOW - 1)
    expect(reasonIn(await broker.exchange({ subject_token: await broker.subjectToken('pod') }))).toBe(
      'granted',
    )
    const undated = await broker.subjectToken('pod', { iat: undefined })
    expect(reasonIn(await broker.exchange({ subject_token: undated }))).toBe('token_revoked')
  })

  it('of a key reaches what was issued under the next key to a token that it signed', async () => {
    const grandchild = await broker.own({ lineage: ['root', 'parent'], lineage_keys: ['old-key'] })
    broker.revocations.stored.set('key#old-key', NOW - 1000)
    expect(reasonIn(await broker.exchange({ subject_token: grandchild, ...onward }))).toBe('token_revoked')
    broker.revocations.stored.clear()
    expect(reasonIn(await broker.exchange({ subject_token: grandchild, ...onward }))).toBe('granted')
  })

  it('of an ancestor, a lineage or a signing key reaches descendants', async () => {
    const parent = answerIn(await broker.exchange({ subject_token: await broker.subjectToken('ci') }))
    const { claims, header } = decode(parent.access_token)
    const [root] = claims['lineage'] as string[]
    for (const key of [`token#${root}`, `lineage#${claims['txn'] as string}`] as const) {
      broker.revocations.stored.set(key, NOW - 1000)
      const outcome = await broker.exchange({ subject_token: parent.access_token, ...onward })
      expect(reasonIn(outcome), key).toBe('token_revoked')
      broker.revocations.stored.clear()
    }
    const child = answerIn(await broker.exchange({ subject_token: parent.access_token, ...onward }))
    expect(decode(child.access_token).claims['lineage_keys']).toEqual([header['kid']])
    broker.revocations.stored.set(`key#${header['kid'] as string}`, NOW - 1000)
    const outcome = await broker.exchange({ subject_token: parent.access_token, ...onward })
    expect(reasonIn(outcome)).toBe('token_revoked')
  })
})

describe('a rate', () => {
  const rated = (rate: object, grants: readonly string[] = ['ci-payments', 'pod-payments', 'onward']) => {
    const policy = testPolicy()
    const withRate = policy.grants.map((grant) => (grants.includes(grant.id) ? { ...grant, rate } : grant))
    return createTestBroker({ ...policy, grants: withRate } as never)
  }
  const present = async (broker: TestBroker, changes: Record<string, unknown> = {}) =>
    broker.exchange({ subject_token: await broker.subjectToken('ci', changes) })

  it('refuses what is beyond it, says when to come back, and spends nothing', async () => {
    const broker = await rated({ limit: 2, perSeconds: 60, by: 'grant' })
    expect(await present(broker)).toHaveProperty('answer')
    expect(await present(broker)).toHaveProperty('answer')
    const { size } = broker.ledger.records
    const { signatures } = broker.keys
    expect(await present(broker)).toMatchObject({
      refused: { kind: 'rate_exceeded', retryAfterSeconds: 60 },
      event: { reason: 'rate_exceeded', grant: 'ci-payments' },
    })
    expect(broker.ledger.records.size).toBe(size)
    expect(broker.keys.signatures).toBe(signatures)
  })

  it('is 429 on the wire, with Retry-After', () => {
    expect(wireErrorFor({ kind: 'rate_exceeded', retryAfterSeconds: 7 })).toEqual({
      status: 429,
      error: 'temporarily_unavailable',
      description: 'too many requests: try again later',
      headers: { 'retry-after': '7' },
    })
  })

  it('by subject counts each subject by itself', async () => {
    const broker = await rated({ limit: 1, perSeconds: 60, by: 'subject' })
    expect(await present(broker)).toHaveProperty('answer')
    expect(await present(broker, { sub: 'another' })).toHaveProperty('answer')
    expect(await present(broker)).toHaveProperty('refused.kind', 'rate_exceeded')
  })

  it('of one grant is not that of another', async () => {
    const broker = await rated({ limit: 1, perSeconds: 60, by: 'grant' })
    expect(await present(broker)).toHaveProperty('answer')
    const other = { subject_token: await broker.subjectToken('pod') }
    expect(await broker.exchange(other)).toHaveProperty('answer')
    expect(await broker.exchange(other)).toHaveProperty('refused.kind', 'rate_exceeded')
  })

  it('is asked for only where a grant has one', async () => {
    const broker = await createTestBroker()
    broker.permits.take = () => Promise.reject(new Error('not asked'))
    expect(await present(broker)).toHaveProperty('answer')
  })

  it('counts no request that policy refuses', async () => {
    const broker = await rated({ limit: 1, perSeconds: 60, by: 'grant' })
    expect(await present(broker, { repository_id: '1' })).toHaveProperty('refused.kind', 'no_grant_matches')
    expect(await present(broker)).toHaveProperty('answer')
  })
})

describe('a signing key that was revoked', () => {
  it('signs nothing more, and that is no fault of the subject', async () => {
    const { kid } = await broker.keys.activeKey('RS256')
    broker.revocations.stored.set(`key#${kid}`, NOW - 1000)
    await expect(broker.exchange({ subject_token: await broker.subjectToken() })).rejects.toThrow(
      'signing key',
    )
  })

  it('is asked for anew at once: the request after it is signed by the key that took over', async () => {
    const revoked = await broker.keys.activeKey('RS256')
    const next = await broker.keys.activate('RS256')
    broker.keys.active.set('RS256', revoked)
    broker.keys.next.set('RS256', next)
    broker.revocations.stored.set(`key#${revoked.kid}`, NOW - 1000)
    await expect(broker.exchange({ subject_token: await broker.subjectToken('pod') })).rejects.toThrow()
    const { access_token } = answerIn(
      await broker.exchange({ subject_token: await broker.subjectToken('pod') }),
    )
    expect(decode(access_token).header['kid']).toBe(next.kid)
  })
})

describe('a fault', () => {
  it('of any of the three parallel calls releases nothing', async () => {
    const subject_token = await broker.subjectToken('pod')
    const fail = async () => {
      throw new Error('down')
    }
    const calls = [
      [broker.ledger, 'record'],
      [broker.revocations, 'cutOffs'],
      [broker.keys, 'sign'],
    ] as const
    for (const [port, method] of calls) {
      Object.assign(port, { [method]: fail })
      await expect(broker.exchange({ subject_token })).rejects.toThrow('down')
      Reflect.deleteProperty(port, method)
    }
    expect(reasonIn(await broker.exchange({ subject_token }))).toBe('granted')
  })

  it('of an issuer without known keys is no refusal', async () => {
    broker.issuerKeys.keys.clear()
    await expect(broker.exchange({ subject_token: await broker.subjectToken() })).rejects.toThrow('down')
  })

  it('starts the three calls before it waits for any', async () => {
    const started: string[] = []
    const held = (name: string) => () => {
      started.push(name)
      return new Promise<never>(() => undefined)
    }
    Object.assign(broker.ledger, { record: held('record') })
    Object.assign(broker.revocations, { cutOffs: held('cutOffs') })
    Object.assign(broker.keys, { sign: held('sign') })
    void broker.exchange({ subject_token: await broker.subjectToken() })
    await expect.poll(() => started.length).toBe(3)
  })
})
