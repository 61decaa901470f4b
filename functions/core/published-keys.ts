import type { KeyManifest, KeyState, ManifestKey } from './key-lifecycle.ts'
import type { PublicJwk } from './types.ts'

/** The states in which verifiers may see a key: before its first signature until after its last one's end. */
const PUBLISHED_STATES: ReadonlySet<KeyState> = new Set(['published', 'active', 'retired'])

/** The keys that the JWK Set holds, of all rings. */
export function publishedKeys(manifests: readonly (KeyManifest | undefined)[]): readonly ManifestKey[] {
  return manifests
    .flatMap((manifest) => manifest?.keys ?? [])
    .filter((key) => PUBLISHED_STATES.has(key.state))
}

/** A JWK Set (RFC 7517 §5) of public keys, each with `kid`, `alg` and `use`. */
export function jwkSetOf(keys: readonly ManifestKey[]): { readonly keys: readonly PublicJwk[] } {
  return { keys: keys.map((key) => ({ ...key.publicJwk, kid: key.kid, alg: key.algorithm, use: 'sig' })) }
}
