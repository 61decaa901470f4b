import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { LIMITS } from '../../functions/core/limits.ts'
import { httpHandler } from '../../functions/http/rim.ts'
import { serveDocuments } from '../../functions/jwks/serve-documents.ts'
import { HttpApi } from '../../lib/local/http-api.ts'
import { readable, resources, synthesize } from '../infrastructure/synthesize.ts'
import { printedBy } from '../support/printed.ts'
import {
  type Attack,
  describeAttacks,
  expectVerdict,
  freezeTime,
  granted,
  type Presented,
  refused,
} from './attack.ts'
import { AttackedBroker, BROKER_ISSUER, exchangeForm, NOW, PAYMENTS } from './broker.ts'
import { tokenEvent } from './proxy-event.ts'

const MEDIA_TYPE = refused('media_type_not_supported', 'invalid_request', 415)
const MALFORMED = refused('body_malformed')
const TOO_LARGE = refused('body_too_large', 'invalid_request', 413)
const NOT_AUTHENTICATED = refused('client_authentication_failed', 'invalid_client', 401)
const NO_PROOF = refused('dpop_proof_not_acceptable', 'invalid_dpop_proof')

/** A good request, sent in another way. */
const sent = (title: string, how: (body: string) => Partial<Presented>, verdict = MEDIA_TYPE): Attack => ({
  title,
  present: (broker) => {
    const subject_token = broker.token()
    const body = exchangeForm({ subject_token })
    return { body, secrets: [subject_token], ...how(body) }
  },
  verdict,
})

const FORM = 'application/x-www-form-urlencoded'
const mediaTypes: readonly Attack[] = [
  ...[
    'application/json',
    'text/plain',
    'multipart/form-data; boundary=x',
    'multipart/form-data',
    '',
    `${FORM}; charset=utf-16`,
    `${FORM}; charset=iso-8859-1`,
    `${FORM};charset=utf-7`,
    `${FORM}; charset=utf-8; x=y`,
    `${FORM}, application/json`,
    `application/json, ${FORM}`,
    `${FORM}2`,
    `x${FORM}`,
    '*/*',
    `${FORM}; boundary=x`,
  ].map((type) =>
    sent(`E01 content type ${JSON.stringify(type)}`, () => ({ headers: { 'Content-Type': type } })),
  ),
  sent('E01 no content type', () => ({ headers: { 'Content-Type': [] } })),
  sent('E01 two content types', () => ({ headers: { 'Content-Type': [FORM, 'application/json'] } })),
  sent('E01 one content type twice', () => ({ headers: { 'Content-Type': [FORM, FORM] } })),
  {
    title: 'E01 the parameters in JSON',
    present: (b) => {
      const subject_token = b.token()
      return {
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(Object.fromEntries(new URLSearchParams(exchangeForm({ subject_token })))),
        secrets: [subject_token],
      }
    },
    verdict: MEDIA_TYPE,
  },
  ...[
    `${FORM}; charset=utf-8`,
    `${FORM};charset=UTF-8`,
    `${FORM}; charset="utf-8"`,
    FORM.toUpperCase(),
    ` ${FORM} `,
  ].map((type) =>
    sent(
      `E01 content type ${JSON.stringify(type)} is in order`,
      () => ({ headers: { 'Content-Type': type } }),
      granted(),
    ),
  ),
  ...['gzip', 'deflate', 'br', 'zstd', 'GZIP', 'identity, gzip', 'x-gzip', '', 'compress'].map((encoding) =>
    sent(`E05 content encoding ${JSON.stringify(encoding)}`, () => ({
      headers: { 'Content-Encoding': encoding },
    })),
  ),
  sent('E05 a gzip bomb', () => ({
    headers: { 'Content-Encoding': 'gzip' },
    body: gzipBomb().toString('base64'),
    isBase64Encoded: true,
  })),
  sent('E05 two content encodings', () => ({ headers: { 'Content-Encoding': ['identity', 'gzip'] } })),
  sent(
    'E05 no content encoding, said in words, is in order',
    () => ({ headers: { 'Content-Encoding': 'identity' } }),
    granted(),
  ),
  ...['text/html', 'application/xml', '*/*;q=0', 'x', '', 'application/token-introspection+jwt'].map(
    (accept) =>
      sent(
        `E16 Accept ${JSON.stringify(accept)} gets JSON`,
        () => ({ headers: { Accept: accept } }),
        granted(),
      ),
  ),
]

/** A gzip stream of ten million zeros: 10 kB. */
function gzipBomb(): Buffer {
  return gzipSync(Buffer.alloc(10_000_000))
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const bodies: readonly Attack[] = [
  sent(
    'E02 a body in base64, and the flag, is in order',
    (body) => ({ body: base64(body), isBase64Encoded: true }),
    granted(),
  ),
  sent('E02 the flag, and a body that is not in base64', () => ({ isBase64Encoded: true }), MALFORMED),
  sent(
    'E02 a body in base64 without the flag',
    (body) => ({ body: base64(body) }),
    refused('parameter_missing'),
  ),
  sent(
    'E02 base64 twice',
    (body) => ({ body: base64(base64(body)), isBase64Encoded: true }),
    refused('parameter_missing'),
  ),
  ...[
    [
      'without its padding',
      (text: string) =>
        base64(`${text}&a`.padEnd(text.length + (text.length % 3 === 2 ? 3 : 2), 'a')).replace(/=+$/, ''),
    ],
    ['with padding too much', (text: string) => `${base64(text)}====`],
    ['with a line end', (text: string) => `${base64(text).slice(0, 76)}\n${base64(text).slice(76)}`],
    ['with a space', (text: string) => `${base64(text)} `],
    ['in the alphabet of URLs', () => base64('grant_type=>>>???').replaceAll('+', '-').replaceAll('/', '_')],
    ['with padding in the middle', (text: string) => `${base64('a=b&')}==${base64(text)}`],
    ['with a NUL', (text: string) => `${base64(text)}\0\0\0\0`],
  ].map(([name, encode]) =>
    sent(
      `E02 base64 ${name as string}`,
      (body) => ({ body: (encode as (text: string) => string)(body), isBase64Encoded: true }),
      MALFORMED,
    ),
  ),
  ...[
    '%ff',
    '%zz',
    '%',
    '%4',
    '%00',
    '%c0%af',
    '%c0%80',
    '%ed%a0%80',
    '%f5%80%80%80',
    '%e2%82',
    '%C3',
    '%u0041',
    '%80',
    '%fe%ff',
  ].flatMap((bad) => [
    sent(`E03 ${bad} in a value`, (body) => ({ body: `${body}&x=${bad}` }), MALFORMED),
    sent(`E03 ${bad} in a name`, (body) => ({ body: `${body}&${bad}=x` }), MALFORMED),
  ]),
  sent(
    'E03 bytes that are no UTF-8',
    (body) => ({
      body: Buffer.concat([Buffer.from(`${body}&x=`), Buffer.from([0xff])]).toString('base64'),
      isBase64Encoded: true,
    }),
    MALFORMED,
  ),
  sent('E03 a NUL as it is', (body) => ({ body: `${body}&x=\0` }), MALFORMED),
  sent(
    'E03 a byte order mark before the first name',
    (body) => ({ body: `\ufeff${body}` }),
    refused('parameter_missing'),
  ),
  sent(
    'E03 semicolons between parameters',
    (body) => ({ body: body.replaceAll('&', ';') }),
    refused('grant_type_not_supported', 'unsupported_grant_type'),
  ),
  sent(
    'E03 line ends between parameters',
    (body) => ({ body: body.replaceAll('&', '\r\n') }),
    refused('grant_type_not_supported', 'unsupported_grant_type'),
  ),
  ...['+', '%20'].map((space) =>
    sent(
      `E03 ${space} for a space is in order`,
      (body) => ({ body: `${body}&scope=payments.read${space}payments.write` }),
      granted(({ claims }) => expect(claims['scope']).toBe('payments.read payments.write')),
    ),
  ),
  sent(
    'E03 %2B is no space',
    (body) => ({ body: `${body}&scope=payments.read%2Bpayments.write` }),
    refused('scope_not_allowed', 'invalid_scope'),
  ),
  ...[64 * 1024 + 1, 10_000_000].flatMap((bytes) => [
    sent(`E04 a body of ${bytes} bytes`, (body) => ({ body: `${body}&x=`.padEnd(bytes, 'x') }), TOO_LARGE),
    sent(
      `E04 a body of ${bytes} bytes in base64`,
      (body) => ({ body: base64(`${body}&x=`.padEnd(bytes, 'x')), isBase64Encoded: true }),
      TOO_LARGE,
    ),
  ]),
  sent(
    'E04 a body of fewer characters, but more bytes',
    (body) => ({ body: `${body}&x=${'é'.repeat(33_000)}` }),
    TOO_LARGE,
  ),
  sent(
    'E04 a body of 64 KiB is in order',
    (body) => ({ body: `${body}&x=`.padEnd(64 * 1024, 'x') }),
    granted(),
  ),
  sent('E15 65 parameters', (body) => ({ body: `${body}${parameters(61)}` }), refused('too_many_parameters')),
  sent('E15 64 parameters are in order', (body) => ({ body: `${body}${parameters(60)}` }), granted()),
  sent(
    'E15 a thousand separators and nothing between them',
    (body) => ({ body: `${body}${'&'.repeat(1000)}` }),
    refused('too_many_parameters'),
  ),
  sent('E15 100,000 parameters', (body) => ({ body: `${body}${'&a='.repeat(100_000)}` }), TOO_LARGE),
  { title: 'E15 no body', present: () => ({ body: null }), verdict: refused('parameter_missing') },
]

function parameters(count: number): string {
  return Array.from({ length: count }, (_, at) => `&p${at}=x`).join('')
}

const SECRET = 'c2VjcmV0LXNlY3JldC1zZWNyZXQ='
const headers: readonly Attack[] = [
  ...[
    `Basic ${SECRET}`,
    `Basic ${SECRET}, Bearer ${SECRET}`,
    `Bearer ${SECRET}`,
    `DPoP ${SECRET}`,
    'Basic',
    '',
    ',',
    `basic ${SECRET}`,
  ].map((value) =>
    sent(
      `E06 Authorization ${JSON.stringify(value.replace(SECRET, '…'))}`,
      () => ({ headers: { Authorization: value } }),
      NOT_AUTHENTICATED,
    ),
  ),
  sent(
    'E06 two Authorization headers',
    () => ({ headers: { Authorization: [`Basic ${SECRET}`, `Bearer ${SECRET}`] } }),
    NOT_AUTHENTICATED,
  ),
  sent(
    'E06 one DPoP proof that is none',
    () => ({ headers: { DPoP: 'aaaaaaaa.bbbbbbbb.cccccccc' } }),
    NO_PROOF,
  ),
  sent(
    'E06 two DPoP proofs',
    () => ({ headers: { DPoP: ['aaaaaaaa.bbbbbbbb.cccccccc', 'dddddddd.eeeeeeee.ffffffff'] } }),
    NO_PROOF,
  ),
  sent(
    'E06 two DPoP proofs in one header',
    () => ({ headers: { DPOP: 'aaaaaaaa.bbbbbbbb.cccccccc, dddddddd.eeeeeeee.ffffffff' } }),
    NO_PROOF,
  ),
  sent(
    'E06 two idempotency keys',
    () => ({ headers: { 'Idempotency-Key': ['0123456789abcdef', 'fedcba9876543210'] } }),
    refused('idempotency_key_malformed'),
  ),
  ...['x'.repeat(15), 'x'.repeat(65), '0123456789abcde f', '0123456789abcdef\n', '0123456789abcdeé', ''].map(
    (key) =>
      sent(
        `E06 idempotency key ${JSON.stringify(key).slice(0, 30)}`,
        () => ({ headers: { 'Idempotency-Key': key } }),
        refused('idempotency_key_malformed'),
      ),
  ),
  ...Object.entries({
    'x-amzn-mtls-clientcert': '-----BEGIN CERTIFICATE-----',
    'x-amzn-mtls-clientcert-subject': 'CN=admin',
    'x-ssl-client-cert': '-----BEGIN CERTIFICATE-----',
    'x-ssl-client-verify': 'SUCCESS',
    'x-forwarded-client-cert': 'Hash=aa;Subject="CN=admin"',
    'x-client-cert': 'MIIB',
    'x-forwarded-host': 'evil.example.net',
    'x-forwarded-proto': 'http',
    'x-forwarded-for': '127.0.0.1',
    'x-original-url': '/admin/revocations',
    'x-rewrite-url': '/admin/revocations',
    'x-amzn-oidc-identity': 'admin',
    'x-amzn-oidc-data': 'eyJhbGciOiJub25lIn0..',
    'x-http-method-override': 'GET',
    'x-method-override': 'GET',
    forwarded: 'host=evil.example.net;proto=http',
    host: 'evil.example.net',
  }).map(([name, value]) =>
    sent(
      `E07 a forged ${name}`,
      () => ({ headers: { [name]: value } }),
      granted(({ claims }) => {
        expect(claims).toMatchObject({ iss: BROKER_ISSUER, aud: PAYMENTS, client_id: claims['sub'] })
        expect(claims).not.toHaveProperty('cnf')
      }),
    ),
  ),
  ...['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'CONNECT', 'HEAD', 'post', 'POST ', ''].map(
    (method) =>
      sent(
        `E09 method ${JSON.stringify(method)}`,
        () => ({ method }),
        refused('method_not_allowed', 'invalid_request', 405),
      ),
  ),
  sent(
    'E09 a method in the form is a parameter that nobody knows',
    (body) => ({ body: `${body}&_method=DELETE` }),
    granted(),
  ),
]

describeAttacks('media types and encodings', mediaTypes)
describeAttacks('bodies', bodies)
describeAttacks('headers and methods', headers)

const CRLF = 'x\r\nset-cookie: a=b'
const { service } = synthesize()
const { service: withDomain } = synthesize({
  domain: {
    name: 'broker.example.com',
    certificateArn: 'arn:aws:acm:eu-west-1:111122223333:certificate/abc-123',
  },
})

function only(type: string, template = service): Record<string, unknown> {
  const found = Object.values(resources(template, type))
  expect(found).toHaveLength(1)
  return readable(found[0]?.Properties) as Record<string, unknown>
}

describe('answers', () => {
  freezeTime()

  it('E09 405 names the one method that there is', async () => {
    const broker = new AttackedBroker()
    const verdict = refused('method_not_allowed', 'invalid_request', 405)
    const { headers: answered } = await expectVerdict(broker, { method: 'GET' }, verdict)
    expect(answered['allow']).toBe('POST')
  })

  it('E10 nothing that is sent comes back in a header', async () => {
    const broker = new AttackedBroker()
    const event = tokenEvent(
      { headers: { traceparent: CRLF, 'Idempotency-Key': CRLF, Origin: CRLF, 'x-correlation-id': CRLF } },
      CRLF,
    )
    const forged = {
      ...event,
      body: exchangeForm({ subject_token: broker.token(), audience: CRLF, scope: CRLF, [CRLF]: CRLF }),
    }
    const { result } = await printedBy(() => broker.handler(forged, {}))
    for (const [name, value] of Object.entries(result.headers))
      expect(`${name}: ${value}`).not.toMatch(/[\r\n]|cookie/)
    expect(result.body).not.toContain('cookie')
  })

  it('E11 a browser of another origin is told nothing', async () => {
    const broker = new AttackedBroker()
    const origin = { Origin: 'https://evil.example.net', 'Access-Control-Request-Method': 'POST' }
    const preflight = refused('method_not_allowed', 'invalid_request', 405)
    const answers = [
      await expectVerdict(broker, { method: 'OPTIONS', headers: origin }, preflight),
      await expectVerdict(broker, { form: { subject_token: broker.token() }, headers: origin }, granted()),
    ]
    for (const { headers: answered } of answers)
      expect(Object.keys(answered).filter((name) => name.startsWith('access-control'))).toEqual([])
    expect(only('AWS::ApiGatewayV2::Api')).not.toHaveProperty('CorsConfiguration')
  })

  it('E11 E17 only public documents may be read from anywhere, and kept', async () => {
    const broker = new AttackedBroker()
    const manifests = async () => ({
      inKms: [await broker.manifests.read('RS256'), await broker.manifests.read('ES256')],
      delegated: undefined,
    })
    const quiet = { measure: () => undefined, refused: () => undefined, failed: () => undefined }
    const documents = httpHandler(serveDocuments({ issuer: BROKER_ISSUER, manifests }), quiet)
    const answer = await documents(tokenEvent({ method: 'GET', path: '/.well-known/jwks.json' }, 'x'), {})
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'cache-control': expect.stringMatching(/^public, max-age=300,/),
    })
    const health = await documents(tokenEvent({ method: 'GET', path: '/health' }, 'x'), {})
    expect(health.headers['cache-control']).toBe('no-store')
  })

  for (const method of ['GET', 'HEAD', 'POST'])
    it(`E17 no cache may keep what ${method} /token answers`, async () => {
      const broker = new AttackedBroker()
      const event = tokenEvent({ method, body: exchangeForm({ subject_token: broker.token() }) }, 'x')
      const { result } = await printedBy(() => broker.handler(event, {}))
      expect(result.statusCode).toBe(method === 'POST' ? 200 : 405)
      expect(result.headers).toMatchObject({ 'cache-control': 'no-store', pragma: 'no-cache' })
      expect(result.headers).not.toHaveProperty('etag')
    })

  it('E13 the broker answers in time, however little time Lambda leaves', async () => {
    const broker = new AttackedBroker()
    Object.assign(broker.ledger, { record: () => new Promise(() => undefined) })
    const event = tokenEvent({ body: exchangeForm({ subject_token: broker.token() }) }, 'x')
    const { result } = await printedBy(() => broker.handler(event, { getRemainingTimeInMillis: () => 300 }))
    expect(result.statusCode).toBe(503)
    expect(result.body).not.toContain('access_token')
  })
})

describe('the template', () => {
  it('E08 closes the execute-api endpoint where there is a domain of its own', () => {
    expect(only('AWS::ApiGatewayV2::Api', withDomain)['DisableExecuteApiEndpoint']).toBe(true)
  })

  it('E13 gives a function more time than the broker takes, and the gateway more than the function', () => {
    const exchange = Object.entries(resources(service, 'AWS::Lambda::Function')).find(([id]) =>
      id.startsWith('ExchangeFunction'),
    )
    const timeoutMs = Number(exchange?.[1].Properties['Timeout']) * 1000
    expect(timeoutMs).toBeGreaterThan(LIMITS.deadlineMilliseconds)
    const GATEWAY_MS = 30_000
    for (const { Properties } of Object.values(resources(service, 'AWS::ApiGatewayV2::Integration')))
      expect(timeoutMs).toBeLessThan(Number(Properties['TimeoutInMillis'] ?? GATEWAY_MS))
  })

  it('E14 relies on no firewall that looks at the first bytes of a body', () => {
    const types = Object.values(service.toJSON()['Resources'] as Record<string, { Type: string }>).map(
      ({ Type }) => Type,
    )
    expect(types.filter((type) => type.startsWith('AWS::WAF'))).toEqual([])
    // The most that a web ACL inspects for API Gateway: were one put before the broker, nothing would hide behind it.
    expect(LIMITS.bodyBytes).toBeLessThanOrEqual(64 * 1024)
  })
})

/** The gateway of the local cloud, with the template's routes, before the function. */
describe('the front door', () => {
  let api: HttpApi
  let invoked: number
  let broker: AttackedBroker

  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: NOW * 1000 })
    broker = new AttackedBroker()
    invoked = 0
    const routes = Object.values(resources(service, 'AWS::ApiGatewayV2::Route')).map(({ Properties }) => ({
      routeKey: String(Properties['RouteKey']),
      functionName: 'exchange',
      timeoutMilliseconds: 30_000,
      authorization: 'NONE' as const,
    }))
    api = await HttpApi.listen({
      port: 0,
      account: '111111111111',
      clock: Date.now,
      authorize: () => undefined,
      invoke: async (_name, event) => {
        invoked++
        return (await printedBy(() => broker.handler(event, {}))).result
      },
    })
    api.serve({ id: 'api', routes })
  })
  afterEach(async () => {
    vi.useRealTimers()
    await api.close()
  })

  /** Sent as it is written: `fetch` would tidy the path. */
  async function post(path: string, headers: Record<string, string> = {}): Promise<number> {
    const body = exchangeForm({ subject_token: broker.token() })
    return new Promise((resolve, reject) => {
      const options = { method: 'POST', path, headers: { 'content-type': FORM, ...headers } }
      const request = httpRequest(api.url, options, (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      })
      request.on('error', reject)
      request.end(body)
    })
  }

  it('E12 the path itself is in order', async () => {
    expect(await post('/token')).toBe(200)
  })

  for (const path of [
    '/token/',
    '//token',
    '/Token',
    '/TOKEN',
    '/token%2f',
    '/%74oken',
    '/token;x',
    '/prod/token',
    '/$default/token',
    '/./token',
    '/x/../token',
    '/token/.',
    '/token\\',
    '/token%00',
    '/tokens',
    '/',
    '/oauth/token',
    '/health/../token',
  ])
    it(`E12 ${path} is not there`, async () => {
      expect([await post(path), invoked]).toEqual([404, 0])
    })

  it('E12 a query does not change the path, and is refused by the function', async () => {
    expect([await post('/token?x=1'), invoked]).toEqual([400, 1])
  })

  it('E04 headers of more than 10 kB never reach the function', async () => {
    expect([await post('/token', { 'x-long': 'x'.repeat(10_240) }), invoked]).toEqual([431, 0])
  })

  it('E13 a request that is never finished never reaches the function', async () => {
    const socket = connect(Number(new URL(api.url).port), '127.0.0.1')
    socket.write(
      `POST /token HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: ${FORM}\r\ncontent-length: 1000\r\n\r\ngrant_type=`,
    )
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(invoked).toBe(0)
    socket.destroy()
  })

  it('E06 repeated headers reach the function apart', async () => {
    const events: Record<string, unknown>[] = []
    const other = await HttpApi.listen({
      port: 0,
      account: '111111111111',
      clock: Date.now,
      authorize: () => undefined,
      invoke: async (_name, event) => {
        events.push(event as Record<string, unknown>)
        return { statusCode: 200, body: '' }
      },
    })
    other.serve({
      id: 'api',
      routes: [
        { routeKey: 'ANY /token', functionName: 'x', timeoutMilliseconds: 1000, authorization: 'NONE' },
      ],
    })
    await new Promise((resolve) => {
      httpRequest(`${other.url}/token`, { method: 'POST', headers: { DPoP: ['a', 'b'] } }, resolve).end()
    })
    expect(events[0]?.['multiValueHeaders']).toMatchObject({ DPoP: ['a', 'b'] })
    await other.close()
  })
})
