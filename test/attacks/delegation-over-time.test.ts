import { inflateSync } from 'node:zlib'
import { decodeJwt } from 'jose'
import { describe, expect, it } from 'vitest'
import { statusListToken } from '../../functions/core/status-list-token.ts'
import { tokenIdOf } from '../../functions/core/token-id.ts'
import type { MemoryStatusEntries } from '../support/fakes.ts'
import { printedBy } from '../support/printed.ts'
import { expectVerdict, freezeTime, granted, refused, witnessOf } from './attack.ts'
import {
  AttackedBroker,
  BROKER_ISSUER,
  exchangeForm,
  type FormChanges,
  issuerUrl,
  JWT_TYPE,
  LEDGER,
  NOW,
  POLICY,
  RECEIPTS,
  SUBJECT,
} from './broker.ts'
import { actedBy, DELEGATION, WORKER } from './delegation-policy.ts'
import { tokenEvent } from './proxy-event.ts'

/** A fresh token of `ci`, and somebody who acts for it. */
const forCi = (broker: AttackedBroker, actor_token: string, form: FormChanges = {}) => ({
  form: { subject_token: broker.token(), actor_token, actor_token_type: JWT_TYPE, ...form },
})

describe('delegation over time', () => {
  freezeTime()

  it.each([
    ['as an actor again', 'ec', 'actor', 'actor'],
    ['as an actor, and then as a subject', 'ec', 'actor', 'subject'],
    ['as a subject, and then as an actor', 'ec', 'subject', 'actor'],
    ['as an actor for one target, and again for it', 'job', 'actor', 'actor'],
  ] as const)('C10 a token that is used once is not used %s', async (_how, from, first, second) => {
    const broker = new AttackedBroker({ policy: DELEGATION })
    const once = broker.token(from, { sub: 'worker' })
    const use = { actor: () => forCi(broker, once), subject: () => ({ form: { subject_token: once } }) }
    await expectVerdict(broker, use[first](), granted())
    await expectVerdict(broker, use[second](), refused('token_replayed'))
  })

  it('C10 the use of an actor token is remembered as long as anybody could accept it', async () => {
    const broker = new AttackedBroker({ policy: DELEGATION })
    await expectVerdict(broker, forCi(broker, broker.token('ec', { sub: 'worker' })), granted())
    const [, ofActor] = [...broker.oneTime.spent.values()].filter(({ kind }) => kind === 'actor')
    // A token of 300 s, by clocks that are behind as far as they may be, and ours ahead.
    expect(ofActor?.expiresAt).toBeGreaterThan(NOW + 300 + 2 * 30)
  })

  it('C10 a token that is used once per target acts once for each', async () => {
    const broker = new AttackedBroker({ policy: DELEGATION })
    const once = broker.token('job', { sub: 'worker' })
    await expectVerdict(broker, forCi(broker, once), granted())
    await expectVerdict(broker, forCi(broker, once, { audience: LEDGER }), granted())
    await expectVerdict(broker, forCi(broker, once, { audience: LEDGER }), refused('token_replayed'))
  })

  it('C10 of many that present one actor token at the same time, one gets a token', async () => {
    const broker = new AttackedBroker({ policy: DELEGATION })
    const once = broker.token('ec', { sub: 'worker' })
    const events = Array.from({ length: 20 }, () => forCi(broker, once))
    const { result } = await printedBy(() =>
      Promise.all(
        events.map(({ form }, at) => broker.handler(tokenEvent({ body: exchangeForm(form) }, `r-${at}`), {})),
      ),
    )
    const codes = result.map(({ statusCode }) => statusCode)
    expect([200, 400].map((code) => codes.filter((each) => each === code).length)).toEqual([1, 19])
  })

  it('C10 a retry under an idempotency key gets its token again, whatever its tokens may be used for', async () => {
    const broker = new AttackedBroker({ policy: DELEGATION })
    const presented = {
      ...forCi(broker, broker.token('ec', { sub: 'worker' })),
      headers: { 'Idempotency-Key': 'one-and-the-same-key' },
    }
    const first = await expectVerdict(broker, presented, granted())
    const again = await witnessOf(broker, presented)
    expect(again.claims).toEqual(first.claims)
    const other = forCi(broker, broker.token('ec', { sub: 'worker' }))
    const stolen = { ...presented, form: { ...presented.form, actor_token: other.form.actor_token } }
    await expectVerdict(broker, stolen, refused('token_replayed'))
  })

  it('C10 an idempotency key does not bring back an actor token that was used before', async () => {
    const broker = new AttackedBroker({ policy: DELEGATION })
    const once = broker.token('ec', { sub: 'worker' })
    await expectVerdict(broker, forCi(broker, once), granted())
    const headers = { 'Idempotency-Key': 'one-and-the-same-key' }
    const presented = { ...forCi(broker, once), headers }
    for (const _time of [1, 2]) {
      const { status, refusals } = await witnessOf(broker, presented)
      expect([status, refusals[0]?.['reason']]).toEqual([400, 'token_replayed'])
    }
  })

  it.each([
    ['nobody', undefined, 0],
    ['the actor', `subject#${WORKER}`, 1],
    ['the issuer of the actor', `issuer#${issuerUrl('pod')}`, 1],
  ] as const)(
    'C12 the status list of what was issued with an actor says so: revoked is %s',
    async (_, key, bits) => {
      const { payments } = DELEGATION.targets
      const listed = { ...payments, token: { ...payments.token, status_list: true } }
      const broker = new AttackedBroker({
        policy: { ...DELEGATION, targets: { ...DELEGATION.targets, payments: listed } },
      })
      await expectVerdict(broker, forCi(broker, broker.token('pod', { sub: 'worker' })), actedBy(WORKER))
      if (key !== undefined) broker.revocations.stored.set(key, NOW)
      const { signer, revocations } = broker
      const entries = broker.world.statuses as MemoryStatusEntries
      const token = await statusListToken(0, { issuer: BROKER_ISSUER, entries, revocations, signer }, NOW)
      const { status_list } = decodeJwt<{ status_list: { lst: string } }>(token ?? '')
      const revoked = inflateSync(Buffer.from(status_list.lst, 'base64url')).filter((byte) => byte !== 0)
      expect(revoked).toHaveLength(bits)
    },
  )

  it('C12 what was issued with an actor ends with the actor, and with all that the actor descends from', async () => {
    const actorOf = (b: AttackedBroker) =>
      b.ownToken({
        sub: WORKER,
        aud: RECEIPTS,
        jti: 'actor',
        txn: 'family',
        idp: issuerUrl('pod'),
        lineage_clients: ['shop'],
      })
    const actorId = tokenIdOf({ kind: 'token', issuer: BROKER_ISSUER, jti: 'actor', signingInput: '' })
    const cutOffs = [
      `token#${actorId}`,
      `token#${'root'.padEnd(22, 'x')}`,
      `subject#${WORKER}`,
      `client#${WORKER}`,
      'client#shop',
      `issuer#${issuerUrl('pod')}`,
      'lineage#family',
    ] as const
    for (const key of [undefined, ...cutOffs]) {
      const broker = new AttackedBroker({ policy: DELEGATION })
      const { body } = await expectVerdict(broker, forCi(broker, await actorOf(broker)), actedBy(WORKER))
      const first = { form: { subject_token: String(body['access_token']), audience: RECEIPTS } }
      const second = await expectVerdict(broker, first, actedBy(WORKER))
      const onward = { form: { subject_token: String(second.body['access_token']), audience: RECEIPTS } }
      if (key !== undefined) broker.revocations.stored.set(key, NOW)
      const verdict = key === undefined ? actedBy(WORKER) : refused('token_revoked')
      await expectVerdict(broker, first, verdict)
      await expectVerdict(broker, onward, verdict)
      expect(JSON.stringify(second.claims['lineage_actors'])).toContain(key ?? WORKER)
    }
  })

  it('C12 a revoked actor does not end what others did', async () => {
    const broker = new AttackedBroker({ policy: DELEGATION })
    const helper = await expectVerdict(
      broker,
      forCi(broker, broker.token('pod', { sub: 'helper' })),
      actedBy('pod:helper'),
    )
    broker.revocations.stored.set(`subject#${WORKER}`, NOW)
    const subject_token = String(helper.body['access_token'])
    await expectVerdict(broker, { form: { subject_token, audience: RECEIPTS } }, actedBy('pod:helper'))
  })

  it('C14 an exchange without an actor neither drops those who act nor outlives them', async () => {
    const broker = new AttackedBroker({ policy: DELEGATION })
    const short = broker.token('pod', { sub: 'worker', exp: NOW + 60 })
    const first = await expectVerdict(broker, forCi(broker, short), actedBy(WORKER))
    const subject_token = String(first.body['access_token'])
    const onward = { form: { subject_token, audience: RECEIPTS } }
    const { claims } = await expectVerdict(broker, onward, actedBy(WORKER))
    expect([claims['exp'], claims['lineage_actors']]).toEqual([NOW + 60, first.claims['lineage_actors']])
    const second = broker.token('pod', { sub: 'helper', exp: NOW + 30 })
    const form = { ...onward.form, actor_token: second, actor_token_type: JWT_TYPE }
    const both = await expectVerdict(broker, { form }, actedBy('pod:helper', WORKER))
    expect(both.claims['exp']).toBe(NOW + 30)
    expect(JSON.stringify(both.claims['lineage_actors'])).toMatch(/pod:worker.*pod:helper/)
  })

  it('C02 the audit trail names who acts, of what was granted and of what was refused', async () => {
    const broker = new AttackedBroker({ policy: DELEGATION })
    await expectVerdict(broker, forCi(broker, broker.token('pod', { sub: 'worker' })), granted())
    const [record] = broker.ledger.records.values()
    const facts = { actor: WORKER, actor_issuer: 'pod', actor_token: expect.stringMatching(/^[\w-]{22}$/) }
    expect(record?.event).toMatchObject({ ...facts, actors: [WORKER], subject: `ci:${SUBJECT}` })
    const other = forCi(broker, broker.token('pod', { sub: 'other' }))
    const { refusals } = await expectVerdict(broker, other, refused('actor_not_allowed'))
    expect(refusals).toMatchObject([{ ...facts, actor: 'pod:other' }])
    const bad = forCi(broker, broker.token('pod', { sub: 'worker', aud: 'x' }))
    const { refusals: ofToken } = await expectVerdict(broker, bad, refused('audience_not_ours'))
    expect(ofToken).toMatchObject([{ of: 'actor_token', actor_issuer: 'pod', issuer: 'ci' }])
  })

  it('C02 an actor whose issuer wants a client is none without one', async () => {
    const issuers = { ...POLICY.issuers, pod: { ...POLICY.issuers.pod, client_authentication: 'required' } }
    const broker = new AttackedBroker({ policy: { ...DELEGATION, issuers } })
    await expectVerdict(
      broker,
      forCi(broker, broker.token('pod', { sub: 'worker' })),
      refused('client_authentication_failed', 'invalid_client', 401),
    )
  })
})
