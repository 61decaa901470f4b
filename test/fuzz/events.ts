import fc from 'fast-check'
import { TOKEN_EXCHANGE_GRANT } from '../../functions/core/token-request.ts'
import { AttackedBroker, JWT_TYPE, LEDGER, PAYMENTS } from '../attacks/broker.ts'
import { tokenEvent } from '../attacks/proxy-event.ts'
import { hostileCompact } from './tokens.ts'

/** Made once: signing takes longer than all the rest. `pod`'s tokens may be used again and again. */
const maker = new AttackedBroker()
const GOOD_TOKENS = [maker.token('pod'), maker.token('many'), maker.token('ci'), maker.token('ec')]

/** Of actors whom policy names, and of others. */
const GOOD_ACTORS = [
  maker.token('pod', { sub: 'worker' }),
  maker.token('job', { sub: 'worker' }),
  maker.token('ec', { sub: 'worker' }),
  maker.token('many'),
]

const PARAMETERS = [
  'grant_type',
  'subject_token',
  'subject_token_type',
  'audience',
  'resource',
  'scope',
  'requested_token_type',
  'actor_token',
  'actor_token_type',
  'client_id',
  'client_secret',
  'client_assertion',
  'unknown',
  '__proto__',
  '',
]
const HEADERS = [
  'Content-Type',
  'content-type',
  'Content-Encoding',
  'Authorization',
  'DPoP',
  'Idempotency-Key',
  'traceparent',
  'Cookie',
  'X-Forwarded-Host',
  'Accept',
  '__proto__',
]
const MEDIA = 'application/x-www-form-urlencoded'

const pair = (secret: string) =>
  fc.tuple(
    fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom(...PARAMETERS) },
      { weight: 1, arbitrary: fc.constant(secret) },
    ),
    fc.oneof(
      fc.constantFrom(
        '',
        secret,
        `x${secret}`,
        TOKEN_EXCHANGE_GRANT,
        JWT_TYPE,
        PAYMENTS,
        LEDGER,
        'payments.read',
      ),
      fc.string({ maxLength: 12 }),
    ),
  )

/** A form that is good but for what is added, dropped or repeated. */
const form = (secret: string): fc.Arbitrary<string> =>
  fc
    .record({
      token: fc.oneof(
        { weight: 4, arbitrary: fc.constantFrom(...GOOD_TOKENS) },
        { weight: 2, arbitrary: hostileCompact },
        {
          weight: 2,
          arbitrary: fc
            .constantFrom(...GOOD_TOKENS)
            .map((token) => `${token.slice(0, -24)}${secret.slice(0, 24)}`),
        },
        { weight: 1, arbitrary: fc.constant(secret) },
      ),
      actor: fc.option(
        fc.oneof(
          { weight: 3, arbitrary: fc.constantFrom(...GOOD_ACTORS) },
          { weight: 1, arbitrary: hostileCompact },
          { weight: 1, arbitrary: fc.constant(secret) },
        ),
        { freq: 3 },
      ),
      dropped: fc.subarray(['grant_type', 'subject_token_type', 'audience'], { maxLength: 1 }),
      added: fc.array(pair(secret), { maxLength: 3 }),
      raw: fc.constantFrom('', '', '', '&', '%', '&%zz=1', `&${secret}`, '&=&='),
    })
    .map(({ token, actor, dropped, added, raw }) => {
      const base = {
        grant_type: TOKEN_EXCHANGE_GRANT,
        subject_token: token,
        subject_token_type: JWT_TYPE,
        audience: LEDGER,
        ...(actor !== null && { actor_token: actor, actor_token_type: JWT_TYPE }),
      }
      const kept = Object.entries(base).filter(([name]) => !dropped.includes(name))
      return new URLSearchParams([...kept, ...added]).toString() + raw
    })

/** A request near to a good one. `secret` stands in all places in which somebody could have put one. */
export const requestWith = (secret: string): fc.Arbitrary<Record<string, unknown>> =>
  fc
    .record({
      body: form(secret),
      method: fc.constantFrom('POST', 'POST', 'POST', 'POST', 'GET', secret),
      headers: fc.dictionary(
        fc.constantFrom(...HEADERS, secret),
        fc.constantFrom(MEDIA, `Bearer ${secret}`, secret, '', 'gzip'),
        { maxKeys: 1, noNullPrototype: true },
      ),
      query: fc.constantFrom(undefined, undefined, undefined, undefined, { [secret]: secret }),
      path: fc.constantFrom('/token', `/token/${secret}`),
      encoded: fc.constantFrom('no', 'no', 'yes', 'lie'),
    })
    .map(({ body, encoded, method, headers, query, path }) =>
      tokenEvent(
        {
          method,
          path,
          headers,
          body: encoded === 'yes' ? Buffer.from(body).toString('base64') : body,
          isBase64Encoded: encoded !== 'no',
          ...(query && { query }),
        },
        'request-1',
      ),
    )

/** Any event: such a request with anything in the place of one or two of its parts, or anything at all. */
export const anyEvent: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 3, arbitrary: requestWith('secret-secret-secret-secret') },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        requestWith('secret-secret-secret-secret'),
        fc.dictionary(
          fc.constantFrom(
            'httpMethod',
            'path',
            'headers',
            'multiValueHeaders',
            'body',
            'isBase64Encoded',
            'requestContext',
            'queryStringParameters',
            'multiValueQueryStringParameters',
            'version',
          ),
          fc.anything(),
          { minKeys: 1, maxKeys: 2, noNullPrototype: true },
        ),
      )
      .map(([event, changes]) => ({ ...event, ...changes })),
  },
  {
    weight: 1,
    arbitrary: fc.anything({
      maxDepth: 3,
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withSparseArray: true,
    }),
  },
)

/** Events that have no form at all, or too much of one. Tried first, in every run. */
export const NASTY_EVENTS: readonly unknown[] = [
  undefined,
  null,
  0,
  '',
  [],
  {},
  Object.create(null),
  { httpMethod: 'POST' },
  { httpMethod: 'POST', body: 5, headers: [], multiValueHeaders: 'x' },
  { httpMethod: 'POST', multiValueHeaders: { 'content-type': [MEDIA] }, body: '%' },
  { httpMethod: 'POST', multiValueHeaders: { 'content-type': [5, null, {}] }, body: '' },
  {
    httpMethod: 'POST',
    multiValueHeaders: { 'content-type': [MEDIA] },
    body: '='.repeat(65_536),
    isBase64Encoded: true,
  },
  { httpMethod: 'POST', multiValueHeaders: { 'content-type': [MEDIA] }, body: '&'.repeat(65_536) },
  { httpMethod: 'POST', multiValueHeaders: { 'content-type': [MEDIA] }, body: '%25'.repeat(20_000) },
  { httpMethod: 'POST', multiValueHeaders: { 'content-type': [MEDIA] }, body: 'é'.repeat(40_000) },
  { httpMethod: 'POST', multiValueHeaders: { 'content-type': [`${MEDIA};${' '.repeat(60_000)}`] }, body: '' },
  { httpMethod: 'POST', headers: { 'content-type': MEDIA }, body: `subject_token=${'.'.repeat(60_000)}` },
  { requestContext: { requestId: 'x'.repeat(100_000) } },
  { requestContext: null, headers: null, body: null, queryStringParameters: null },
]
