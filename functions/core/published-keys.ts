import { isPublished, type KeyManifest, type ManifestKey } from './key-lifecycle.ts'
import { isDelegated } from './signing-ring.ts'
import type { PublicJwk } from './types.ts'

/** The keys that the JWK Set holds, of all rings. */
export function publishedKeys(manifests: readonly (KeyManifest | undefined)[]): readonly ManifestKey[] {
  return manifests.flatMap((manifest) => manifest?.keys ?? []).filter(isPublished)
}

/** A published key. Members that a verifier does not know have no meaning to it (RFC 7517 §4). */
export interface PublishedJwk extends PublicJwk {
  /** Of a delegated key the statement of a KMS key that is in the same set, for verifiers that care. */
  readonly attestation?: string
}

/** A JWK Set (RFC 7517 §5) of public keys, each with `kid`, `alg` and `use`. */
export function jwkSetOf(keys: readonly ManifestKey[]): { readonly keys: readonly PublishedJwk[] } {
  return {
    keys: keys.map((key) => ({
      ...key.publicJwk,
      kid: key.kid,
      alg: key.algorithm,
      use: 'sig',
      ...(isDelegated(key) && { attestation: key.attestation.statement }),
    })),
  }
}
