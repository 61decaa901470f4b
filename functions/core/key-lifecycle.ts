import { type KeyTimes, PUBLISHED_KEYS_PER_RING } from './key-times.ts'
import { LIMITS } from './limits.ts'
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

/** A key that nobody has seen yet. It is written down before it is made, so that a run that dies leaves no key behind. */
export interface PendingKey {
  /** Random. The KMS key carries it as a tag: nobody else could know it, so a key that has it was made for this entry. */
  readonly reservation: string
  /** The KMS key, once it is known. */
  readonly keyArn?: string
  readonly since: number
}

/** All keys of one ring. */
export interface KeyManifest {
  readonly ring: SigningAlgorithm
  /** Grows by one with every change; a change against an older version is refused. */
  readonly version: number
  readonly pending: PendingKey | undefined
  /** Oldest first. */
  readonly keys: readonly ManifestKey[]
}

/** One move of one key. Each is one conditional write of the manifest, after its effect in KMS, which can be repeated. */
export type KeyStep =
  /** Write down that a key is about to be made. */
  | { readonly kind: 'reserve' }
  /** Find the key that was made for the reservation, or make it. */
  | { readonly kind: 'create'; readonly pending: PendingKey }
  /** Prove that it signs, then show it to verifiers. */
  | { readonly kind: 'publish'; readonly keyArn: string }
  /** Give up on a key that could not be published. */
  | { readonly kind: 'abandon' }
  /** Prove once more that it signs, then let it sign; the key before it retires in the same write. */
  | { readonly kind: 'activate'; readonly key: ManifestKey }
  /** Retire a key that KMS refused to use before it ever signed. */
  | { readonly kind: 'withdraw'; readonly key: ManifestKey }
  | { readonly kind: 'disable'; readonly key: ManifestKey }
  | { readonly kind: 'delete'; readonly key: ManifestKey }
  /** Drop the entry of a key that KMS has deleted by now. */
  | { readonly kind: 'forget'; readonly key: ManifestKey }

export interface PlannedStep {
  readonly step: KeyStep
  /** Not before this moment, epoch seconds. */
  readonly at: number
}

const NONE: ReadonlySet<string> = new Set()

/** The manifest of a ring that has no key yet. */
export function emptyManifest(ring: SigningAlgorithm): KeyManifest {
  return { ring, version: 0, pending: undefined, keys: [] }
}

/** Whether verifiers may see the key: before its first signature until after the end of its last token. */
export function isPublished({ state }: ManifestKey): boolean {
  return state === 'published' || state === 'active' || state === 'retired'
}

/**
 * Whether the key may sign a token: it is active, or it was a moment ago, when the request that is signed now began.
 * `now` in epoch seconds.
 */
export function maySign(manifest: KeyManifest | undefined, kid: string, now: number): boolean {
  const key = manifest?.keys.find((each) => each.kid === kid)
  const isJustRetired = key?.state === 'retired' && now < key.since + LIMITS.manifestCacheSeconds
  return key?.state === 'active' || isJustRetired
}

/**
 * Everything that lies ahead of a ring, the most important first, from its state alone: whoever dies between two steps is
 * continued by whoever comes next. `unusable` are the `kid`s with which KMS refuses to sign, because somebody has
 * disabled or deleted them.
 */
export function planKeySteps(
  manifest: KeyManifest,
  times: KeyTimes,
  unusable: ReadonlySet<string> = NONE,
): readonly PlannedStep[] {
  const { keys } = manifest
  return [
    ...planActivation(keys, times, unusable),
    ...keys.flatMap((key) => planWithdrawal(key, unusable)),
    ...planNextKey(manifest, times, unusable),
    ...keys.flatMap((key) => planEnd(key, times)),
  ]
}

function planActivation(
  keys: readonly ManifestKey[],
  times: KeyTimes,
  unusable: ReadonlySet<string>,
): readonly PlannedStep[] {
  const next = keys.find((key) => key.state === 'published' && !unusable.has(key.kid))
  if (next === undefined) return []
  // A ring's first key signs at once: there is no token, and so no verifier, that could miss it.
  const isFirst = keys.every((key) => key.state === 'published')
  const ready = isFirst ? next.since : next.since + times.publishedSeconds
  const active = keys.find((key) => key.state === 'active')
  const isNeeded = active === undefined || unusable.has(active.kid)
  const due = isNeeded ? ready : active.since + times.activeSeconds
  return [{ step: { kind: 'activate', key: next }, at: Math.max(ready, due) }]
}

function planWithdrawal(key: ManifestKey, unusable: ReadonlySet<string>): readonly PlannedStep[] {
  if (key.state !== 'published' || !unusable.has(key.kid)) return []
  return [{ step: { kind: 'withdraw', key }, at: key.since }]
}

/** The next key always exists and is published long before it is needed. */
function planNextKey(
  { pending, keys }: KeyManifest,
  times: KeyTimes,
  unusable: ReadonlySet<string>,
): readonly PlannedStep[] {
  if (keys.filter(isPublished).length >= PUBLISHED_KEYS_PER_RING) return []
  if (pending === undefined) {
    const hasNext = keys.some((key) => key.state === 'published' && !unusable.has(key.kid))
    return hasNext ? [] : [{ step: { kind: 'reserve' }, at: Math.max(0, ...keys.map(({ since }) => since)) }]
  }
  const { keyArn, since } = pending
  const next: KeyStep = keyArn === undefined ? { kind: 'create', pending } : { kind: 'publish', keyArn }
  return [
    { step: { kind: 'abandon' }, at: since + times.pendingSeconds },
    { step: next, at: since },
  ]
}

function planEnd(key: ManifestKey, times: KeyTimes): readonly PlannedStep[] {
  switch (key.state) {
    case 'published':
    case 'active':
      return []
    case 'retired':
      return [{ step: { kind: 'disable', key }, at: key.since + times.retiredSeconds }]
    case 'disabled':
      return [{ step: { kind: 'delete', key }, at: key.since + times.disabledSeconds }]
    case 'deleted':
      return [{ step: { kind: 'forget', key }, at: key.since + times.deletedSeconds }]
  }
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
  const keys = manifest.keys.map((other) => (other.kid === key.kid ? { ...other, state, since: now } : other))
  return changed(manifest, { keys })
}

/** The next version of a manifest, with `key` active and the one before it retired: at no moment are there two. */
export function withActive(manifest: KeyManifest, key: ManifestKey, now: number): KeyManifest {
  const keys = manifest.keys.map((other) =>
    other.state === 'active' ? { ...other, state: 'retired' as const, since: now } : other,
  )
  return withKeyState({ ...manifest, keys }, key, 'active', now)
}
