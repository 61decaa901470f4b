import { isPublished, type KeyManifest, type ManifestKey } from './key-lifecycle.ts'
import type { PublicJwk } from './types.ts'

/** The keys that the JWK Set holds, of all rings. */
export function publishedKeys(manifests: readonly (KeyManifest | undefined)[]): readonly ManifestKey[] {
  return manifests.flatMap((manifest) => manifest?.keys ?? []).filter(isPublished)
}

/** A JWK Set (RFC 7517 §5) of public keys, each with `kid`, `alg` and `use`. */
export function jwkSetOf(keys: readonly ManifestKey[]): { readonly keys: readonly PublicJwk[] } {
  return { keys: keys.map((key) => ({ ...key.publicJwk, kid: key.kid, alg: key.algorithm, use: 'sig' })) }
}
