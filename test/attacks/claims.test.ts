import { describe, expect, it } from 'vitest'
import { lintPolicy } from '../../functions/core/policy/lint.ts'
import { compiled, findingsIn, policyFile } from '../core/policy/policy-fixture.ts'
import {
  type Attack,
  byToken,
  describeAttacks,
  freezeTime,
  granted,
  refused,
  unavailable,
  witnessOf,
} from './attack.ts'
import {
  AttackedBroker,
  BROKER_ISSUER,
  grant,
  type IssuerName,
  issuerUrl,
  NOW,
  OUR_AUDIENCE,
  PAYMENTS,
  POLICY,
  SUBJECT,
} from './broker.ts'
import { craft } from './crafted-jws.ts'

const MALFORMED = refused('token_malformed')
const CLAIM = refused('claim_malformed')
const NO_GRANT = refused('no_grant_matches')

const withClaims = (title: string, changes: object, verdict = CLAIM, from: IssuerName = 'ci'): Attack =>
  byToken(title, (broker) => broker.token(from, changes), verdict)

/** The payload's text changed before it is signed: for what `JSON.stringify` never writes. */
const withPayload = (title: string, change: (payload: string) => string, verdict = MALFORMED): Attack =>
  byToken(title, (b) => craft(b.keys.ci, change(JSON.stringify(b.claims()))), verdict)

const withNumber = (title: string, name: string, literal: string, verdict = MALFORMED): Attack =>
  withPayload(
    title,
    (payload) => payload.replace(new RegExp(`"${name}":\\d+`), `"${name}":${literal}`),
    verdict,
  )

/** The policy with the first grant replaced by one with these conditions. */
const policyWhen = (when: object): object => ({
  ...POLICY,
  grants: { ...POLICY.grants, 'ci-payments': grant('ci', 'payments', when) },
})

const times: readonly Attack[] = [
  withClaims('B01 no exp', { exp: undefined }),
  ...[String(NOW + 60), '', null, true, {}, [NOW + 60], [], 'NaN'].map((exp) =>
    withClaims(`B01 exp ${JSON.stringify(exp)}`, { exp }),
  ),
  ...['0', '-0', '-1', `-${NOW}`, '0.0', '1e99', `${(NOW + 60) * 1000}`, '100000000000', '1e11'].map((exp) =>
    withNumber(`B01 exp ${exp}`, 'exp', exp, Number(exp) > 1e15 ? MALFORMED : CLAIM),
  ),
  ...[
    'NaN',
    'Infinity',
    '1e400',
    '1e20',
    '0x6b49d200',
    '+1800000060',
    '01800000060',
    '1e-400',
    '9007199254740993',
  ].map((exp) => withNumber(`B01 exp ${exp}`, 'exp', exp)),
  withNumber(
    'B01 exp with a fraction counts as the whole second before',
    'exp',
    `${NOW + 60}.9`,
    granted(({ claims, body }) => expect([claims['exp'], body['expires_in']]).toEqual([NOW + 60, 60])),
  ),
  withNumber(
    'B01 exp in exponent form',
    'exp',
    '1.80000006e9',
    granted(({ claims }) => expect(claims['exp']).toBe(NOW + 60)),
  ),
  withNumber('B01 exp a fraction of a second ago', 'exp', `${NOW}.9`, refused('token_expired')),
  ...[0, 1, 29, 30, 31, 3600].map((ago) =>
    withClaims(
      `B02 expired ${ago} s ago`,
      { exp: NOW - ago, iat: NOW - 300, nbf: NOW - 300 },
      refused('token_expired'),
    ),
  ),
  withClaims(
    'B02 one second to go is in order, and is all that the new token gets',
    { exp: NOW + 1 },
    granted(({ claims, body }) => expect([claims['exp'], body['expires_in']]).toEqual([NOW + 1, 1])),
  ),
  ...['iat', 'nbf'].flatMap((name) => [
    ...[10, 30].map((ahead) =>
      withClaims(`B03 ${name} ${ahead} s ahead is in order`, { [name]: NOW + ahead }, granted()),
    ),
    ...[31, 61, 3600].map((ahead) =>
      withClaims(
        `B03 ${name} ${ahead} s ahead`,
        { [name]: NOW + ahead, exp: NOW + 4000 },
        refused('token_not_yet_valid'),
      ),
    ),
    ...['x', null, {}, [], true, 0, -1].map((value) =>
      withClaims(`B03 ${name} ${JSON.stringify(value)}`, { [name]: value }),
    ),
  ]),
  withClaims('B03 iat after exp', { iat: NOW + 20, nbf: NOW, exp: NOW + 10 }),
  withClaims('B03 no iat, for a lifetime that counts from now', { iat: undefined }, granted()),
  withClaims('B04 a lifetime of exactly the most', { exp: NOW + 600 }, granted()),
  ...[601, 3600, 86_400, 31_536_000].map((lifetime) =>
    withClaims(
      `B04 a lifetime of ${lifetime} s`,
      { exp: NOW + lifetime },
      refused('token_lifetime_too_long'),
    ),
  ),
  withClaims(
    'B04 601 s from now, without iat',
    { iat: undefined, exp: NOW + 601 },
    refused('token_lifetime_too_long'),
  ),
  withClaims(
    'B04 a lifetime that began long ago',
    { iat: NOW - 86_000, nbf: NOW - 86_000, exp: NOW + 60 },
    refused('token_lifetime_too_long'),
  ),
]

const CI = issuerUrl('ci')
const ISSUERS: readonly unknown[] = [
  `${CI}/`,
  `${CI}//`,
  `${CI}/.`,
  `${CI}/../ci`,
  `${CI}?`,
  `${CI}?x=1`,
  `${CI}#`,
  `${CI}#x`,
  `${CI}:443`,
  `${CI}:443/`,
  `${CI}.`,
  `${CI}.evil.example.net`,
  `${CI}@evil.example.net`,
  `https://evil.example.net@ci.example.com`,
  'https://user:password@ci.example.com',
  'http://ci.example.com',
  'HTTPS://ci.example.com',
  'https://CI.example.com',
  'https://ci.EXAMPLE.com',
  'https:ci.example.com',
  'https:/ci.example.com',
  '//ci.example.com',
  'ci.example.com',
  'https://ci%2eexample.com',
  'https://%63i.example.com',
  'https://xn--c-nmb.example.com',
  'https://сi.example.com',
  'https://ci。example.com',
  'https://ci.example.com\0',
  ' https://ci.example.com',
  'https://ci.example.com ',
  'https://ci.example.com\n',
  'https://ci.example.co',
  'https://evil.example.net/https://ci.example.com',
  `${CI}\\@evil.example.net`,
  'ci',
  '*',
  '',
  '__proto__',
  'constructor',
  `${BROKER_ISSUER}/`,
  undefined,
  null,
  5,
  {},
  [CI],
  [CI, issuerUrl('pod')],
]

const shared = [
  'sts.amazonaws.com',
  'https://kubernetes.default.svc',
  'https://kubernetes.default.svc.cluster.local',
  'api://AzureADTokenExchange',
  'sigstore',
]

const issuers: readonly Attack[] = [
  ...ISSUERS.map((iss) =>
    withClaims(`B05 iss ${JSON.stringify(iss)}`, { iss }, refused('issuer_not_trusted')),
  ),
  byToken('B07 a discovery document that names another issuer', (broker) => broker.token(), unavailable, {
    before: ({ published }) =>
      published.set(`${CI}/.well-known/openid-configuration`, { issuer: `${CI}/`, jwks_uri: `${CI}/jwks` }),
  }),
]

const many = (value: unknown, count: number): unknown[] => Array.from({ length: count }, () => value)
const audiences: readonly Attack[] = [
  withClaims('B08 no aud', { aud: undefined }),
  withClaims(
    "B09 our audience and somebody else's",
    { aud: [OUR_AUDIENCE, 'https://other.example.com'] },
    refused('audience_not_ours'),
  ),
  withClaims(
    "B09 somebody else's audience and ours",
    { aud: ['https://other.example.com', OUR_AUDIENCE] },
    refused('audience_not_ours'),
  ),
  withClaims('B09 our audience as the only one of a list is in order', { aud: [OUR_AUDIENCE] }, granted()),
  ...[
    'https://other.example.com',
    `${OUR_AUDIENCE}/`,
    `${OUR_AUDIENCE}.evil.example.net`,
    `x${OUR_AUDIENCE}`,
    OUR_AUDIENCE.toUpperCase(),
    OUR_AUDIENCE.slice(0, -1),
    `${OUR_AUDIENCE} `,
    `${OUR_AUDIENCE},https://other.example.com`,
    PAYMENTS,
    '*',
  ].map((aud) =>
    withClaims(`B09 the audience ${JSON.stringify(aud)}`, { aud }, refused('audience_not_ours')),
  ),
  ...[
    [],
    '',
    [''],
    [OUR_AUDIENCE, ''],
    [OUR_AUDIENCE, 5],
    [OUR_AUDIENCE, null],
    [[OUR_AUDIENCE]],
    { aud: OUR_AUDIENCE },
    5,
    null,
    true,
    many(OUR_AUDIENCE, 9),
    many('x', 1000),
  ].map((aud) => withClaims(`B10 the audience ${JSON.stringify(aud).slice(0, 60)}`, { aud })),
]

const SUBJECTS = [
  '',
  5,
  null,
  true,
  {},
  [],
  [SUBJECT],
  'x'.repeat(256),
  'a\nb',
  'a\rb',
  'a\tb',
  'a\0b',
  'a"b',
  "a'b",
  'a\\b',
  'a`b',
  'a\u007fb',
  'a\u0085b',
  'é',
  '👤',
  'a\u202eb',
  'a\u200bb',
]
const CHECKED_SUBJECT = 'x'.repeat(255)
const subjects: readonly Attack[] = [
  withClaims('B12 no sub', { sub: undefined }),
  ...SUBJECTS.map((sub) => withClaims(`B12 sub ${JSON.stringify(sub).slice(0, 30)}`, { sub })),
  withClaims(
    'B12 a sub of 255 characters is in order',
    { sub: CHECKED_SUBJECT },
    granted(({ claims }) => expect(claims['sub']).toBe(`ci:${CHECKED_SUBJECT}`)),
  ),
  byToken(
    'B13 one sub of two issuers is two subjects',
    async (broker) => {
      const other = await witnessOf(broker, { form: { subject_token: broker.token('pod', { sub: 'x' }) } })
      expect(other.claims['sub']).toBe('pod:x')
      return broker.token('ci', { sub: 'x' })
    },
    granted(({ claims }) => expect(claims['sub']).toBe('ci:x')),
  ),
  withClaims(
    "B13 a sub that spells another issuer's subject",
    { sub: 'pod:x' },
    granted(({ claims }) => expect(claims).toMatchObject({ sub: 'ci:pod:x', idp: CI })),
  ),
  byToken(
    'B13 a jti that another issuer has used',
    async (broker) => {
      await witnessOf(broker, { form: { subject_token: broker.token('ec', { jti: 'one' }) } })
      return broker.token('ci', { jti: 'one' })
    },
    granted(),
  ),
  {
    title: "B14 a client_id that spells somebody's sub",
    present: (b) => ({ form: { subject_token: b.token('ci', { sub: 'x' }), client_id: 'pod:y' } }),
    verdict: granted(({ claims }) => expect(claims).toMatchObject({ client_id: 'ci:x', sub: 'ci:x' })),
  },
  withClaims(
    'B14 a client_id claim',
    { client_id: 'somebody', azp: 'somebody' },
    granted(({ claims }) => expect(claims['client_id']).toBe(`ci:${SUBJECT}`)),
  ),
]

const MAIL = policyWhen({ email: '**@corp.example' })
const mail = (title: string, email: unknown, verdict = NO_GRANT): Attack =>
  byToken(title, (broker) => broker.token('ci', { email }), verdict, { broker: { policy: MAIL } })

const patterns: readonly Attack[] = [
  mail('B16 an address of the domain is in order', 'a@corp.example', granted()),
  ...[
    'a@corp.example.evil.net',
    'a@corp.example\n',
    'a@corp.example\nb@evil.net',
    'b@evil.net\na@corp.example.net',
    'a@corpXexample',
    'a@corp.example ',
    'a@CORP.example',
    'a@corp.example\0',
    'a@corp,example',
  ].map((email) => mail(`B16 ${JSON.stringify(email)}`, email)),
  ...[5, true, null, {}, [], [['a@corp.example']], { 0: 'a@corp.example' }].map((email) =>
    mail(`B16 ${JSON.stringify(email)} for an address`, email),
  ),
  ...['refs/heads/main', 'refs/tags/v1'].map((ref) =>
    byToken(`B16 ${ref} where a pattern allows it is in order`, (b) => b.token('ci', { ref }), granted(), {
      broker: { policy: policyWhen({ ref: ['refs/heads/main', 'refs/tags/v*'] }) },
    }),
  ),
  ...[
    'refs/heads/main2',
    'xrefs/heads/main',
    'refs/tags/v1/x',
    'refs/tags/v1:x',
    'refs/tags/',
    'refs/heads/ma*',
    'refs/heads/main\nrefs/tags/v1',
  ].map((ref) =>
    byToken(
      `B16 ${JSON.stringify(ref)} where patterns allow others`,
      (b) => b.token('ci', { ref }),
      NO_GRANT,
      {
        broker: { policy: policyWhen({ ref: ['refs/heads/main', 'refs/tags/v*'] }) },
      },
    ),
  ),
  byToken(
    'B17 what a regular expression would take seconds for',
    (b) => b.token('ci', { ref: `${'a'.repeat(5000)}!` }),
    NO_GRANT,
    {
      broker: { policy: policyWhen({ ref: '^(a+)+$' }) },
    },
  ),
  byToken(
    'B17 a regular expression is a text, which matches itself',
    (b) => b.token('ci', { ref: '^(a+)+$' }),
    granted(),
    {
      broker: { policy: policyWhen({ ref: '^(a+)+$' }) },
    },
  ),
  byToken(
    'B17 a pattern of nothing but wildcards and what cannot match',
    (b) => b.token('ci', { ref: `${'a'.repeat(5000)}!` }),
    NO_GRANT,
    {
      broker: { policy: policyWhen({ ref: '**a'.repeat(100) }) },
    },
  ),
]

const identity: readonly Attack[] = [
  ...['', {}, [], 5, null, true, 'x'.repeat(256), 'x'.repeat(10_000)].map((jti) =>
    withClaims(`B18 jti ${JSON.stringify(jti).slice(0, 20)}`, { jti }),
  ),
  byToken(
    'B18 a jti used again with another payload',
    async (broker) => {
      await witnessOf(broker, { form: { subject_token: broker.token('ci', { jti: 'one' }) } })
      return broker.token('ci', { jti: 'one', run: 2 })
    },
    refused('token_replayed'),
  ),
  withClaims('B18 no jti is in order', { jti: undefined }, granted()),
  byToken(
    'B18 the same text without jti again',
    async (broker) => {
      const token = broker.token('ci', { jti: undefined })
      await witnessOf(broker, { form: { subject_token: token } })
      return token
    },
    refused('token_replayed'),
  ),
  byToken(
    'B18 a jti that spells the text of a token without one',
    async (broker) => {
      const token = broker.token('ci', { jti: undefined, exp: NOW + 60 })
      await witnessOf(broker, { form: { subject_token: token } })
      return broker.token('ci', { jti: token.slice(0, 200) })
    },
    granted(),
  ),
  ...['sub', 'exp', 'iss', 'aud', 'repository_id', 'unknown'].map((name) =>
    withPayload(`B19 ${name} twice`, (payload) =>
      payload.replace('{', `{"${name}":"123456",`).replace(/\}$/, `,"${name}":"123456"}`),
    ),
  ),
  withPayload('B19 sub twice, once escaped', (payload) => payload.replace('{', '{"\\u0073ub":"admin",')),
  withPayload('B19 a nested name twice', (payload) => payload.replace('{', '{"x":{"y":1,"y":2},')),
  ...['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf'].flatMap((name) => [
    withPayload(
      `B20 a claim ${name}`,
      (payload) => payload.replace('{', `{"${name}":{"repository_id":"123456","admin":true},`),
      granted(({ claims }) => {
        expect(Object.keys(claims)).not.toContain(name)
        expect(claims['admin']).toBeUndefined()
      }),
    ),
    withPayload(
      `B20 a claim ${name} instead of the one that the grant wants`,
      (payload) => payload.replace('"repository_id":"123456"', `"${name}":{"repository_id":"123456"}`),
      NO_GRANT,
    ),
    {
      title: `B20 a parameter ${name}`,
      present: (b) => ({ form: { subject_token: b.token(), [name]: 'x' } }),
      verdict: granted(),
    } satisfies Attack,
  ]),
  byToken('B20 a condition on what every object has', (broker) => broker.token(), NO_GRANT, {
    broker: { policy: policyWhen({ constructor: { name: 'Object' } }) },
  }),
]

const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: nested(depth - 1) })
const bounds: readonly Attack[] = [
  withClaims('B21 16 levels are in order', { x: nested(15) }, granted()),
  withClaims('B21 17 levels', { x: nested(16) }, MALFORMED),
  withPayload('B21 1000 levels of objects', (p) =>
    p.replace('{', `{"x":${'{"a":'.repeat(1000)}1${'}'.repeat(1000)},`),
  ),
  withPayload('B21 5000 levels of lists', (p) =>
    p.replace('{', `{"x":${'['.repeat(5000)}${']'.repeat(5000)},`),
  ),
  withPayload('B21 5000 lists that are never closed', (p) => p.replace('{', `{"x":${'['.repeat(5000)}`)),
  withClaims(
    'B21 200 names are in order',
    Object.fromEntries(many(0, 191).map((_, at) => [`c${at}`, 1])),
    granted(),
  ),
  withClaims('B21 201 names', Object.fromEntries(many(0, 192).map((_, at) => [`c${at}`, 1])), MALFORMED),
  withClaims('B21 201 names, nested', { x: many({ a: 1, b: 2 }, 100) }, MALFORMED),
  withClaims('B21 a claim of 16 KiB', { x: 'x'.repeat(16_384) }, MALFORMED),
  {
    title: 'B21 a claim of 1 MB',
    present: (b) => ({ form: { subject_token: b.token('ci', { x: 'x'.repeat(1_000_000) }) } }),
    verdict: refused('body_too_large', 'invalid_request', 413),
  },
  {
    title: 'B21 100,000 names',
    present: (b) => ({
      form: {
        subject_token: b.token('ci', Object.fromEntries(many(0, 100_000).map((_, at) => [`c${at}`, 1]))),
      },
    }),
    verdict: refused('body_too_large', 'invalid_request', 413),
  },
  ...['\\ud800', '\\udc00', '\\ud800x', '\\udc00\\ud800'].flatMap((lone) => [
    withPayload(`B21 a lone surrogate ${lone} in a value`, (p) => p.replace('octo/pay', `octo${lone}`)),
    withPayload(`B21 a lone surrogate ${lone} in a name`, (p) => p.replace('{', `{"${lone}":1,`)),
  ]),
  ...['octo/pay\0', 'octo/pay\r\nx: y', 'octo/\u202eyap', 'octo/\u009b2Jpay', 'octo/pay\u2028'].map(
    (repository) =>
      withClaims(
        `B21 ${JSON.stringify(repository)} in a claim that is mapped`,
        { repository },
        refused('claim_not_insertable'),
      ),
  ),
  withClaims('B21 a NUL in a claim that nobody uses', { actor: 'x\0' }, granted()),
  ...['repo\0:octo', 'repo\u202e:octo', 're\u0301po'].map((sub) =>
    withClaims(`B21 ${JSON.stringify(sub)} in sub`, { sub }),
  ),
  ...['123456\0', '123456\u200b', '\u202e654321', '１２３４５６', 123456, '0123456', ' 123456'].map((id) =>
    withClaims(`B21 ${JSON.stringify(id)} for the id 123456`, { repository_id: id }, NO_GRANT),
  ),
  byToken(
    'B21 the decomposed twin of a composed text',
    (b) => b.token('ci', { team: 'cafe\u0301' }),
    NO_GRANT,
    {
      broker: { policy: policyWhen({ team: 'caf\u00e9' }) },
    },
  ),
  byToken(
    'B21 the composed text itself is in order',
    (b) => b.token('ci', { team: 'caf\u00e9' }),
    granted(),
    {
      broker: { policy: policyWhen({ team: 'caf\u00e9' }) },
    },
  ),
]

const TYPE = 'urn:ietf:params:oauth:token-type:'
const typed = (
  title: string,
  type: string,
  changes: object,
  verdict = refused('token_type_mismatch'),
  header = {},
): Attack => ({
  title,
  present: (b) => ({
    form: { subject_token: b.token('ci', changes, header), subject_token_type: TYPE + type },
  }),
  verdict,
})

const kinds: readonly Attack[] = [
  typed('B22 an ID token, by its nonce, as access token', 'access_token', { nonce: 'n' }),
  typed('B22 an ID token, by its at_hash, as access token', 'access_token', { at_hash: 'h' }),
  typed('B22 an ID token with empty marks as access token', 'access_token', { nonce: null }),
  typed('B22 an access token as ID token', 'id_token', {}, undefined, { typ: 'at+jwt' }),
  typed('B22 an access token by its long type as ID token', 'id_token', {}, undefined, {
    typ: 'application/at+jwt',
  }),
  typed('B22 an ID token as such is in order', 'id_token', { nonce: 'n' }, granted()),
  typed('B22 an access token as such is in order', 'access_token', {}, granted(), { typ: 'at+jwt' }),
  {
    title: 'B22 our own access token as ID token',
    present: async (b) => ({
      form: { subject_token: await b.ownToken(), subject_token_type: `${TYPE}id_token`, audience: undefined },
    }),
    verdict: refused('token_type_mismatch'),
  },
  withClaims(
    'B23 a token for another client, of which we are no audience',
    { azp: 'other', client_id: 'other', aud: 'other' },
    refused('audience_not_ours'),
  ),
]

const HOSTED = policyWhen({ hd: 'corp.example', email_verified: true })
const hosted = (title: string, changes: object, verdict = NO_GRANT): Attack =>
  byToken(title, (b) => b.token('ci', changes), verdict, { broker: { policy: HOSTED } })

const THUMBPRINT = 'x'.repeat(43)
const principals: readonly Attack[] = [
  hosted(
    'B24 the domain, and an address that is verified, is in order',
    { hd: 'corp.example', email_verified: true },
    granted(),
  ),
  hosted('B24 an address that is not verified', { hd: 'corp.example', email_verified: false }),
  hosted('B24 verified in words', { hd: 'corp.example', email_verified: 'true' }),
  hosted('B24 verified by a number', { hd: 'corp.example', email_verified: 1 }),
  hosted('B24 nothing said of verification', { hd: 'corp.example' }),
  hosted('B24 no domain, but an address in it', { email: 'a@corp.example', email_verified: true }),
  hosted('B24 another domain', { hd: 'corp.example.evil.net', email_verified: true }),
  ...(['subject', 'client', 'issuer'] as const).map((kind) =>
    byToken(`B25 a ${kind} that was cut off`, (b) => b.token(), refused('token_revoked'), {
      before: ({ revocations }) =>
        revocations.stored.set(`${kind}#${kind === 'issuer' ? CI : `ci:${SUBJECT}`}`, NOW),
    }),
  ),
  byToken(
    'B25 a subject that was cut off before its token was issued is in order',
    (b) => b.token(),
    granted(),
    {
      before: ({ revocations }) => revocations.stored.set(`subject#ci:${SUBJECT}`, NOW - 1),
    },
  ),
  byToken(
    'B25 a subject that was cut off, by a token that does not say when it was issued',
    (b) => b.token('ci', { iat: undefined }),
    refused('token_revoked'),
    {
      before: ({ revocations }) => revocations.stored.set(`subject#ci:${SUBJECT}`, NOW - 1000),
    },
  ),
  ...[
    [`subject#ci:${SUBJECT}`, `client#ci:${SUBJECT}`],
    [`client#ci:${SUBJECT}`, `issuer#${CI}`],
    [`issuer#${CI}`, `subject#ci:${SUBJECT}`],
  ].flatMap(([one = '', other = '']) =>
    [
      [NOW, NOW - 1000],
      [NOW - 1000, NOW],
    ].map(([first = 0, second = 0]) =>
      byToken(
        `B26 ${one.split('#')[0]} cut off at ${first - NOW}, ${other.split('#')[0]} at ${second - NOW}`,
        (b) => b.token(),
        refused('token_revoked'),
        {
          before: ({ revocations }) => {
            revocations.stored.set(one as never, first)
            revocations.stored.set(other as never, second)
          },
        },
      ),
    ),
  ),
  ...[{ jkt: THUMBPRINT }, { 'x5t#S256': THUMBPRINT }, { jkt: 'x' }, { jwk: {} }, {}, null, 'x', []].map(
    (cnf) =>
      withClaims(`B27 cnf ${JSON.stringify(cnf)}, and no proof`, { cnf }, refused('token_bound_to_key')),
  ),
  byToken(
    'B27 our own token that is bound to a key',
    (b) => b.ownToken({ cnf: { jkt: THUMBPRINT } }),
    refused('token_bound_to_key'),
  ),
]

describeAttacks('times', times)
describeAttacks('issuers', issuers)
describeAttacks('audiences', audiences)
describeAttacks('subjects', subjects)
describeAttacks('patterns', patterns)
describeAttacks('identity of a token', identity)
describeAttacks('bounds of a payload', bounds)
describeAttacks('kinds of token', kinds)
describeAttacks('principals', principals)

describe('what a policy is not allowed, or warned of', () => {
  freezeTime()

  const withIssuer = (url: string) => ({
    ...POLICY,
    issuers: { ...POLICY.issuers, ci: { ...POLICY.issuers.ci, issuer: url } },
  })
  const withSubject = (sub: string | readonly string[] | undefined, more: object = {}) => ({
    issuers: { github: { preset: 'github-actions', audiences: [OUR_AUDIENCE] } },
    targets: POLICY.targets,
    grants: { one: { ...grant('github', 'payments', { ...(sub !== undefined && { sub }), ...more }) } },
  })
  const warnings = (document: object): readonly string[] =>
    lintPolicy([policyFile(document)], compiled(document)).map(({ path, message }) => `${path}: ${message}`)

  for (const url of [
    'https://*.example.com',
    'https://*',
    'https://ci.example.com/*',
    '^https://ci\\.example\\.com',
    'https://ci.example.com|https://evil.example.net',
    'https://.*\\.example\\.com',
  ])
    it(`B06 no issuer ${url}: what it would match could not be told from one issuer`, () => {
      expect(findingsIn(withIssuer(url))).toEqual([expect.stringMatching(/^issuers\.ci\.issuer: found /)])
    })

  for (const audience of shared)
    it(`B11 a warning of the audience ${audience}, which tokens for others have too`, () => {
      const document = {
        ...POLICY,
        issuers: { ...POLICY.issuers, ci: { ...POLICY.issuers.ci, audiences: [audience] } },
      }
      expect(warnings(document)).toContainEqual(
        expect.stringMatching(/^issuers\.ci\.audiences\[0\]: found an audience/),
      )
      expect(warnings(POLICY)).toEqual([])
    })

  for (const sub of [
    'repo:octo/*',
    'repo:octo*',
    'repo:*/pay:ref:refs/heads/main',
    'repo:**',
    '**',
    'repo:octo/pay:pull_request',
    'repo:octo/pay:**',
    'repo:octo/pay:ref:refs/heads/main',
    'repo:octo-1/pay-2:environment:prod',
  ])
    it(`B15 a warning of GitHub's sub ${sub}, alone`, () => {
      expect(warnings(withSubject(sub))).not.toEqual([])
    })

  it('B15 a warning where nothing says whose repository it is', () => {
    expect(warnings(withSubject(undefined, { environment: 'production' }))).not.toEqual([])
  })

  it('B15 no warning of ids', () => {
    expect(warnings(withSubject(undefined, { repository_id: '1', ref: 'refs/heads/main' }))).toEqual([])
  })

  it('B15 a pattern ends where a segment does', async () => {
    const policy = policyWhen({ sub: 'repo:octo/*:ref:refs/heads/main' })
    const verdictOf = async (sub: string) => {
      const broker = new AttackedBroker({ policy })
      const { status } = await witnessOf(broker, { form: { subject_token: broker.token('ci', { sub }) } })
      return status
    }
    expect(await verdictOf('repo:octo/pay:ref:refs/heads/main')).toBe(200)
    for (const sub of [
      'repo:octo/pay:environment:x:ref:refs/heads/main',
      'repo:octo/pay/x:ref:refs/heads/main',
      'repo:octo-evil/pay:ref:refs/heads/main',
      'repo:octo/pay:ref:refs/heads/main2',
    ])
      expect(await verdictOf(sub), sub).toBe(400)
  })
})
