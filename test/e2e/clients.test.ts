import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ScanCommand } from '@aws-sdk/client-dynamodb'
import { type CryptoKey, decodeJwt, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeClientSecret } from '../../functions/core/client-secret.ts'
import { type Synthesis, synthesize } from '../../lib/local/synthesize.ts'
import { assertionParameters, basic } from '../support/clients.ts'
import { PAYMENTS, startTestCloud, type TestCloud } from '../support/cloud.ts'

const { secret, digest } = makeClientSecret(randomBytes)
const folder = mkdtempSync(join(tmpdir(), 'token-broker-test-'))
let broker: TestCloud
let synthesis: Synthesis
let keyServer: Server
let privateKey: CryptoKey
let asked = 0

beforeAll(async () => {
  const pair = await generateKeyPair('ES256', { extractable: true })
  privateKey = pair.privateKey
  const jwks = JSON.stringify({
    keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'client-key', use: 'sig' }],
  })
  keyServer = createServer((_request, response) => {
    asked++
    response.setHeader('content-type', 'application/json').end(jwks)
  })
  await new Promise<void>((resolve) => void keyServer.listen(0, '127.0.0.1', resolve))
  const { port } = keyServer.address() as AddressInfo
  writeFileSync(join(folder, 'policy.yaml'), JSON.stringify(policyWith(`http://127.0.0.1:${port}/jwks`)))
  synthesis = synthesize({ policyFolder: folder })
  broker = await startTestCloud({
    assemblyFolder: synthesis.assemblyFolder,
    issuers: synthesis.policy.issuers,
  })
})
afterAll(async () => {
  await broker.close()
  synthesis.dispose()
  keyServer.close()
  rmSync(folder, { recursive: true, force: true })
})

/** GitHub's tokens are exchanged only for an authenticated client. JSON is YAML. */
function policyWith(jwks_uri: string): object {
  const audiences = ['https://broker.example.com']
  return {
    issuers: { github: { preset: 'github-actions', audiences, client_authentication: 'required' } },
    clients: {
      checkout: { authentication: { method: 'private_key_jwt', jwks_uri }, default_target: 'payments' },
      legacy: { authentication: { method: 'client_secret_basic', secret_digests: [digest] } },
    },
    targets: { payments: { audience: PAYMENTS, scopes: ['payments.read'] } },
    grants: {
      'payments-ci': {
        issuer: 'github',
        when: { repository_id: '123456' },
        target: 'payments',
        scopes: ['payments.read'],
      },
    },
  }
}

function assertion(aud = broker.url): Promise<string> {
  return new SignJWT({ jti: randomUUID() })
    .setProtectedHeader({ alg: 'ES256', kid: 'client-key', typ: 'client-authentication+jwt' })
    .setIssuer('checkout')
    .setSubject('checkout')
    .setAudience(aud)
    .setIssuedAt()
    .setExpirationTime('1m')
    .sign(privateKey)
}

const subjectToken = () => broker.sign({ preset: 'github-actions' })

describe('a client that must authenticate itself', () => {
  it('gets a token for its assertion, once', async () => {
    const form = assertionParameters(await assertion())
    const { status, body } = await broker.exchange(await subjectToken(), form)
    expect(status).toBe(200)
    expect(decodeJwt(body['access_token'] ?? '')).toMatchObject({ client_id: 'checkout', aud: PAYMENTS })
    expect(asked).toBe(1)
    const again = await broker.exchange(await subjectToken(), form)
    expect([again.status, again.body['error']]).toEqual([401, 'invalid_client'])
    const { Items = [] } = await broker.dynamoDb.send(
      new ScanCommand({ TableName: broker.table('Exchanges') }),
    )
    const keys = Items.map((item) => item['pk']?.S ?? '')
    expect(keys.filter((key) => key.startsWith('assertion#'))).toHaveLength(1)
  })

  it('gets a token for its assertion though the answer to the write was lost', async () => {
    broker.cloud.aws.faults.set({ operation: 'dynamodb:PutItem', kind: 'drop-after-apply', times: 2 })
    const form = assertionParameters(await assertion())
    expect((await broker.exchange(await subjectToken(), form)).status).toBe(200)
    broker.cloud.aws.faults.clear()
  })

  it('gets a token for its secret', async () => {
    const authorization = basic('legacy', secret)
    const { status, body } = await broker.exchange(
      await subjectToken(),
      { audience: PAYMENTS },
      { authorization },
    )
    expect(status).toBe(200)
    expect(decodeJwt(body['access_token'] ?? '')).toMatchObject({ client_id: 'legacy' })
  })

  it('gets nothing otherwise, and learns how only where it tried', async () => {
    const none = await broker.exchange(await subjectToken(), { client_id: 'checkout' })
    expect([none.status, none.body['error'], none.headers.get('www-authenticate')]).toEqual([
      401,
      'invalid_client',
      null,
    ])
    const authorization = basic('legacy', 'x'.repeat(43))
    const wrong = await broker.exchange(await subjectToken(), { audience: PAYMENTS }, { authorization })
    expect([wrong.status, wrong.body]).toEqual([401, none.body])
    expect(wrong.headers.get('www-authenticate')).toBe('Basic realm="token-broker"')
    const elsewhere = assertionParameters(await assertion(`${broker.url}/token`))
    expect((await broker.exchange(await subjectToken(), elsewhere)).status).toBe(401)
    const both = { ...assertionParameters(await assertion()), client_secret: secret }
    expect((await broker.exchange(await subjectToken(), both)).status).toBe(400)
  })

  it('is told by the metadata how', async () => {
    const metadata = await (await fetch(`${broker.url}/.well-known/oauth-authorization-server`)).json()
    expect(metadata).toMatchObject({
      token_endpoint_auth_methods_supported: ['none', 'private_key_jwt', 'client_secret_basic'],
      token_endpoint_auth_signing_alg_values_supported: expect.arrayContaining(['RS256', 'ES256', 'EdDSA']),
    })
  })

  it('leaves no secret, assertion or token in any line that a function printed', () => {
    const printed = broker.lines.join('\n')
    expect(printed).toContain('client_authentication_failed')
    expect(printed).not.toContain(secret)
    // At the beginning of a word: one in 10,000 digests has it somewhere.
    expect(printed).not.toMatch(/(?<![\w-])eyJ[\w-]{20}/)
    expect(broker.defects).toEqual([])
  })
})
