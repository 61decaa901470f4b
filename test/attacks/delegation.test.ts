import { describe, expect, it, vi } from 'vitest'
import { actClaim } from '../../functions/core/act-claim.ts'
import { tokenIdOf } from '../../functions/core/token-id.ts'
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
  type Verdict,
} from './attack.ts'
import {
  AttackedBroker,
  type FormChanges,
  grant,
  type IssuerName,
  issuerUrl,
  JWT_TYPE,
  LEDGER,
  NOW,
  OUR_AUDIENCE,
  PAYMENTS,
  POLICY,
  RECEIPTS,
  SUBJECT,
} from './broker.ts'
import { craft, craftingKey, encodePart } from './crafted-jws.ts'
import { actedBy, actor, DELEGATION, delegated, WORKER } from './delegation-policy.ts'

const INCOMPLETE = refused('actor_token_incomplete')
const ID_TOKEN = 'urn:ietf:params:oauth:token-type:id_token'

const worker =
  (changes: object = {}, from: IssuerName = 'pod') =>
  (broker: AttackedBroker) =>
    broker.token(from, { sub: 'worker', ...changes })

/** What is presented beside a good token of `ci` that its grant lets `pod:worker` act for. */
const withActor = (
  title: string,
  actorToken: (broker: AttackedBroker) => string | Promise<string>,
  verdict: Verdict,
  { subject = {}, form = {}, ...more }: Partial<Attack> & { subject?: object; form?: FormChanges } = {},
): Attack => ({
  title,
  broker: { policy: DELEGATION },
  present: async (broker) => ({
    form: {
      subject_token: broker.token('ci', subject),
      actor_token: await actorToken(broker),
      actor_token_type: JWT_TYPE,
      ...form,
    },
  }),
  verdict,
  ...more,
})

/** A token of our own with these actors, exchanged onward; with an actor, or without one. */
const onwardWith = (
  title: string,
  actors: readonly string[],
  next: string | undefined,
  verdict: Verdict,
  policy: object = DELEGATION,
): Attack => ({
  title,
  broker: { policy },
  present: async (broker) => ({
    form: {
      subject_token: await broker.ownToken({ act: actClaim(actors) }),
      audience: RECEIPTS,
      ...(next !== undefined && {
        actor_token: broker.token('pod', { sub: next }),
        actor_token_type: JWT_TYPE,
      }),
    },
  }),
  verdict,
})

const noActor = granted(({ claims }) => {
  expect(claims).not.toHaveProperty('act')
  expect(claims).not.toHaveProperty('may_act')
  expect(claims).not.toHaveProperty('lineage_actors')
})
const shallow = (depth: number) => ({ ...DELEGATION, defaults: { max_delegation_depth: depth } })
const NAMED = { sub: 'worker', iss: issuerUrl('pod') }

const actors: readonly Attack[] = [
  byForm('C01 an actor token without its type', { actor_token: 'x' }, INCOMPLETE),
  byForm('C01 the type of an actor token without the token', { actor_token_type: JWT_TYPE }, INCOMPLETE),
  byForm('C01 an actor token with an empty type', { actor_token: 'x', actor_token_type: '' }, INCOMPLETE),
  byForm(
    'C01 an empty actor token with its type',
    { actor_token: '', actor_token_type: JWT_TYPE },
    INCOMPLETE,
  ),
  byForm(
    'C01 an actor token of a type that is none of ours',
    { actor_token: 'x', actor_token_type: 'urn:ietf:params:oauth:token-type:saml2' },
    refused('actor_token_type_not_supported'),
  ),
  withActor('C01 an actor token of an allowed actor, with its type', worker(), actedBy(WORKER)),
  withActor('C01 an access token as an ID token', worker(), refused('token_type_mismatch'), {
    present: (broker) => ({
      form: {
        subject_token: broker.token(),
        actor_token: broker.token('pod', { sub: 'worker' }, { typ: 'at+jwt' }),
        actor_token_type: ID_TOKEN,
      },
    }),
  }),
  withActor('C02 an actor where no grant has delegation', worker(), refused('actor_not_allowed'), {
    broker: {},
  }),
  withActor(
    'C02 an actor whom the grant does not name',
    worker({ sub: 'other' }),
    refused('actor_not_allowed'),
  ),
  withActor(
    'C02 an actor of the same name at another issuer',
    worker({}, 'many'),
    refused('actor_not_allowed'),
  ),
  withActor('C02 an actor whom a grant for another target names', worker(), refused('actor_not_allowed'), {
    form: { audience: LEDGER },
  }),
  byForm('C02 no actor where every grant has delegation', { audience: LEDGER }, refused('actor_missing'), {
    broker: { policy: DELEGATION },
    present: (b) => ({ form: { subject_token: b.token('job'), audience: LEDGER } }),
  }),
  withActor('C02 an actor token that is none', () => 'not-a-token', refused('token_malformed')),
  withActor(
    'C02 an actor token of our own',
    (b) => b.ownToken({ sub: WORKER }),
    refused('actor_not_allowed'),
  ),
  withActor(
    'C02 an actor token of our own that policy names',
    (b) => b.ownToken({ sub: WORKER, aud: RECEIPTS }),
    actedBy(WORKER),
  ),
  withActor(
    'C02 the probe, whose tokens are for its own target alone, where policy lets everybody act',
    (b) => b.ownToken({ sub: '_probe:probe', aud: RECEIPTS }),
    refused('no_grant_matches'),
    {
      broker: {
        policy: { ...POLICY, grants: { one: delegated('ci', 'payments', [actor('broker', { sub: '**' })]) } },
      },
    },
  ),
  withActor(
    'C02 an actor token of an issuer that nobody trusts',
    worker({ iss: 'https://evil.example.com' }),
    refused('issuer_not_trusted'),
  ),
  byForm('C02 an actor token twice', { actor_token: ['x', 'x'] }, refused('parameter_repeated')),
  ...['', undefined].flatMap((subject_token) =>
    [{}, { actor_token: 'x', actor_token_type: JWT_TYPE }].map((form) =>
      byForm(
        `C03 ${subject_token === '' ? 'an empty' : 'no'} subject token, ${'actor_token' in form ? 'an' : 'no'} actor token`,
        { subject_token, ...form },
        refused('parameter_missing'),
      ),
    ),
  ),
  byForm('C03 a subject token of white space', { subject_token: ' ' }, refused('token_malformed')),
  withActor('C03 an actor token of white space', () => ' ', refused('token_malformed')),
  withActor('C04 may_act names the actor', worker(), actedBy(WORKER), { subject: { may_act: NAMED } }),
  ...[
    { sub: 'another', iss: issuerUrl('pod') },
    { sub: 'worker', iss: issuerUrl('ci') },
    { sub: 'worker', iss: `${issuerUrl('pod')}/` },
    { sub: WORKER, iss: issuerUrl('pod') },
    { sub: 'worker', iss: 'pod' },
    { sub: 'worker' },
    { iss: issuerUrl('pod') },
    { sub: ['worker'], iss: issuerUrl('pod') },
    { ...NAMED, client_id: 'checkout' },
    {},
    [NAMED],
    [],
    'worker',
    true,
    null,
  ].map((may_act) =>
    withActor(`C04 may_act ${JSON.stringify(may_act)}`, worker(), refused('actor_not_named'), {
      subject: { may_act },
    }),
  ),
  ...[{ sub: SUBJECT, iss: issuerUrl('ci') }, NAMED, {}, null].map((may_act) =>
    withActor(
      `C04 an actor token for whose subject others may act: ${JSON.stringify(may_act)}`,
      worker({ may_act }),
      refused('actor_has_actor'),
    ),
  ),
  withActor(
    'C04 whom may_act names, and policy does not',
    worker({ sub: 'other' }),
    refused('actor_not_allowed'),
    { subject: { may_act: { ...NAMED, sub: 'other' } } },
  ),
  ...[NAMED, 'worker', null].map((may_act) =>
    byToken(
      `C04 may_act ${JSON.stringify(may_act)}, and nobody who acts`,
      (b) => b.token('ci', { may_act }),
      refused('actor_missing'),
    ),
  ),
  withActor('C05 the subject as its own actor', (b) => b.token(), refused('delegation_loop')),
  {
    title: 'C05 one token as subject and actor',
    broker: { policy: DELEGATION },
    present: (broker) => {
      const token = broker.token()
      return { form: { subject_token: token, actor_token: token, actor_token_type: JWT_TYPE } }
    },
    verdict: refused('delegation_loop'),
  },
  onwardWith('C05 the current actor again', [WORKER], 'worker', refused('delegation_loop')),
  onwardWith('C05 an earlier actor again', ['pod:helper', WORKER], 'worker', refused('delegation_loop')),
  {
    title: 'C05 the first subject acts for whom acted for it',
    broker: { policy: DELEGATION },
    present: async (broker) => ({
      form: {
        subject_token: await broker.ownToken({ act: { sub: WORKER } }),
        audience: RECEIPTS,
        actor_token: broker.token(),
        actor_token_type: JWT_TYPE,
      },
    }),
    verdict: refused('delegation_loop'),
  },
  withActor(
    'C05 an actor for whom somebody acts',
    (b) => b.ownToken({ sub: WORKER, aud: RECEIPTS, act: { sub: 'pod:hidden' } }),
    refused('actor_has_actor'),
  ),
  withActor(
    'C05 an actor for whom somebody acts, as its issuer says',
    worker({ act: { sub: 'hidden' } }),
    refused('actor_has_actor'),
  ),
  onwardWith('C06 two actors, and a third', ['pod:a', 'pod:b'], 'worker', actedBy(WORKER, 'pod:a', 'pod:b')),
  onwardWith(
    'C06 three actors, and a fourth',
    ['pod:a', 'pod:b', 'pod:c'],
    'worker',
    refused('delegation_too_deep'),
  ),
  onwardWith(
    'C06 three actors, and no other',
    ['pod:a', 'pod:b', 'pod:c'],
    undefined,
    actedBy('pod:a', 'pod:b', 'pod:c'),
  ),
  onwardWith('C06 one actor of one that policy allows', [], 'worker', actedBy(WORKER), shallow(1)),
  onwardWith(
    'C06 a second of one that policy allows',
    ['pod:a'],
    'worker',
    refused('delegation_too_deep'),
    shallow(1),
  ),
  onwardWith(
    'C06 more actors than policy allows any more, passed on',
    ['pod:a', 'pod:b'],
    undefined,
    refused('delegation_too_deep'),
    shallow(1),
  ),
  onwardWith(
    'C06 5000 actors, as many levels as JSON may have',
    Array.from({ length: 14 }, (_each, at) => `pod:${at}`),
    undefined,
    refused('delegation_too_deep'),
  ),
  ...['worker', [{ sub: 'x' }], { sub: 1 }, { act: { sub: 'x' } }, { sub: 'x', act: 'y' }, null].map(
    (act): Attack => ({
      title: `C06 an act whose depth nobody can tell: ${JSON.stringify(act)}`,
      present: async (b) => ({ form: { subject_token: await b.ownToken({ act }), audience: RECEIPTS } }),
      verdict: refused('claim_malformed'),
    }),
  ),
  byToken(
    'C06 more actors than JSON may have levels',
    (b) => b.token('ci', { act: actClaim(Array.from({ length: 17 }, () => 'x')) }),
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
  withActor('C07 nor put behind an actor who is known', worker(), actedBy(WORKER), {
    subject: { act: { sub: 'admin', act: { sub: 'root', act: { sub: 'x', act: { sub: 'y' } } } } },
  }),
  byToken(
    "C07 an act in somebody else's token decides nothing",
    (b) => b.token('ci', { repository_id: 'x', act: { sub: SUBJECT, repository_id: '123456' } }),
    refused('no_grant_matches'),
  ),
  byToken(
    "C07 an act in somebody else's token is no actor token",
    (b) => b.token('job', { act: { sub: 'worker', iss: issuerUrl('pod') } }),
    refused('actor_missing'),
    {
      broker: { policy: DELEGATION },
      present: (b) => ({
        form: { subject_token: b.token('job', { act: NAMED }), audience: LEDGER },
      }),
    },
  ),
  byToken(
    "C07 the lineage of an actor that somebody else's token claims is not passed on",
    (b) => b.token('ci', { lineage_actors: ['subject#pod:worker'] }),
    noActor,
  ),
  byToken(
    'C09 what is no identity in an act is not copied',
    (b) => b.token('ci', { act: { sub: 'x', exp: NOW + 9999, aud: RECEIPTS, scope: 'payments.write' } }),
    granted(({ claims }) => {
      expect(claims).toMatchObject({ aud: PAYMENTS, scope: 'payments.read', exp: NOW + 300 })
      expect(JSON.stringify(claims)).not.toContain('9999')
    }),
  ),
  withActor(
    'C09 nothing but its identity comes from the actor token',
    worker({ scope: 'payments.write', role: 'admin', email: 'a@b.example', repository: 'evil/evil' }),
    granted(({ claims }) => {
      expect(claims['act']).toEqual({ sub: WORKER })
      expect(claims).toMatchObject({ aud: PAYMENTS, scope: 'payments.read', repository: 'octo/pay' })
      expect(JSON.stringify(claims)).not.toMatch(/admin|a@b|evil|client_id":"pod/)
    }),
  ),
  withActor(
    'C10 an actor token for another audience',
    worker({ aud: 'https://other.example.com' }),
    refused('audience_not_ours'),
  ),
  withActor(
    'C10 an actor token for others too',
    worker({ aud: [OUR_AUDIENCE, 'https://other.example.com'] }),
    refused('audience_not_ours'),
  ),
  withActor(
    'C10 an actor token that has expired',
    worker({ exp: NOW - 60, iat: NOW - 120, nbf: NOW - 120 }),
    refused('token_expired'),
  ),
  withActor(
    'C10 an actor token that has expired within the skew',
    worker({ exp: NOW, iat: NOW - 120, nbf: NOW - 120 }),
    refused('token_expired'),
  ),
  withActor('C10 an actor token of tomorrow', worker({ nbf: NOW + 60 }), refused('token_not_yet_valid')),
  withActor(
    'C10 an actor token that lives too long',
    worker({ exp: NOW + 6000 }),
    refused('token_lifetime_too_long'),
  ),
  withActor('C10 an actor token without a sub', worker({ sub: undefined }), refused('claim_malformed')),
  withActor(
    'C10 an actor token that is bound to a key',
    worker({ cnf: { jkt: 'x' } }),
    refused('token_bound_to_key'),
  ),
  withActor(
    'C10 an actor token with a wrong signature',
    (b) => `${worker()(b).slice(0, -8)}AAAAAAAA`,
    refused('signature_invalid'),
  ),
  withActor(
    'C10 an actor token that another issuer signed',
    (b) => craft(b.keys.ci, b.claims('pod', { sub: 'worker' })),
    refused('signature_invalid'),
  ),
  ...(['subject#pod:worker', 'client#pod:worker', `issuer#${issuerUrl('pod')}`] as const).map((key) =>
    withActor(`C10 an actor token that was revoked: ${key}`, worker(), refused('token_revoked'), {
      before: ({ revocations }) => revocations.stored.set(key, NOW),
    }),
  ),
  ...(['subject#pod:worker', 'client#pod:worker', `issuer#${issuerUrl('pod')}`] as const).map((key) =>
    withActor(`C10 an actor token from after the revocation: ${key}`, worker(), actedBy(WORKER), {
      before: ({ revocations }) => revocations.stored.set(key, NOW - 1),
    }),
  ),
  withActor(
    'C10 an actor token that was revoked as such',
    worker({ jti: 'stolen' }),
    refused('token_revoked'),
    {
      before: ({ revocations }) => {
        const issuer = issuerUrl('pod')
        const id = tokenIdOf({ kind: 'token', issuer, jti: 'stolen', signingInput: '' })
        revocations.stored.set(`token#${id}`, 1)
      },
    },
  ),
  ...(
    [
      ['its parent', `token#${'root'.padEnd(22, 'x')}`],
      ['its lineage', 'lineage#family'],
      ['a key that signed its parent', 'key#gone'],
      ['the client of its parent', 'client#shop'],
    ] as const
  ).map(([what, key]) =>
    withActor(
      `C10 an actor token of ours of which was revoked ${what}`,
      (b) =>
        b.ownToken({
          sub: WORKER,
          aud: RECEIPTS,
          txn: 'family',
          lineage_keys: ['gone'],
          lineage_clients: ['shop'],
        }),
      refused('token_revoked'),
      { before: ({ revocations }) => revocations.stored.set(key, NOW + 9999) },
    ),
  ),
  withActor(
    'C11 a subject of one chain and an actor of another',
    (b) => b.ownToken({ txn: 'other' }),
    refused('actor_not_allowed'),
    {
      present: async (broker) => ({
        form: {
          subject_token: await broker.ownToken({ txn: 'one', act: { sub: 'pod:helper' } }),
          actor_token: await broker.ownToken({ txn: 'other', sub: WORKER }),
          actor_token_type: JWT_TYPE,
          audience: RECEIPTS,
        },
      }),
    },
  ),
  {
    title: 'C11 a subject and an actor that policy pairs with others, not with each other',
    broker: { policy: DELEGATION },
    present: (broker) => ({
      form: {
        subject_token: broker.token('pod'),
        actor_token: broker.token('ci', { sub: 'robot' }),
        actor_token_type: JWT_TYPE,
      },
    }),
    verdict: refused('actor_not_allowed'),
  },
  withActor(
    'C14 an actor token that ends before the subject token',
    worker({ exp: NOW + 60 }),
    granted(({ claims, body }) => {
      expect([claims['exp'], body['expires_in']]).toEqual([NOW + 60, 60])
    }),
  ),
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

describe('chains over time', () => {
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

  it.each([
    ['act', { sub: 'x' }],
    ['act', 'x'],
    ['act', { act: { sub: 'x' } }],
    ['may_act', { sub: 'x' }],
  ])('C08 nor on actors of an actor: %s %j', (name, value) => {
    const one = delegated('ci', 'payments', [actor('broker', { sub: 'x', [name]: value })])
    expect(findingsIn({ ...POLICY, grants: { one } })).toEqual([
      expect.stringContaining(`grants.one.delegation.actors[0].when.${name}: found a condition on ${name};`),
    ])
  })

  it('C08 earlier actors decide nothing: only the current one does', async () => {
    const onCurrent = (sub: string) => ({
      ...POLICY,
      grants: { one: grant('broker', 'receipts', { aud: PAYMENTS, act: { sub } }) },
    })
    const subject = (b: AttackedBroker) => b.ownToken({ act: actClaim(['pod:current', 'pod:earlier']) })
    for (const [sub, verdict] of [
      ['pod:current', actedBy('pod:current', 'pod:earlier')],
      ['pod:earlier', refused('no_grant_matches')],
    ] as const) {
      const broker = new AttackedBroker({ policy: onCurrent(sub) })
      await expectVerdict(
        broker,
        { form: { subject_token: await subject(broker), audience: RECEIPTS } },
        verdict,
      )
    }
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
