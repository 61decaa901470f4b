import { expect } from 'vitest'
import { TOKEN_EXCHANGE_GRANT } from '../../functions/core/token-request.ts'
import { type Attack, byForm, byToken, describeAttacks, granted, refused, type Verdict } from './attack.ts'
import { exchangeForm, grant, JWT_TYPE, LEDGER, PAYMENTS, POLICY, RECEIPTS } from './broker.ts'

const REPEATED = refused('parameter_repeated')
const target = (
  reason:
    | 'audience_not_in_policy'
    | 'resource_not_in_policy'
    | 'resource_malformed'
    | 'two_targets'
    | 'too_many_targets'
    | 'target_missing',
): Verdict => refused(reason, 'invalid_target')
const SCOPE_MALFORMED = refused('scope_malformed', 'invalid_scope')
const SCOPE_WIDER = refused('scope_not_allowed', 'invalid_scope')
const GRANT_TYPE = refused('grant_type_not_supported', 'unsupported_grant_type')
const NOT_AUTHENTICATED = refused('client_authentication_failed', 'invalid_client', 401)

const scoped = (scope: string): Verdict =>
  granted(({ claims, body }) => expect([claims['scope'], body['scope']]).toEqual([scope, scope]))
const addressed = (audience: string): Verdict => granted(({ claims }) => expect(claims['aud']).toBe(audience))

const SINGLE = [
  'grant_type',
  'subject_token',
  'subject_token_type',
  'actor_token',
  'actor_token_type',
  'requested_token_type',
  'scope',
  'client_id',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
  'unknown',
]

const parameters: readonly Attack[] = [
  ...SINGLE.flatMap((name) =>
    [
      ['the same value', (value: string) => [value, value]],
      ['another value behind', (value: string) => [value, 'other']],
      ['nothing behind', (value: string) => [value, '']],
      ['nothing before', (value: string) => ['', value]],
    ].map(
      ([how, repeat]) =>
        ({
          title: `D01 ${name} twice, ${how as string}`,
          present: (broker) => {
            const form: Record<string, string> = {
              grant_type: TOKEN_EXCHANGE_GRANT,
              subject_token: broker.token(),
              subject_token_type: JWT_TYPE,
            }
            const value = form[name] ?? 'payments.read'
            return { form: { ...form, [name]: (repeat as (value: string) => string[])(value) } }
          },
          verdict: REPEATED,
        }) satisfies Attack,
    ),
  ),
  byForm(
    'D01 audience and resource may repeat',
    { audience: [PAYMENTS, PAYMENTS], resource: [`${PAYMENTS}/v1`, `${PAYMENTS}/v1`] },
    addressed(PAYMENTS),
  ),
  ...['subject_token', 'scope', 'x', 'access_token', ''].map(
    (name) =>
      ({
        title: `D02 ${name || 'a nameless parameter'} in the query`,
        present: (broker) => {
          const subject_token = broker.token()
          return { form: { subject_token }, query: { [name]: subject_token } }
        },
        verdict: refused('parameters_in_query'),
      }) satisfies Attack,
  ),
  {
    title: 'D02 everything in the query, and an empty body',
    present: (broker) => {
      const form = exchangeForm({ subject_token: broker.token() })
      return { query: Object.fromEntries(new URLSearchParams(form)), secrets: [form] }
    },
    verdict: refused('parameters_in_query'),
  },
  byForm(
    'D03 parameters that nobody knows',
    { foo: 'bar', options: '{"userProject":"x"}', '': 'x' },
    granted(),
  ),
  byForm(
    'D03 parameters that look like ours, and are not',
    {
      actor: 'admin',
      scopes: 'payments.write',
      Scope: 'payments.write',
      'scope ': 'payments.write',
      'scope[]': 'payments.write',
      aud: LEDGER,
      sub: 'admin',
      lifetime: '86400',
      may_act: '{}',
      act: '{"sub":"x"}',
    },
    granted(({ claims }) => {
      expect(claims).toMatchObject({ scope: 'payments.read', aud: PAYMENTS })
      expect(claims).not.toHaveProperty('act')
    }),
  ),
  ...[
    'scope',
    'audience',
    'resource',
    'requested_token_type',
    'actor_token',
    'client_id',
    'client_secret',
  ].map((name) => byForm(`D04 an empty ${name} counts as left out`, { [name]: '' }, granted())),
  ...['grant_type', 'subject_token', 'subject_token_type'].flatMap((name) => [
    byForm(`D04 an empty ${name}`, { [name]: '' }, refused('parameter_missing')),
    byForm(`D04 no ${name}`, { [name]: undefined }, refused('parameter_missing')),
  ]),
]

const scopes: readonly Attack[] = [
  ...[
    ' ',
    'payments.read  payments.write',
    ' payments.read',
    'payments.read ',
    'payments.read\tpayments.write',
    'payments.read\n',
    'payments.read\r\nx',
    'a"b',
    'a\\b',
    'payménts',
    '\u007f',
    'a\u0001b',
    'a\u00a0b',
    'pay\u200bments.read',
    '🔑',
  ].map((scope) => byForm(`D05 scope ${JSON.stringify(scope)}`, { scope }, SCOPE_MALFORMED)),
  byForm('D05 65 scopes', { scope: names(65) }, SCOPE_MALFORMED),
  byForm('D05 10,000 scopes', { scope: names(10_000) }, SCOPE_MALFORMED),
  byForm(
    'D05 one scope 65 times is one',
    { scope: 'payments.read '.repeat(65).trim() },
    scoped('payments.read'),
  ),
  ...[
    'admin',
    'payments.read admin',
    'payments.*',
    '*',
    'PAYMENTS.READ',
    'payments',
    'payments.read.all',
    'payments.read,payments.write',
    'openid',
  ].map((scope) => byForm(`D06 scope ${scope}, which the grant does not allow`, { scope }, SCOPE_WIDER)),
  ...[
    ['payments.read', 'payments.write'],
    ['payments.read', 'payments.read payments.write'],
    ['', 'payments.read'],
    [undefined, 'payments.read'],
    ['other', 'payments.read'],
    ['payments.read-only', 'payments.read'],
  ].map(([parent, scope = '']) =>
    onward(
      `D06 scope ${scope} of a parent that has ${parent ?? 'no such claim'}`,
      parent,
      scope,
      SCOPE_WIDER,
    ),
  ),
  onward('D06 the scope that the parent has', 'payments.read', 'payments.read', scoped('payments.read')),
  onward(
    'D06 one of the scopes that the parent has',
    'payments.read payments.write',
    'payments.write',
    scoped('payments.write'),
  ),
  onward(
    'D06 a parent without scopes passes none on',
    undefined,
    undefined,
    granted(({ claims, body }) => {
      expect(claims).not.toHaveProperty('scope')
      expect(body).not.toHaveProperty('scope')
    }),
  ),
  byToken(
    "D06 the scopes of somebody else's token are not ours",
    (broker) => broker.token('ci', { scope: 'admin', scp: ['payments.write'] }),
    scoped('payments.read'),
  ),
  byForm('D07 no scope means the default', {}, scoped('payments.read')),
  onward(
    'D07 no scope means the default as far as the parent has it',
    'payments.write',
    undefined,
    granted(({ claims }) => expect(claims).not.toHaveProperty('scope')),
  ),
]

function names(count: number): string {
  return Array.from({ length: count }, (_, at) => `s${at}`).join(' ')
}

function onward(
  title: string,
  parent: string | undefined,
  scope: string | undefined,
  verdict: Verdict,
): Attack {
  return {
    title,
    present: async (broker) => ({
      form: { subject_token: await broker.ownToken({ scope: parent }), audience: RECEIPTS, scope },
    }),
    verdict,
  }
}

const SAME = `${PAYMENTS}/v1`
const targets: readonly Attack[] = [
  ...[
    '/v1',
    'v1',
    '//payments.example.com/v1',
    `${SAME}#`,
    `${SAME}#x`,
    '#',
    'https://',
    'https:',
    'http:// x',
    `${PAYMENTS}/ v1`,
    'https://payménts.example.com/v1',
    'https://[::1/v1',
    `${SAME}"`,
    `${SAME}\\`,
    `${SAME}\n`,
    ' ',
    '1https://payments.example.com',
  ].map((resource) =>
    byForm(
      `D08 resource ${JSON.stringify(resource)}`,
      { audience: undefined, resource },
      target('resource_malformed'),
    ),
  ),
  ...[
    'javascript:alert(1)',
    'urn:x:y',
    'file:///etc/passwd',
    'http://169.254.169.254/',
    'https://user:pass@payments.example.com/v1',
    `${PAYMENTS}/${'x'.repeat(2048)}`,
    'data:,x',
    'https://xn--paymnts-cya.example.com/v1',
  ].map((resource) =>
    byForm(
      `D08 resource ${resource.slice(0, 50)}, which no target has`,
      { audience: undefined, resource },
      target('resource_not_in_policy'),
    ),
  ),
  byForm(
    'D08 a resource by its exact URI is in order',
    { audience: undefined, resource: SAME },
    addressed(PAYMENTS),
  ),
  ...[
    'https://unknown.example.com',
    'payments',
    'payments-api',
    '*',
    'arn:aws:iam::111122223333:role/admin',
    'https://tokens.example.com',
    'https://broker.example.com',
    'https://ci.example.com',
    '__proto__',
    'constructor',
    '🔑',
  ].map((audience) => byForm(`D09 audience ${audience}`, { audience }, target('audience_not_in_policy'))),
  byForm(
    'D10 an audience beside a default target is not ignored',
    { audience: 'https://other.example.com' },
    target('audience_not_in_policy'),
  ),
  byForm('D10 no audience, and a default target', { audience: undefined }, addressed(PAYMENTS)),
  {
    title: 'D10 no audience, and no default target',
    present: (b) => ({ form: { subject_token: b.token('pod'), audience: undefined } }),
    verdict: target('target_missing'),
  },
  byForm(
    'D11 a known audience and an unknown resource',
    { resource: 'https://unknown.example.com/v1' },
    target('resource_not_in_policy'),
  ),
  byForm(
    'D11 an unknown audience and a known resource',
    { audience: 'https://unknown.example.com', resource: SAME },
    target('audience_not_in_policy'),
  ),
  byForm(
    'D11 a known audience and an unknown one',
    { audience: [PAYMENTS, 'https://unknown.example.com'] },
    target('audience_not_in_policy'),
  ),
  byForm('D11 two targets by audience', { audience: [PAYMENTS, LEDGER] }, target('two_targets')),
  byForm(
    'D11 two targets by resource',
    { audience: undefined, resource: [SAME, `${LEDGER}/v1`] },
    target('two_targets'),
  ),
  byForm(
    'D11 a target by audience and another by resource',
    { resource: `${LEDGER}/v1` },
    target('two_targets'),
  ),
  byForm(
    'D11 nine names',
    { audience: Array.from({ length: 9 }, () => PAYMENTS) },
    target('too_many_targets'),
  ),
  byForm('D11 one target by both names is in order', { resource: SAME }, addressed(PAYMENTS)),
  ...[
    `${PAYMENTS}/`,
    `${PAYMENTS}.`,
    `${PAYMENTS}:443`,
    PAYMENTS.toUpperCase(),
    PAYMENTS.slice(0, -1),
    `${PAYMENTS}x`,
    ` ${PAYMENTS}`,
    `${PAYMENTS} `,
    PAYMENTS.replace('https', 'http'),
    `${PAYMENTS}?`,
    `${PAYMENTS}#`,
    SAME,
    PAYMENTS.replace('a', '%61'),
    `${PAYMENTS},${LEDGER}`,
  ].map((audience) =>
    byForm(`D12 audience ${JSON.stringify(audience)}`, { audience }, target('audience_not_in_policy')),
  ),
  ...[
    `${SAME}/`,
    `${PAYMENTS}:443/v1`,
    `${PAYMENTS}/V1`,
    `${PAYMENTS}/v1/../v1`,
    `${PAYMENTS}/%761`,
    `${SAME}?`,
    PAYMENTS,
  ].map((resource) =>
    byForm(`D12 resource ${resource}`, { audience: undefined, resource }, target('resource_not_in_policy')),
  ),
  ...[PAYMENTS, LEDGER].map((audience) =>
    byForm(`D13 the token for ${audience} says so, and nothing else`, { audience }, addressed(audience)),
  ),
]

const URN = 'urn:ietf:params:oauth:token-type:'
const tokenTypes: readonly Attack[] = [
  ...['refresh_token', 'id_token', 'saml1', 'saml2', 'unknown', 'ACCESS_TOKEN', 'access_token ', ''].map(
    (type) =>
      byForm(
        `D14 requested type ${JSON.stringify(URN + type)}`,
        { requested_token_type: URN + type },
        refused('requested_token_type_not_supported'),
      ),
  ),
  ...[
    'access_token',
    'jwt',
    'urn:token-broker:token-type:aws-credentials',
    'urn:ietf:params:oauth:token-type:id-jag',
    '*',
  ].map((type) =>
    byForm(
      `D14 requested type ${type}`,
      { requested_token_type: type },
      refused('requested_token_type_not_supported'),
    ),
  ),
  ...['access_token', 'jwt'].map((type) =>
    byForm(
      `D14 requested type ${URN}${type} is in order`,
      { requested_token_type: URN + type },
      granted(({ body }) =>
        expect(body).toMatchObject({ issued_token_type: URN + type, token_type: 'Bearer' }),
      ),
    ),
  ),
  ...['refresh_token', 'saml2', 'saml1', 'unknown', 'JWT', 'jwt ', ''].map((type) =>
    byForm(
      `D15 subject type ${JSON.stringify(URN + type)}`,
      { subject_token_type: URN + type },
      refused('subject_token_type_not_supported'),
    ),
  ),
  byForm(
    'D15 a refresh token that calls itself an access token',
    { subject_token: 'v1.MRrSmCrwrFMBCD8dwDzJ', subject_token_type: `${URN}access_token` },
    refused('token_malformed'),
  ),
  ...[
    TOKEN_EXCHANGE_GRANT.toUpperCase(),
    TOKEN_EXCHANGE_GRANT.replace('urn', 'URN'),
    ` ${TOKEN_EXCHANGE_GRANT}`,
    `${TOKEN_EXCHANGE_GRANT} `,
    `${TOKEN_EXCHANGE_GRANT}\n`,
    encodeURIComponent(TOKEN_EXCHANGE_GRANT),
    'token-exchange',
    'client_credentials',
    'refresh_token',
    'authorization_code',
    'urn:ietf:params:oauth:grant-type:jwt-bearer',
    'urn:ietf:params:oauth:grant-type:token-exchange:x',
  ].map((grant_type) => byForm(`D16 grant type ${JSON.stringify(grant_type)}`, { grant_type }, GRANT_TYPE)),
  {
    title: 'D16 a grant type whose colons are encoded, once, is in order',
    present: (b) => {
      const subject_token = b.token()
      const rest = exchangeForm({ subject_token, grant_type: undefined })
      return {
        body: `grant_type=${encodeURIComponent(TOKEN_EXCHANGE_GRANT)}&${rest}`,
        secrets: [subject_token],
      }
    },
    verdict: granted(),
  },
]

const clients: readonly Attack[] = [
  {
    title: 'D17 a client_id beside another client in the header',
    present: (b) => ({
      form: { subject_token: b.token(), client_id: 'one' },
      headers: { Authorization: `Basic ${Buffer.from('other:hunter2-hunter2').toString('base64')}` },
    }),
    verdict: NOT_AUTHENTICATED,
  },
  byForm(
    'D17 a secret that nobody checked',
    { client_id: 'one', client_secret: 'hunter2-hunter2' },
    NOT_AUTHENTICATED,
  ),
  byForm(
    'D17 an assertion that nobody checked',
    {
      client_assertion: 'aaaaaaaa.bbbbbbbb.cccccccc',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    },
    NOT_AUTHENTICATED,
  ),
  byForm('D17 the type of an assertion alone', { client_assertion_type: 'x' }, NOT_AUTHENTICATED),
  {
    title: 'D18 an issuer that no grant for this target names',
    present: (b) => ({ form: { subject_token: b.token('pod'), audience: LEDGER } }),
    verdict: refused('no_grant_matches'),
  },
  byToken('D18 an issuer that no grant names at all', (b) => b.token(), refused('no_grant_matches'), {
    broker: { policy: { ...POLICY, grants: { onward: POLICY.grants.onward } } },
  }),
  byToken(
    'D18 two grants that allow it: which one is meant cannot be told',
    (b) => b.token(),
    refused('several_grants_match'),
    {
      broker: { policy: { ...POLICY, grants: { ...POLICY.grants, twin: grant('ci', 'payments') } } },
    },
  ),
  {
    title: 'D18 a token of ours for a target whose holders may not pass it on',
    present: async (b) => ({
      form: { subject_token: await b.ownToken({ aud: LEDGER }), audience: RECEIPTS },
    }),
    verdict: refused('no_grant_matches'),
  },
]

describeAttacks('parameters', parameters)
describeAttacks('scopes', scopes)
describeAttacks('targets', targets)
describeAttacks('types of token and grant', tokenTypes)
describeAttacks('clients and grants', clients)
