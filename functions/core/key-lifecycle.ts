import { DELEGATED_RING, type KeyTimes, PUBLISHED_KEYS_PER_RING } from './key-times.ts'
import { LIMITS } from './limits.ts'
import { isDelegated } from './signing-ring.ts'
import type { PublicJwk, RingName, SigningAlgorithm } from './types.ts'

/** The states of a signing key once its public half is known, in the order in which it moves through them. */
export type KeyState = 'published' | 'active' | 'retired' | 'disabled' | 'deleted'

interface KeyEntry {
  /** RFC 7638 thumbprint of the public key. */
  readonly kid: string
  readonly algorithm: SigningAlgorithm
  readonly state: KeyState
  readonly publicJwk: PublicJwk
  /** When it entered its state, epoch seconds. */
  readonly since: number
}

/** A key whose private half never leaves KMS. */
export interface KmsKey extends KeyEntry {
  readonly keyArn: string
}

/** By which a KMS key of ours says that a delegated key is ours. */
export interface Attestation {
  /** A JWS of type `delegated-key+jwt`. */
  readonly statement: string
  /** `kid` of the KMS key that signed it. */
  readonly by: string
  /** Epoch seconds. */
  readonly expiresAt: number
}

/** A key whose private half KMS has made and encrypted: it signs wherever that may be decrypted. */
export interface DelegatedKey extends KeyEntry {
  readonly algorithm: 'ES256'
  /** The private half, encrypted by KMS, base64. `undefined` once the key is disabled: to erase it is what disables it. */
  readonly wrapped: string | undefined
  readonly attestation: Attestation
}

export type ManifestKey = KmsKey | DelegatedKey

/** A key that nobody has seen yet. It is written down before it is made, so that a run that dies leaves no key behind. */
export interface PendingKey {
  /** Random. The KMS key carries it as a tag: nobody else could know it, so a key that has it was made for this entry. */
  readonly reservation: string
  /** The KMS key, once it is known. */
  readonly keyArn?: string
  /** Of a delegated key the encrypted private half, once it is made. */
  readonly wrapped?: string
  /** It may sign as soon as it is published: no key set was ever served without it. */
  readonly signsAtOnce?: true
  readonly since: number
}

/** All keys of one ring. */
export interface KeyManifest {
  readonly ring: RingName
  /** Grows by one with every change; a change against an older version is refused. */
  readonly version: number
  readonly pending: PendingKey | undefined
  /** Oldest first. */
  readonly keys: readonly ManifestKey[]
}

/** What names a private half: the ARN of a KMS key, or what KMS has encrypted of a delegated one. */
export type KeyHandle = string

/** One move of one key. Each is one conditional write of the manifest, after its effect in KMS, which can be repeated. */
export type KeyStep =
  /** Write down that a key is about to be made. */
  | { readonly kind: 'reserve' }
  /** Find the key that was made for the reservation, or make it. */
  | { readonly kind: 'create'; readonly pending: PendingKey }
  /** Prove that it signs, then show it to verifiers. */
  | { readonly kind: 'publish'; readonly handle: KeyHandle }
  /** Give up on a key that could not be published. */
  | { readonly kind: 'abandon' }
  /** Prove once more that it signs, then let it sign; the key before it retires in the same write. */
  | { readonly kind: 'activate'; readonly key: ManifestKey }
  /** Have the KMS key that signs now vouch for a delegated key. */
  | { readonly kind: 'attest'; readonly key: DelegatedKey }
  /** Retire a key without a successor: KMS refused to use it before it ever signed, or its ring is given up. */
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

/** What a plan depends on beside the manifest. */
export interface RingCircumstances {
  /** `kid`s of the keys with which KMS refuses to sign, because somebody has disabled or deleted them. @default none */
  readonly unusable?: ReadonlySet<string>
  /** No policy asks for the ring any more: its keys live out their time, and no more are made. @default false */
  readonly isWindingDown?: boolean
  /** `kid` of the KMS key that can vouch for delegated keys. @default none */
  readonly attester?: string | undefined
}

const NONE: ReadonlySet<string> = new Set()

/** A statement outlives the key by this, and is renewed when half of it is left: runs may come late. Seconds. */
const ATTESTED_LONGER = 24 * 60 * 60

/** The manifest of a ring that has no key yet. */
export function emptyManifest(ring: RingName): KeyManifest {
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
 * continued by whoever comes next.
 */
export function planKeySteps(
  manifest: KeyManifest,
  times: KeyTimes,
  { unusable = NONE, isWindingDown = false, attester }: RingCircumstances = {},
): readonly PlannedStep[] {
  const { keys } = manifest
  const ahead = isWindingDown
    ? planWindingDown(manifest, times)
    : [
        ...planActivation(manifest, times, unusable),
        ...keys.flatMap((key) => planWithdrawal(key, unusable)),
        ...planNextKey(manifest, times, unusable),
      ]
  return [
    ...ahead,
    ...keys.flatMap((key) => planAttestation(key, attester)),
    ...keys.flatMap((key) => planEnd(key, times)),
  ]
}

/** A function that has not been deployed anew may still sign with the active key: it keeps its time. */
function planWindingDown({ pending, keys }: KeyManifest, times: KeyTimes): readonly PlannedStep[] {
  const abandon = pending === undefined ? [] : [{ step: { kind: 'abandon' } as const, at: pending.since }]
  const withdrawn = keys.flatMap((key) => {
    if (key.state !== 'published' && key.state !== 'active') return []
    const at = key.state === 'active' ? key.since + times.activeSeconds : key.since
    return [{ step: { kind: 'withdraw', key } as const, at }]
  })
  return [...abandon, ...withdrawn]
}

/** A delegated key is vouched for by whoever signs now, whose own key verifiers have for long enough. */
function planAttestation(key: ManifestKey, attester: string | undefined): readonly PlannedStep[] {
  if (!isDelegated(key) || !isPublished(key)) return []
  const { by, expiresAt } = key.attestation
  const isOld = attester !== undefined && by !== attester
  return [{ step: { kind: 'attest', key }, at: isOld ? key.since : expiresAt - ATTESTED_LONGER / 2 }]
}

/** Until when a statement about the key is to hold: until verifiers need it no more, and some. `now` in epoch seconds. */
export function attestedUntil(
  { state, since }: Pick<ManifestKey, 'state' | 'since'>,
  { publishedSeconds, activeSeconds, retiredSeconds }: KeyTimes,
  now: number,
): number {
  const waits = state === 'published' ? Math.max(publishedSeconds, activeSeconds) : 0
  const signs = state === 'retired' ? 0 : activeSeconds
  return Math.max(now, since + waits + signs + retiredSeconds) + ATTESTED_LONGER
}

function planActivation(
  { ring, keys }: KeyManifest,
  times: KeyTimes,
  unusable: ReadonlySet<string>,
): readonly PlannedStep[] {
  const next = keys.find((key) => key.state === 'published' && !unusable.has(key.kid))
  if (next === undefined) return []
  // A ring's first key signs at once: there is no token, and so no verifier, that could miss it. Not so the delegated ring,
  // which may come later than the others: sets without it are about.
  const isFirst = ring !== DELEGATED_RING && keys.every((key) => key.state === 'published')
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
  const { keyArn, wrapped, since } = pending
  const handle = keyArn ?? wrapped
  const next: KeyStep = handle === undefined ? { kind: 'create', pending } : { kind: 'publish', handle }
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
  const keys = manifest.keys.map((other) => (other.kid === key.kid ? inState(other, state, now) : other))
  return changed(manifest, { keys })
}

/** What a disabled key has left of a private half is erased: nothing else disables a key that is not in KMS. */
function inState(key: ManifestKey, state: KeyState, now: number): ManifestKey {
  const moved = { ...key, state, since: now }
  return isDelegated(moved) && !isPublished(moved) ? { ...moved, wrapped: undefined } : moved
}

/** The next version of a manifest, with `key` active and the one before it retired: at no moment are there two. */
export function withActive(manifest: KeyManifest, key: ManifestKey, now: number): KeyManifest {
  const keys = manifest.keys.map((other) =>
    other.state === 'active' ? { ...other, state: 'retired' as const, since: now } : other,
  )
  return withKeyState({ ...manifest, keys }, key, 'active', now)
}
