import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose'
import type { PublicJwk } from '../../functions/core/types.ts'

/** An issuer of test tokens with a real key. */
export interface TestIssuer {
  readonly issuer: string
  readonly jwk: PublicJwk
  readonly publicKey: CryptoKey
  sign(claims: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>
}

export async function createTestIssuer(
  issuer: string,
  { algorithm = 'RS256', kid = 'key-1' }: { algorithm?: string; kid?: string } = {},
): Promise<TestIssuer> {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true })
  const jwk = { ...(await exportJWK(publicKey)), kid } as PublicJwk
  return {
    issuer,
    jwk,
    publicKey,
    sign: (claims, header = {}) =>
      new SignJWT({ iss: issuer, ...claims })
        .setProtectedHeader({ alg: algorithm, kid, typ: 'JWT', ...header })
        .sign(privateKey),
  }
}

/** A compact JWS of exactly these texts, unsigned: for what no library would sign. */
export function rawJws(header: string, payload: string, signature = 'AAAA'): string {
  return [header, payload]
    .map((text) => Buffer.from(text).toString('base64url'))
    .concat(signature)
    .join('.')
}

/** The decoded header and claims of a compact JWS. */
export function decode(token: string): { header: Record<string, unknown>; claims: Record<string, unknown> } {
  const [header, claims] = token
    .split('.')
    .slice(0, 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString('utf8')) as Record<string, unknown>)
  return { header: header ?? {}, claims: claims ?? {} }
}
