import { createHmac } from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import type { AuthenticatedClient } from '../../functions/core/client-authentication.ts'
import { authenticateClient } from '../../functions/core/client-authentication.ts'
import type { ExchangeOutcome } from '../../functions/core/exchange.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import { indexPolicy } from '../../functions/core/policy/decide.ts'
import { type Refused, wireErrorFor } from '../../functions/core/refusal.ts'
import { tokenIdOf } from '../../functions/core/token-id.ts'
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
import { assertionParameters, basic, SECRETS } from '../support/clients.ts'
import { decode, rawJws } from '../support/tokens.ts'

const [{ secret: SECRET }, { secret: NEXT_SECRET }] = SECRETS
let broker: TestBroker

beforeEach(async () => {
  broker = await createTestBroker()
})

interface Presented {
  readonly form?: Readonly<Record<string, string>>
  readonly authorization?: readonly string[]
}

function present({ form = {}, authorization = [] }: Presented) {
  return authenticateClient({ parameters: Object.entries(form), authorization }, broker.world, NOW)
}

type Outcome = AuthenticatedClient | Refused | undefined

function clientIn(outcome: Outcome): string | undefined {
  return outcome !== undefined && 'client' in outcome ? outcome.client.id : undefined
}

/** The exact reason, where authentication failed; else what was refused. */
function failureIn(outcome: Outcome): string {
  if (outcome === undefined) return 'nothing presented'
  if (!('refused' in outcome)) return 'authenticated'
  const { refused } = outcome
  return refused.kind === 'client_authentication_failed' ? refused.failure : refused.kind
}

function reasonIn(outcome: ExchangeOutcome): string {
  return 'refused' in outcome ? failureIn(outcome) : 'granted'
}

const byAssertion = async (changes: object = {}, header: object = {}, more: Record<string, string> = {}) =>
  present({
    form: {
      ...assertionParameters(
        await broker.assertion(
          'checkout',
          changes as Record<string, unknown>,
          header as Record<string, unknown>,
        ),
      ),
      ...more,
    },
  })

describe('a request without credentials', () => {
  it.each([{}, { client_id: 'checkout' }, { client_secret: '', client_assertion: '' }])(
    'is nobody in particular: %j',
    async (form) => {
      expect(await present({ form })).toBeUndefined()
    },
  )
})

describe('a client assertion', () => {
  it('authenticates the client that signed it, and can be used once', async () => {
    const jti = 'once'
    const outcome = await byAssertion({ jti })
    expect(clientIn(outcome)).toBe('checkout')
    expect(outcome).toMatchObject({
      assertion: {
        id: tokenIdOf({ kind: 'client_assertion', issuer: 'checkout', jti, signingInput: '' }),
        attempt: expect.stringMatching(/^.{22}$/),
        spentAt: NOW,
        expiresAt: NOW + 60 + 2 * 30 + 60,
      },
    })
  })

  it.each([
    ['no type', { typ: undefined }],
    ['the type JWT', { typ: 'JWT' }],
    ['a type of its own', { typ: 'client-authentication+jwt' }],
    ['that type, written out', { typ: 'application/Client-Authentication+JWT' }],
  ])('may have %s', async (_, header) => {
    expect(failureIn(await byAssertion({}, header))).toBe('authenticated')
  })

  it.each([
    ['expires 5 minutes and the skew ahead', { exp: NOW + 330 }],
    ['has expired within the skew', { exp: NOW - 29, iat: NOW - 60 }],
    ['comes from a clock that is ahead by the skew', { iat: NOW + 30, nbf: NOW + 30, exp: NOW + 60 }],
    ['has fractions of a second', { iat: NOW - 0.5, exp: NOW + 59.5 }],
    ['has claims that say nothing here', { email: 'a@example.com', nonce: 'n' }],
    ['has a jti of 255 characters', { jti: 'j'.repeat(255) }],
  ])('is accepted if it %s', async (_, changes) => {
    expect(failureIn(await byAssertion(changes))).toBe('authenticated')
  })

  it.each([
    ['without iss', { iss: undefined }, 'client_unknown'],
    ['of a client that is not registered', { iss: 'nobody', sub: 'nobody' }, 'client_unknown'],
    ['of a name that every object has', { iss: 'constructor', sub: 'constructor' }, 'client_unknown'],
    ['without sub', { sub: undefined }, 'assertion_claim_malformed'],
    ['for another subject', { sub: 'billing' }, 'assertion_claim_malformed'],
    ['in the name of another client', { iss: 'billing', sub: 'billing' }, 'assertion_signature_invalid'],
    ['in the name of a client with a secret', { iss: 'legacy', sub: 'legacy' }, 'method_not_registered'],
    ['without aud', { aud: undefined }, 'assertion_audience_not_ours'],
    ['for the token endpoint', { aud: `${BROKER_ISSUER}/token` }, 'assertion_audience_not_ours'],
    ['for something that looks like us', { aud: `${BROKER_ISSUER}/` }, 'assertion_audience_not_ours'],
    ['for us in a list', { aud: [BROKER_ISSUER] }, 'assertion_audience_not_ours'],
    ['without jti', { jti: undefined }, 'assertion_claim_malformed'],
    ['with an empty jti', { jti: '' }, 'assertion_claim_malformed'],
    ['with a number as jti', { jti: 7 }, 'assertion_claim_malformed'],
    ['with 256 characters of jti', { jti: 'j'.repeat(256) }, 'assertion_claim_malformed'],
    ['without exp', { exp: undefined }, 'assertion_claim_malformed'],
    ['with exp as text', { exp: String(NOW + 60) }, 'assertion_claim_malformed'],
    ['with exp in milliseconds', { exp: (NOW + 60) * 1000 }, 'assertion_claim_malformed'],
    ['without iat', { iat: undefined }, 'assertion_claim_malformed'],
    ['issued after it expires', { iat: NOW + 20, exp: NOW + 10 }, 'assertion_claim_malformed'],
    ['with nbf as text', { nbf: 'now' }, 'assertion_claim_malformed'],
    ['expired by the skew', { exp: NOW - 30, iat: NOW - 90 }, 'assertion_expired'],
    ['issued in the future', { iat: NOW + 31 }, 'assertion_not_yet_valid'],
    ['not valid yet', { nbf: NOW + 31 }, 'assertion_not_yet_valid'],
    ['expiring more than 5 minutes ahead', { exp: NOW + 331 }, 'assertion_lives_too_long'],
  ])('is refused %s', async (_, changes, failure) => {
    const outcome = await byAssertion(changes)
    expect(failureIn(outcome)).toBe(failure)
    expectOneAnswer(outcome)
  })

  it.each(['at+jwt', 'dpop+jwt', 'token-introspection+jwt', 'oauth-id-jag+jwt', ''])(
    'is refused of another type: %j',
    async (typ) => {
      expect(failureIn(await byAssertion({}, { typ }))).toBe('assertion_type_mismatch')
    },
  )

  it('is refused under a kid that its client does not have, or none', async () => {
    expect(failureIn(await byAssertion({}, { kid: 'another' }))).toBe('assertion_key_unknown')
    expect(failureIn(await byAssertion({}, { kid: undefined }))).toBe('assertion_malformed')
  })

  it('is refused with an algorithm that its client does not use', async () => {
    const claims = JSON.stringify({ iss: 'checkout', sub: 'checkout', aud: BROKER_ISSUER })
    for (const alg of ['none', 'HS256', 'RS256', 'ES384', 'toString'])
      expect(
        failureIn(
          await present({
            form: assertionParameters(rawJws(JSON.stringify({ alg, kid: 'client-key' }), claims)),
          }),
        ),
      ).toBe('assertion_algorithm_not_allowed')
  })

  it.each([
    ['a header that names a key', '{"alg":"ES256","kid":"client-key","jwk":{}}', '{}'],
    ['a claim twice', '{"alg":"ES256","kid":"client-key"}', '{"iss":"checkout","iss":"checkout"}'],
  ])('is read as strictly as a subject token: %s', async (_, header, claims) => {
    expect(failureIn(await present({ form: assertionParameters(rawJws(header, claims)) }))).toBe(
      'assertion_malformed',
    )
  })

  it.each([
    ['its type', { client_assertion: 'a.b.c' }],
    ['itself', { client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer' }],
  ])('is refused without one half: %s', async (_, form) => {
    expect(failureIn(await present({ form: form as Record<string, string> }))).toBe('assertion_incomplete')
  })

  it('is refused of another assertion type', async () => {
    const client_assertion_type = 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer'
    expect(failureIn(await byAssertion({}, {}, { client_assertion_type }))).toBe(
      'assertion_type_not_supported',
    )
  })

  it('agrees with the client_id that the request names, if it names one', async () => {
    expect(failureIn(await byAssertion({}, {}, { client_id: 'checkout' }))).toBe('authenticated')
    const outcome = await byAssertion({}, {}, { client_id: 'billing' })
    expect(failureIn(outcome)).toBe('client_id_mismatch')
    expectOneAnswer(outcome)
  })

  it('cannot be judged while the keys of its client cannot be read: that is a fault', async () => {
    broker.clientKeys.keys.clear()
    await expect(byAssertion()).rejects.toThrow(DependencyUnavailable)
  })

  it('is verified by the keys of clients alone, never by those of issuers', async () => {
    const { publicKey } = broker.clients.checkout
    for (const name of ['checkout', 'client#checkout'])
      broker.issuerKeys.keys.set(name, new Map([['client-key', publicKey]]))
    broker.clientKeys.keys.set('client#checkout', new Map())
    expect(failureIn(await byAssertion())).toBe('assertion_key_unknown')
  })
})

describe('a client secret by HTTP Basic', () => {
  const byBasic = (id: string, secret: string, form = {}) =>
    present({ authorization: [basic(id, secret)], form })
  const encoded = (text: string) => Buffer.from(text, 'latin1').toString('base64')

  it('authenticates its client, and leaves nothing to claim', async () => {
    const outcome = await byBasic('legacy', SECRET)
    expect(clientIn(outcome)).toBe('legacy')
    expect(outcome).not.toHaveProperty('assertion')
  })

  it('can be replaced while the old one is still in use', async () => {
    expect(failureIn(await byBasic('legacy', NEXT_SECRET))).toBe('authenticated')
  })

  it.each(['Basic', 'basic', 'BASIC', 'Basic  '])('has a scheme without case: %j', async (scheme) => {
    const authorization = [`${scheme} ${encoded(`legacy:${SECRET}`)}`]
    expect(clientIn(await present({ authorization }))).toBe('legacy')
  })

  it('is form-decoded exactly once', async () => {
    const percent = (text: string) => [...Buffer.from(text)].map((byte) => `%${byte.toString(16)}`).join('')
    const once = `${percent('legacy')}:${percent(SECRET)}`
    expect(clientIn(await present({ authorization: [`Basic ${encoded(once)}`] }))).toBe('legacy')
    const twice = `legacy:${percent(percent(SECRET))}`
    expect(failureIn(await present({ authorization: [`Basic ${encoded(twice)}`] }))).toBe(
      'client_or_secret_wrong',
    )
  })

  it('may have a colon and a plus in it, as they are encoded', async () => {
    const odd = `${'a:b c+d%'.repeat(6)}`
    const policy = testPolicy()
    const salt = Buffer.alloc(16)
    const digest = createHmac('sha256', salt).update(odd).digest('base64url')
    const digests = [`hmac-sha256:${salt.toString('base64url')}:${digest}`]
    const clients = policy.clients.map((client) =>
      client.id === 'legacy'
        ? { ...client, authentication: { method: 'client_secret_basic' as const, digests } }
        : client,
    )
    const world = { ...broker.world, policy: indexPolicy({ ...policy, clients }) }
    for (const authorization of [
      basic('legacy', odd),
      `Basic ${encoded(`legacy:${odd.replaceAll('%', '%25').replaceAll('+', '%2B')}`)}`,
    ])
      expect(
        failureIn(await authenticateClient({ parameters: [], authorization: [authorization] }, world, NOW)),
      ).toBe('authenticated')
  })

  it.each([
    ['a wrong secret', 'legacy', 'x'.repeat(43)],
    ['an empty secret', 'legacy', ''],
    ['an unknown client', 'nobody', SECRET],
    ['no client', '', SECRET],
    ['a client with keys', 'checkout', SECRET],
    ['a name that every object has', '__proto__', SECRET],
    ['a client in another case', 'LEGACY', SECRET],
  ])('does not authenticate by %s', async (_, id, secret) => {
    const outcome = await byBasic(id, secret)
    expect(failureIn(outcome)).toBe('client_or_secret_wrong')
    expectOneAnswer(outcome, { 'www-authenticate': 'Basic realm="token-broker"' })
  })

  it('names the client that failed only where policy knows it', async () => {
    const claimed = async (id: string) => {
      const outcome = await byBasic(id, 'wrong')
      return outcome !== undefined && 'refused' in outcome ? outcome.refused : undefined
    }
    expect(await claimed('legacy')).toHaveProperty('claimed_client', 'legacy')
    expect(await claimed('my-secret-by-mistake')).not.toHaveProperty('claimed_client')
  })

  const good = encoded(`legacy:${SECRET}`)
  it.each([
    ['no colon', [`Basic ${encoded('legacy')}`], 'header_malformed'],
    ['nothing', ['Basic'], 'header_malformed'],
    ['no base64', [`Basic ${good}!`], 'header_malformed'],
    [
      'base64 with bits to spare',
      [`Basic ${encoded('a:bc').replace(/==$/, '').slice(0, -1)}Z==`],
      'header_malformed',
    ],
    ['base64 without its padding', [`Basic ${encoded('legacy:x').replace(/=+$/, '')}`], 'header_malformed'],
    ['base64url', [`Basic ${encoded('legacy:???').replaceAll('/', '_')}`], 'header_malformed'],
    ['something after it', [`Basic ${good} x`], 'header_malformed'],
    ['what is not ASCII', [`Basic ${encoded(`legacy:${SECRET}é`)}`], 'header_malformed'],
    ['a control character', [`Basic ${encoded(`legacy:${SECRET}\n`)}`], 'header_malformed'],
    ['a percent sign alone', [`Basic ${encoded(`legacy:${SECRET}%`)}`], 'header_malformed'],
    ['percent signs that are not UTF-8', [`Basic ${encoded('legacy:%ff')}`], 'header_malformed'],
    ['two values', [`Basic ${good}`, `Basic ${good}`], 'header_malformed'],
    ['two values that a gateway joined', [`Basic ${good}, Basic ${good}`], 'header_malformed'],
    ['two values that a gateway joined tightly', [`Basic ${good},Basic ${good}`], 'header_malformed'],
    ['another scheme', [`Bearer ${good}`], 'scheme_not_supported'],
    ['a scheme that only begins alike', [`Basically ${good}`], 'scheme_not_supported'],
    ['an empty header', [''], 'scheme_not_supported'],
  ])('is refused with %s', async (_, authorization, failure) => {
    const outcome = await present({ authorization })
    expect(failureIn(outcome)).toBe(failure)
    expectOneAnswer(outcome, { 'www-authenticate': 'Basic realm="token-broker"' })
  })

  it('agrees with the client_id that the request names, if it names one', async () => {
    expect(failureIn(await byBasic('legacy', SECRET, { client_id: 'legacy' }))).toBe('authenticated')
    expect(failureIn(await byBasic('legacy', SECRET, { client_id: 'checkout' }))).toBe('client_id_mismatch')
  })
})

describe('other ways to authenticate', () => {
  it('by a secret in the body are not there', async () => {
    const outcome = await present({ form: { client_id: 'legacy', client_secret: SECRET } })
    expect(failureIn(outcome)).toBe('secret_in_body')
    expectOneAnswer(outcome)
  })

  it.each(['client_assertion', 'client_secret', 'client_id'])(
    'by a repeated %s are refused',
    async (name) => {
      const parameters = [
        [name, 'a'],
        [name, 'a'],
      ] as const
      const outcome = await authenticateClient({ parameters, authorization: [] }, broker.world, NOW)
      expect(failureIn(outcome)).toBe('parameter_repeated')
    },
  )

  it('together are refused, also if each would do by itself', async () => {
    const assertion = assertionParameters(await broker.assertion())
    const header = { authorization: [basic('legacy', SECRET)] }
    for (const presented of [
      { ...header, form: assertion },
      { ...header, form: { client_secret: SECRET } },
      { form: { ...assertion, client_secret: SECRET } },
    ]) {
      const outcome = await present(presented)
      expect(failureIn(outcome)).toBe('client_authenticated_twice')
      if (outcome !== undefined && 'refused' in outcome)
        expect(wireErrorFor(outcome.refused)).toMatchObject({ status: 400, error: 'invalid_request' })
    }
  })
})

/** One body for every reason; the header only where the client used it. */
function expectOneAnswer(outcome: Outcome, headers?: object): void {
  if (outcome === undefined || !('refused' in outcome)) throw new Error('not refused')
  expect(wireErrorFor(outcome.refused)).toEqual({
    status: 401,
    error: 'invalid_client',
    description: 'client authentication failed',
    ...(headers && { headers }),
  })
}

describe('an exchange by an authenticated client', () => {
  const asCheckout = async () => assertionParameters(await broker.assertion())
  const granted = (outcome: ExchangeOutcome) => {
    if ('refused' in outcome) throw new Error(`refused: ${JSON.stringify(outcome.refused)}`)
    return decode(outcome.answer.access_token).claims
  }

  it('issues the token to the client, and says so in its record', async () => {
    const subject_token = await broker.subjectToken('desk')
    const claims = granted(await broker.exchange({ subject_token, ...(await asCheckout()) }))
    expect(claims).toMatchObject({ client_id: 'checkout', sub: 'desk:repo:octo/pay:ref:refs/heads/main' })
    const [record] = broker.ledger.records.values()
    expect(record?.event).toMatchObject({ client_id: 'checkout' })
    expect(broker.oneTime.spent.size).toBe(1)
  })

  it('is the only one that an issuer may ask for', async () => {
    const subject_token = await broker.subjectToken('desk')
    for (const form of [{}, { client_id: 'checkout' }]) {
      const outcome = await broker.exchange({ subject_token, ...form })
      expect(reasonIn(outcome)).toBe('authentication_missing')
      if ('refused' in outcome) expectOneAnswer(outcome)
    }
    expect(
      reasonIn(await broker.exchange({ subject_token }, { authorization: [basic('legacy', SECRET)] })),
    ).toBe('granted')
  })

  it('is the only one that the grant of a client serves', async () => {
    const asked = async (form: object) =>
      reasonIn(
        await broker.exchange({
          subject_token: await broker.subjectToken('pod'),
          audience: RECEIPTS,
          ...form,
        }),
      )
    expect(await asked(await asCheckout())).toBe('granted')
    expect(await asked({})).toBe('no_grant_matches')
    expect(await asked({ client_id: 'checkout' })).toBe('no_grant_matches')
    expect(await asked(assertionParameters(await broker.assertion('billing')))).toBe('client_not_allowed')
  })

  it('may get a default target of its own, before that of the issuer', async () => {
    const subject_token = await broker.subjectToken('ci')
    const asBilling = assertionParameters(await broker.assertion('billing'))
    expect(granted(await broker.exchange({ subject_token, audience: undefined, ...asBilling }))['aud']).toBe(
      LEDGER,
    )
    const other = { subject_token: await broker.subjectToken('ci'), audience: undefined }
    expect(granted(await broker.exchange({ ...other, ...(await asCheckout()) }))['aud']).toBe(PAYMENTS)
  })

  it('names the client in the refusals that follow', async () => {
    const subject_token = await broker.subjectToken('desk', { repository_id: '9' })
    const outcome = await broker.exchange({ subject_token, ...(await asCheckout()) })
    expect(outcome).toMatchObject({ event: { reason: 'no_grant_matches', client_id: 'checkout' } })
    expect(broker.oneTime.spent.size).toBe(0)
  })

  it('spends its assertion once, whatever else the request is', async () => {
    const assertion = await asCheckout()
    const exchange = async () =>
      broker.exchange({ subject_token: await broker.subjectToken('desk'), ...assertion })
    expect(reasonIn(await exchange())).toBe('granted')
    const again = await exchange()
    expect(reasonIn(again)).toBe('assertion_replayed')
    if ('refused' in again) expectOneAnswer(again)
  })

  it('needs another assertion for a retry, and gets the same token', async () => {
    const idempotencyKey = ['0123456789abcdef']
    const subject_token = await broker.subjectToken('desk')
    const assertion = await asCheckout()
    const first = granted(await broker.exchange({ subject_token, ...assertion }, { idempotencyKey }))
    expect(reasonIn(await broker.exchange({ subject_token, ...assertion }, { idempotencyKey }))).toBe(
      'assertion_replayed',
    )
    const retry = { subject_token, ...(await asCheckout()) }
    expect(granted(await broker.exchange(retry, { idempotencyKey }))['jti']).toBe(first['jti'])
  })

  it('shares no idempotency key with another client', async () => {
    const idempotencyKey = ['0123456789abcdef']
    const subject_token = await broker.subjectToken('pod')
    await broker.exchange({ subject_token, ...(await asCheckout()) }, { idempotencyKey })
    const asBilling = assertionParameters(await broker.assertion('billing'))
    expect(reasonIn(await broker.exchange({ subject_token, ...asBilling }, { idempotencyKey }))).toBe(
      'token_replayed',
    )
  })

  it('starts all four calls before it waits for any', async () => {
    const started: string[] = []
    const held = (name: string) => () => {
      started.push(name)
      return new Promise<never>(() => undefined)
    }
    Object.assign(broker.ledger, { record: held('record') })
    Object.assign(broker.oneTime, { claim: held('claim') })
    Object.assign(broker.revocations, { cutOffs: held('cutOffs') })
    Object.assign(broker.keys, { sign: held('sign') })
    void broker.exchange({ subject_token: await broker.subjectToken('desk'), ...(await asCheckout()) })
    await expect.poll(() => started.toSorted()).toEqual(['claim', 'cutOffs', 'record', 'sign'])
  })

  it('releases nothing while its assertion cannot be claimed', async () => {
    Object.assign(broker.oneTime, {
      claim: () => Promise.reject(new DependencyUnavailable('dynamodb', 'down')),
    })
    const request = { subject_token: await broker.subjectToken('desk'), ...(await asCheckout()) }
    await expect(broker.exchange(request)).rejects.toThrow(DependencyUnavailable)
  })
})

describe('a cut-off by client', () => {
  const onward = { audience: RECEIPTS }
  const asCheckout = async () => assertionParameters(await broker.assertion())
  const asked = async (form: Record<string, string | undefined>, from: 'pod' | 'desk' = 'pod') =>
    reasonIn(await broker.exchange({ subject_token: await broker.subjectToken(from), ...form }))

  it('refuses what the client presents, and nobody else', async () => {
    broker.revocations.stored.set('client#checkout', NOW)
    expect(await asked(await asCheckout())).toBe('token_revoked')
    expect(await asked(assertionParameters(await broker.assertion('billing')))).toBe('granted')
    expect(await asked({})).toBe('granted')
  })

  it('spares subject tokens that were issued later, unless it lies in the future', async () => {
    broker.revocations.stored.set('client#checkout', NOW - 1)
    expect(await asked(await asCheckout())).toBe('granted')
    broker.revocations.stored.set('client#checkout', NOW + 1000)
    expect(await asked(await asCheckout())).toBe('token_revoked')
  })

  it('reaches what was issued to the client, whoever presents it, at any depth', async () => {
    const child = await broker.own({ client_id: 'checkout' })
    const grandchild = await broker.own({ client_id: 'billing', lineage_clients: ['checkout'] })
    const foreign = await broker.own({ client_id: 'billing' })
    const present = async (subject_token: string) =>
      reasonIn(await broker.exchange({ subject_token, ...onward }))
    expect(await present(child)).toBe('granted')
    broker.revocations.stored.set('client#checkout', NOW)
    expect(await present(child)).toBe('token_revoked')
    expect(await present(grandchild)).toBe('token_revoked')
    expect(await present(foreign)).toBe('granted')
  })

  it('is written into the lineage of every token', async () => {
    const parent = await broker.exchange({
      subject_token: await broker.subjectToken('desk'),
      ...(await asCheckout()),
    })
    if ('refused' in parent) throw new Error('refused')
    expect(decode(parent.answer.access_token).claims).not.toHaveProperty('lineage_clients')
    const child = await broker.exchange({ subject_token: parent.answer.access_token, ...onward })
    if ('refused' in child) throw new Error('refused')
    expect(decode(child.answer.access_token).claims).toMatchObject({
      client_id: 'desk:repo:octo/pay:ref:refs/heads/main',
      lineage_clients: ['checkout'],
    })
    const orphan = await broker.own({})
    const next = await broker.exchange({ subject_token: orphan, ...onward })
    if ('refused' in next) throw new Error('refused')
    expect(decode(next.answer.access_token).claims).not.toHaveProperty('lineage_clients')
  })

  it('is checked for what our own tokens say of clients', async () => {
    for (const changes of [
      { lineage_clients: 'checkout' },
      { lineage_clients: [1] },
      { client_id: undefined },
    ])
      expect(reasonIn(await broker.exchange({ subject_token: await broker.own(changes), ...onward }))).toBe(
        'claim_malformed',
      )
  })

  it('B14 takes no subject for the client of the same name', async () => {
    const sub = 'checkout'
    const subject_token = await broker.subjectToken('pod', { sub })
    broker.revocations.stored.set('client#checkout', NOW)
    broker.revocations.stored.set('subject#checkout', NOW)
    const outcome = await broker.exchange({ subject_token })
    if ('refused' in outcome) throw new Error('refused')
    expect(decode(outcome.answer.access_token).claims).toMatchObject({
      sub: 'pod:checkout',
      client_id: 'pod:checkout',
    })
    expect(reasonIn(await broker.exchange({ subject_token, audience: RECEIPTS }))).toBe('no_grant_matches')
  })
})
