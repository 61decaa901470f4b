import type { webcrypto } from 'node:crypto'
import { DependencyUnavailable } from '../core/fault.ts'
import { isAttested } from '../core/key-attestation.ts'
import { type DelegatedKey, type KeyManifest, type ManifestKey, maySign } from '../core/key-lifecycle.ts'
import { DELEGATED_RING } from '../core/key-times.ts'
import type { Signer } from '../core/ports.ts'
import { isDelegated } from '../core/signing-ring.ts'
import type { CachedKeyManifests } from './cached-key-manifests.ts'
import { verified } from './kms-signature.ts'
import { isLost, type KmsWrapping, signLocally } from './kms-wrapping.ts'

/** The next key is decrypted this long before it may take over: early enough to wait for nothing, late enough to be of no use. */
const AHEAD_SECONDS = 10 * 60
/** No answer to a Decrypt is waited for longer: what is older was under way when Lambda froze the environment. */
const STALE_MS = 3000
/** A next key that cannot be had is asked for again after this. */
const RETRY_MS = 30_000

interface Held {
  readonly wrapped: string
  readonly startedAt: number
  readonly privateKey: Promise<webcrypto.CryptoKey>
  outcome: 'under way' | 'had' | 'failed'
}

export interface DelegatedSignerOptions {
  readonly issuer: string
  /** How long a delegated key signs. */
  readonly rotationSeconds: number
}

/**
 * Signs tokens in this process, with a key that KMS has decrypted for it: once for each key, before it is needed. Uses no key
 * that the manifest does not name, that no KMS key vouches for, or whose halves do not belong together. Whatever is
 * missing, there is no other way to sign.
 */
export class DelegatedSigner implements Signer {
  private readonly wrapping: KmsWrapping
  private readonly manifests: CachedKeyManifests
  private readonly options: DelegatedSignerOptions
  private readonly held = new Map<string, Held>()
  private readonly attested = new WeakMap<
    DelegatedKey,
    { by: KeyManifest | undefined; valid: Promise<boolean> }
  >()

  constructor(wrapping: KmsWrapping, manifests: CachedKeyManifests, options: DelegatedSignerOptions) {
    this.wrapping = wrapping
    this.manifests = manifests
    this.options = options
  }

  async activeKey(): Promise<ManifestKey> {
    const { manifest, keys, kmsRing } = await this.current()
    const active = keys.find(({ state }) => state === 'active')
    if (active === undefined) {
      // An operator may have let one take over by now.
      this.forget()
      throw new DependencyUnavailable('kms', `no active ${DELEGATED_RING} key`)
    }
    this.forgetAllBut(manifest)
    await this.privateKeyOf(active, kmsRing)
    this.prepareNext(active, keys, kmsRing)
    return active
  }

  async sign({ kid }: ManifestKey, signingInput: string): Promise<Uint8Array> {
    const { manifest, keys, kmsRing } = await this.current()
    // Of what a caller hands in, only the name counts. The manifest is at most 60 s old, however long this environment slept.
    const key = keys.find((each) => each.kid === kid)
    if (key === undefined || !maySign(manifest, kid, this.manifests.now()))
      throw new DependencyUnavailable('kms', `key ${kid} is not active`)
    const signature = await signLocally(await this.privateKeyOf(key, kmsRing), signingInput)
    return verified(key, signingInput, signature)
  }

  forget(): void {
    this.manifests.forget(DELEGATED_RING)
  }

  private async current() {
    const [manifest, kmsRing] = await Promise.all([
      this.manifests.current(DELEGATED_RING),
      this.manifests.current('ES256'),
    ])
    return { manifest, keys: (manifest?.keys ?? []).filter(isDelegated), kmsRing }
  }

  private async privateKeyOf(
    key: DelegatedKey,
    kmsRing: KeyManifest | undefined,
  ): Promise<webcrypto.CryptoKey> {
    if (!(await this.isAttested(key, kmsRing)))
      throw new DependencyUnavailable('kms', `no KMS key vouches for key ${key.kid}`)
    try {
      return await this.hold(key).privateKey
    } catch (error) {
      // The manifest may name another key by now.
      if (isLost(error)) this.forget()
      throw error
    }
  }

  private isAttested(key: DelegatedKey, kmsRing: KeyManifest | undefined): Promise<boolean> {
    const known = this.attested.get(key)
    if (known !== undefined && known.by === kmsRing) return known.valid
    const valid = isAttested(key, kmsRing, { issuer: this.options.issuer, now: this.manifests.now() })
    this.attested.set(key, { by: kmsRing, valid })
    return valid
  }

  /** The private half, decrypted at most once for each key unless that fails. */
  private hold(key: DelegatedKey): Held {
    const { kid, wrapped } = key
    if (wrapped === undefined) throw new DependencyUnavailable('kms', `key ${kid} is erased`)
    const known = this.held.get(kid)
    const age = this.nowMs() - (known?.startedAt ?? 0)
    const isUsable = known?.outcome === 'had' || (known?.outcome === 'under way' && age < STALE_MS)
    if (known !== undefined && isUsable && known.wrapped === wrapped) return known
    const held: Held = {
      wrapped,
      startedAt: this.nowMs(),
      privateKey: this.unwrapped(key, wrapped),
      outcome: 'under way',
    }
    this.held.set(kid, held)
    held.privateKey.then(
      () => {
        held.outcome = 'had'
      },
      () => {
        held.outcome = 'failed'
      },
    )
    return held
  }

  /** Tried out before it is trusted: a private half that is not of the public one would sign tokens that nobody can verify. */
  private async unwrapped(key: DelegatedKey, wrapped: string): Promise<webcrypto.CryptoKey> {
    const privateKey = await this.wrapping.unwrap(wrapped)
    const text = `self-test of ${key.kid}`
    const signature = await signLocally(privateKey, text)
    try {
      verified(key, text, signature)
    } catch (cause) {
      throw new DependencyUnavailable('kms', `the halves of key ${key.kid} do not belong together`, { cause })
    }
    return privateKey
  }

  private prepareNext(
    active: DelegatedKey,
    keys: readonly DelegatedKey[],
    kmsRing: KeyManifest | undefined,
  ): void {
    const isNear = this.manifests.now() >= active.since + this.options.rotationSeconds - AHEAD_SECONDS
    const next = keys.find(({ state }) => state === 'published')
    if (!isNear || next === undefined) return
    const known = this.held.get(next.kid)
    if (known?.outcome === 'failed' && this.nowMs() - known.startedAt < RETRY_MS) return
    // Beside the request that is being served. What fails here is tried again, and waited for once the key is needed.
    this.privateKeyOf(next, kmsRing).catch(() => undefined)
  }

  /** A key that may sign no more is not kept a moment longer. */
  private forgetAllBut(manifest: KeyManifest | undefined): void {
    const next = manifest?.keys.filter(({ state }) => state === 'published').map(({ kid }) => kid)
    for (const kid of this.held.keys())
      if (!next?.includes(kid) && !maySign(manifest, kid, this.manifests.now())) this.held.delete(kid)
  }

  private nowMs(): number {
    return this.manifests.now() * 1000
  }
}
