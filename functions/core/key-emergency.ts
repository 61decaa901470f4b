import { isPublished, type KeyManifest, type ManifestKey, withActive, withKeyState } from './key-lifecycle.ts'
import type { KeyTimes } from './key-times.ts'

/** What an operator's rotation ahead of its time would do. Times in epoch seconds. */
export interface RotationPlan {
  readonly next: ManifestKey
  /** The key that signs until then; `undefined` if none does. */
  readonly active: ManifestKey | undefined
  /** Until when the key that signed stays published, so that its last tokens verify everywhere. */
  readonly publishedUntil: number
  /** From when every verifier has `next`. In the future: one with an old key set refuses the new tokens until then. */
  readonly knownFrom: number
}

/** The rotation of a ring now; `undefined` if no next key is published. `refused` are `kid`s that KMS does not sign with. */
export function planRotation(
  manifest: KeyManifest,
  times: KeyTimes,
  { now, refused = [] }: { readonly now: number; readonly refused?: readonly string[] },
): RotationPlan | undefined {
  const next = nextKey(manifest, refused)
  if (next === undefined) return undefined
  return {
    next,
    active: manifest.keys.find(({ state }) => state === 'active'),
    publishedUntil: now + times.retiredSeconds,
    knownFrom: knownFrom(manifest, next, times),
  }
}

/** What revoking a key would do to its ring. Times in epoch seconds. */
export interface KeyRevocationPlan {
  readonly key: ManifestKey
  /** Whether verifiers may still find it: then it leaves the key set. */
  readonly leavesJwks: boolean
  /** Whether it is the key that signs: then somebody must take over. */
  readonly wasActive: boolean
  /** Signs from the same write on; `undefined` if nothing changes, or no key is there to take over. */
  readonly successor: ManifestKey | undefined
  /** From when every verifier has the successor. */
  readonly knownFrom: number | undefined
}

/** The revocation of the ring's key `kid`; `undefined` if it has no such key. */
export function planKeyRevocation(
  manifest: KeyManifest,
  kid: string,
  { times, refused = [] }: { readonly times: KeyTimes; readonly refused?: readonly string[] },
): KeyRevocationPlan | undefined {
  const key = manifest.keys.find((each) => each.kid === kid)
  if (key === undefined) return undefined
  const wasActive = key.state === 'active'
  const successor = wasActive ? nextKey(manifest, refused) : undefined
  return {
    key,
    leavesJwks: isPublished(key),
    wasActive,
    successor,
    knownFrom: successor && knownFrom(manifest, successor, times),
  }
}

/**
 * The next version of the manifest: the key is out of the key set, and its successor signs. One version, so that at no
 * moment nobody signs, or somebody signs with a revoked key. The manifest itself if the key has left already.
 */
export function withKeyRevoked(
  manifest: KeyManifest,
  { key, leavesJwks, successor }: KeyRevocationPlan,
  now: number,
): KeyManifest {
  if (!leavesJwks) return manifest
  const without = withKeyState(manifest, key, 'disabled', now)
  if (successor === undefined) return without
  return { ...withActive(without, successor, now), version: manifest.version + 1 }
}

function nextKey({ keys }: KeyManifest, refused: readonly string[]): ManifestKey | undefined {
  return keys.find(({ kid, state }) => state === 'published' && !refused.includes(kid))
}

/** A ring that has never signed has no verifier that could miss its first key. */
function knownFrom({ keys }: KeyManifest, key: ManifestKey, { publishedSeconds }: KeyTimes): number {
  return keys.every(({ state }) => state === 'published') ? key.since : key.since + publishedSeconds
}
