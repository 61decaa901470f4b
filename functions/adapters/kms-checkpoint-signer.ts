import { createHash } from 'node:crypto'
import type { KMSClient } from '@aws-sdk/client-kms'
import type { CheckpointSigner, SigningKeyFactory } from '../core/ports.ts'
import { type KmsKeyPair, signWithKms } from './kms-signature.ts'

/** The one KMS key that signs checkpoints; it signs nothing else, and no token key signs them. */
export class KmsCheckpointSigner implements CheckpointSigner {
  readonly keyId: string
  private readonly client: KMSClient
  private readonly keys: Pick<SigningKeyFactory, 'publicKey'>
  private key: Promise<KmsKeyPair> | undefined

  constructor(client: KMSClient, keys: Pick<SigningKeyFactory, 'publicKey'>, keyArn: string) {
    this.client = client
    this.keys = keys
    this.keyId = keyArn
  }

  async sign(signingInput: string): Promise<Uint8Array> {
    this.key ??= this.read()
    // Not remembered if it failed.
    this.key.catch(() => {
      this.key = undefined
    })
    return signWithKms(this.client, await this.key, signingInput)
  }

  private async read(): Promise<KmsKeyPair> {
    const publicJwk = await this.keys.publicKey(this.keyId)
    const kid = createHash('sha256').update(this.keyId).digest('base64url')
    return { kid, keyArn: this.keyId, algorithm: 'ES256', publicJwk }
  }
}
