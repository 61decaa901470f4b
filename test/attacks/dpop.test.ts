import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { makeClientSecret } from '../../functions/core/client-secret.ts'
import { LIMITS } from '../../functions/core/limits.ts'
import { basic } from '../support/clients.ts'
import {
  type Attack,
  describeAttacks,
  expectVerdict,
  freezeTime,
  granted,
  type Presented,
  refused,
  type Verdict,
  witnessOf,
} from './attack.ts'
import {
  AttackedBroker,
  BROKER_ISSUER,
  type FormChanges,
  grant,
  JWT_TYPE,
  NOW,
  POLICY,
  RECEIPTS,
} from './broker.ts'
import { type CraftingKey, craftHmac, craftingKey, craftWithHeader, encodePart } from './crafted-jws.ts'
import { DELEGATION } from './delegation-policy.ts'
import { RevocationEndpoints } from './revocation-endpoints.ts'

const KEYS = {
  ES256: craftingKey('ES256', 'p'),
  ES384: craftingKey('ES384', 'p'),
  ES512: craftingKey('ES512', 'p'),
  EdDSA: craftingKey('EdDSA', 'p'),
  PS256: craftingKey('PS256', 'p'),
  RS256: craftingKey('RS256', 'p'),
  RS512: craftingKey('RS512', 'p'),
}
const KEY = KEYS.ES256
const OTHER = craftingKey('ES256', 'p')
const SHORT = craftingKey('RS256', 'p', 1024)
const HTU = `${BROKER_ISSUER}/token`

/** As the attacks' policy, but that tokens for payments are bound, and those for the ledger need a nonce too. */
const BOUND = {
  ...POLICY,
  targets: {
    ...POLICY.targets,
    payments: { ...POLICY.targets.payments, token: { algorithm: 'RS256', binding: 'dpop' } },
    ledger: { ...POLICY.targets.ledger, token: { algorithm: 'ES256', binding: 'dpop', dpop_nonce: true } },
  },
  grants: { ...POLICY.grants, 'receipts-receipts': grant('broker', 'receipts', { aud: RECEIPTS }) },
}

/** RFC 7638, for the kinds of keys that are used here. */
function thumbprintOf({ jwk }: CraftingKey): string {
  const { crv, e, kty, n, x, y } = jwk
  const members = kty === 'RSA' ? { e, kty, n } : kty === 'EC' ? { crv, kty, x, y } : { crv, kty, x }
  return createHash('sha256').update(JSON.stringify(members)).digest('base64url')
}

let made = 0
const claims = (changes: object = {}) => ({
  jti: `proof-${++made}-${'x'.repeat(16)}`,
  htm: 'POST',
  htu: HTU,
  iat: NOW,
  ...changes,
})
const headerOf = ({ alg, jwk }: CraftingKey, changes: object = {}) => ({
  typ: 'dpop+jwt',
  alg,
  jwk,
  ...changes,
})

/** A good proof, with claims and header changed; `undefined` leaves one out. */
function proof(changes: object = {}, header: object = {}, key: CraftingKey = KEY): string {
  return craftWithHeader(key, headerOf(key, header), claims(changes))
}

type Proofs = string | readonly string[]
type MakeProofs = (broker: AttackedBroker, token: string) => Proofs

/** A request with a good token and these proofs. */
async function proven(broker: AttackedBroker, make: MakeProofs, form: FormChanges = {}): Promise<Presented> {
  const { subject_token: token = broker.token() } = form
  const proofs = make(broker, String(token))
  return { form: { ...form, subject_token: token }, headers: { DPoP: proofs } }
}

const NOT_ACCEPTABLE = refused('dpop_proof_not_acceptable', 'invalid_dpop_proof')
const TO_ANOTHER_KEY = refused('token_bound_to_key')
const boundTo = (key: CraftingKey) =>
  granted(({ body, claims: issued }) => {
    expect(body['token_type']).toBe('DPoP')
    expect(issued['cnf']).toEqual({ jkt: thumbprintOf(key) })
  })

const attack = (title: string, make: MakeProofs, verdict: Verdict = NOT_ACCEPTABLE): Attack => ({
  title,
  broker: { policy: BOUND },
  present: (broker) => proven(broker, make),
  verdict,
})

const RSA = KEYS.RS256
const PRIVATE = { ...KEY.jwk, d: KEY.privateKey.export({ format: 'jwk' }).d }
const OFF_CURVE = { ...KEY.jwk, y: OTHER.jwk.y }
const without = (name: string) => proof({ [name]: undefined })

const conformance: readonly Attack[] = [
  attack('G01 a good proof', () => proof(), boundTo(KEY)),
  {
    ...attack('G01 the name of the header in capitals', () => proof(), boundTo(KEY)),
    present: async (broker) => ({ form: { subject_token: broker.token() }, headers: { DPOP: proof() } }),
  },
  attack('G01 two proofs', () => [proof(), proof()]),
  attack('G01 the same proof twice', () => {
    const one = proof()
    return [one, one]
  }),
  attack('G01 two proofs in one header', () => `${proof()},${proof()}`),
  attack('G01 two proofs in one header, with a space', () => `${proof()}, ${proof()}`),
  ...['', ' ', 'nonsense', 'a.b', 'a.b.c.d', '{}', '..', 'e30.e30.'].map((text) =>
    attack(`G01 malformed: ${JSON.stringify(text)}`, () => text),
  ),
  attack('G01 the scheme before it', () => `DPoP ${proof()}`),
  attack('G01 padding', () => `${proof()}=`),
  attack('G01 a signature with other unused bits', () => withOtherLastBits(proof())),
  attack('G01 a payload that is a list', () => craftWithHeader(KEY, headerOf(KEY), '[]')),
  attack('G01 a claim twice', () =>
    craftWithHeader(KEY, headerOf(KEY), JSON.stringify(claims()).replace('{', '{"htm":"GET",')),
  ),
  ...['typ', 'alg', 'jwk'].map((name) => attack(`G01 no ${name}`, () => proof({}, { [name]: undefined }))),
  ...['jti', 'htm', 'htu', 'iat'].map((name) => attack(`G01 no ${name}`, () => without(name))),
  ...['JWT', 'at+jwt', 'dpop', 'dpop+jwt2', 'dpop+jws', '', 5, null].map((typ) =>
    attack(`G01 typ ${JSON.stringify(typ)}`, () => proof({}, { typ })),
  ),
  ...['dpop+jwt', 'DPoP+JWT', 'application/dpop+jwt'].map((typ) =>
    attack(`G01 typ ${typ} is in order`, () => proof({}, { typ }), boundTo(KEY)),
  ),
  ...(['ES256', 'ES384', 'EdDSA', 'PS256', 'RS256'] as const).map((alg) =>
    attack(`G01 alg ${alg} is in order`, () => proof({}, {}, KEYS[alg]), boundTo(KEYS[alg])),
  ),
  attack('G01 alg Ed25519 is in order', () => proof({}, { alg: 'Ed25519' }, KEYS.EdDSA), boundTo(KEYS.EdDSA)),
  ...(['ES512', 'RS512'] as const).map((alg) =>
    attack(`G01 alg ${alg}, which is not offered`, () => proof({}, {}, KEYS[alg])),
  ),
  attack('G01 alg PS256 with the signature of another', () => proof({}, { alg: 'PS256' }, RSA)),
  attack('G01 alg RS256 with a key for ES256', () => proof({}, { alg: 'RS256' })),
  attack('G01 alg in lower case', () => proof({}, { alg: 'es256' })),
  ...['none', 'None', ''].map((alg) =>
    attack(`G01 alg ${JSON.stringify(alg)}, not signed`, () =>
      [{ ...headerOf(KEY), alg }, claims()].map(encodePart).concat('').join('.'),
    ),
  ),
  attack('G01 alg none, and a signature', () => proof({}, { alg: 'none' })),
  attack('G01 a changed signature', () => {
    const text = proof()
    const dot = text.lastIndexOf('.') + 1
    return `${text.slice(0, dot)}${text[dot] === 'A' ? 'B' : 'A'}${text.slice(dot + 1)}`
  }),
  attack('G01 claims changed behind the signature', () => {
    const [header, , signature] = proof().split('.')
    return [header, encodePart(claims()), signature].join('.')
  }),
  attack('G01 signed by another key than its own', () => proof({}, { jwk: OTHER.jwk })),
  attack('G01 the private key inside', () => proof({}, { jwk: PRIVATE })),
  ...['PUT', 'GET', 'post', 'Post', '', 5, null].map((htm) =>
    attack(`G01 htm ${JSON.stringify(htm)}`, () => proof({ htm })),
  ),
  ...[`${HTU}?query=x`, `${HTU}#fragment`, `${HTU}?query=x#fragment`].map((htu) =>
    attack(`G01 htu ${htu} is in order`, () => proof({ htu }), boundTo(KEY)),
  ),
  ...[
    BROKER_ISSUER,
    `${BROKER_ISSUER}/`,
    `${HTU}/`,
    `${BROKER_ISSUER}/introspect`,
    'https://evil.example.com/token',
    'http://tokens.example.com/token',
    '/token',
    'token',
    '',
    5,
    [HTU],
  ].map((htu) => attack(`G01 htu ${JSON.stringify(htu)}`, () => proof({ htu }))),
  ...[-3600, 3600].map((by) => attack(`G01 iat ${by / 3600} h away`, () => proof({ iat: NOW + by }))),
  ...['now', String(NOW), null, NOW * 1000, -1, 0].map((iat) =>
    attack(`G01 iat ${JSON.stringify(iat)}`, () => proof({ iat })),
  ),
  attack(
    'G01 ath of the subject token is in order, though nobody asks for it',
    (_, token) => proof({ ath: createHash('sha256').update(token).digest('base64url') }),
    boundTo(KEY),
  ),
  ...['x', '', 5].map((ath) =>
    attack(`G01 ath ${JSON.stringify(ath)}, of another token`, () => proof({ ath })),
  ),
  attack('G01 what has expired by its own word', () => proof({ exp: NOW - LIMITS.clockSkewSeconds - 1 })),
  attack('G01 what is not valid yet by its own word', () => proof({ nbf: NOW + 31 })),
  attack('G01 what is an hour old, and by its own word still good', () =>
    proof({ iat: NOW - 3600, exp: NOW + 3600 }),
  ),
  attack('G01 an exp that is no time', () => proof({ exp: 'tomorrow' })),
  ...['crit', 'b64', 'zip', 'enc', 'jku', 'x5u', 'x5c', 'cty'].map((name) =>
    attack(`G01 a header with ${name}`, () => proof({}, { [name]: ['x'] })),
  ),
  ...[-10, 10].map((by) =>
    attack(`G02 iat ${by} s away is in order`, () => proof({ iat: NOW + by }), boundTo(KEY)),
  ),
  ...[-90, 30].map((by) =>
    attack(`G02 iat ${by} s away is just in order`, () => proof({ iat: NOW + by }), boundTo(KEY)),
  ),
  ...[-91, 31].map((by) => attack(`G02 iat ${by} s away`, () => proof({ iat: NOW + by }))),
]

function withOtherLastBits(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return text.slice(0, -1) + alphabet[(alphabet.indexOf(text.at(-1) ?? '') ^ 1) % 64]
}

const hosts: readonly Attack[] = [
  ...[
    ['Host', 'evil.example.com'],
    ['X-Forwarded-Host', 'evil.example.com'],
    ['Forwarded', 'host=evil.example.com;proto=https'],
    ['X-Original-URL', '/token'],
  ].map(
    ([name = '', value = '']): Attack => ({
      ...attack(`G05 for the host that ${name}: ${value} names`, () => ''),
      present: async (broker) => ({
        form: { subject_token: broker.token() },
        headers: { [name]: value, DPoP: proof({ htu: 'https://evil.example.com/token' }) },
      }),
    }),
  ),
  {
    ...attack('G05 for us, whatever the headers say', () => '', boundTo(KEY)),
    present: async (broker) => ({
      form: { subject_token: broker.token() },
      headers: {
        Host: 'evil.example.com',
        'X-Forwarded-Host': 'evil.example.com',
        'X-Forwarded-Proto': 'http',
        DPoP: proof(),
      },
    }),
  },
  attack('G05 for the name that API Gateway assigns', () =>
    proof({ htu: 'https://api1234567.execute-api.eu-west-1.amazonaws.com/token' }),
  ),
  attack('G05 for a path with the stage', () => proof({ htu: `${BROKER_ISSUER}/$default/token` })),
]

const keys: readonly Attack[] = [
  attack('G06 a symmetric key', () =>
    craftHmac('HS256', 'secret', headerOf(KEY, { jwk: { kty: 'oct', k: 'c2VjcmV0' } }), claims()),
  ),
  attack('G06 the public key as a secret', () =>
    craftHmac('HS256', JSON.stringify(KEY.jwk), headerOf(KEY, { alg: 'HS256' }), claims()),
  ),
  attack('G06 RSA of 1024 bits', () => proof({}, {}, SHORT)),
  attack('G06 a point that is not on the curve', () => proof({}, { jwk: OFF_CURVE })),
  attack('G06 a point of another curve', () => proof({}, { jwk: KEYS.ES384.jwk })),
  attack('G06 a key with its private half', () => proof({}, { jwk: PRIVATE })),
  ...['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'].map((name) =>
    attack(`G06 a key with ${name}`, () => proof({}, { jwk: { ...KEY.jwk, [name]: 'AQAB' } })),
  ),
  ...[{}, null, 'key', [], { kty: 'EC' }, { ...KEY.jwk, x: 5 }, { ...KEY.jwk, crv: 'P-257' }].map((jwk) =>
    attack(`G06 a key that is ${JSON.stringify(jwk).slice(0, 40)}`, () => proof({}, { jwk })),
  ),
  attack('G06 a key for encryption', () => proof({}, { jwk: { ...KEY.jwk, use: 'enc' } })),
  attack('G06 a key for another algorithm', () => proof({}, { jwk: { ...KEY.jwk, alg: 'ES384' } })),
  attack('G06 an exponent of 1', () => proof({}, { jwk: { ...KEYS.RS256.jwk, e: 'AQ' } }, KEYS.RS256)),
  attack('G06 a key by its name alone, though we publish it', () =>
    proof({}, { jwk: undefined, kid: 'key-1' }),
  ),
]

const ids: readonly Attack[] = [
  ...['', 5, null, ['a'], {}, true].map((jti) =>
    attack(`G09 jti ${JSON.stringify(jti)}`, () => proof({ jti })),
  ),
  attack('G09 jti of 256 characters', () => proof({ jti: 'j'.repeat(256) })),
  attack('G09 jti of 255 characters is in order', () => proof({ jti: 'j'.repeat(255) }), boundTo(KEY)),
  attack('G09 jti of a megabyte', () => proof({ jti: 'j'.repeat(1 << 20) })),
  attack('G09 more than a proof can need', () => proof({ more: 'x'.repeat(LIMITS.proofBytes) })),
]

describeAttacks('DPoP proofs', conformance)
describeAttacks('for whom a proof is made', hosts)
describeAttacks('keys of proofs', keys)
describeAttacks('ids of proofs', ids)

describe('the one use of a proof', () => {
  freezeTime()
  const REPLAYED = refused('dpop_proof_replayed', 'invalid_dpop_proof')
  const start = () => new AttackedBroker({ policy: BOUND })

  it('G01 is over after the first time, whatever token comes with it', async () => {
    const broker = start()
    const one = proof()
    await expectVerdict(broker, await proven(broker, () => one), boundTo(KEY))
    await expectVerdict(broker, await proven(broker, () => one), REPLAYED)
  })

  it('G01 is not over for a request that was refused before', async () => {
    const broker = start()
    const one = proof()
    const bad = await proven(broker, () => one, { subject_token: broker.token('ci', { repository_id: '9' }) })
    await expectVerdict(broker, bad, refused('no_grant_matches'))
    await expectVerdict(broker, await proven(broker, () => one), boundTo(KEY))
  })

  it('G04 holds as long as anybody could accept it', async () => {
    const broker = start()
    const one = proof({ iat: NOW + LIMITS.clockSkewSeconds })
    await expectVerdict(broker, await proven(broker, () => one), boundTo(KEY))
    const [spent] = [...broker.oneTime.spent.values()].filter(({ kind }) => kind === 'dpop')
    const lastUse = NOW + LIMITS.clockSkewSeconds + LIMITS.proofAgeSeconds + LIMITS.clockSkewSeconds
    // Beyond the last second in which our own clocks accept it, by as much as they may differ.
    expect(spent?.expiresAt).toBeGreaterThanOrEqual(lastUse + LIMITS.clockSkewSeconds)
  })

  it('G09 is told by key and jti: neither another key nor another kind of credential takes it away', async () => {
    const broker = start()
    const jti = 'shared-by-everybody'
    await expectVerdict(broker, await proven(broker, () => proof({ jti }, {}, OTHER)), boundTo(OTHER))
    await expectVerdict(broker, await proven(broker, () => proof({ jti })), boundTo(KEY))
    await expectVerdict(broker, await proven(broker, () => proof({ jti })), REPLAYED)
    const spent = [...broker.oneTime.spent.values()].filter(({ kind }) => kind === 'dpop')
    expect(spent.map(({ id }) => id.length)).toEqual([43, 43])
    expect(JSON.stringify(spent)).not.toContain(jti)
  })
})

describe('nonces of proofs', () => {
  freezeTime()
  const LEDGER_FORM = { audience: 'https://ledger.example.com' }
  const NEEDED = refused('dpop_nonce_needed', 'use_dpop_nonce')
  const start = () => new AttackedBroker({ policy: BOUND })

  async function nonceAt(broker: AttackedBroker, now: number): Promise<string> {
    const [nonce = ''] = (await broker.world.nonces?.at(now)) ?? []
    return nonce
  }

  it.each([
    ['no nonce', async () => undefined],
    ['an empty one', async () => ''],
    ['an old one', (broker: AttackedBroker) => nonceAt(broker, NOW - 2 * LIMITS.dpopNonceSeconds)],
    ['one of the future', (broker: AttackedBroker) => nonceAt(broker, NOW + 2 * LIMITS.dpopNonceSeconds)],
    [
      'one of somebody else',
      async () => createHash('sha256').update('theirs').digest('base64url').slice(0, 32),
    ],
  ])('G03 is told the nonce: %s', async (_, make) => {
    const broker = start()
    const nonce = await make(broker)
    const witness = await expectVerdict(
      broker,
      await proven(broker, () => proof({ nonce }), LEDGER_FORM),
      NEEDED,
    )
    expect(witness.headers['dpop-nonce']).toBe(await nonceAt(broker, NOW))
    expect(witness.printed).not.toContain(witness.headers['dpop-nonce'])
  })

  it.each([5, null, ['x']])('G03 a nonce that is no text: %j', async (nonce) => {
    const broker = start()
    await expectVerdict(broker, await proven(broker, () => proof({ nonce }), LEDGER_FORM), NOT_ACCEPTABLE)
  })

  it('G03 is good with the nonce that the answer gave, with the same token, and in every environment', async () => {
    const [one, other] = [start(), start()]
    const subject_token = one.token()
    const form = { ...LEDGER_FORM, subject_token }
    const { headers } = await witnessOf(one, await proven(one, () => proof(), form))
    const nonce = headers['dpop-nonce']
    const witness = await expectVerdict(
      other,
      await proven(other, () => proof({ nonce }), form),
      boundTo(KEY),
    )
    expect(witness.headers['dpop-nonce']).toBe(nonce)
  })

  it('G03 is good for one slot more, and its proof still only once', async () => {
    const broker = start()
    const nonce = await nonceAt(broker, NOW - LIMITS.dpopNonceSeconds)
    const one = proof({ nonce })
    await expectVerdict(broker, await proven(broker, () => one, LEDGER_FORM), boundTo(KEY))
    const replayed = refused('dpop_proof_replayed', 'invalid_dpop_proof')
    await expectVerdict(broker, await proven(broker, () => one, LEDGER_FORM), replayed)
  })

  it('G03 says nothing of nonces where no target asks for one', async () => {
    const broker = start()
    const { headers } = await expectVerdict(
      broker,
      await proven(broker, () => proof({ nonce: 'x' })),
      boundTo(KEY),
    )
    expect(headers).not.toHaveProperty('dpop-nonce')
  })
})

describe('tokens that are bound to a key', () => {
  freezeTime()
  const start = () => new AttackedBroker({ policy: BOUND })
  const RECEIPTS_FORM = { audience: RECEIPTS }
  const bound = (broker: AttackedBroker, cnf: unknown) => broker.ownToken({ cnf })
  const jkt = thumbprintOf(KEY)

  it('G08 are all that a target with binding dpop has: without a proof there is none', async () => {
    const broker = start()
    await expectVerdict(broker, { form: { subject_token: broker.token() } }, NOT_ACCEPTABLE)
  })

  it('G08 are what a client with a proof gets, though the target asks for none', async () => {
    const broker = start()
    const subject_token = await broker.ownToken()
    await expectVerdict(
      broker,
      await proven(broker, () => proof(), { subject_token, ...RECEIPTS_FORM }),
      boundTo(KEY),
    )
  })

  it('G08 are bearer tokens only where neither asks for more', async () => {
    const broker = start()
    const verdict = granted(({ body, claims: issued }) => {
      expect(body['token_type']).toBe('Bearer')
      expect(issued).not.toHaveProperty('cnf')
    })
    await expectVerdict(
      broker,
      { form: { subject_token: await broker.ownToken(), ...RECEIPTS_FORM } },
      verdict,
    )
  })

  it('G08 a proof that is no good refuses what none would have been needed for', async () => {
    const broker = start()
    const subject_token = await broker.ownToken()
    const form = { subject_token, ...RECEIPTS_FORM }
    await expectVerdict(broker, await proven(broker, () => proof({ htm: 'GET' }), form), NOT_ACCEPTABLE)
  })

  it('G07 pass on to a proof by their key, and the binding with them', async () => {
    const broker = start()
    const subject_token = await bound(broker, { jkt })
    await expectVerdict(
      broker,
      await proven(broker, () => proof(), { subject_token, ...RECEIPTS_FORM }),
      boundTo(KEY),
    )
  })

  it.each([
    ['without a proof', undefined],
    ['with a proof by another key', () => proof({}, {}, OTHER)],
  ])('G07 do not pass on %s', async (_, make) => {
    const broker = start()
    const form = { subject_token: await bound(broker, { jkt }), ...RECEIPTS_FORM }
    await expectVerdict(
      broker,
      make === undefined ? { form } : await proven(broker, make, form),
      TO_ANOTHER_KEY,
    )
  })

  it('G07 of other issuers are bound all the same', async () => {
    const broker = start()
    const form = { subject_token: broker.token('ci', { cnf: { jkt } }) }
    await expectVerdict(broker, await proven(broker, () => proof({}, {}, OTHER), form), TO_ANOTHER_KEY)
    await expectVerdict(broker, await proven(broker, () => proof(), form), boundTo(KEY))
  })

  it.each([
    ['a key inside', { jwk: KEY.jwk }],
    ['a key by its name', { kid: 'key' }],
    ['a key by a name that could be a thumbprint', { kid: jkt }],
    ['another digest of a certificate, beside the key', { jkt, 'x5t#S512': jkt }],
    ['a key somewhere else', { jku: 'https://keys.example.com', jkt }],
    ['a thumbprint of another length', { jkt: jkt.slice(1) }],
    ['a thumbprint that is none', { jkt: 5 }],
    ['nothing', {}],
    ['no object', jkt],
  ])(
    'G07 are refused with a proof too where they are bound in a way that nobody knows here: %s',
    async (_, cnf) => {
      const broker = start()
      const form = { subject_token: broker.token('ci', { cnf }) }
      await expectVerdict(broker, await proven(broker, () => proof(), form), TO_ANOTHER_KEY)
    },
  )

  it('G08 of format reference are bound as well: introspection tells to what, and the handle needs the proof', async () => {
    const SERVER = makeClientSecret(randomBytes)
    const client = { authentication: { method: 'client_secret_basic', secret_digests: [SERVER.digest] } }
    const policy = {
      ...BOUND,
      clients: { server: { ...client, introspects: ['payments'] } },
      targets: {
        ...BOUND.targets,
        payments: { ...POLICY.targets.payments, token: { format: 'reference', binding: 'dpop' } },
      },
    }
    const endpoints = new RevocationEndpoints(new AttackedBroker({ policy }))
    const { broker } = endpoints
    const { body } = await witnessOf(broker, await proven(broker, () => proof()))
    const headers = { authorization: basic('server', SERVER.secret) }
    const seen = await endpoints.introspect(String(body['access_token']), { headers })
    expect(JSON.parse(seen.body)).toMatchObject({ active: true, token_type: 'DPoP', cnf: { jkt } })
    const subject_token_type = 'urn:ietf:params:oauth:token-type:access_token'
    const form = { subject_token: String(body['access_token']), subject_token_type, ...RECEIPTS_FORM }
    await expectVerdict(broker, { form }, TO_ANOTHER_KEY)
    await expectVerdict(broker, await proven(broker, () => proof(), form), boundTo(KEY))
  })

  it('G07 come again under an idempotency key only for the same key', async () => {
    const broker = start()
    const again = async (by: CraftingKey, verdict: Verdict) => {
      const presented = await proven(broker, () => proof({}, {}, by), { subject_token })
      return expectVerdictOf(
        broker,
        { ...presented, headers: { ...presented.headers, 'Idempotency-Key': 'a'.repeat(20) } },
        verdict,
      )
    }
    const subject_token = broker.token()
    const first = await again(KEY, boundTo(KEY))
    await again(OTHER, refused('token_replayed'))
    const second = await again(KEY, { kind: 'granted', check: () => undefined })
    expect(second['jti']).toBe(first['jti'])
    expect(second['cnf']).toEqual({ jkt })
  })

  /** The claims of the answer; a repetition writes no record, so that the usual count does not hold. */
  async function expectVerdictOf(broker: AttackedBroker, presented: Presented, verdict: Verdict) {
    const witness = await witnessOf(broker, presented)
    expect(witness.status, JSON.stringify(witness.body)).toBe(verdict.kind === 'granted' ? 200 : 400)
    if (verdict.kind === 'refused') expect(witness.refusals[0]?.['reason']).toBe(verdict.reason)
    return witness.claims
  }
})

describeAttacks(
  'bound actor tokens',
  (
    [
      ['without a proof', {}, [], TO_ANOTHER_KEY],
      ['with a proof by its key', {}, [KEY], boundTo(KEY)],
      ['with a proof by another key', {}, [OTHER], TO_ANOTHER_KEY],
      ['and a subject token of the same key', { jkt: thumbprintOf(KEY) }, [KEY], boundTo(KEY)],
      ['and a subject token of another key', { jkt: thumbprintOf(OTHER) }, [KEY], TO_ANOTHER_KEY],
      [
        'and a subject token of another key, with that proof',
        { jkt: thumbprintOf(OTHER) },
        [OTHER],
        TO_ANOTHER_KEY,
      ],
    ] as const
  ).map(
    ([title, cnf, [key], verdict]): Attack => ({
      title: `G07 an actor token that is bound to a key ${title}`,
      broker: { policy: DELEGATION },
      present: async (broker) => ({
        form: {
          subject_token: broker.token('ci', 'jkt' in cnf ? { cnf } : {}),
          actor_token: broker.token('pod', { sub: 'worker', cnf: { jkt: thumbprintOf(KEY) } }),
          actor_token_type: JWT_TYPE,
        },
        ...(key !== undefined && { headers: { DPoP: proof({}, {}, key) } }),
      }),
      verdict,
    }),
  ),
)
