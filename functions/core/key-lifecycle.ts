import type { PublicJwk, SigningAlgorithm } from './types.ts'

/** The states of a signing key once its public half is known, in the order in which it moves through them. */
export type KeyState = 'published' | 'active' | 'retired' | 'disabled' | 'deleted'

export interface ManifestKey {
  /** RFC 7638 thumbprint of the public key. */
  readonly kid: string
  readonly keyArn: string
  readonly algorithm: SigningAlgorithm
  readonly state: KeyState
  readonly publicJwk: PublicJwk
  /** When it entered its state, epoch seconds. */
  readonly since: number
}

/** A key that exists in KMS; nothing else is known of it yet, and nobody has seen it. */
export interface PendingKey {
  readonly keyArn: string
  /** When it was made, epoch seconds. */
  readonly since: number
}

/** All keys of one ring. */
export interface KeyManifest {
  readonly ring: SigningAlgorithm
  /** Grows by one with every change; a change against an older version is refused. */
  readonly version: number
  /** Written down before anything else is done with it, so that a run that is refused it tries again with the same key. */
  readonly pending: PendingKey | undefined
  /** Oldest first. */
  readonly keys: readonly ManifestKey[]
}

/** The rings that every deployment has. */
export const RINGS: readonly SigningAlgorithm[] = ['RS256', 'ES256']

/** The next thing to do for a ring. A key proves that it signs before it is published. */
export type KeyStep =
  | { readonly kind: 'create' }
  | { readonly kind: 'publish'; readonly pending: PendingKey }
  | { readonly kind: 'activate'; readonly key: ManifestKey }

/** The manifest of a ring that has no key yet. */
export function emptyManifest(ring: SigningAlgorithm): KeyManifest {
  return { ring, version: 0, pending: undefined, keys: [] }
}

/**
 * What a ring needs next, from its state alone: whoever dies between two steps is continued by whoever comes next.
 * A ring's first key signs as soon as it is published: no verifier can hold an older set.
 */
export function nextKeyStep({ pending, keys }: KeyManifest): KeyStep | undefined {
  if (pending !== undefined) return { kind: 'publish', pending }
  if (keys.length === 0) return { kind: 'create' }
  const published = keys.find((key) => key.state === 'published')
  const hasActive = keys.some((key) => key.state === 'active')
  return published !== undefined && !hasActive ? { kind: 'activate', key: published } : undefined
}

/** The next version of a manifest, with these parts changed. */
export function changed(
  manifest: KeyManifest,
  parts: Partial<Pick<KeyManifest, 'pending' | 'keys'>>,
): KeyManifest {
  return { ...manifest, ...parts, version: manifest.version + 1 }
}

/** The next version of a manifest, with `key` in another state. `now` in epoch seconds. */
export function withKeyState(
  manifest: KeyManifest,
  key: ManifestKey,
  state: KeyState,
  now: number,
): KeyManifest {
  const moved: ManifestKey = { ...key, state, since: now }
  return changed(manifest, { keys: manifest.keys.map((other) => (other.kid === key.kid ? moved : other)) })
}
