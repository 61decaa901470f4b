import { randomBytes } from 'node:crypto'
import { JWT_BEARER_ASSERTION } from '../../functions/core/client-assertion.ts'
import { makeClientSecret } from '../../functions/core/client-secret.ts'
import type { Client } from '../../functions/core/policy/compiled.ts'
import { createTestIssuer, type TestIssuer } from './tokens.ts'

/** The generated secret of the client `legacy`, and the one that is to replace it. */
export const SECRETS = [makeClientSecret(randomBytes), makeClientSecret(randomBytes)] as const

/** Two clients with keys of their own, which the fake key store has, and one with a secret. */
export function testClients(): readonly Client[] {
  const withKeys = (id: string, more = {}) => ({
    id,
    authentication: {
      method: 'private_key_jwt',
      keys: { kind: 'jwks_uri', uri: `https://${id}.example.com/jwks` },
      algorithms: ['ES256'],
    },
    introspects: [],
    revokes: [],
    ...more,
  })
  return [
    withKeys('checkout', { introspects: ['payments-api'], revokes: ['ledger-api'] }),
    withKeys('billing', { defaultTarget: 'ledger-api' }),
    {
      id: 'legacy',
      authentication: { method: 'client_secret_basic', digests: SECRETS.map(({ digest }) => digest) },
      introspects: ['ledger-api'],
      revokes: [],
    },
  ] as unknown as readonly Client[]
}

/** What signs the assertions of `checkout` and `billing`, by client id. Their `iss` is the client. */
export async function makeClientSigners(): Promise<Readonly<Record<'checkout' | 'billing', TestIssuer>>> {
  const [checkout, billing] = await Promise.all(
    ['checkout', 'billing'].map((id) => createTestIssuer(id, { algorithm: 'ES256', kid: 'client-key' })),
  )
  if (checkout === undefined || billing === undefined) throw new Error('no signer')
  return { checkout, billing }
}

/** The form parameters that carry an assertion. */
export function assertionParameters(assertion: string): Record<string, string> {
  return { client_assertion_type: JWT_BEARER_ASSERTION, client_assertion: assertion }
}

/** An `Authorization` value with these credentials, each half form-encoded (RFC 6749 §2.3.1). */
export function basic(id: string, secret: string): string {
  const encode = (text: string) => encodeURIComponent(text).replaceAll('%20', '+')
  return `Basic ${Buffer.from(`${encode(id)}:${encode(secret)}`).toString('base64')}`
}
