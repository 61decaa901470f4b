import { DependencyUnavailable, SignedByRetiredKey } from '../core/fault.ts'
import { type ManifestKey, maySign } from '../core/key-lifecycle.ts'
import { DELEGATED_RING } from '../core/key-times.ts'
import type { Signer } from '../core/ports.ts'
import { isDelegated, ringOfKey } from '../core/signing-ring.ts'
import type { RingName } from '../core/types.ts'
import type { CachedKeyManifests } from './cached-key-manifests.ts'

/** Has each key used where its private half is. Neither way to sign ever stands in for the other. */
export class RingSigner implements Signer {
  private readonly kms: Signer
  private readonly delegated: Signer | undefined
  private readonly manifests: CachedKeyManifests

  /** `delegated` is `undefined` where no target of the policy asks for it. */
  constructor(kms: Signer, delegated: Signer | undefined, manifests: CachedKeyManifests) {
    this.kms = kms
    this.delegated = delegated
    this.manifests = manifests
  }

  async activeKey(ring: RingName): Promise<ManifestKey> {
    return this.signerOf(ring === DELEGATED_RING).activeKey(ring)
  }

  async sign(key: ManifestKey, signingInput: string): Promise<Uint8Array> {
    const signature = await this.signerOf(isDelegated(key)).sign(key, signingInput)
    // Asked before, too. An environment that was frozen meanwhile, or a signer with a defect, ends here.
    const manifest = await this.manifests.current(ringOfKey(key))
    if (maySign(manifest, key.kid, this.manifests.now())) return signature
    throw new SignedByRetiredKey(`key ${key.kid} has signed after its time`)
  }

  forget(ring: RingName): void {
    this.signerOf(ring === DELEGATED_RING).forget(ring)
  }

  private signerOf(isDelegated: boolean): Signer {
    const signer = isDelegated ? this.delegated : this.kms
    if (signer === undefined) throw new DependencyUnavailable('kms', 'this deployment has no delegated keys')
    return signer
  }
}
