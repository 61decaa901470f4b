import { describe, expect, it, vi } from 'vitest'
import { findingsIn } from '../core/policy/policy-fixture.ts'
import {
  type Attack,
  byForm,
  byToken,
  describeAttacks,
  expectVerdict,
  freezeTime,
  granted,
  refused,
} from './attack.ts'
import {
  AttackedBroker,
  grant,
  issuerUrl,
  JWT_TYPE,
  NOW,
  PAYMENTS,
  POLICY,
  RECEIPTS,
  SUBJECT,
} from './broker.ts'
import { craft, craftingKey, encodePart } from './crafted-jws.ts'

const NOT_ALLOWED = refused('delegation_not_allowed')
const INCOMPLETE = refused('actor_token_incomplete')
const ACTOR = `pod:worker`

/** No grant of this version allows delegation: whatever the actor token is, it is refused and never ignored. */
const withActor = (
  title: string,
  actor: (broker: AttackedBroker) => string | Promise<string>,
  subject: object = {},
): Attack => ({
  title,
  present: async (broker) => ({
    form: {
      subject_token: broker.token('ci', subject),
      actor_token: await actor(broker),
      actor_token_type: JWT_TYPE,
    },
  }),
  verdict: NOT_ALLOWED,
})

const worker =
  (changes: object = {}) =>
  (broker: AttackedBroker) =>
    broker.token('pod', { sub: 'worker', ...changes })
const actorChain = (depth: number): object => ({
  sub: ACTOR,
  ...(depth > 1 && { act: actorChain(depth - 1) }),
})
const noActor = granted(({ claims }) => {
  expect(claims).not.toHaveProperty('act')
  expect(claims).not.toHaveProperty('may_act')
})

const actors: readonly Attack[] = [
  byForm('C01 an actor token without its type', { actor_token: 'x' }, INCOMPLETE),
  byForm('C01 the type of an actor token without the token', { actor_token_type: JWT_TYPE }, INCOMPLETE),
  byForm('C01 an actor token with an empty type', { actor_token: 'x', actor_token_type: '' }, INCOMPLETE),
  byForm(
    'C01 an empty actor token with its type',
    { actor_token: '', actor_token_type: JWT_TYPE },
    INCOMPLETE,
  ),
  withActor('C02 an actor token that would be accepted as a subject', worker()),
  withActor('C02 an actor token that is none', () => 'not-a-token'),
  withActor('C02 an actor token of our own', (broker) => broker.ownToken()),
  byForm('C02 an actor token twice', { actor_token: ['x', 'x'] }, refused('parameter_repeated')),
  ...['', undefined].map((subject_token) =>
    byForm(
      `C03 ${subject_token === '' ? 'an empty' : 'no'} subject token, and an actor token`,
      { subject_token, actor_token: 'x', actor_token_type: JWT_TYPE },
      NOT_ALLOWED,
    ),
  ),
  ...['', undefined].map((subject_token) =>
    byForm(
      `C03 ${subject_token === '' ? 'an empty' : 'no'} subject token`,
      { subject_token },
      refused('parameter_missing'),
    ),
  ),
  byForm('C03 a subject token of white space', { subject_token: ' ' }, refused('token_malformed')),
  ...[
    { sub: 'another' },
    { sub: 'worker', iss: issuerUrl('ci') },
    { sub: 'worker' },
    { iss: issuerUrl('pod') },
    [{ sub: 'worker' }],
    'worker',
    null,
  ].map((may_act) => withActor(`C04 may_act ${JSON.stringify(may_act)}`, worker(), { may_act })),
  byToken(
    'C04 may_act gives nothing to who presents the token alone',
    (b) => b.token('ci', { may_act: { sub: 'x' } }),
    noActor,
  ),
  withActor('C05 the subject as its own actor', (broker) => broker.token()),
  {
    title: 'C05 one token as subject and actor',
    present: (broker) => {
      const token = broker.token()
      return { form: { subject_token: token, actor_token: token, actor_token_type: JWT_TYPE } }
    },
    verdict: NOT_ALLOWED,
  },
  withActor('C05 an actor that acted before', worker(), { act: { sub: 'worker', iss: issuerUrl('pod') } }),
  ...[1, 3, 4].map((depth) => withActor(`C06 ${depth} actors before`, worker(), { act: actorChain(depth) })),
  byToken(
    'C06 more actors than JSON may have levels',
    (b) => b.token('ci', { act: actorChain(17) }),
    refused('token_malformed'),
  ),
  byToken(
    'C06 5000 actors',
    (b) => {
      const act = `${'{"act":'.repeat(1000)}{}${'}'.repeat(1000)}`
      return craft(b.keys.ci, JSON.stringify(b.claims()).replace('{', `{"act":${act},`))
    },
    refused('token_malformed'),
  ),
  byToken(
    "C07 an act in somebody else's token is not passed on",
    (b) => b.token('ci', { act: { sub: 'admin', iss: issuerUrl('pod') } }),
    noActor,
  ),
  byToken(
    "C07 an act in somebody else's token decides nothing",
    (b) => b.token('ci', { repository_id: 'x', act: { sub: SUBJECT, repository_id: '123456' } }),
    refused('no_grant_matches'),
  ),
  byToken(
    'C09 what is no identity in an act is not copied',
    (b) => b.token('ci', { act: { sub: 'x', exp: NOW + 9999, aud: RECEIPTS, scope: 'payments.write' } }),
    granted(({ claims }) => {
      expect(claims).toMatchObject({ aud: PAYMENTS, scope: 'payments.read', exp: NOW + 300 })
      expect(JSON.stringify(claims)).not.toContain('9999')
    }),
  ),
  withActor('C10 an actor token for another audience', worker({ aud: 'https://other.example.com' })),
  withActor('C10 an actor token that has expired', worker({ exp: NOW - 60, iat: NOW - 120, nbf: NOW - 120 })),
  withActor('C10 an actor token with a wrong signature', (b) => `${worker()(b).slice(0, -8)}AAAAAAAA`),
  {
    ...withActor('C10 an actor token that was revoked', worker()),
    before: ({ revocations }) => revocations.stored.set('subject#pod:worker', NOW),
  },
  withActor('C11 a subject of one chain and an actor of another', (b) => b.ownToken({ txn: 'other' }), {
    txn: 'one',
  }),
]

const OWN = { form: { audience: RECEIPTS } }
const onward = (
  title: string,
  changes: object,
  before: Attack['before'],
  verdict = refused('token_revoked'),
): Attack => ({
  title,
  present: async (broker) => {
    const subject_token = await broker.ownToken(changes)
    return { form: { ...OWN.form, subject_token } }
  },
  ...(before && { before }),
  verdict,
})

const id = (name: string): string => name.padEnd(22, 'x')
const LINEAGE = [id('root'), id('grandparent'), id('parent')]
const chains: readonly Attack[] = [
  onward('C12 a token whose ancestors all stand is in order', { lineage: LINEAGE }, undefined, granted()),
  ...LINEAGE.map((ancestor) =>
    onward(
      `C12 a token whose ${ancestor.replace(/x+$/, '')} was revoked`,
      { lineage: LINEAGE },
      ({ revocations }) => revocations.stored.set(`token#${ancestor}` as never, NOW + 9999),
    ),
  ),
  ...LINEAGE.map((ancestor) =>
    onward(
      `C12 revoked before it was issued: ${ancestor.replace(/x+$/, '')}`,
      { lineage: LINEAGE },
      ({ revocations }) => revocations.stored.set(`token#${ancestor}` as never, 1),
    ),
  ),
  onward('C12 a token of a lineage that was revoked', { txn: 'family' }, ({ revocations }) =>
    revocations.stored.set('lineage#family', 1),
  ),
  onward(
    'C12 a token whose parent a revoked key of ours signed',
    { lineage_keys: ['gone'] },
    ({ revocations }) => revocations.stored.set('key#gone', 1),
  ),
  byToken(
    'C13 an unsigned envelope around a token that is signed',
    (b) =>
      [
        encodePart({ alg: 'none', kid: 'key-1' }),
        encodePart({ ...b.claims(), actortoken: b.token('pod') }),
        '',
      ].join('.'),
    refused('token_malformed'),
  ),
  byToken(
    'C13 an envelope that its sender signed, with the issuer of the token inside',
    (b) =>
      craft(craftingKey('RS256', 'key-1'), {
        ...b.claims(),
        actor_token: b.token('pod'),
        assertion: b.token(),
      }),
    refused('signature_invalid'),
  ),
  byToken(
    "C13 an envelope's claims do not become those of the token inside",
    (b) => b.token('ci', { repository_id: 'x', token: b.token('pod'), claims: { repository_id: '123456' } }),
    refused('no_grant_matches'),
  ),
]

describeAttacks('actors', actors)
describeAttacks('chains of tokens', chains)

/** A policy in which a token may be exchanged for the same target again and again. */
const CHAIN = {
  ...POLICY,
  grants: {
    ...POLICY.grants,
    onward: grant('broker', 'receipts', { aud: [PAYMENTS, RECEIPTS] }),
  },
}

describe('delegation over time', () => {
  freezeTime()

  it.each([
    ['ci', { sub: 'x' }],
    ['ci', { act: { sub: 'x' } }],
    ['broker', { act: { sub: 'x' } }],
    ['broker', { act: { act: { sub: 'x' } } }],
  ])('C08 no condition on actors whom nobody has verified: %s, %j', (issuer, act) => {
    expect(findingsIn({ ...POLICY, grants: { one: grant(issuer, 'payments', { aud: 'x', act }) } })).toEqual([
      expect.stringMatching(/^grants\.one\.when\.act.*: found /),
    ])
  })

  it('C08 the actor whom we have put into our own token may decide', () => {
    const one = grant('broker', 'receipts', { aud: PAYMENTS, act: { sub: 'pod:worker' } })
    expect(findingsIn({ ...POLICY, grants: { one } })).toEqual([])
  })

  it('C02 no policy may allow delegation yet', () => {
    const delegation = { actors: [{ issuer: 'pod', when: { sub: 'worker' } }] }
    const one = { ...grant('ci', 'payments'), delegation }
    expect(findingsIn({ ...POLICY, grants: { one } })).toEqual([
      expect.stringContaining('found delegation, which is not available'),
    ])
  })

  it('C14 exchanged again and again, a token ends when its root does', async () => {
    const broker = new AttackedBroker({ policy: CHAIN })
    let subject_token = broker.token('ci', { exp: NOW + 120 })
    let audience = PAYMENTS
    for (const ago of [0, 60, 100, 118, 119]) {
      vi.setSystemTime((NOW + ago) * 1000)
      const { claims, body } = await expectVerdict(broker, { form: { subject_token, audience } }, granted())
      expect([claims['exp'], body['expires_in']]).toEqual([NOW + 120, 120 - ago])
      subject_token = String(body['access_token'])
      audience = RECEIPTS
    }
    vi.setSystemTime((NOW + 120) * 1000)
    await expectVerdict(broker, { form: { subject_token, audience } }, refused('token_expired'))
  })

  it('C15 a token exchanged for itself gains no scope and no audience', async () => {
    const broker = new AttackedBroker({ policy: CHAIN })
    const ask = (subject_token: string, form: object, verdict: ReturnType<typeof granted>) =>
      expectVerdict(broker, { form: { subject_token, audience: RECEIPTS, ...form } }, verdict)
    const first = await ask(broker.token(), { audience: PAYMENTS, scope: 'payments.read' }, granted())
    const second = await ask(String(first.body['access_token']), {}, granted())
    expect(second.claims['scope']).toBe('payments.read')
    for (const { body } of [first, second]) {
      const token = String(body['access_token'])
      await ask(token, { scope: 'payments.write' }, refused('scope_not_allowed', 'invalid_scope'))
      await ask(
        token,
        { scope: 'payments.read payments.write' },
        refused('scope_not_allowed', 'invalid_scope'),
      )
      await ask(token, { audience: PAYMENTS }, refused('no_grant_matches'))
      await ask(token, { audience: [PAYMENTS, RECEIPTS] }, refused('two_targets', 'invalid_target'))
    }
  })
})
