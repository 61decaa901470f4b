import { request as httpRequest } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HttpApi } from '../../../lib/local/http-api.ts'
import { type FixtureCloud, startFixture, synthesizeFixture } from '../../support/fixture-cloud.ts'

interface Echo {
  readonly event: Record<string, unknown> & {
    readonly headers: Record<string, string>
    readonly multiValueHeaders: Record<string, string[]>
    readonly requestContext: Record<string, unknown>
  }
}

describe('the HTTP API', () => {
  let fixture: FixtureCloud
  beforeAll(async () => {
    fixture = await startFixture(synthesizeFixture())
  })
  afterAll(() => fixture.cloud.close())

  const behave = (behaviour: string, init: RequestInit = {}) =>
    fixture.request('/echo', { ...init, headers: { 'x-behave': behaviour } })
  const echo = async (path: string, init?: RequestInit) =>
    ((await (await fixture.request(path, init)).json()) as Echo).event

  it('sends the proxy event of payload format 1.0', async () => {
    const event = await echo('/echo?a=1&a=2&b=%20', {
      method: 'POST',
      body: '{"x":1}',
      headers: { 'content-type': 'application/json' },
    })
    expect(event).toMatchObject({
      version: '1.0',
      resource: '/echo',
      path: '/echo',
      httpMethod: 'POST',
      queryStringParameters: { a: '2', b: ' ' },
      multiValueQueryStringParameters: { a: ['1', '2'], b: [' '] },
      pathParameters: null,
      stageVariables: null,
      body: '{"x":1}',
      isBase64Encoded: false,
    })
    expect(event.requestContext).toMatchObject({
      accountId: '111111111111',
      domainName: '127.0.0.1',
      httpMethod: 'POST',
      path: '/echo',
      protocol: 'HTTP/1.1',
      resourcePath: '/echo',
      stage: '$default',
      identity: { sourceIp: '127.0.0.1' },
    })
    expect(event.requestContext['requestId']).toMatch(/^[0-9a-f-]{36}$/)
    expect(event.requestContext['requestTime']).toMatch(/^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000$/)
  })

  it('says null where there is no query and no body', async () => {
    expect(await echo('/echo')).toMatchObject({
      queryStringParameters: null,
      multiValueQueryStringParameters: null,
      body: null,
      isBase64Encoded: false,
    })
  })

  it('keeps repeated headers apart', async () => {
    const event = await new Promise<Echo['event']>((resolve, reject) => {
      const url = new URL('/echo', fixture.cloud.url)
      const sent = httpRequest(url, (response) => {
        let text = ''
        response.on('data', (chunk) => (text += String(chunk)))
        response.on('end', () => resolve((JSON.parse(text) as Echo).event))
      })
      sent.setHeader('DPoP', ['one', 'two'])
      sent.on('error', reject)
      sent.end()
    })
    expect(event.multiValueHeaders['DPoP']).toEqual(['one', 'two'])
    expect(event.headers['DPoP']).toBe('two')
  })

  it('adds the client to X-Forwarded-For and drops what the client says of port and scheme', async () => {
    const event = await echo('/echo', {
      headers: { 'x-forwarded-for': '10.0.0.1', 'x-forwarded-proto': 'gopher' },
    })
    expect(event.headers['X-Forwarded-For']).toBe('10.0.0.1, 127.0.0.1')
    expect(Object.keys(event.headers).filter((name) => /forwarded-proto/i.test(name))).toEqual([
      'X-Forwarded-Proto',
    ])
  })

  it('hands on a form and binary data as base64', async () => {
    const form = await echo('/echo', { method: 'POST', body: new URLSearchParams({ a: 'ü' }) })
    expect(form).toMatchObject({ isBase64Encoded: true, body: Buffer.from('a=%C3%BC').toString('base64') })
    const binary = await echo('/echo', {
      method: 'PUT',
      body: Buffer.from([255, 0]),
      headers: { 'content-type': 'application/octet-stream' },
    })
    expect(binary).toMatchObject({ isBase64Encoded: true, body: '/wA=' })
  })

  it('decodes path parameters and leaves the path as it is', async () => {
    expect(await echo('/things/a%20b')).toMatchObject({
      resource: '/things/{id}',
      path: '/things/a%20b',
      pathParameters: { id: 'a b' },
    })
  })

  it('takes the rest of the path for a greedy parameter', async () => {
    expect(await echo('/files/a/b')).toMatchObject({ pathParameters: { proxy: 'a/b' } })
  })

  it('prefers a literal segment to a parameter', async () => {
    // The function behind it lacks a permission and fails; the one behind `{id}` would answer 200.
    expect((await fixture.request('/things/special')).status).toBe(500)
  })

  it.each([
    ['a path without a route', '/nowhere', 'GET'],
    ['a method without a route', '/write', 'GET'],
    ['a slash too many', '/echo/', 'GET'],
    ['an empty parameter', '/things/', 'GET'],
  ])('answers 404 to %s', async (_, path, method) => {
    const response = await fixture.request(path, { method })
    expect(response.status).toBe(404)
    expect(await response.json()).toEqual({ message: 'Not Found' })
  })

  it('answers 413 to a body over 10 MB', async () => {
    const response = await fixture.request('/echo', {
      method: 'POST',
      body: Buffer.alloc(10 * 1024 * 1024 + 1),
    })
    expect(response.status).toBe(413)
    expect(await response.json()).toEqual({ message: 'Request Entity Too Large' })
  })

  it('answers 431 to headers over 10 KB', async () => {
    expect((await fixture.request('/echo', { headers: { 'x-long': 'a'.repeat(10_240) } })).status).toBe(431)
  })

  it('returns status, headers, repeated headers and binary body', async () => {
    const response = await behave('cookies')
    expect(response.status).toBe(201)
    expect(response.headers.get('x-single')).toBe('one')
    expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2'])
    expect(await response.text()).toBe('binary')
  })

  it.each(['throw', 'exit', 'malformed', 'hang'])(
    'answers 500 when the function does %s',
    async (behaviour) => {
      const response = await behave(behaviour)
      expect(response.status).toBe(500)
      expect(await response.json()).toEqual({ message: 'Internal Server Error' })
    },
  )

  it('answers HEAD without a body', async () => {
    const response = await fixture.request('/echo', { method: 'HEAD' })
    expect(response.status).toBe(200)
    expect(await response.text()).toBe('')
  })

  it('tells a browser that is too early to come again', async () => {
    const early = await HttpApi.listen({
      port: 0,
      account: '111111111111',
      clock: Date.now,
      invoke: () => Promise.reject(new Error('there is no function yet')),
    })
    const { status, headers } = await fetch(`${early.url}/console`)
    await early.close()
    expect([status, headers.get('retry-after'), headers.get('refresh')]).toEqual([503, '1', '1'])
  })

  it('refuses a second cloud on the same port', async () => {
    const port = Number(new URL(fixture.cloud.url).port)
    await expect(startFixture(synthesizeFixture(), { port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
  })
})
