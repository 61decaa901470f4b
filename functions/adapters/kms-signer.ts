import type { KMSClient } from '@aws-sdk/client-kms'
import { DependencyUnavailable } from '../core/fault.ts'
import { type ManifestKey, maySign } from '../core/key-lifecycle.ts'
import type { Signer } from '../core/ports.ts'
import type { SigningAlgorithm } from '../core/types.ts'
import type { CachedKeyManifests } from './cached-key-manifests.ts'
import { isOutOfUse, signWithKms } from './kms-signature.ts'

/** Signs tokens with KMS: the digest goes there, the private key never leaves. */
export class KmsSigner implements Signer {
  private readonly client: KMSClient
  private readonly manifests: CachedKeyManifests

  constructor(client: KMSClient, manifests: CachedKeyManifests) {
    this.client = client
    this.manifests = manifests
  }

  async activeKey(algorithm: SigningAlgorithm): Promise<ManifestKey> {
    const manifest = await this.manifests.current(algorithm)
    const active = manifest?.keys.find((key) => key.state === 'active')
    if (active !== undefined) return active
    // An operator may have let one take over by now.
    this.forget(algorithm)
    throw new DependencyUnavailable('kms', `no active ${algorithm} key`)
  }

  async sign(key: ManifestKey, signingInput: string): Promise<Uint8Array> {
    const manifest = await this.manifests.current(key.algorithm)
    // Whatever a caller hands in: no token is signed by a key that verifiers may not have, or may be about to lose.
    if (!maySign(manifest, key.kid, this.manifests.now()))
      throw new DependencyUnavailable('kms', `key ${key.kid} is not active`)
    try {
      return await signWithKms(this.client, key, signingInput)
    } catch (error) {
      // Somebody has disabled or deleted the key since the manifest was read: by now it may name another.
      if (isOutOfUse(error)) this.forget(key.algorithm)
      throw error
    }
  }

  forget(algorithm: SigningAlgorithm): void {
    this.manifests.forget(algorithm)
  }
}
