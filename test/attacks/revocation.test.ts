import { beforeEach, describe, expect, it, vi } from 'vitest'
import { DynamoDbRevocationStore } from '../../functions/adapters/dynamodb-revocation-store.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import { INTROSPECTION_JWT } from '../../functions/core/introspection.ts'
import { LIMITS } from '../../functions/core/limits.ts'
import type { ExchangeRecord, RevocationKey } from '../../functions/core/ports.ts'
import { tokenIdOf } from '../../functions/core/token-id.ts'
import { decode, rawJws } from '../support/tokens.ts'
import { freezeTime, printedBy, type Witness, witnessOf } from './attack.ts'
import {
  type AttackedBroker,
  BROKER_ISSUER,
  issuerUrl,
  LEDGER,
  NOW,
  PAYMENTS,
  RECEIPTS,
  SUBJECT,
} from './broker.ts'
import { craft, craftingKey } from './crafted-jws.ts'
import { CREDENTIALS, RevocationEndpoints, type Seen } from './revocation-endpoints.ts'

// Replay and revocation. The fakes pass the contract suites that the DynamoDB adapters pass (test/contracts); the same
// over HTTP, processes and a database: test/e2e/revocation.test.ts.

const INACTIVE = '{"active":false}'
const IDEMPOTENT = { 'idempotency-key': 'a-key-of-16-chars' }

let endpoints: RevocationEndpoints
let broker: AttackedBroker

freezeTime()
beforeEach(() => {
  endpoints = new RevocationEndpoints()
  broker = endpoints.broker
})

const at = (seconds: number) => vi.setSystemTime((NOW + seconds) * 1000)
const exchange = (subject_token: string, form = {}, headers = {}) =>
  witnessOf(broker, { form: { subject_token, ...form }, headers })
const tokenIn = ({ body }: Witness): string => body['access_token'] as string
const reasonsOf = (witnesses: readonly Witness[]) =>
  witnesses.map(({ refusals, status }) => refusals[0]?.['reason'] ?? status)
const isActive = async (token: string) => (await endpoints.introspect(token)).body !== INACTIVE

/** Nothing that could have been done has been done. */
function expectNoEffect({ calls }: Seen): void {
  expect(calls.filter((call) => ['revoke', 'record', 'sign'].includes(call))).toEqual([])
  expect(broker.revocations.written.size).toBe(0)
}

describe('a token that was used', () => {
  it('I01 is not used again: one after the other, and 50 at once', async () => {
    // A deployment is one Region: there is one table, and so one writer, that every environment asks.
    const token = broker.token()
    const first = await exchange(token)
    const second = await exchange(token)
    expect(reasonsOf([first, second])).toEqual([200, 'token_replayed'])
    expect([second.status, second.body['error']]).toEqual([400, 'invalid_request'])
    const contested = broker.token()
    const form = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      subject_token: contested,
    }).toString()
    const event = {
      httpMethod: 'POST',
      path: '/token',
      multiValueHeaders: { 'content-type': ['application/x-www-form-urlencoded'] },
      body: form,
    }
    const { result: answers } = await printedBy(() =>
      Promise.all(Array.from({ length: 50 }, () => broker.handler(event, {}))),
    )
    expect(answers.filter(({ statusCode }) => statusCode === 200)).toHaveLength(1)
    expect(answers.filter(({ statusCode }) => statusCode === 400)).toHaveLength(49)
  })

  it('I02 counts as used for as long as it could be presented, whenever the store deletes the record', async () => {
    const token = broker.token('ci', { exp: NOW + 60 })
    await exchange(token)
    const [key, record] = [...broker.ledger.records][0] as [string, ExchangeRecord]
    expect(record.expiresAt).toBeGreaterThan(NOW + 60 + LIMITS.clockSkewSeconds)
    // Deleted at the very moment at which it may be: by then the token itself has expired.
    broker.ledger.records.delete(key)
    at(record.expiresAt - NOW)
    expect(reasonsOf([await exchange(token)])).toEqual(['token_expired'])
    // And one that lies there expired, because deletion lags by days, stands in nobody's way.
    broker.ledger.records.set(key, record)
    const later = record.expiresAt + 1
    at(later - NOW)
    const { jti } = decode(token).claims
    const sameId = broker.token('ci', { jti, iat: later, nbf: later, exp: later + 60 })
    expect(reasonsOf([await exchange(sameId)])).toEqual([200])
  })

  it('I03 is not held against the request whose own write was repeated', async () => {
    const record = broker.ledger.record.bind(broker.ledger)
    broker.ledger.record = async (exchangeRecord) => {
      await record(exchangeRecord) // applied, and its answer lost
      return record(exchangeRecord)
    }
    const token = broker.token()
    expect(reasonsOf([await exchange(token)])).toEqual([200])
    expect(reasonsOf([await exchange(token)])).toEqual(['token_replayed'])
  })

  it('I04 gives the same token to the same request again, after an answer that never came, and to no other', async () => {
    const token = broker.token()
    const lost = await exchange(token, {}, IDEMPOTENT)
    at(30)
    const retried = await exchange(token, {}, IDEMPOTENT)
    expect(decode(tokenIn(retried)).claims['jti']).toBe(decode(tokenIn(lost)).claims['jti'])
    const others = [
      await exchange(token),
      await exchange(token, {}, { 'idempotency-key': 'another-key-of-16' }),
      await exchange(token, { scope: 'payments.write' }, IDEMPOTENT),
      await exchange(token, { audience: LEDGER }, IDEMPOTENT),
      await exchange(token, {}, { ...IDEMPOTENT, authorization: CREDENTIALS.payments }),
    ]
    at(61)
    expect(reasonsOf([...others, await exchange(token, {}, IDEMPOTENT)])).toEqual(
      Array(6).fill('token_replayed'),
    )
  })

  it('I05 is the same token however its text is varied', async () => {
    const token = broker.token('ec')
    const variants = [`${token}=`, `${token}\n`, ` ${token}`, unusedBitsSet(token)]
    for (const variant of variants) {
      const { status, refusals, calls } = await exchange(variant)
      expect([status, refusals[0]?.['reason']]).toEqual([400, 'token_malformed'])
      expect(calls).toEqual([])
    }
    expect(reasonsOf([await exchange(token), await exchange(twinOf(token))])).toEqual([200, 'token_replayed'])
    expect(broker.ledger.records.size).toBe(1)
  })
})

describe('revocation', () => {
  it('I06 is never confirmed while it is not written', async () => {
    broker.revocations.revoke = () => Promise.reject(new DependencyUnavailable('dynamodb', 'down'))
    const token = await broker.ownToken()
    for (const seen of [await endpoints.revoke(token), await endpoints.admin({ kind: 'client', id: 'x' })]) {
      expect(seen.status).toBe(503)
      expect(seen.headers['retry-after']).toMatch(/^[1-5]$/)
      expect(seen.audit).toEqual([])
    }
    expect(await isActive(token)).toBe(true)
  })

  it.each(['access_token', 'refresh_token', 'id_token', 'x', ''])(
    'I07 works whatever the hint: "%s"',
    async (hint) => {
      const token = await broker.ownToken()
      const { status, body } = await endpoints.revoke(token, { form: { token_type_hint: hint } })
      expect([status, body, await isActive(token)]).toEqual([200, '', false])
    },
  )

  it('I08 takes nobody’s word for whose token it is: what we have not signed revokes nothing', async () => {
    const victim = await broker.ownToken()
    const { header, claims } = decode(victim)
    const stranger = craftingKey('RS256', String(header['kid']))
    const forgeries: [string, string][] = [
      [rawJws(JSON.stringify(header), JSON.stringify(claims)), 'signature_invalid'],
      [rawJws(JSON.stringify({ ...header, alg: 'none' }), JSON.stringify(claims)), 'algorithm_not_allowed'],
      [craft(stranger, claims, header), 'signature_invalid'],
      [craft(stranger, claims, { ...header, kid: 'other' }), 'key_unknown'],
      [craft(broker.keys.ci, { ...broker.claims('ci'), jti: claims['jti'] }), 'issuer_not_trusted'],
      [await broker.ownToken({ ...claims }, { typ: 'JWT' }), 'token_type_mismatch'],
    ]
    for (const [forgery, reason] of forgeries) {
      const seen = await endpoints.revoke(forgery)
      expect([seen.status, seen.body]).toEqual([200, ''])
      expect(seen.audit).toEqual([`revocation_refused: ${reason}`])
      expectNoEffect(seen)
    }
    expect(await isActive(victim)).toBe(true)
    // What we have signed counts also after it has expired: descendants of clocks that lag may still be about.
    at(500)
    expect((await endpoints.revoke(victim)).calls).toContain('revoke')
  })

  it('I13 outlives the environment that made it', async () => {
    const token = await broker.ownToken()
    await endpoints.revoke(token)
    const restarted = new RevocationEndpoints(broker)
    expect((await restarted.introspect(token)).body).toBe(INACTIVE)
  })

  const others: readonly (readonly [string, (family: Family) => RevocationKey])[] = [
    ['the upstream token', ({ upstream }) => `token#${idOf(upstream)}`],
    ['the grandparent', ({ grandparent }) => `token#${idOf(grandparent)}`],
    ['the parent', ({ parent }) => `token#${idOf(parent)}`],
    ['the lineage', ({ grandparent }) => `lineage#${String(decode(grandparent).claims['txn'])}`],
    ['the subject', () => `subject#pod:${SUBJECT}`],
    ['the client', () => 'client#payments-server'],
    ['the issuer', () => `issuer#${issuerUrl('pod')}`],
    ['the key', ({ parent }) => `key#${String(decode(parent).header['kid'])}`],
  ]
  it.each(others)(
    'I14 of %s ends every descendant, and nothing can be exchanged for one',
    async (_case, keyOf) => {
      const family = await familyOf(endpoints)
      expect(await isActive(family.child)).toBe(true)
      const key = keyOf(family)
      const [kind = '', id = ''] = key.split(/#(.*)/s)
      const { status } = await endpoints.admin({ kind, id })
      expect(status).toBe(200)
      expect(broker.revocations.written.has(key)).toBe(true)
      const seen = await endpoints.introspect(family.child)
      expect([seen.status, seen.body, seen.audit]).toEqual([
        200,
        INACTIVE,
        ['introspection_refused: token_revoked'],
      ])
      const onward = await exchange(family.parent, { audience: LEDGER })
      expect(onward.body).not.toHaveProperty('access_token')
      expect(onward.refusals[0]?.['reason']).toBe('token_revoked')
    },
  )

  it('I14 of a subject covers what is issued until clocks that differ have passed it, and nothing after', async () => {
    await endpoints.admin({ kind: 'subject', id: `pod:${SUBJECT}` })
    const exchangedAt = async (seconds: number) => {
      at(seconds)
      const times = { iat: NOW + seconds, nbf: NOW + seconds, exp: NOW + seconds + 300 }
      return exchange(broker.token('pod', times))
    }
    const witnesses = [await exchangedAt(0), await exchangedAt(30), await exchangedAt(31)]
    expect(reasonsOf(witnesses)).toEqual(['token_revoked', 'token_revoked', 200])
  })
})

describe('introspection', () => {
  it('I09 tells nothing to a client that the token is not for, signed or not', async () => {
    const token = await broker.ownToken({ secret_claim: 'of payments' })
    const headers = { authorization: CREDENTIALS.ledger }
    const plain = await endpoints.introspect(token, { headers })
    expect([plain.status, plain.body]).toEqual([200, INACTIVE])
    expect(plain.audit).toEqual(['introspection_refused: token_of_others'])
    expectNoEffect(plain)
    const signed = await endpoints.introspect(token, { headers: { ...headers, accept: INTROSPECTION_JWT } })
    const { iss, aud, iat, ...rest } = decode(signed.body).claims
    expect([iss, aud, iat]).toEqual([BROKER_ISSUER, 'ledger-server', NOW])
    expect(rest).toEqual({ token_introspection: { active: false } })
    // Just as it answers about a text that is no token at all.
    const unknown = await endpoints.introspect('x', { headers: { ...headers, accept: INTROSPECTION_JWT } })
    expect(decode(unknown.body).claims).toEqual(decode(signed.body).claims)
  })

  it.each(['', 'Basic !', 'Bearer x', 'Basic cGF5bWVudHMtc2VydmVyOmd1ZXNz'])(
    'I10 is for clients that prove who they are: 401 to "%s", valid token or not',
    async (authorization) => {
      // Guessing is slowed down before the function: the API throttles each route (test/infrastructure/service-stack.test.ts).
      const token = await broker.ownToken()
      const answers = [
        await endpoints.introspect(token, { headers: { authorization } }),
        await endpoints.introspect('x', { headers: { authorization } }),
        await endpoints.revoke(token, { headers: { authorization } }),
      ]
      for (const seen of answers) {
        expect([seen.status, seen.body]).toEqual([401, answers[0]?.body])
        expect(JSON.parse(seen.body)).toMatchObject({ error: 'invalid_client' })
        expect('www-authenticate' in seen.headers).toBe(authorization !== '')
        expect(seen.audit).toEqual([expect.stringMatching(/^\w+_refused: client_authentication_failed$/)])
        expect(seen.calls).toEqual([])
        expectNoEffect(seen)
      }
    },
  )

  it('I11 reads cut-offs so that one just written is seen', async () => {
    const asked: unknown[] = []
    const client = {
      send: async ({ input }: { readonly input: unknown }) => {
        asked.push(input)
        return { Responses: { revocations: [] }, UnprocessedKeys: {} }
      },
    }
    await new DynamoDbRevocationStore(client as never, 'revocations').cutOffs(['token#a', 'subject#b'])
    expect(asked).toEqual([
      { RequestItems: { revocations: expect.objectContaining({ ConsistentRead: true }) } },
    ])
  })

  it('I12 finds no token active that is cut short, or goes on', async () => {
    const token = await broker.ownToken()
    const cut = [1, 2, 100, 342, 343].map((length) => token.slice(0, -length))
    const longer = ['A', 'AAAA', '.', '.A', '=', ' ', '\n'].map((tail) => token + tail)
    const inner = token.replace('.', '..')
    for (const text of [...cut, ...longer, inner, token.slice(1), token.toUpperCase()]) {
      const seen = await endpoints.introspect(text)
      expect([seen.status, seen.body]).toEqual([200, INACTIVE])
      expectNoEffect(seen)
      expectNoEffect(await endpoints.revoke(text))
    }
    expect(await isActive(token)).toBe(true)
  })
})

interface Family {
  readonly upstream: string
  readonly grandparent: string
  readonly parent: string
  readonly child: string
}

/** Three generations of our own, the last two issued to a client. */
async function familyOf({ broker: attacked }: RevocationEndpoints): Promise<Family> {
  const authorization = CREDENTIALS.payments
  const ask = async (subject_token: string, audience: string, headers = {}) =>
    tokenIn(await witnessOf(attacked, { form: { subject_token, audience }, headers }))
  const upstream = attacked.token('pod')
  const grandparent = await ask(upstream, PAYMENTS)
  const parent = await ask(grandparent, RECEIPTS, { authorization })
  const child = await ask(parent, LEDGER, { authorization })
  return { upstream, grandparent, parent, child }
}

function idOf(token: string): string {
  const { iss, jti } = decode(token).claims as { readonly iss: string; readonly jti: string }
  return tokenIdOf({ kind: 'token', issuer: iss, jti, signingInput: '' })
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** The same bytes to a lenient decoder: 64 bytes leave four bits of the last character unused. */
function unusedBitsSet(token: string): string {
  return token.slice(0, -1) + ALPHABET.charAt(ALPHABET.indexOf(token.at(-1) ?? '') | 1)
}

const ORDER_OF_P256 = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n

/** ECDSA accepts (r, n - s) wherever it accepts (r, s). */
function twinOf(token: string): string {
  const input = token.slice(0, token.lastIndexOf('.'))
  const signature = Buffer.from(token.slice(input.length + 1), 'base64url')
  const s = ORDER_OF_P256 - BigInt(`0x${signature.subarray(32).toString('hex')}`)
  const twin = Buffer.concat([
    signature.subarray(0, 32),
    Buffer.from(s.toString(16).padStart(64, '0'), 'hex'),
  ])
  return `${input}.${twin.toString('base64url')}`
}
