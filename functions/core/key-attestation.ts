import { calculateJwkThumbprint, importJWK, type JWK, jwtVerify } from 'jose'
import { type DelegatedKey, isPublished, type KeyManifest, type ManifestKey } from './key-lifecycle.ts'
import { LIMITS } from './limits.ts'
import { isDelegated } from './signing-ring.ts'

/** Explicit, so that the statement passes for nothing else (RFC 8725 §3.11). */
const TYPE = 'delegated-key+jwt'

export interface AttestationFacts {
  readonly issuer: string
  /** `kid` of the KMS key that signs the statement. */
  readonly by: string
  /** Epoch seconds. */
  readonly now: number
  readonly expiresAt: number
}

/** The JWS signing input of the statement that `key` is the issuer's: `cnf` (RFC 7800 §3.2) holds the key itself. */
export function attestationSigningInput(
  { kid, publicJwk }: Pick<ManifestKey, 'kid' | 'publicJwk'>,
  { issuer, by, now, expiresAt }: AttestationFacts,
): string {
  const header = { alg: 'ES256', typ: TYPE, kid: by }
  const claims = {
    iss: issuer,
    sub: kid,
    iat: now,
    nbf: now,
    exp: expiresAt,
    cnf: { jwk: { ...publicJwk, kid } },
  }
  return [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
}

/**
 * Whether a KMS key that `kmsRing` has published says that the delegated key, with this very public half, is the issuer's.
 * Who can write the manifest of delegated keys alone can make no key ours. `now` in epoch seconds.
 */
export async function isAttested(
  key: DelegatedKey,
  kmsRing: KeyManifest | undefined,
  { issuer, now }: Pick<AttestationFacts, 'issuer' | 'now'>,
): Promise<boolean> {
  const { statement, by } = key.attestation
  const attester = kmsRing?.keys.find(({ kid }) => kid === by)
  if (attester === undefined || isDelegated(attester) || !isPublished(attester)) return false
  try {
    const { payload } = await jwtVerify(statement, await importJWK(attester.publicJwk as JWK, 'ES256'), {
      algorithms: ['ES256'],
      typ: TYPE,
      issuer,
      subject: key.kid,
      currentDate: new Date(now * 1000),
      clockTolerance: LIMITS.clockSkewSeconds,
      requiredClaims: ['exp', 'nbf', 'cnf'],
    })
    const { jwk } = payload['cnf'] as { readonly jwk: JWK }
    // Thumbprints are over the mathematical members alone, in one fixed form.
    return (await calculateJwkThumbprint(jwk)) === (await calculateJwkThumbprint(key.publicJwk as JWK))
  } catch {
    return false
  }
}
