import { createHash } from 'node:crypto'
import type { KMSClient } from '@aws-sdk/client-kms'
import type { CheckpointSigner, ProbeKey, SigningKeyFactory } from '../core/ports.ts'
import type { PublicJwk } from '../core/types.ts'
import { type KmsKeyPair, signWithKms } from './kms-signature.ts'

/** A KMS key (ES256) of one purpose: it signs nothing else, and no key of tokens signs what it does. */
export class KmsSoleKey implements CheckpointSigner, ProbeKey {
  readonly keyId: string
  readonly kid: string
  private readonly client: KMSClient
  private readonly keys: Pick<SigningKeyFactory, 'publicKey'>
  private key: Promise<KmsKeyPair> | undefined

  constructor(client: KMSClient, keys: Pick<SigningKeyFactory, 'publicKey'>, keyArn: string) {
    this.client = client
    this.keys = keys
    this.keyId = keyArn
    this.kid = createHash('sha256').update(keyArn).digest('base64url')
  }

  async sign(signingInput: string): Promise<Uint8Array> {
    return signWithKms(this.client, await this.known(), signingInput)
  }

  async publicJwk(): Promise<PublicJwk> {
    return (await this.known()).publicJwk
  }

  private known(): Promise<KmsKeyPair> {
    this.key ??= this.read()
    // Not remembered if it failed.
    this.key.catch(() => {
      this.key = undefined
    })
    return this.key
  }

  private async read(): Promise<KmsKeyPair> {
    const publicJwk = await this.keys.publicKey(this.keyId)
    return { kid: this.kid, keyArn: this.keyId, algorithm: 'ES256', publicJwk }
  }
}
