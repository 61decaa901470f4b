import { createHmac, createPublicKey, randomBytes } from 'node:crypto'
import { describe, expect, it, vi } from 'vitest'
import { makeClientSecret } from '../../functions/core/client-secret.ts'
import { assertionParameters, basic } from '../support/clients.ts'
import { printedBy } from '../support/printed.ts'
import {
  expectVerdict,
  freezeTime,
  granted,
  leakedRun,
  type Presented,
  refused,
  type Witness,
  witnessOf,
} from './attack.ts'
import {
  AttackedBroker,
  BROKER_ISSUER,
  exchangeForm,
  type FormChanges,
  grant,
  NOW,
  POLICY,
} from './broker.ts'
import { craft, craftHmac, craftingKey, craftWithHeader, type Part } from './crafted-jws.ts'
import { tokenEvent } from './proxy-event.ts'

// The real thing, counted: F09 compares how much work is done.
vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof import('node:crypto')>()
  return { ...crypto, createHmac: vi.fn<typeof crypto.createHmac>(crypto.createHmac) }
})

const KEYS = {
  checkout: craftingKey('ES256', 'client-key'),
  billing: craftingKey('ES256', 'client-key'),
  pinned: craftingKey('PS256', 'client-key'),
}
const SECRET = makeClientSecret(randomBytes)
const NEXT = makeClientSecret(randomBytes)

const withKey = (name: keyof typeof KEYS, more: object = {}) => ({
  authentication: { method: 'private_key_jwt', jwks: { keys: [KEYS[name].jwk] }, ...more },
})
const CLIENTS = {
  checkout: withKey('checkout'),
  billing: withKey('billing'),
  pinned: withKey('pinned', { algorithms: ['PS256'] }),
  legacy: {
    authentication: { method: 'client_secret_basic', secret_digests: [SECRET.digest, NEXT.digest] },
  },
}

/** Tokens of `ci` are exchanged only for an authenticated client, and those of `pod` for receipts only for `checkout`. */
const policyOf = (clients: object = CLIENTS): object => ({
  ...POLICY,
  issuers: { ...POLICY.issuers, ci: { ...POLICY.issuers.ci, client_authentication: 'required' } },
  clients,
  grants: {
    ...POLICY.grants,
    'pod-receipts': { ...grant('pod', 'receipts'), client: 'checkout' },
    onward: { ...POLICY.grants.onward, client: 'billing' },
  },
})
const newBroker = (clients?: object) => new AttackedBroker({ policy: policyOf(clients) })

let made = 0
const claimsOf = (name: string, changes: object = {}) => ({
  iss: name,
  sub: name,
  aud: BROKER_ISSUER,
  iat: NOW,
  exp: NOW + 60,
  jti: `assertion-${++made}`,
  ...changes,
})
const assertion = (changes: object = {}, header: Part = {}, name: keyof typeof KEYS = 'checkout') =>
  craft(KEYS[name], claimsOf(name, changes), header)

const asserted =
  (compact: string, form: FormChanges = {}) =>
  (broker: AttackedBroker) => ({
    form: { subject_token: broker.token(), ...assertionParameters(compact), ...form },
  })
const withHeader =
  (authorization: string | readonly string[], form: FormChanges = {}) =>
  (broker: AttackedBroker) => ({
    form: { subject_token: broker.token(), ...form },
    headers: { Authorization: authorization },
  })
const byBasic = (id: string, secret: string, form: FormChanges = {}) => withHeader(basic(id, secret), form)

type Attack = readonly [title: string, present: (broker: AttackedBroker) => Presented, failure: string]

const INVALID_CLIENT = refused('client_authentication_failed', 'invalid_client', 401)
const TWICE = refused('client_authenticated_twice')

/** Refused with exactly this reason, nothing begun, nothing consumed, nothing leaked. */
async function expectFailure(
  broker: AttackedBroker,
  presented: Presented,
  failure: string,
): Promise<Witness> {
  const witness = await expectVerdict(broker, presented, INVALID_CLIENT)
  expect(witness.refusals).toMatchObject([{ detail: { failure } }])
  expect(witness.calls).toEqual([])
  expectNothingConsumed(broker)
  const usedHeader = presented.headers?.['Authorization'] !== undefined
  expect('www-authenticate' in witness.headers).toBe(usedHeader)
  return witness
}

function expectNothingConsumed(broker: AttackedBroker): void {
  expect(broker.oneTime.spent.size).toBe(0)
  expect(broker.ledger.records.size).toBe(0)
}

const expectGranted = (broker: AttackedBroker, presented: Presented, check?: (witness: Witness) => void) =>
  expectVerdict(broker, presented, granted(check))

function describeFailures(name: string, attacks: readonly Attack[]): void {
  describe(`${name}`, () => {
    freezeTime()
    it.each(attacks)('%s', async (_title, present, failure) => {
      const broker = newBroker()
      await expectFailure(broker, present(broker), failure)
    })
  })
}

describe('what is not an attack', () => {
  freezeTime()

  it('each method authenticates its client', async () => {
    for (const [present, client] of [
      [asserted(assertion()), 'checkout'],
      [asserted(assertion({}, { typ: 'client-authentication+jwt' }, 'pinned')), 'pinned'],
      [byBasic('legacy', SECRET.secret), 'legacy'],
      [byBasic('legacy', NEXT.secret), 'legacy'],
    ] as const) {
      const broker = newBroker()
      await expectGranted(broker, present(broker), ({ claims }) => {
        expect(claims['client_id']).toBe(client)
      })
    }
  })
})

describeFailures(
  'an assertion for somebody else',
  [
    `${BROKER_ISSUER}/token`,
    `${BROKER_ISSUER}/revoke`,
    `${BROKER_ISSUER}/introspect`,
    `${BROKER_ISSUER}/`,
    BROKER_ISSUER.toUpperCase(),
    'https://another.example.com',
    [BROKER_ISSUER],
    [BROKER_ISSUER, `${BROKER_ISSUER}/token`],
    [BROKER_ISSUER, 'https://another.example.com'],
    [],
    {},
    null,
    undefined,
  ].map(
    (aud): Attack => [
      `F01 aud ${JSON.stringify(aud)}`,
      asserted(assertion({ aud })),
      'assertion_audience_not_ours',
    ],
  ),
)

describe('a reused assertion', () => {
  freezeTime()

  it('F02 is refused the second time, with another subject token too', async () => {
    const broker = newBroker()
    const compact = assertion()
    await expectGranted(broker, asserted(compact)(broker))
    const again = await witnessOf(broker, asserted(compact)(broker))
    expectReplay(again, [compact])
  })

  it('F02 is refused by the next function and by the next deployment: its use is in the table', async () => {
    const before = newBroker()
    const compact = assertion()
    await expectGranted(before, asserted(compact)(before))
    const after = newBroker()
    for (const [id, spent] of before.oneTime.spent)
      after.oneTime.spent.set(id, { ...spent, attempt: 'of another environment' })
    expectReplay(await witnessOf(after, asserted(compact)(after)), [compact])
  })

  it('F02 succeeds once of 50 at the same time', async () => {
    const broker = newBroker()
    const compact = assertion()
    const { result, printed } = await printedBy(() =>
      Promise.all(
        Array.from({ length: 50 }, (_, n) => {
          const { form } = asserted(compact)(broker)
          return broker.handler(tokenEvent({ body: exchangeForm(form) }, `request-${n}`), {})
        }),
      ),
    )
    expect(result.filter(({ statusCode }) => statusCode === 200)).toHaveLength(1)
    expect(result.filter(({ statusCode }) => statusCode === 401)).toHaveLength(49)
    expect(leakedRun(printed, [compact])).toBeUndefined()
  })

  function expectReplay(witness: Witness, secrets: readonly string[]): void {
    expect([witness.status, witness.body['error']]).toEqual([401, 'invalid_client'])
    expect(witness.body).not.toHaveProperty('access_token')
    expect(witness.refusals).toMatchObject([
      { reason: 'client_authentication_failed', detail: { failure: 'assertion_replayed' } },
    ])
    expect(leakedRun(witness.printed, secrets)).toBeUndefined()
  }
})

describe("somebody else's jti", () => {
  freezeTime()

  it.each([
    ['by another key', (jti: string) => craft(KEYS.billing, claimsOf('checkout', { jti }))],
    ['for another server', (jti: string) => assertion({ jti, aud: 'https://another.example.com' })],
    ['too late', (jti: string) => assertion({ jti, iat: NOW - 100, exp: NOW - 50 })],
  ])('F03 is not burnt by an assertion that is not acceptable: %s', async (_, poison) => {
    const broker = newBroker()
    const witness = await expectVerdict(broker, asserted(poison('victim'))(broker), INVALID_CLIENT)
    expect(witness.calls).toEqual([])
    expectNothingConsumed(broker)
    await expectGranted(broker, asserted(assertion({ jti: 'victim' }))(broker))
  })

  it('F03 is not burnt by a request that is refused for its subject token or target', async () => {
    const broker = newBroker()
    const compact = assertion()
    const forged = { subject_token: broker.token('pod', { iss: 'https://ci.example.com' }) }
    await expectVerdict(broker, asserted(compact, forged)(broker), refused('signature_invalid'))
    const nowhere = { audience: 'https://nowhere.example.com' }
    const target = refused('audience_not_in_policy', 'invalid_target')
    await expectVerdict(broker, asserted(compact, nowhere)(broker), target)
    expectNothingConsumed(broker)
    await expectGranted(broker, asserted(compact)(broker))
  })

  it('F04 is free in every other name space: of another client, and of subject tokens', async () => {
    const broker = newBroker()
    const jti = 'the-same-everywhere'
    const subject_token = broker.token('ci', { jti })
    await expectGranted(broker, asserted(assertion({ jti }), { subject_token })(broker))
    await expectGranted(broker, asserted(assertion({ jti }, {}, 'billing'))(broker))
    expect(broker.oneTime.spent.size).toBe(2)
    const ids = [...broker.oneTime.spent.keys(), ...broker.ledger.records.keys()]
    expect(new Set(ids).size).toBe(4)
  })
})

const publicKey = createPublicKey(KEYS.checkout.privateKey)
describeFailures('an assertion that does not prove its client', [
  ['F05 iss of another client', asserted(assertion({ iss: 'billing' })), 'assertion_claim_malformed'],
  ['F05 sub of another client', asserted(assertion({ sub: 'billing' })), 'assertion_claim_malformed'],
  [
    'F05 iss and sub of another client',
    asserted(assertion({ iss: 'billing', sub: 'billing' })),
    'assertion_signature_invalid',
  ],
  ['F05 an unknown client', asserted(assertion({ iss: 'nobody', sub: 'nobody' })), 'client_unknown'],
  ['F05 another client_id beside it', asserted(assertion(), { client_id: 'billing' }), 'client_id_mismatch'],
  ...['exp', 'iat', 'jti'].map(
    (name): Attack => [
      `F05 no ${name}`,
      asserted(assertion({ [name]: undefined })),
      'assertion_claim_malformed',
    ],
  ),
  ['F05 an empty jti', asserted(assertion({ jti: '' })), 'assertion_claim_malformed'],
  ['F05 exp as text', asserted(assertion({ exp: `${NOW + 60}` })), 'assertion_claim_malformed'],
  ['F05 exp more than 5 minutes ahead', asserted(assertion({ exp: NOW + 331 })), 'assertion_lives_too_long'],
  ['F05 exp a year ahead', asserted(assertion({ exp: NOW + 31_536_000 })), 'assertion_lives_too_long'],
  ['F05 exp in the past', asserted(assertion({ iat: NOW - 100, exp: NOW - 30 })), 'assertion_expired'],
  ['F05 iat in the future', asserted(assertion({ iat: NOW + 31 })), 'assertion_not_yet_valid'],
  [
    'F05 HS256 with the public key',
    asserted(
      craftHmac(
        'HS256',
        publicKey.export({ format: 'pem', type: 'spki' }) as string,
        { kid: 'client-key' },
        claimsOf('checkout'),
      ),
    ),
    'assertion_algorithm_not_allowed',
  ],
  [
    'F05 HS256 with the published key',
    asserted(
      craftHmac('HS256', JSON.stringify(KEYS.checkout.jwk), { kid: 'client-key' }, claimsOf('checkout')),
    ),
    'assertion_algorithm_not_allowed',
  ],
  [
    'F05 none',
    asserted(craftWithHeader(KEYS.checkout, { alg: 'none', kid: 'client-key' }, claimsOf('checkout'))),
    'assertion_algorithm_not_allowed',
  ],
  [
    'F05 none without signature',
    asserted(`${assertion({}, { alg: 'none' }).split('.').slice(0, 2).join('.')}.`),
    'assertion_malformed',
  ],
  [
    'F05 RS256 where PS256 is pinned',
    asserted(craft({ ...KEYS.pinned, alg: 'RS256' }, claimsOf('pinned'))),
    'assertion_algorithm_not_allowed',
  ],
  ['F05 a key in the header', asserted(assertion({}, { jwk: KEYS.billing.jwk })), 'assertion_malformed'],
  [
    'F05 keys at an address in the header',
    asserted(assertion({}, { jku: 'https://evil.example.com/jwks' })),
    'assertion_malformed',
  ],
  ['F05 no kid', asserted(assertion({}, { kid: undefined })), 'assertion_malformed'],
  ['F05 an unknown kid', asserted(assertion({}, { kid: 'another' })), 'assertion_key_unknown'],
  [
    'F05 a changed signature',
    asserted(assertion().replace(/\.[^.]{4}([^.]*)$/, '.AAAA$1')),
    'assertion_signature_invalid',
  ],
  ['F05 an access token', asserted(assertion({}, { typ: 'at+jwt' })), 'assertion_type_mismatch'],
  ['F05 an ID-JAG', asserted(assertion({}, { typ: 'oauth-id-jag+jwt' })), 'assertion_type_mismatch'],
  ['F05 the subject token itself', (broker) => asserted(broker.token())(broker), 'client_unknown'],
  [
    'F05 another assertion type',
    asserted(assertion(), {
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer',
    }),
    'assertion_type_not_supported',
  ],
  [
    'F05 no assertion type',
    asserted(assertion(), { client_assertion_type: undefined }),
    'assertion_incomplete',
  ],
])

describe('two methods at once', () => {
  freezeTime()
  const header = { Authorization: basic('legacy', SECRET.secret) }

  it.each<[string, (broker: AttackedBroker) => Presented]>([
    ['Basic and an assertion', (broker) => ({ ...asserted(assertion())(broker), headers: header })],
    ['Basic and a secret in the body', byBasic('legacy', SECRET.secret, { client_secret: SECRET.secret })],
    ['an assertion and a secret in the body', asserted(assertion(), { client_secret: SECRET.secret })],
    [
      'all three',
      (broker) => ({ ...asserted(assertion(), { client_secret: 'x' })(broker), headers: header }),
    ],
    ['Basic and half an assertion', byBasic('legacy', SECRET.secret, { client_assertion: 'a.b.c' })],
  ])('F06 are refused, though each would do: %s', async (_, present) => {
    const broker = newBroker()
    const witness = await expectVerdict(broker, present(broker), TWICE)
    expect(witness.calls).toEqual([])
    expectNothingConsumed(broker)
  })
})

describe('a method that was not verified', () => {
  freezeTime()
  const unsigned = `${assertion().split('.').slice(0, 2).join('.')}.AAAA`

  it('F07 proves nothing: an assertion that nobody signed, beside a good secret', async () => {
    const broker = newBroker()
    await expectVerdict(
      broker,
      byBasic('legacy', SECRET.secret, assertionParameters(unsigned))(broker),
      TWICE,
    )
    await expectVerdict(broker, asserted(unsigned, { client_secret: SECRET.secret })(broker), TWICE)
    expectNothingConsumed(broker)
  })

  it('F07 proves nothing: an assertion that nobody signed', async () => {
    const broker = newBroker()
    await expectFailure(broker, asserted(unsigned)(broker), 'assertion_signature_invalid')
  })

  it('F07 proves nothing: the id of another client beside a good secret', async () => {
    const broker = newBroker()
    const present = byBasic('legacy', SECRET.secret, { client_id: 'checkout' })
    await expectFailure(broker, present(broker), 'client_id_mismatch')
  })

  it('F07 a client that proved itself gets nothing that is for another', async () => {
    const broker = newBroker()
    const receipts = { subject_token: broker.token('pod'), audience: 'https://receipts.example.com' }
    const present = byBasic('legacy', SECRET.secret, receipts)
    await expectVerdict(broker, present(broker), refused('client_not_allowed', 'unauthorized_client'))
    expectNothingConsumed(broker)
    await expectGranted(broker, asserted(assertion(), receipts)(broker))
  })
})

const encoded = (text: string) => Buffer.from(text, 'latin1').toString('base64')
const GOOD = encoded(`legacy:${SECRET.secret}`)
const percent = (text: string) => text.replace(/./g, (c) => `%${c.charCodeAt(0).toString(16)}`)
describeFailures('Basic that is not quite right', [
  ['F08 no base64', withHeader('Basic ***'), 'header_malformed'],
  ['F08 something after the base64', withHeader(`Basic ${GOOD}!`), 'header_malformed'],
  ['F08 base64 with another alphabet', withHeader('Basic bGVnYWN5Oj8_Pz8='), 'header_malformed'],
  ['F08 base64 with bits to spare', withHeader('Basic YTpiYZ=='), 'header_malformed'],
  ['F08 no colon', withHeader(`Basic ${encoded('legacy')}`), 'header_malformed'],
  ['F08 nothing', withHeader('Basic '), 'header_malformed'],
  ['F08 not ASCII', withHeader(`Basic ${encoded('légacy:x')}`), 'header_malformed'],
  ['F08 UTF-8', withHeader(`Basic ${Buffer.from('legacy:é').toString('base64')}`), 'header_malformed'],
  ['F08 NUL', withHeader(`Basic ${encoded(`legacy:${SECRET.secret}\0`)}`), 'header_malformed'],
  ['F08 a broken percent sign', withHeader(`Basic ${encoded('legacy:%zz')}`), 'header_malformed'],
  ['F08 percent signs that are not UTF-8', withHeader(`Basic ${encoded('legacy:%ff')}`), 'header_malformed'],
  [
    'F08 a secret that is encoded twice',
    withHeader(`Basic ${encoded(`legacy:${percent(percent(SECRET.secret))}`)}`),
    'client_or_secret_wrong',
  ],
  [
    'F08 an id that is encoded twice',
    withHeader(`Basic ${encoded(`${percent(percent('legacy'))}:${SECRET.secret}`)}`),
    'client_or_secret_wrong',
  ],
  [
    'F08 a space around the id',
    withHeader(`Basic ${encoded(` legacy:${SECRET.secret}`)}`),
    'client_or_secret_wrong',
  ],
  ['F08 a secret that is cut off', byBasic('legacy', SECRET.secret.slice(0, 42)), 'client_or_secret_wrong'],
  ['F08 two values', withHeader([`Basic ${GOOD}`, `Basic ${GOOD}`]), 'header_malformed'],
  ['F08 two values joined by a comma', withHeader(`Basic ${GOOD}, Basic ${GOOD}`), 'header_malformed'],
  ['F08 two schemes', withHeader([`Basic ${GOOD}`, 'Bearer x']), 'header_malformed'],
  ['F08 another scheme', withHeader(`Bearer ${GOOD}`), 'scheme_not_supported'],
  ['F08 no scheme', withHeader(GOOD), 'scheme_not_supported'],
])

describe('guessing', () => {
  freezeTime()
  const GUESSES: readonly (readonly [string, string, string])[] = [
    ['an unknown client', 'nobody', SECRET.secret],
    ['a wrong secret', 'legacy', NEXT.secret.toLowerCase()],
    ['a short secret', 'legacy', 'x'],
    ['a client that has no secret', 'checkout', SECRET.secret],
  ]

  it.each(GUESSES)('F09 learns nothing from the answer, nor from the work: %s', async (_, id, secret) => {
    const work = vi.mocked(createHmac)
    const broker = newBroker()
    work.mockClear()
    await expectGranted(broker, byBasic('legacy', SECRET.secret)(broker))
    const forTheRightSecret = work.mock.calls.length
    expect(forTheRightSecret).toBe(2)
    const guessed = newBroker()
    work.mockClear()
    const witness = await expectFailure(guessed, byBasic(id, secret)(guessed), 'client_or_secret_wrong')
    expect(work).toHaveBeenCalledTimes(forTheRightSecret)
    expect([witness.status, witness.body]).toEqual([
      401,
      { error: 'invalid_client', error_description: 'client authentication failed' },
    ])
    expect(leakedRun(witness.printed, [secret, SECRET.secret])).toBeUndefined()
  })

  it('F09 learns nothing from the answer to an assertion either', async () => {
    const bodies = []
    for (const compact of [
      assertion({ iss: 'nobody', sub: 'nobody' }),
      assertion({ iss: 'billing', sub: 'billing' }),
      assertion({ iss: 'legacy', sub: 'legacy' }),
      assertion({ exp: NOW - 60, iat: NOW - 90 }),
    ]) {
      const broker = newBroker()
      const { status, body } = await expectVerdict(broker, asserted(compact)(broker), INVALID_CLIENT)
      bodies.push([status, body])
    }
    for (const body of bodies) expect(body).toEqual(bodies[0])
  })
})

describeFailures('a public client where policy requires an authenticated one', [
  ['F10 nothing', (broker) => ({ form: { subject_token: broker.token() } }), 'authentication_missing'],
  [
    'F10 a client_id alone',
    (broker) => ({ form: { subject_token: broker.token(), client_id: 'checkout' } }),
    'authentication_missing',
  ],
  [
    'F10 empty credentials',
    (broker) => ({ form: { subject_token: broker.token(), client_secret: '', client_assertion: '' } }),
    'authentication_missing',
  ],
  [
    'F10 a secret in the body',
    (broker) => ({
      form: { subject_token: broker.token(), client_id: 'legacy', client_secret: SECRET.secret },
    }),
    'secret_in_body',
  ],
])

describe('certificates', () => {
  freezeTime()

  it('F11 authenticate nobody by what a header says of one', async () => {
    const broker = newBroker()
    const form = { subject_token: broker.token(), client_id: 'checkout' }
    const headers = { 'X-Amzn-Mtls-Clientcert': 'PEM', 'X-Client-Cert': 'PEM', 'X-Ssl-Client-Cert': 'PEM' }
    await expectFailure(broker, { form, headers }, 'authentication_missing')
  })

  it('F11 authenticate no client that has another method, whatever they say', async () => {
    const broker = newBroker()
    const form = { subject_token: broker.token(), client_id: 'checkout' }
    await expectFailure(broker, { form, certificate: 'PEM' }, 'authentication_missing')
  })
})

/** The policy is bundled with the function: what a deployment takes out of it is gone with the environments it replaces. */
describe('a client that the next policy no longer trusts', () => {
  freezeTime()
  const { checkout: _, ...others } = CLIENTS
  const nextOnly = {
    authentication: { method: 'client_secret_basic', secret_digests: [NEXT.digest] },
  }
  const rotated = withKey('billing')

  it('F12 is unknown once it is removed', async () => {
    const broker = new AttackedBroker({
      policy: { ...policyOf(others), grants: { 'ci-payments': grant('ci', 'payments') } },
    })
    await expectFailure(broker, asserted(assertion())(broker), 'client_unknown')
  })

  it('F12 is refused by a secret or a key that was replaced', async () => {
    const broker = newBroker({ ...CLIENTS, legacy: nextOnly, checkout: rotated })
    await expectFailure(broker, byBasic('legacy', SECRET.secret)(broker), 'client_or_secret_wrong')
    await expectFailure(broker, asserted(assertion())(broker), 'assertion_signature_invalid')
    await expectGranted(broker, byBasic('legacy', NEXT.secret)(broker))
  })

  it('F12 is stopped at once, before any deployment, by a cut-off that lies in the future', async () => {
    const broker = newBroker()
    broker.revocations.stored.set('client#legacy', NOW + 86_400)
    const witness = await expectVerdict(
      broker,
      byBasic('legacy', SECRET.secret)(broker),
      refused('token_revoked'),
    )
    expect(witness.body).not.toHaveProperty('access_token')
    await expectGranted(broker, asserted(assertion())(broker))
  })
})

describe('a token that was issued to somebody else', () => {
  freezeTime()
  const receipts = 'https://receipts.example.com'

  it('goes onward only by the client that the grant names, and only from its audience', async () => {
    const broker = newBroker()
    const onward = async (name: 'checkout' | 'billing', changes: object) => {
      const subject_token = await broker.ownToken(changes)
      return asserted(assertion({}, {}, name), { subject_token, audience: receipts })(broker)
    }
    const foreign = { client_id: 'checkout' }
    const notAllowed = refused('client_not_allowed', 'unauthorized_client')
    await expectVerdict(broker, await onward('checkout', foreign), notAllowed)
    const elsewhere = await onward('billing', { ...foreign, aud: 'https://ledger.example.com' })
    await expectVerdict(broker, elsewhere, refused('no_grant_matches'))
    expectNothingConsumed(broker)
    await expectGranted(broker, await onward('billing', foreign), ({ claims }) => {
      expect(claims).toMatchObject({ client_id: 'billing', lineage_clients: ['checkout'] })
    })
  })
})

describe('an assertion where a subject token belongs', () => {
  freezeTime()

  it.each(['JWT', 'client-authentication+jwt'])('is nothing that an issuer signed: %s', async (typ) => {
    const broker = newBroker()
    const subject_token = assertion({}, { typ })
    await expectVerdict(
      broker,
      asserted(assertion(), { subject_token })(broker),
      refused('issuer_not_trusted'),
    )
    expectNothingConsumed(broker)
  })
})
