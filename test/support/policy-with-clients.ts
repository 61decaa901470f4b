import { randomBytes } from 'node:crypto'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { makeClientSecret } from '../../functions/core/client-secret.ts'
import { basic } from './clients.ts'

const DEMO_POLICY = fileURLToPath(new URL('../../policy', import.meta.url))

/** The demo policy with two more clients, which see and revoke tokens for the payments, receipts and reports APIs. */
export interface PolicyWithClients {
  readonly folder: string
  /** Secret of the client `test-secret`. */
  readonly secret: string
  /** `Authorization` of the client `test-secret`. */
  readonly authorization: string
  /** ES256 key of the client `test-assertion`. */
  readonly key: { readonly key: CryptoKey; readonly kid: string }
  /** A new assertion of the client `test-assertion` for the broker at `audience`. */
  assertion(audience: string): Promise<string>
  dispose(): void
}

/** `more` is a policy file of its own. */
export async function policyWithClients(more: object = {}): Promise<PolicyWithClients> {
  const folder = mkdtempSync(join(tmpdir(), 'token-broker-policy-'))
  cpSync(DEMO_POLICY, folder, { recursive: true })
  const { secret, digest } = makeClientSecret(randomBytes)
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const jwk = { ...(await exportJWK(publicKey)), kid: 'client-key', alg: 'ES256', use: 'sig' }
  const targets = ['payments-api', 'receipts-api', 'reports-api']
  const both = { introspects: targets, revokes: targets }
  const clients = {
    'test-secret': { authentication: { method: 'client_secret_basic', secret_digests: [digest] }, ...both },
    'test-assertion': { authentication: { method: 'private_key_jwt', jwks: { keys: [jwk] } }, ...both },
  }
  // JSON is YAML.
  writeFileSync(join(folder, 'test-clients.yaml'), JSON.stringify({ clients }))
  writeFileSync(join(folder, 'test-more.yaml'), JSON.stringify(more))
  return {
    folder,
    secret,
    key: { key: privateKey, kid: 'client-key' },
    authorization: basic('test-secret', secret),
    assertion: (audience) =>
      new SignJWT({ jti: randomBytes(16).toString('base64url') })
        .setProtectedHeader({ alg: 'ES256', kid: 'client-key', typ: 'client-authentication+jwt' })
        .setIssuer('test-assertion')
        .setSubject('test-assertion')
        .setAudience(audience)
        .setIssuedAt()
        .setExpirationTime('1m')
        .sign(privateKey),
    dispose: () => rmSync(folder, { recursive: true, force: true }),
  }
}
