import { describe, expect, it, vi } from 'vitest'
import { actClaim } from '../../functions/core/act-claim.ts'
import { tokenIdOf } from '../../functions/core/token-id.ts'
import { findingsIn } from '../core/policy/policy-fixture.ts'
import { printedBy } from '../support/printed.ts'
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
  witnessOf,
} from './attack.ts'
import {
  AttackedBroker,
  BROKER_ISSUER,
  exchangeForm,
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
import { tokenEvent } from './proxy-event.ts'

const INCOMPLETE = refused('actor_token_incomplete')
const ID_TOKEN = 'urn:ietf:params:oauth:token-type:id_token'
const WORKER = 'pod:worker'

const actor = (from: string, when: object) => ({ issuer: from, when })
const delegated = (from: string, to: string, actors: readonly object[], when?: object) => ({
  ...grant(from, to, when),
  delegation: { actors },
})

/** Who may act for whom. Exchanges without an actor are those of {@link POLICY}, but for tokens of `job`. */
const { 'job-ledger': _, ...PLAIN } = POLICY.grants
const DELEGATION = {
  ...POLICY,
  grants: {
    ...PLAIN,
    'for-ci': delegated('ci', 'payments', [
      actor('pod', { sub: ['worker', 'helper'] }),
      actor('job', { sub: 'worker' }),
      actor('ci', { sub: ['robot', SUBJECT] }),
      actor('ec', { sub: 'worker' }),
      actor('broker', { sub: WORKER, aud: RECEIPTS }),
    ]),
    'ledger-for-ci': delegated('ci', 'ledger', [actor('job', { sub: 'worker' })]),
    'for-pod': delegated('pod', 'payments', [
      actor('pod', { sub: 'worker' }),
      actor('ec', { sub: 'worker' }),
    ]),
    onward: grant('broker', 'receipts', { aud: [PAYMENTS, RECEIPTS] }),
    'job-ledger-for': delegated('job', 'ledger', [actor('pod', { sub: 'worker' })]),
    'for-onward': delegated(
      'broker',
      'receipts',
      [
        actor('pod', { sub: ['worker', 'helper', 'third', 'fourth', 'fifth'] }),
        actor('ci', { sub: SUBJECT }),
      ],
      { aud: [PAYMENTS, RECEIPTS] },
    ),
  },
}

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
const actedBy = (...actors: readonly string[]) =>
  granted(({ claims, body }) => {
    expect(claims['act']).toEqual(actClaim(actors))
    expect(claims['sub']).toBe(`ci:${SUBJECT}`)
    expect(body['token_type']).toBe('Bearer')
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
  withActor(
    'C04 may_act in the actor token names nobody',
    worker({ may_act: { sub: SUBJECT, iss: issuerUrl('ci') } }),
    actedBy(WORKER),
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

/** A fresh token of `ci`, and somebody who acts for it. */
const forCi = (broker: AttackedBroker, actor_token: string, form: FormChanges = {}) => ({
  form: { subject_token: broker.token(), actor_token, actor_token_type: JWT_TYPE, ...form },
})

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

  it.each([{ sub: 'x' }, 'x', { act: { sub: 'x' } }])('C08 nor on actors of an actor: %j', (act) => {
    const one = delegated('ci', 'payments', [actor('broker', { sub: 'x', act })])
    expect(findingsIn({ ...POLICY, grants: { one } })).toEqual([
      expect.stringMatching(/^grants\.one\.delegation\.actors\[0\]\.when\.act: found a condition on act/),
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
