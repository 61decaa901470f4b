import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import type { ExchangeOutcome, TokenAnswer } from '../../functions/core/exchange.ts'
import { handleHashOf, handleOf, isHandle } from '../../functions/core/reference-token.ts'
import { wireErrorFor } from '../../functions/core/refusal.ts'
import { digestOf } from '../../functions/core/token-id.ts'
import type { JsonObject } from '../../functions/core/types.ts'
import {
  BROKER_ISSUER,
  createTestBroker,
  NOW,
  RECEIPTS,
  REPORTS,
  type TestBroker,
} from '../support/broker.ts'
import { decode } from '../support/tokens.ts'

const TYPE = 'urn:ietf:params:oauth:token-type:'
const ACCESS_TOKEN = `${TYPE}access_token`

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

/** A handle of a token for the reports API. */
async function issue(changes: Record<string, string> = {}, more = {}): Promise<string> {
  const subject_token = await broker.subjectToken('pod')
  return answerIn(await broker.exchange({ subject_token, audience: REPORTS, ...changes }, more)).access_token
}

const onward = (handle: string, changes: Record<string, string> = {}) =>
  broker.exchange({
    subject_token: handle,
    subject_token_type: ACCESS_TOKEN,
    audience: RECEIPTS,
    ...changes,
  })

function claimsOf(handle: string): JsonObject {
  const stored = broker.references.stored.get(digestOf(handle))
  if (stored === undefined) throw new Error('not stored')
  return stored.claims
}

describe('a reference token', () => {
  it('is an opaque handle, answered as an access token, that nobody has signed', async () => {
    const subject_token = await broker.subjectToken('ci')
    const { access_token, ...answer } = answerIn(await broker.exchange({ subject_token, audience: REPORTS }))
    expect(access_token).toMatch(/^rt_[\w-]{43}$/)
    expect(answer).toEqual({
      issued_token_type: ACCESS_TOKEN,
      token_type: 'Bearer',
      expires_in: 300,
      scope: 'payments.read',
    })
    expect(broker.keys.signatures).toBe(0)
  })

  it('stands for the claims that a JWT would have carried, kept beyond their expiry', async () => {
    const handle = await issue()
    const jwt = answerIn(await broker.exchange({ subject_token: await broker.subjectToken('pod') }))
    const { claims } = decode(jwt.access_token)
    const { aud, jti, txn, grant, lineage, ...same } = claimsOf(handle)
    expect(claims).toMatchObject({ ...same })
    expect(Object.keys(claimsOf(handle)).sort()).toEqual(Object.keys(claims).sort())
    expect([aud, grant, txn]).toEqual([REPORTS, 'pod-reports', jti])
    expect(lineage).toEqual([expect.stringMatching(/^[\w-]{22}$/)])
    expect(broker.references.stored.get(digestOf(handle))?.expiresAt).toBe(NOW + 300 + 60)
  })

  it('is recorded by its ids, as a reference, without a key; nothing that is kept holds the handle', async () => {
    const handle = await issue()
    const [record] = broker.ledger.records.values()
    expect(record?.event).toMatchObject({ format: 'reference', jti: claimsOf(handle)['jti'] })
    expect(record?.event).not.toHaveProperty('kid')
    const kept = JSON.stringify([[...broker.ledger.records], [...broker.references.stored]])
    expect(kept).not.toContain(handle.slice(3))
    await broker.exchange({ subject_token: await broker.subjectToken('ci') })
    expect([...broker.ledger.records.values()].at(-1)?.event).toMatchObject({
      format: 'jwt',
      kid: (await broker.keys.activeKey('RS256')).kid,
    })
  })

  it('is not to be had as a JWT', async () => {
    const subject_token = await broker.subjectToken('ci')
    const asked = (type: string) =>
      broker.exchange({ subject_token, audience: REPORTS, requested_token_type: TYPE + type })
    const outcome = await asked('jwt')
    expect(reasonIn(outcome)).toBe('requested_token_type_not_supported')
    if ('refused' in outcome)
      expect(wireErrorFor(outcome.refused)).toMatchObject({ status: 400, error: 'invalid_request' })
    expect(broker.ledger.records.size).toBe(0)
    expect(broker.references.stored.size).toBe(0)
    expect(reasonIn(await asked('access_token'))).toBe('granted')
  })

  it('is the same logical token under a new handle when its request is retried', async () => {
    const subject_token = await broker.subjectToken('ci')
    const request = (now: number) =>
      broker.exchange({ subject_token, audience: REPORTS }, { idempotencyKey: ['0123456789abcdef'], now })
    const first = answerIn(await request(NOW))
    const again = answerIn(await request(NOW + 60))
    expect(again.access_token).not.toBe(first.access_token)
    expect(claimsOf(again.access_token)).toEqual(claimsOf(first.access_token))
    expect(again.expires_in).toBe(first.expires_in - 60)
    expect(broker.ledger.records.size).toBe(1)
  })

  it('is issued while the signing keys are gone or revoked: it needs none', async () => {
    broker.revocations.stored.set(`key#${(await broker.keys.activeKey('RS256')).kid}`, NOW)
    expect(await issue()).toMatch(/^rt_/)
    broker.keys.active.clear()
    expect(await issue()).toMatch(/^rt_/)
  })

  it('is released only if it is stored, recorded and nothing is revoked', async () => {
    const subject_token = await broker.subjectToken('pod')
    const fail = async () => {
      throw new Error('down')
    }
    const calls = [
      [broker.ledger, 'record'],
      [broker.revocations, 'cutOffs'],
      [broker.references, 'store'],
    ] as const
    for (const [port, method] of calls) {
      Object.assign(port, { [method]: fail })
      await expect(broker.exchange({ subject_token, audience: REPORTS })).rejects.toThrow('down')
      Reflect.deleteProperty(port, method)
    }
    broker.revocations.stored.set('issuer#https://pod.example.com', NOW)
    expect(reasonIn(await broker.exchange({ subject_token, audience: REPORTS }))).toBe('token_revoked')
  })

  it('is stored while the record is written, not after', async () => {
    const started: string[] = []
    const held = (name: string) => () => {
      started.push(name)
      return new Promise<never>(() => undefined)
    }
    Object.assign(broker.ledger, { record: held('record') })
    Object.assign(broker.revocations, { cutOffs: held('cutOffs') })
    Object.assign(broker.references, { store: held('store') })
    void broker.exchange({ subject_token: await broker.subjectToken(), audience: REPORTS })
    await expect.poll(() => started.length).toBe(3)
  })
})

describe('onward exchange of a reference token', () => {
  it('goes as that of a JWT: sub, txn and idp stay, the lineage grows, nothing outlives it', async () => {
    const handle = await issue()
    const { access_token } = answerIn(await onward(handle))
    const [parent, child] = [claimsOf(handle), decode(access_token).claims]
    const { sub, txn, idp, exp } = parent
    expect(child).toMatchObject({ sub, txn, idp, exp, aud: RECEIPTS, scope: 'payments.read' })
    expect(child['lineage']).toEqual([
      ...(parent['lineage'] as string[]),
      expect.stringMatching(/^[\w-]{22}$/),
    ])
    expect(child).not.toHaveProperty('lineage_keys')
  })

  it('passes on the keys that signed its ancestors, and no other', async () => {
    const jwt = answerIn(await broker.exchange({ subject_token: await broker.subjectToken('pod') }))
    const { kid } = decode(jwt.access_token).header
    const handle = answerIn(await onward(jwt.access_token, { audience: REPORTS })).access_token
    expect(claimsOf(handle)['lineage_keys']).toEqual([kid])
    const { access_token } = answerIn(await onward(handle))
    expect(decode(access_token).claims['lineage_keys']).toEqual([kid])
    broker.revocations.stored.set(`key#${kid as string}`, 1)
    expect(reasonIn(await onward(handle))).toBe('token_revoked')
  })

  it('can be for another reference token, and never gives a scope that the parent lacks', async () => {
    const handle = await issue({ scope: 'payments.write' })
    const again = answerIn(await onward(handle, { audience: REPORTS, scope: 'payments.write' }))
    expect(again.access_token).toMatch(/^rt_/)
    expect(reasonIn(await onward(handle, { scope: 'payments.read' }))).toBe('scope_not_allowed')
  })

  it('needs a grant whose conditions its claims meet', async () => {
    const handle = await issue()
    Object.assign(claimsOf(handle), { aud: 'https://elsewhere.example.com' })
    expect(reasonIn(await onward(handle))).toBe('no_grant_matches')
  })

  it.each(['token', 'lineage', 'subject', 'client', 'issuer'] as const)(
    'is refused once it is revoked by %s',
    async (kind) => {
      const handle = await issue()
      const { sub, txn, idp, lineage } = claimsOf(handle)
      const ids = { token: (lineage as string[])[0], lineage: txn, subject: sub, client: sub, issuer: idp }
      broker.revocations.stored.set(`${kind}#${ids[kind] as string}`, NOW)
      expect(reasonIn(await onward(handle))).toBe('token_revoked')
    },
  )

  it('is refused once it is revoked by its own id', async () => {
    const handle = await issue()
    const [record] = broker.ledger.records.values()
    broker.revocations.stored.set(`token#${record?.issued.id}`, NOW)
    expect(reasonIn(await onward(handle))).toBe('token_revoked')
  })

  it('ends with the token, whether or not the store has forgotten it', async () => {
    const handle = await issue()
    const at = (now: number) =>
      broker.exchange(
        { subject_token: handle, subject_token_type: ACCESS_TOKEN, audience: RECEIPTS },
        { now },
      )
    expect(reasonIn(await at(NOW + 299))).toBe('granted')
    for (const now of [NOW + 300, NOW + 330, NOW + 100_000])
      expect(reasonIn(await at(now))).toBe('token_expired')
  })

  it('is refused, not guessed, while the handle cannot be looked up', async () => {
    const handle = await issue()
    Object.assign(broker.references, {
      find: async () => {
        throw new Error('down')
      },
    })
    await expect(onward(handle)).rejects.toThrow('down')
  })

  it('is refused where the broker has another name than when it issued it', async () => {
    const handle = await issue()
    for (const iss of ['https://old.example.com', 'https://pod.example.com', undefined]) {
      Object.assign(claimsOf(handle), { iss })
      expect(reasonIn(await onward(handle))).toBe('issuer_not_trusted')
    }
    Object.assign(claimsOf(handle), { iss: BROKER_ISSUER })
    expect(reasonIn(await onward(handle))).toBe('granted')
  })
})

describe('a handle that is not one', () => {
  /** The last of 43 characters has two bits that no byte uses: every other value of them spells the same bytes. */
  const twinOf = (handle: string) => handle.slice(0, -1).concat('B')
  const wrong: readonly (readonly [string, (handle: string) => string, string])[] = [
    ['truncated', (handle) => handle.slice(0, -1), 'token_malformed'],
    ['extended', (handle) => `${handle}A`, 'token_malformed'],
    ['extended by a space', (handle) => `${handle} `, 'token_malformed'],
    ['extended by a line break', (handle) => `${handle}\n`, 'token_malformed'],
    ['padded', (handle) => `${handle}=`, 'token_malformed'],
    ['of another spelling of its bytes', twinOf, 'token_malformed'],
    ['with a character of plain base64', (handle) => handle.replace(/.$/, '+'), 'token_malformed'],
    ['the prefix alone', () => 'rt_', 'token_malformed'],
    ['its hash', (handle) => `rt_${digestOf(handle)}`, 'handle_unknown'],
    ['unknown', () => handleOf('x'.repeat(42).concat('A')), 'handle_unknown'],
    ['in another case', (handle) => handle.toUpperCase(), 'token_malformed'],
    ['without its prefix', (handle) => handle.slice(3), 'token_malformed'],
  ]

  it.each(wrong)('is refused as every other token is: %s', async (_name, change, reason) => {
    const handle = await issue()
    const before = broker.ledger.records.size
    const outcome = await onward(change(handle))
    expect(reasonIn(outcome)).toBe(reason)
    if ('refused' in outcome) {
      expect(wireErrorFor(outcome.refused)).toEqual(wireErrorFor({ kind: 'signature_invalid' }))
      expect(JSON.stringify(outcome.event)).not.toContain(handle.slice(3, 20))
    }
    expect(broker.ledger.records.size).toBe(before)
  })

  it('is not even looked up unless it has the form of one, and is presented as what it is', async () => {
    const handle = await issue()
    let lookUps = 0
    const find = broker.references.find.bind(broker.references)
    Object.assign(broker.references, { find: (hash: string) => find(hash).finally(() => lookUps++) })
    for (const [, change, reason] of wrong) if (reason === 'token_malformed') await onward(change(handle))
    for (const type of ['jwt', 'id_token'])
      expect(reasonIn(await onward(handle, { subject_token_type: TYPE + type }))).toBe('token_type_mismatch')
    expect(lookUps).toBe(0)
    expect(reasonIn(await onward(handle))).toBe('granted')
    expect(lookUps).toBe(1)
  })

  it('is never known by a hash, unless it is exactly 256 bits in their one spelling', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 30, maxLength: 34 }), (bytes) => {
        const handle = handleOf(Buffer.from(bytes).toString('base64url'))
        expect(isHandle(handle)).toBe(true)
        expect(handleHashOf(handle)).toBe(bytes.length === 32 ? digestOf(handle) : undefined)
      }),
    )
  })
})
