import { LIMITS } from './limits.ts'
import type { RingName, SigningAlgorithm } from './types.ts'

const HOUR = 60 * 60
const DAY = 24 * HOUR

/** The rings of keys that never leave KMS: every deployment has them. */
export const KMS_RINGS: readonly SigningAlgorithm[] = ['RS256', 'ES256']

/** The ring of short-lived keys with which functions sign by themselves: it has keys only where a target asks for them. */
export const DELEGATED_RING = 'delegated-ES256'

/** Every ring that there can be. */
export const RINGS: readonly RingName[] = [...KMS_RINGS, DELEGATED_RING]

/** How often the reconcile function runs, minutes: a step happens up to this much after its time. */
export const RECONCILE_MINUTES = 15

/** How many keys of one ring the JWK Set may hold: one that signs, the next one, and one that has signed. */
export const PUBLISHED_KEYS_PER_RING = Math.floor(LIMITS.publishedKeys / RINGS.length)

/** What a deployment chooses about its signing keys. */
export interface RotationChoice {
  /** How long a key signs before the next one takes over. */
  readonly rotationSeconds: number
  /** How long the slowest verifier keeps a JWK Set before it reads it again. */
  readonly verifierCacheSeconds: number
}

/** How long a key stays in each state, seconds. Derived from what others may have cached, never chosen. */
export interface KeyTimes {
  /** A key that cannot be published for this long is given up. */
  readonly pendingSeconds: number
  /** At least, before it may sign. */
  readonly publishedSeconds: number
  readonly activeSeconds: number
  /** At least, before verifiers may lose it. */
  readonly retiredSeconds: number
  /** Time to undo a mistake before the deletion is scheduled. */
  readonly disabledSeconds: number
  /** Until KMS has deleted the key, and nothing is left to be said about it. */
  readonly deletedSeconds: number
}

/** KMS deletes a key this long after it was told to: its longest waiting period, in which the deletion can be cancelled. */
export const DELETION_WINDOW_DAYS = 30

/**
 * The times that follow from the choice. A key is published before it signs for as long as anyone may still hold a set
 * without it, and after it has stopped signing for as long as a token of it may live, and be verified with a cached set.
 */
export function keyTimesFor({ rotationSeconds, verifierCacheSeconds }: RotationChoice): KeyTimes {
  const publishedSeconds =
    verifierCacheSeconds + LIMITS.jwksMaxAgeSeconds + LIMITS.manifestCacheSeconds + LIMITS.clockSkewSeconds
  return {
    pendingSeconds: DAY,
    publishedSeconds,
    activeSeconds: rotationSeconds,
    // The same caches, seen from the other end: an environment may sign with its cached manifest for a minute more.
    retiredSeconds: LIMITS.maxLifetimeSeconds + publishedSeconds,
    disabledSeconds: 7 * DAY,
    deletedSeconds: (DELETION_WINDOW_DAYS + 1) * DAY,
  }
}

/**
 * The shortest rotation that works with this verifier cache, seconds: the next key is ready in time, and there is room
 * for it beside the active one and those that have not been retired long enough. One reconcile run may come late.
 */
export function shortestRotationSeconds(verifierCacheSeconds: number): number {
  const { publishedSeconds, retiredSeconds } = keyTimesFor({ rotationSeconds: 0, verifierCacheSeconds })
  const late = RECONCILE_MINUTES * 60
  const retiredKeys = PUBLISHED_KEYS_PER_RING - 2
  return Math.max(publishedSeconds + late, Math.ceil((retiredSeconds + late) / retiredKeys))
}
