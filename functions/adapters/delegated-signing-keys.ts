import { KeyRingFault } from '../core/fault.ts'
import { DELEGATED_RING } from '../core/key-times.ts'
import type { KeyPair, SigningKeyFactory, SigningKeyInventory, TaggedKey } from '../core/ports.ts'
import type { PublicJwk, RingName } from '../core/types.ts'
import { verified } from './kms-signature.ts'
import { isLost, type KmsWrapping, signLocally } from './kms-wrapping.ts'

/**
 * Makes delegated keys. KMS keeps nothing of them: what is not written into the manifest never was, so there is nothing to
 * find again, and to disable one is to erase it from there.
 */
export class DelegatedSigningKeys implements SigningKeyFactory, SigningKeyInventory {
  private readonly wrapping: KmsWrapping

  constructor(wrapping: KmsWrapping) {
    this.wrapping = wrapping
  }

  async create(ring: RingName): Promise<string> {
    if (ring !== DELEGATED_RING) throw new KeyRingFault(`keys of ring ${ring} are not delegated`)
    return this.wrapping.generate()
  }

  async publicKey(wrapped: string): Promise<PublicJwk> {
    return this.wrapping.publicHalfOf(wrapped)
  }

  async prove(key: KeyPair): Promise<'proven' | 'refused'> {
    if (!('wrapped' in key) || key.wrapped === undefined) return 'refused'
    try {
      const text = `self-test of ${key.kid}`
      verified(key, text, await signLocally(await this.wrapping.unwrap(key.wrapped), text))
      return 'proven'
    } catch (error) {
      if (isLost(error)) return 'refused'
      throw error
    }
  }

  async find(): Promise<readonly TaggedKey[]> {
    return []
  }

  async disable(): Promise<void> {}

  async scheduleDeletion(): Promise<void> {}
}
