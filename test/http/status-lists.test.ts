import { beforeEach, describe, expect, it } from 'vitest'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import type { HttpRequest } from '../../functions/http/event.ts'
import { readProxyEvent } from '../../functions/http/event.ts'
import { serveStatusLists } from '../../functions/status/serve-status-lists.ts'
import { BROKER_ISSUER, createTestBroker, NOW, type TestBroker, testPolicy } from '../support/broker.ts'
import { requestContext } from '../support/request-context.ts'
import { decode } from '../support/tokens.ts'

let broker: TestBroker
let serve: ReturnType<typeof serveStatusLists>
let reads: number

beforeEach(async () => {
  const policy = testPolicy()
  const targets = policy.targets.map((target) => ({ ...target, statusList: true }))
  broker = await createTestBroker({ ...policy, targets })
  await broker.exchange({ subject_token: await broker.subjectToken('pod') })
  reads = 0
  const entries = {
    write: broker.statuses.write.bind(broker.statuses),
    read: (list: number, now: number) => {
      reads++
      return broker.statuses.read(list, now)
    },
  }
  serve = serveStatusLists({
    issuer: BROKER_ISSUER,
    entries,
    revocations: broker.revocations,
    signer: broker.keys,
  })
})

function request(changes: object = {}): HttpRequest {
  return readProxyEvent({ httpMethod: 'GET', path: '/status/0', ...changes })
}

const get = async (now = NOW, changes: object = {}) =>
  (await serve(request(changes), requestContext(now))).answer

describe('GET /status/{list}', () => {
  it('answers a status list token that caches may keep for a moment', async () => {
    const { statusCode, headers, body } = await get()
    expect(statusCode).toBe(200)
    expect(headers).toMatchObject({
      'content-type': 'application/statuslist+jwt',
      'cache-control': 'public, max-age=15, must-revalidate',
      'access-control-allow-origin': '*',
    })
    expect(decode(body).header['typ']).toBe('statuslist+jwt')
  })

  it('answers 304 to whom has this very list, and no body to HEAD', async () => {
    const { headers } = await get()
    const again = await get(NOW, { headers: { 'If-None-Match': headers['etag'] } })
    expect([again.statusCode, again.body]).toEqual([304, ''])
    const head = await get(NOW, { httpMethod: 'HEAD' })
    expect([head.statusCode, head.body, head.headers['etag']]).toEqual([200, '', headers['etag']])
  })

  it('computes and signs a list once per 20 s, counted from when it began to read', async () => {
    const before = broker.keys.signatures
    const first = await get(NOW)
    expect((await get(NOW + 19)).body).toBe(first.body)
    expect([reads, broker.keys.signatures - before]).toEqual([1, 1])
    const later = await get(NOW + 20)
    expect(decode(later.body).claims).toMatchObject({ iat: NOW + 20, exp: NOW + 80 })
    expect([reads, broker.keys.signatures - before]).toEqual([2, 2])
  })

  it('computes a list once for all who ask meanwhile', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => get()))
    expect(reads).toBe(1)
    for (const { body } of answers) expect(body).toBe(answers[0]?.body)
  })

  it('does not serve a list longer because the clock was put back', async () => {
    await get(NOW)
    await get(NOW - 10)
    expect(reads).toBe(2)
  })

  it('tells of a revocation as soon as the list is computed anew', async () => {
    const { body } = await get(NOW)
    broker.revocations.stored.set('issuer#https://pod.example.com', NOW)
    expect(decode((await get(NOW + 20)).body).claims['status_list']).not.toEqual(
      decode(body).claims['status_list'],
    )
  })

  it('has no answer, not an old one, when revocations cannot be read', async () => {
    await get(NOW)
    const { all } = broker.revocations
    broker.revocations.all = async () => {
      throw new DependencyUnavailable('dynamodb', 'down')
    }
    await expect(get(NOW + 20)).rejects.toThrow(DependencyUnavailable)
    broker.revocations.all = all
    expect((await get(NOW + 20)).statusCode).toBe(200)
  })

  it.each([
    '/status/1',
    '/status/',
    '/status/00',
    '/status/-1',
    '/status/0x0',
    '/status/0/0',
    '/status/9999999999999',
  ])('knows no list %s, and lets nobody remember that', async (path) => {
    const { statusCode, headers } = await get(NOW, { path })
    expect([statusCode, headers['cache-control']]).toEqual([404, 'no-store'])
  })

  it('knows a list as soon as its first token is issued', async () => {
    broker.statusIndices.next = async () => ({ list: 1, index: 0 })
    expect((await get(NOW, { path: '/status/1' })).statusCode).toBe(404)
    await broker.exchange({ subject_token: await broker.subjectToken('pod') })
    expect((await get(NOW, { path: '/status/1' })).statusCode).toBe(200)
  })

  it('answers 405 to other methods, and 501 to a question about another time', async () => {
    const post = await get(NOW, { httpMethod: 'POST' })
    expect([post.statusCode, post.headers['allow']]).toEqual([405, 'GET, HEAD'])
    const past = await get(NOW, { queryStringParameters: { time: '1686925000' } })
    expect(past.statusCode).toBe(501)
  })
})
