import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ExternalAccountClient } from 'google-auth-library'
import * as oauth4webapi from 'oauth4webapi'
import * as openIdClient from 'openid-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LEDGER, PAYMENTS, RECEIPTS, startTestCloud, type TestCloud } from '../support/cloud.ts'
import { decode } from '../support/tokens.ts'

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt'
const CLIENT = 'interop'

/** Two exchanges that the demo policy grants, one for each algorithm that the broker signs with. */
const EXCHANGES = [
  ['RS256', 'github-actions', PAYMENTS],
  ['ES256', 'gitlab', LEDGER],
] as const

interface TokenAnswer {
  readonly access_token: string
  readonly token_type: string
  readonly expires_in?: number | undefined
}

type Exchange = (parameters: Record<string, string>) => Promise<TokenAnswer>

let cloud: TestCloud

beforeAll(async () => {
  cloud = await startTestCloud()
})

afterAll(async () => {
  await cloud.close()
})

/**
 * How a client may present itself that has no credentials: as a public client, by its `client_id` alone (RFC 6749 §3.2.1,
 * what `none` in the metadata means to these libraries), or not at all (RFC 8693 §2.1 makes it optional).
 */
const PRESENTS = ['nothing', 'client_id'] as const
const METADATA = ['oauth2', 'oidc'] as const
type Presents = (typeof PRESENTS)[number]
type Metadata = (typeof METADATA)[number]

async function byOauth4WebApi(metadata: Metadata, presents: Presents): Promise<Exchange> {
  const options = { [oauth4webapi.allowInsecureRequests]: true }
  const issuer = new URL(cloud.url)
  const discovered = await oauth4webapi.discoveryRequest(issuer, { ...options, algorithm: metadata })
  const server = await oauth4webapi.processDiscoveryResponse(issuer, discovered)
  const client = { client_id: CLIENT }
  const authentication = presents === 'client_id' ? oauth4webapi.None() : () => undefined
  return async (parameters) => {
    const answered = await oauth4webapi.genericTokenEndpointRequest(
      server,
      client,
      authentication,
      TOKEN_EXCHANGE,
      parameters,
      options,
    )
    return oauth4webapi.processGenericTokenEndpointResponse(server, client, answered)
  }
}

async function byOpenIdClient(metadata: Metadata, presents: Presents): Promise<Exchange> {
  const authentication = presents === 'client_id' ? openIdClient.None() : () => undefined
  const options = { execute: [openIdClient.allowInsecureRequests], algorithm: metadata }
  const server = new URL(cloud.url)
  const configuration = await openIdClient.discovery(server, CLIENT, undefined, authentication, options)
  return (parameters) => openIdClient.genericGrantRequest(configuration, TOKEN_EXCHANGE, parameters)
}

const LIBRARIES = { oauth4webapi: byOauth4WebApi, 'openid-client': byOpenIdClient } as const

describe.each(Object.entries(LIBRARIES))('%s, unmodified', (_name, library) => {
  describe.each(METADATA)('by the %s metadata', (metadata) => {
    it.each(PRESENTS.flatMap((presents) => EXCHANGES.map((exchange) => [presents, ...exchange] as const)))(
      'presents %s and gets an %s token for a token of %s',
      async (presents, algorithm, preset, audience) => {
        const exchange = await library(metadata, presents)
        const subject_token = await cloud.sign({ preset })
        const answer = await exchange({ subject_token, subject_token_type: JWT_TYPE, audience })
        expect(answer).toMatchObject({
          token_type: 'bearer',
          issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
          expires_in: expect.any(Number),
        })
        expect(decode(answer.access_token)).toMatchObject({
          header: { alg: algorithm },
          claims: { aud: audience },
        })
      },
    )

    it('sends an actor token beside the subject token', async () => {
      const exchange = await library(metadata, 'nothing')
      const [subject_token, actor_token] = await Promise.all(
        ['github-actions', 'kubernetes'].map((preset) => cloud.sign({ preset })),
      )
      const answer = await exchange({
        subject_token: subject_token ?? '',
        subject_token_type: JWT_TYPE,
        actor_token: actor_token ?? '',
        actor_token_type: JWT_TYPE,
        audience: RECEIPTS,
      })
      expect(decode(answer.access_token).claims).toMatchObject({
        aud: RECEIPTS,
        act: { sub: 'cluster:system:serviceaccount:payments:worker' },
      })
    })

    it('is told why it was refused', async () => {
      const exchange = await library(metadata, 'nothing')
      const subject_token = await cloud.sign({ preset: 'github-actions' })
      const refused = exchange({
        subject_token,
        subject_token_type: JWT_TYPE,
        audience: 'https://unknown.example.com',
      })
      await expect(refused).rejects.toMatchObject({ error: 'invalid_target', status: 400 })
    })
  })
})

describe('google-auth-library, unmodified', () => {
  /** An external account whose subject token stands in a file, as a workload's does. */
  async function externalAccount(preset: string, audience: string) {
    const folder = mkdtempSync(join(tmpdir(), 'token-broker-interop-'))
    const file = join(folder, 'token')
    writeFileSync(file, await cloud.sign({ preset }))
    const client = ExternalAccountClient.fromJSON({
      type: 'external_account',
      audience,
      subject_token_type: JWT_TYPE,
      token_url: `${cloud.url}/token`,
      credential_source: { file },
      scopes: ['payments.read'],
    })
    if (client === null) throw new Error('no external account')
    return { client, file, dispose: () => rmSync(folder, { recursive: true, force: true }) }
  }

  it('exchanges the token in a file', async () => {
    const { client, dispose } = await externalAccount('github-actions', PAYMENTS)
    const { token, res } = await client.getAccessToken()
    expect(decode(token ?? '').claims).toMatchObject({ aud: PAYMENTS, scope: 'payments.read' })
    expect(res?.data).toMatchObject({ token_type: 'Bearer' })
    dispose()
  })

  it('sends the token with its requests, and exchanges anew when the file has a new token', async () => {
    const { client, file, dispose } = await externalAccount('github-actions', PAYMENTS)
    const headers = await client.getRequestHeaders()
    const first = headers.get('authorization') ?? ''
    expect(first).toMatch(/^Bearer [\w-]+\.[\w-]+\.[\w-]+$/)
    client.credentials = {}
    writeFileSync(file, await cloud.sign({ preset: 'github-actions' }))
    const again = (await client.getRequestHeaders()).get('authorization')
    expect(again).not.toBe(first)
    dispose()
  })

  it('is told why it was refused', async () => {
    const { client, dispose } = await externalAccount('github-actions', 'https://unknown.example.com')
    await expect(client.getAccessToken()).rejects.toThrow('invalid_target')
    dispose()
  })
})
