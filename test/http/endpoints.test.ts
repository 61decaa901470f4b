import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { DependencyUnavailable, SignedByRetiredKey } from '../../functions/core/fault.ts'
import type { PendingKey } from '../../functions/core/key-lifecycle.ts'
import { indexPolicy } from '../../functions/core/policy/decide.ts'
import { TOKEN_EXCHANGE_GRANT } from '../../functions/core/token-request.ts'
import { serveToken } from '../../functions/exchange/serve-token.ts'
import type { HttpAnswer } from '../../functions/http/answer.ts'
import { httpHandler } from '../../functions/http/rim.ts'
import { serveDocuments } from '../../functions/jwks/serve-documents.ts'
import { BROKER_ISSUER, createTestBroker, PAYMENTS, type TestBroker, testPolicy } from '../support/broker.ts'
import { MemoryKeys } from '../support/fakes.ts'

let broker: TestBroker
let measured: object[]
let faults: unknown[]
let refused: object[]
let failed: unknown[]

const telemetry = {
  measure: ({ outcome, fault }: { outcome: string; fault?: unknown }) => {
    measured.push({ outcome })
    faults.push(fault)
  },
  refused: (event: object) => void refused.push(event),
  repeated: () => undefined,
  failed: (fault: unknown) => void failed.push(fault),
}

beforeEach(async () => {
  broker = await createTestBroker()
  measured = []
  faults = []
  refused = []
  failed = []
})

function tokenHandler() {
  const world = {
    issuer: BROKER_ISSUER,
    policy: indexPolicy(testPolicy()),
    issuerKeys: broker.issuerKeys,
    clientKeys: broker.clientKeys,
    oneTime: broker.oneTime,
    ledger: broker.ledger,
    permits: broker.permits,
    revocations: broker.revocations,
    signer: broker.keys,
    references: broker.references,
    statuses: broker.statuses,
    statusIndices: broker.statusIndices,
    randomId: () => 'r'.repeat(22),
    randomSecret: () => 'r'.repeat(42).concat('A'),
  }
  return httpHandler(serveToken(world, telemetry), telemetry)
}

function documentHandler() {
  const keys = [...broker.keys.active.values()]
  const manifest = { ring: 'RS256' as const, version: 3, pending: undefined, keys }
  const manifests = async () => ({ inKms: [manifest], delegated: undefined })
  return httpHandler(serveDocuments({ issuer: BROKER_ISSUER, manifests }), telemetry)
}

const get = (path: string, headers: Record<string, readonly string[]> = {}) => ({
  httpMethod: 'GET',
  path,
  multiValueHeaders: headers,
  requestContext: { requestId: 'request-1' },
})

async function post(changes: Record<string, unknown> = {}): Promise<HttpAnswer> {
  const now = Math.floor(Date.now() / 1000)
  const subject_token = await broker.subjectToken('ci', { iat: now, nbf: now, exp: now + 300 })
  const form = new URLSearchParams({
    grant_type: TOKEN_EXCHANGE_GRANT,
    subject_token,
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    audience: PAYMENTS,
  })
  const event = {
    httpMethod: 'POST',
    path: '/token',
    multiValueHeaders: { 'Content-Type': ['application/x-www-form-urlencoded'] },
    requestContext: { requestId: 'request-1' },
    body: form.toString(),
    ...changes,
  }
  return tokenHandler()(event, {})
}

describe('the token endpoint', () => {
  it('answers JSON that nobody may keep, with the correlation id of the request', async () => {
    const { statusCode, headers, body } = await post()
    expect(statusCode).toBe(200)
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'x-correlation-id': 'request-1',
    })
    expect(JSON.parse(body)).toMatchObject({ token_type: 'Bearer' })
    expect(measured).toEqual([{ outcome: 'succeeded' }])
  })

  it.each(['GET', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'HEAD', 'post', ''])(
    'answers 405 to %s, with Allow',
    async (httpMethod) => {
      const { statusCode, headers, body } = await post({ httpMethod })
      expect(statusCode).toBe(405)
      expect(headers).toMatchObject({ allow: 'POST', 'cache-control': 'no-store' })
      expect(JSON.parse(body)).toMatchObject({ error: 'invalid_request' })
    },
  )

  it.each([
    [{ body: 'x'.repeat(70_000) }, 413],
    [{ multiValueHeaders: { 'content-type': ['application/json'] } }, 415],
    [{ queryStringParameters: { scope: 'a' } }, 400],
  ])('answers an OAuth error to %j', async (changes, status) => {
    const { statusCode, body } = await post(changes)
    expect(statusCode).toBe(status)
    expect(JSON.parse(body)).toMatchObject({ error: 'invalid_request' })
  })

  it('names the scheme only to a client that used the header', async () => {
    const header = {
      multiValueHeaders: {
        'content-type': ['application/x-www-form-urlencoded'],
        authorization: ['Basic x'],
      },
    }
    const byHeader = await post(header)
    expect(byHeader).toMatchObject({
      statusCode: 401,
      headers: { 'www-authenticate': 'Basic realm="token-broker"' },
    })
    const form = {
      grant_type: TOKEN_EXCHANGE_GRANT,
      subject_token: await broker.subjectToken(),
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      client_id: 'x',
      client_secret: 'y',
    }
    const byBody = await post({ body: new URLSearchParams(form).toString() })
    expect(byBody.statusCode).toBe(401)
    expect(byBody.headers).not.toHaveProperty('www-authenticate')
  })

  it('answers 503 with Retry-After while a dependency is down, and says no more', async () => {
    Object.assign(broker.ledger, {
      record: () => Promise.reject(new DependencyUnavailable('dynamodb', 'secret detail')),
    })
    const { statusCode, headers, body } = await post()
    expect(statusCode).toBe(503)
    expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(1)
    expect(JSON.parse(body)).toMatchObject({ error: 'temporarily_unavailable' })
    expect(body).not.toContain('secret')
    expect(failed).toHaveLength(1)
    expect(measured).toEqual([{ outcome: 'failed' }])
  })

  it('releases nothing that a retired key has signed, and says so', async () => {
    const fault = new SignedByRetiredKey('key k')
    Object.assign(broker.keys, { sign: () => Promise.reject(fault) })
    expect(await post()).toMatchObject({ statusCode: 500 })
    expect(faults).toEqual([fault])
  })

  it('answers 500 to a defect, without a stack', async () => {
    Object.assign(broker.ledger, { record: () => Promise.reject(new TypeError('x is not a function')) })
    const { statusCode, body } = await post()
    expect(statusCode).toBe(500)
    expect(JSON.parse(body)).toEqual({ error: 'server_error', error_description: 'the broker failed' })
  })

  it('answers 503 when time runs out, and releases nothing later', async () => {
    Object.assign(broker.ledger, { record: () => new Promise(() => undefined) })
    const now = Math.floor(Date.now() / 1000)
    const body = new URLSearchParams({
      grant_type: TOKEN_EXCHANGE_GRANT,
      subject_token: await broker.subjectToken('ci', { iat: now, nbf: now, exp: now + 300 }),
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    }).toString()
    const multiValueHeaders = { 'content-type': ['application/x-www-form-urlencoded'] }
    const event = { httpMethod: 'POST', path: '/token', multiValueHeaders, body }
    const { statusCode } = await tokenHandler()(event, { getRemainingTimeInMillis: () => 300 })
    expect(statusCode).toBe(503)
  })

  it('logs why it refused, in one event, and no part of the token', async () => {
    const subject_token = await broker.subjectToken('ci', { exp: 1000, iat: 900, nbf: 900 })
    const audience = subject_token
    await post({
      body: new URLSearchParams({
        grant_type: TOKEN_EXCHANGE_GRANT,
        subject_token,
        subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
        audience,
      }).toString(),
    })
    expect(refused).toEqual([
      expect.objectContaining({ reason: 'token_expired', issuer: 'ci', correlation_id: 'request-1' }),
    ])
    const now = Math.floor(Date.now() / 1000)
    const good = await broker.subjectToken('ci', { iat: now, nbf: now, exp: now + 300 })
    await post({
      body: new URLSearchParams({
        grant_type: TOKEN_EXCHANGE_GRANT,
        subject_token: good,
        subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
        audience: good,
      }).toString(),
    })
    expect(refused[1]).toMatchObject({
      reason: 'audience_not_in_policy',
      detail: { audience_sha256: expect.stringMatching(/^[\w-]{43}$/) },
    })
    for (const part of [...subject_token.split('.'), ...good.split('.')])
      expect(JSON.stringify(refused)).not.toContain(part)
  })

  it('answers any event whatever', async () => {
    const handler = tokenHandler()
    await fc.assert(
      fc.asyncProperty(fc.anything(), async (event) => {
        const { statusCode, headers } = await handler(event, {})
        expect([400, 405, 413, 415]).toContain(statusCode)
        expect(headers['x-correlation-id']).toMatch(/^[\w=-]{1,128}$/)
      }),
      { numRuns: 300 },
    )
    expect(failed).toEqual([])
  })

  it.each([false, true])(
    'answers 413 to megabytes, without decoding them (base64: %s)',
    async (isBase64Encoded) => {
      const { statusCode, headers, body } = await post({ body: 'A'.repeat(8_000_000), isBase64Encoded })
      expect(statusCode).toBe(413)
      expect(headers).toMatchObject({ 'cache-control': 'no-store', 'x-correlation-id': 'request-1' })
      expect(JSON.parse(body)).toMatchObject({ error: 'invalid_request' })
    },
  )

  it('takes 64 KiB and no byte more, however they are encoded', async () => {
    const ofSize = (bytes: number) => Buffer.from(`a=${'x'.repeat(bytes - 2)}`)
    for (const isBase64Encoded of [false, true]) {
      const encode = (bytes: Buffer) => bytes.toString(isBase64Encoded ? 'base64' : 'utf8')
      expect((await post({ body: encode(ofSize(65_536)), isBase64Encoded })).statusCode).toBe(400)
      expect((await post({ body: encode(ofSize(65_537)), isBase64Encoded })).statusCode).toBe(413)
    }
  })

  it('records the trace that the client is part of, if it is one', async () => {
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
    const of = (traceparent: string) => ({
      multiValueHeaders: {
        'content-type': ['application/x-www-form-urlencoded'],
        traceparent: [traceparent],
      },
    })
    await post(of(`00-${traceId}-00f067aa0ba902b7-01`))
    const [record] = broker.ledger.records.values()
    expect(record?.event).toMatchObject({ trace_id: traceId })
    await post({ ...of(`00-${traceId}-00f067aa0ba902b7-01`), body: 'x=1' })
    expect(refused.at(-1)).toMatchObject({ reason: 'parameter_missing', trace_id: traceId })
    for (const bad of [
      '',
      'x',
      `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
      `00-${traceId}-00f067aa0ba902b7-01\n`,
    ]) {
      await post({ ...of(bad), body: 'x=1' })
      expect(refused.at(-1)).not.toHaveProperty('trace_id')
    }
  })

  it('keeps no text of the sender in its log, whatever it looks like', async () => {
    const now = Math.floor(Date.now() / 1000)
    const secrets = ['glpat-AbCdEf0123456789abcd', 'svc-user:hunter2', 'jane@example.com', 'hbGciOiJ.abc.def']
    for (const secret of secrets) {
      const form = {
        grant_type: TOKEN_EXCHANGE_GRANT,
        subject_token: await broker.subjectToken('ci', { iat: now, nbf: now, exp: now + 300 }),
        subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      }
      await post({ body: new URLSearchParams({ ...form, audience: secret }).toString() })
      await post({
        body: new URLSearchParams({ ...form, resource: `https://x.example.com/${secret}` }).toString(),
      })
      await post({ body: `${new URLSearchParams(form).toString()}&${secret}=1&${secret}=2` })
    }
    expect(refused.map((event) => (event as { reason: string }).reason)).toEqual(
      secrets.flatMap(() => ['audience_not_in_policy', 'resource_not_in_policy', 'parameter_repeated']),
    )
    for (const secret of secrets) expect(JSON.stringify(refused)).not.toContain(secret)
  })

  it('takes no correlation id that could break a header', async () => {
    const { headers } = await post({ requestContext: { requestId: 'a\r\nset-cookie: b' } })
    expect(headers['x-correlation-id']).toMatch(/^[\w-]{36}$/)
  })
})

describe('the public documents', () => {
  it('hold the published keys and nothing private', async () => {
    const { statusCode, body, headers } = await documentHandler()(get('/.well-known/jwks.json'), {})
    expect(statusCode).toBe(200)
    expect(headers['cache-control']).toContain('public, max-age=300')
    const { keys } = JSON.parse(body) as { keys: Record<string, string>[] }
    expect(keys.map(({ alg, use }) => [alg, use])).toEqual([
      ['RS256', 'sig'],
      ['ES256', 'sig'],
    ])
    for (const key of keys) expect(key).not.toHaveProperty('d')
  })

  it.each(['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration'])(
    '%s names the issuer and where its keys are',
    async (path) => {
      const { statusCode, body } = await documentHandler()(get(path), {})
      expect(statusCode).toBe(200)
      expect(JSON.parse(body)).toMatchObject({
        issuer: BROKER_ISSUER,
        token_endpoint: `${BROKER_ISSUER}/token`,
        jwks_uri: `${BROKER_ISSUER}/.well-known/jwks.json`,
        token_endpoint_auth_methods_supported: ['none', 'private_key_jwt', 'client_secret_basic'],
        token_endpoint_auth_signing_alg_values_supported: ['RS', 'PS', 'ES']
          .flatMap((kind) => ['256', '384', '512'].map((bits) => kind + bits))
          .toSpliced(9, 0, 'EdDSA'),
      })
    },
  )

  it('are not sent again to whoever has them', async () => {
    const first = await documentHandler()(get('/.well-known/jwks.json'), {})
    const etag = first.headers['etag'] ?? ''
    for (const tag of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const again = await documentHandler()(get('/.well-known/jwks.json', { 'If-None-Match': [tag] }), {})
      expect(again).toMatchObject({ statusCode: 304, body: '' })
    }
    const other = await documentHandler()(get('/.well-known/jwks.json', { 'if-none-match': ['"x"'] }), {})
    expect(other.statusCode).toBe(200)
  })

  it('answer HEAD without a body, and no other method', async () => {
    const head = await documentHandler()({ ...get('/.well-known/jwks.json'), httpMethod: 'HEAD' }, {})
    expect(head).toMatchObject({ statusCode: 200, body: '' })
    const posted = await documentHandler()({ ...get('/.well-known/jwks.json'), httpMethod: 'POST' }, {})
    expect(posted).toMatchObject({ statusCode: 405, headers: { allow: 'GET, HEAD' } })
  })

  it.each([
    ['no ring', 0],
    ['one ring only', 1],
  ])('are no key set while %s has a key: a verifier would cache it', async (_name, rings) => {
    const keys = [...broker.keys.active.values()].slice(0, rings)
    const manifest = { ring: 'RS256' as const, version: 3, pending: undefined, keys }
    const inKms = [rings > 0 ? manifest : undefined, undefined]
    const manifests = async () => ({ inKms, delegated: undefined })
    const handler = httpHandler(serveDocuments({ issuer: BROKER_ISSUER, manifests }), telemetry)
    expect((await handler(get('/.well-known/jwks.json'), {})).statusCode).toBe(503)
  })

  it('are no key set before a delegated key that may sign at once is in it', async () => {
    const keys = [...broker.keys.active.values()]
    const inKms = [{ ring: 'RS256' as const, version: 3, pending: undefined, keys }]
    const delegated = (pending: PendingKey | undefined) => ({
      ring: 'delegated-ES256' as const,
      version: 1,
      pending,
      keys: [],
    })
    const statusWith = async (pending: PendingKey | undefined) => {
      const manifests = async () => ({ inKms, delegated: delegated(pending) })
      const handler = httpHandler(serveDocuments({ issuer: BROKER_ISSUER, manifests }), telemetry)
      return (await handler(get('/.well-known/jwks.json'), {})).statusCode
    }
    expect(await statusWith({ reservation: 'r', since: 1, signsAtOnce: true })).toBe(503)
    expect(await statusWith({ reservation: 'r', since: 1 })).toBe(200)
    expect(await statusWith(undefined)).toBe(200)
  })

  it('say of a delegated key which KMS key vouches for it', async () => {
    const key = await new MemoryKeys().activate('delegated-ES256')
    const [rsa] = broker.keys.active.values()
    const inKms = [{ ring: 'RS256' as const, version: 3, pending: undefined, keys: rsa ? [rsa] : [] }]
    const delegated = { ring: 'delegated-ES256' as const, version: 3, pending: undefined, keys: [key] }
    const manifests = async () => ({ inKms, delegated })
    const handler = httpHandler(serveDocuments({ issuer: BROKER_ISSUER, manifests }), telemetry)
    const { body } = await handler(get('/.well-known/jwks.json'), {})
    const jwks = JSON.parse(body) as { keys: object[] }
    const common = { use: 'sig', kid: expect.any(String) }
    expect(jwks.keys).toEqual([
      { ...common, kty: 'RSA', alg: 'RS256', n: expect.any(String), e: 'AQAB' },
      {
        ...common,
        kty: 'EC',
        alg: 'ES256',
        crv: 'P-256',
        x: expect.any(String),
        y: expect.any(String),
        attestation: 'none',
      },
    ])
    expect(body).not.toContain('wrapped')
  })

  it('are a key set without a ring whose keys are all revoked: no answer would keep them in caches', async () => {
    const [kept, revoked] = [...broker.keys.active.values()].map((key, index) => ({
      ring: key.algorithm,
      version: 3,
      pending: undefined,
      keys: [index === 0 ? key : { ...key, state: 'disabled' as const }],
    }))
    const manifests = async () => ({ inKms: [kept, revoked], delegated: undefined })
    const handler = httpHandler(serveDocuments({ issuer: BROKER_ISSUER, manifests }), telemetry)
    const { statusCode, body } = await handler(get('/.well-known/jwks.json'), {})
    expect(statusCode).toBe(200)
    const { keys } = JSON.parse(body) as { keys: { kid: string }[] }
    expect(keys.map(({ kid }) => kid)).toEqual(kept?.keys.map(({ kid }) => kid))
  })

  it.each([
    ['/health', 200],
    ['/nothing', 404],
    ['/__proto__', 404],
  ])('answer %s with %i', async (path, status) => {
    expect((await documentHandler()(get(path), {})).statusCode).toBe(status)
  })
})
