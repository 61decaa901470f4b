import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { type KMSClient, SignCommand, type SigningAlgorithmSpec } from '@aws-sdk/client-kms'
import { DependencyUnavailable, WrongSignature } from '../core/fault.ts'
import type { ManifestKey } from '../core/key-lifecycle.ts'
import type { Signer } from '../core/ports.ts'
import type { SigningAlgorithm } from '../core/types.ts'
import { answerOf } from './aws-client.ts'
import type { CachedKeyManifests } from './cached-key-manifests.ts'
import { rawEcdsaSignature } from './ecdsa-der.ts'

const KMS_ALGORITHM: Readonly<Record<SigningAlgorithm, SigningAlgorithmSpec>> = {
  RS256: 'RSASSA_PKCS1_V1_5_SHA_256',
  ES256: 'ECDSA_SHA_256',
}

/** Signs with KMS: the digest goes there, the private key never leaves. */
export class KmsSigner implements Signer {
  private readonly client: KMSClient
  private readonly manifests: CachedKeyManifests
  private readonly publicKeys = new WeakMap<ManifestKey, KeyObject>()

  constructor(client: KMSClient, manifests: CachedKeyManifests) {
    this.client = client
    this.manifests = manifests
  }

  async activeKey(algorithm: SigningAlgorithm): Promise<ManifestKey> {
    const manifest = await this.manifests.current(algorithm)
    const active = manifest?.keys.find((key) => key.state === 'active')
    if (active === undefined) throw new DependencyUnavailable('kms', `no active ${algorithm} key`)
    return active
  }

  async sign(key: ManifestKey, signingInput: string): Promise<Uint8Array> {
    const signature = jwsSignature(key.algorithm, await this.signDigest(key, signingInput))
    // A garbled signature or another key's must not leave: it could give the key away, or never verify.
    if (signature === undefined || !verifies(this.publicKeyOf(key), key.algorithm, signingInput, signature))
      throw new WrongSignature(`the signature by key ${key.kid} does not verify`)
    return signature
  }

  private async signDigest(key: ManifestKey, signingInput: string): Promise<Uint8Array> {
    const command = new SignCommand({
      KeyId: key.keyArn,
      SigningAlgorithm: KMS_ALGORITHM[key.algorithm],
      MessageType: 'DIGEST',
      Message: createHash('sha256').update(signingInput).digest(),
    })
    try {
      const { Signature } = await answerOf('kms', this.client.send(command))
      return Signature ?? new Uint8Array()
    } catch (error) {
      // The key may have been disabled or deleted since the manifest was read.
      this.manifests.forget(key.algorithm)
      throw error
    }
  }

  private publicKeyOf(key: ManifestKey): KeyObject {
    const known = this.publicKeys.get(key)
    if (known !== undefined) return known
    const made = createPublicKey({ key: { ...key.publicJwk }, format: 'jwk' })
    this.publicKeys.set(key, made)
    return made
  }
}

function jwsSignature(algorithm: SigningAlgorithm, signature: Uint8Array): Uint8Array | undefined {
  return algorithm === 'ES256' ? rawEcdsaSignature(signature, 32) : signature
}

function verifies(key: KeyObject, algorithm: SigningAlgorithm, text: string, signature: Uint8Array): boolean {
  const verifier = algorithm === 'ES256' ? ({ key, dsaEncoding: 'ieee-p1363' } as const) : key
  return verify('sha256', Buffer.from(text), verifier, signature)
}
