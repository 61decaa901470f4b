import { DependencyUnavailable } from '../core/fault.ts'
import type { ManifestKey } from '../core/key-lifecycle.ts'
import { DELEGATED_RING } from '../core/key-times.ts'
import type { Signer } from '../core/ports.ts'
import { isDelegated } from '../core/signing-ring.ts'
import type { RingName } from '../core/types.ts'

/** Has each key used where its private half is. Neither way to sign ever stands in for the other. */
export class RingSigner implements Signer {
  private readonly kms: Signer
  private readonly delegated: Signer | undefined

  /** `delegated` is `undefined` where no target of the policy asks for it. */
  constructor(kms: Signer, delegated: Signer | undefined) {
    this.kms = kms
    this.delegated = delegated
  }

  async activeKey(ring: RingName): Promise<ManifestKey> {
    return this.signerOf(ring === DELEGATED_RING).activeKey(ring)
  }

  async sign(key: ManifestKey, signingInput: string): Promise<Uint8Array> {
    return this.signerOf(isDelegated(key)).sign(key, signingInput)
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
