import { createHash, createHmac } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LOCAL_OPERATOR } from '../../../lib/local/cloud.ts'
import { verifySigV4 } from '../../../lib/local/sigv4.ts'
import { type FixtureCloud, startFixture, synthesizeFixture } from '../../support/fixture-cloud.ts'
import { type SigningOptions, signRequest } from '../../support/signed-request.ts'

const MINUTE = 60_000
const FORBIDDEN = { status: 403, body: { message: 'Forbidden' } }
const READER = { accessKeyId: 'AKIAREADER0000000000', secretAccessKey: 'reader' }
const CALLER = { accessKeyId: 'AKIACALLER0000000000', secretAccessKey: 'caller' }

describe('a route with IAM authorization', () => {
  let fixture: FixtureCloud
  beforeAll(async () => {
    fixture = await startFixture(synthesizeFixture())
    const statement = (Action: string, Resource: string) => ({
      Statement: { Effect: 'Allow', Action, Resource },
    })
    fixture.cloud.aws.registerPrincipal(READER.accessKeyId, {
      name: 'reader',
      policies: [statement('execute-api:Invoke', 'arn:aws:execute-api:*:*:*/$default/GET/*')],
      secretAccessKey: READER.secretAccessKey,
    })
    fixture.cloud.aws.registerPrincipal(CALLER.accessKeyId, {
      name: 'caller',
      roleArn: 'arn:aws:iam::111111111111:role/security/revoker',
      policies: [statement('execute-api:Invoke', 'arn:aws:execute-api:*:*:*/$default/POST/signed/*')],
      secretAccessKey: CALLER.secretAccessKey,
    })
  })
  afterAll(() => fixture.cloud.close())

  const post = { method: 'POST', body: '{"kind":"token"}', headers: { 'content-type': 'application/json' } }
  const signed = (path: string, options: Partial<SigningOptions> = {}) =>
    signRequest(`${fixture.cloud.url}${path}`, post, { credentials: LOCAL_OPERATOR, ...options })

  async function answerTo(path: string, init: RequestInit): Promise<object> {
    const response = await fixture.request(path, init)
    return { status: response.status, body: await response.json() }
  }

  it('tells the function who has signed', async () => {
    const answer = await fixture.request('/signed/1', await signed('/signed/1', { credentials: CALLER }))
    expect(answer.status).toBe(200)
    const { event } = (await answer.json()) as { event: { requestContext: { identity: object } } }
    expect(event.requestContext.identity).toMatchObject({
      accessKey: CALLER.accessKeyId,
      accountId: '111111111111',
      userArn: 'arn:aws:sts::111111111111:assumed-role/revoker/caller',
      sourceIp: '127.0.0.1',
    })
  })

  it.each(['/signed/a?b=2&a1=1&a=0', "/signed/it's", '/signed/a%20b', '/signed/a?empty=&plus=1%2B1'])(
    'accepts a signature over %s',
    async (path) => {
      expect((await fixture.request(path, await signed(path))).status).toBe(200)
    },
  )

  it('forbids what nobody has signed', async () => {
    expect(await answerTo('/signed/1', post)).toEqual(FORBIDDEN)
    expect(await answerTo('/signed/1', { ...post, headers: { authorization: 'Bearer x' } })).toEqual(
      FORBIDDEN,
    )
  })

  it('forbids a request that was changed after it was signed', async () => {
    const init = await signed('/signed/1')
    expect(await answerTo('/signed/1', { ...init, body: '{"kind":"subject"}' })).toEqual(FORBIDDEN)
    expect(await answerTo('/signed/2', init)).toEqual(FORBIDDEN)
    expect(await answerTo('/signed/1?a=1', init)).toEqual(FORBIDDEN)
    const headers = { ...init.headers, 'content-type': 'text/plain' }
    expect(await answerTo('/signed/1', { ...init, headers })).toEqual(FORBIDDEN)
    const added = { ...init.headers, 'x-amz-security-token': 'another' }
    expect(await answerTo('/signed/1', { ...init, headers: added })).toEqual(FORBIDDEN)
  })

  it.each([
    ['a wrong secret', { credentials: { ...LOCAL_OPERATOR, secretAccessKey: 'guessed' } }],
    ['an unknown access key', { credentials: { accessKeyId: 'AKIAUNKNOWN000000000', secretAccessKey: 'x' } }],
    ['another service', { service: 'dynamodb' }],
    ['another Region', { region: 'eu-central-1' }],
    ['a signature six minutes old', { signingDate: new Date(Date.now() - 6 * MINUTE) }],
    ['a signature of six minutes hence', { signingDate: new Date(Date.now() + 6 * MINUTE) }],
  ])('forbids %s', async (_case, options) => {
    expect(await answerTo('/signed/1', await signed('/signed/1', options))).toEqual(FORBIDDEN)
  })

  it('accepts a clock that differs by four minutes', async () => {
    for (const minutes of [-4, 4]) {
      const init = await signed('/signed/1', { signingDate: new Date(Date.now() + minutes * MINUTE) })
      expect((await fixture.request('/signed/1', init)).status).toBe(200)
    }
  })

  it('forbids a caller without the permission, and reports it', async () => {
    expect(await answerTo('/signed/1', await signed('/signed/1', { credentials: READER }))).toEqual(FORBIDDEN)
    expect(fixture.defects).toContainEqual(
      expect.objectContaining({ principal: 'reader', action: 'execute-api:Invoke' }),
    )
  })

  it('asks no signature of other routes, and believes none there', async () => {
    const answer = await fixture.request('/echo', await signed('/echo'))
    const { event } = (await answer.json()) as { event: { requestContext: { identity: object } } }
    expect(event.requestContext.identity).toMatchObject({ userArn: null })
  })

  it('forbids two Authorization headers', async () => {
    const { headers } = await signed('/signed/1')
    const authorization = headers['authorization'] ?? ''
    const status = await new Promise((resolve) => {
      const message = httpRequest(`${fixture.cloud.url}/signed/1`, { method: 'POST' }, ({ statusCode }) =>
        resolve(statusCode),
      )
      for (const [name, value] of Object.entries(headers)) message.setHeader(name, value)
      message.setHeader('authorization', [authorization, authorization])
      message.end(post.body)
    })
    expect(status).toBe(403)
  })
})

describe('a signature', () => {
  const sign = (headers: Record<string, string>) =>
    signRequest('http://127.0.0.1/a', { method: 'GET', headers }, { credentials: LOCAL_OPERATOR })
  const verify = (headers: Record<string, string>) =>
    verifySigV4(
      {
        method: 'GET',
        url: '/a',
        rawHeaders: Object.entries({ host: '127.0.0.1', ...headers }).flat(),
        body: Buffer.alloc(0),
      },
      {
        service: 'execute-api',
        region: 'eu-west-1',
        now: Date.now(),
        secretOf: () => LOCAL_OPERATOR.secretAccessKey,
      },
    )

  it('covers the host and every x-amz- header', async () => {
    const { headers } = await sign({ 'x-amz-other': 'x' })
    expect(verify(headers)).toBe(LOCAL_OPERATOR.accessKeyId)
    expect(verify({ ...headers, 'x-amz-another': 'x' })).toBeUndefined()
    for (const name of ['host;', 'x-amz-date;', ';x-amz-other']) {
      const authorization = headers['authorization']?.replace(name, '') ?? ''
      expect(authorization).not.toBe(headers['authorization'])
      expect(verify({ ...headers, authorization })).toBeUndefined()
    }
  })

  it('is one only in its full form', async () => {
    const { headers } = await sign({})
    const { authorization = '' } = headers
    for (const changed of [
      '',
      authorization.replace('AWS4-HMAC-SHA256', 'AWS4-HMAC-SHA1'),
      authorization.replace('aws4_request', 'aws5_request'),
      authorization.replace(/\/\d{8}\//, '/20200101/'),
      authorization.slice(0, -1),
      `${authorization}0`,
      `${authorization.slice(0, -64)}${'0'.repeat(64)}`,
    ])
      expect(verify({ ...headers, authorization: changed })).toBeUndefined()
    expect(verify({ ...headers, 'x-amz-date': 'now' })).toBeUndefined()
  })

  it('is of its own day, and leaves out neither the host nor the date, though it is right', () => {
    const today = new Date().toISOString().replace(/[-:]|\.\d+/g, '')
    const all = ['host', 'x-amz-date']
    expect(verify(signedByHand(today, today.slice(0, 8), all))).toBe(LOCAL_OPERATOR.accessKeyId)
    expect(verify(signedByHand(today, '20200101', all))).toBeUndefined()
    expect(verify(signedByHand(today, today.slice(0, 8), ['x-amz-date']))).toBeUndefined()
    expect(verify(signedByHand(today, today.slice(0, 8), ['host']))).toBeUndefined()
  })
})

/** GET /a, signed as AWS describes it, but for a day and with headers that no SDK would choose. */
function signedByHand(date: string, day: string, names: readonly string[]): Record<string, string> {
  const values: Record<string, string> = { host: '127.0.0.1', 'x-amz-date': date }
  const lines = names.map((name) => `${name}:${values[name]}`)
  const canonical = ['GET', '/a', '', ...lines, '', names.join(';'), sha256('')].join('\n')
  const scope = [day, 'eu-west-1', 'execute-api', 'aws4_request']
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
  const key = scope.reduce<string | Buffer>(hmac, `AWS4${LOCAL_OPERATOR.secretAccessKey}`)
  const signature = hmac(key, ['AWS4-HMAC-SHA256', date, scope.join('/'), sha256(canonical)].join('\n'))
  const credential = `${LOCAL_OPERATOR.accessKeyId}/${scope.join('/')}`
  return {
    'x-amz-date': date,
    authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names.join(';')}, Signature=${signature.toString('hex')}`,
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
