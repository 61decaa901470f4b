import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { GetWebIdentityTokenCommand, STSClient } from '@aws-sdk/client-sts'
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { readAccountTemplates } from '../../lib/local/account-templates.ts'
import { LEDGER, startTestCloud, type TestCloud } from '../support/cloud.ts'
import { functionEnvironment } from '../support/function-environment.ts'

const EXAMPLE = new URL('../../docs/examples/lambda-without-secrets/', import.meta.url)
const ROLE = 'arn:aws:iam::111122223333:role/ledger-writer'
const AUDIENCE = 'https://broker.example.com'
const ASKED = { Audience: [AUDIENCE], SigningAlgorithm: 'RS256', DurationSeconds: 300 }

let broker: TestCloud
let sts: STSClient
let environment: Readonly<Record<string, string>>

beforeAll(async () => {
  broker = await startTestCloud({ accountTemplates: () => readAccountTemplates(EXAMPLE.pathname) })
  environment = await functionEnvironment(broker, ROLE)
  const credentials = {
    accessKeyId: environment['AWS_ACCESS_KEY_ID'] ?? '',
    secretAccessKey: environment['AWS_SECRET_ACCESS_KEY'] ?? '',
    sessionToken: environment['AWS_SESSION_TOKEN'] ?? '',
  }
  sts = new STSClient({ endpoint: broker.cloud.aws.url, region: 'eu-west-1', credentials, maxAttempts: 1 })
})
afterAll(async () => {
  expect(broker.defects).toEqual([])
  await broker.close()
})

const tokenFor = async (changes = {}) => {
  const { WebIdentityToken = '' } = await sts.send(new GetWebIdentityTokenCommand({ ...ASKED, ...changes }))
  return WebIdentityToken
}

describe('a Lambda function without secrets', () => {
  it('as the example has it, calls an API with a token of the broker', async () => {
    const seen: (string | undefined)[] = []
    const api = createServer((request, response) => {
      seen.push(request.headers.authorization)
      response.writeHead(201).end()
    })
    await new Promise<void>((listening) => api.listen(0, '127.0.0.1', listening))
    const { port } = api.address() as AddressInfo
    const settings = { ...environment, BROKER_URL: broker.url, BROKER_AUDIENCE: AUDIENCE, API: LEDGER }
    for (const [name, value] of Object.entries(settings)) vi.stubEnv(name, value)
    // The API's own address is its audience; here another answers for it.
    const fetchOf = globalThis.fetch
    vi.stubGlobal('fetch', (url: string, init: RequestInit) =>
      fetchOf(url.replace(LEDGER, `http://127.0.0.1:${port}`), init),
    )
    try {
      const { handler } = (await import(new URL('index.mjs', EXAMPLE).href)) as { handler(): Promise<object> }
      expect(await handler()).toEqual({ status: 201 })
      expect(await handler()).toEqual({ status: 201 })
    } finally {
      vi.unstubAllEnvs()
      vi.unstubAllGlobals()
      api.close()
    }
    const [first = '', second] = seen
    expect(second).toBe(first)
    const keys = createRemoteJWKSet(new URL(`${broker.url}/.well-known/jwks.json`))
    const { payload } = await jwtVerify(first.replace('Bearer ', ''), keys, {
      issuer: broker.url,
      audience: LEDGER,
    })
    expect(payload).toMatchObject({ sub: `lambda:${ROLE}`, grant: 'ledger-writer', scope: 'ledger.append' })
  })
})

describe('GetWebIdentityToken', () => {
  it('says who calls, for whom, and until when', async () => {
    const token = await tokenFor({ DurationSeconds: 60 })
    const claims = decodeJwt(token)
    expect(claims).toMatchObject({
      iss: 'https://00000000-0000-4000-8000-000000000000.tokens.sts.global.api.aws',
      sub: ROLE,
      aud: AUDIENCE,
      jti: expect.any(String),
      'https://sts.amazonaws.com/': { aws_account: '111122223333', source_region: 'eu-west-1' },
    })
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(60)
  })

  it('signs as it was asked to, and the broker takes both', async () => {
    for (const SigningAlgorithm of ['RS256', 'ES384']) {
      const token = await tokenFor({ SigningAlgorithm })
      expect(decodeProtectedHeader(token).alg).toBe(SigningAlgorithm)
      expect((await broker.exchange(token, { audience: LEDGER })).status).toBe(200)
    }
  })

  it.each([
    [
      'an audience that the role’s policy does not name',
      { Audience: ['https://elsewhere.example'] },
      'AccessDenied',
    ],
    ['more time than the role’s policy gives', { DurationSeconds: 301 }, 'AccessDenied'],
    ['tags that the role may not set', { Tags: [{ Key: 'job', Value: 'nightly' }] }, 'AccessDenied'],
    ['no audience', { Audience: [] }, 'AccessDenied'],
    ['an algorithm that there is not', { SigningAlgorithm: 'ES256' }, 'ValidationError'],
    ['too short a time', { DurationSeconds: 59 }, 'ValidationError'],
    ['eleven audiences', { Audience: Array(11).fill(AUDIENCE) }, 'ValidationError'],
  ])('refuses %s', async (_, changes, name) => {
    await expect(tokenFor(changes)).rejects.toHaveProperty('name', name)
  })
})
