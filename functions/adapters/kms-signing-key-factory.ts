import { createPublicKey } from 'node:crypto'
import { CreateKeyCommand, GetPublicKeyCommand, type KeySpec, type KMSClient } from '@aws-sdk/client-kms'
import { DependencyUnavailable, KeyRingFault } from '../core/fault.ts'
import { DELEGATED_RING } from '../core/key-times.ts'
import type { KeyPair, SigningKeyFactory } from '../core/ports.ts'
import type { PublicJwk, RingName, SigningAlgorithm } from '../core/types.ts'
import { KEY_TAGS, TOKEN_SIGNING } from '../key-tags.ts'
import { answerOf } from './aws-client.ts'
import { isOutOfUse, signWithKms } from './kms-signature.ts'

const KEY_SPEC: Readonly<Record<SigningAlgorithm, KeySpec>> = { RS256: 'RSA_2048', ES256: 'ECC_NIST_P256' }

/** Makes KMS keys that carry our tags: by these the roles may use them, and no others. */
export class KmsSigningKeyFactory implements SigningKeyFactory {
  private readonly client: KMSClient
  private readonly stage: string

  constructor(client: KMSClient, stage: string) {
    this.client = client
    this.stage = stage
  }

  async create(ring: RingName, reservation: string): Promise<string> {
    if (ring === DELEGATED_RING) throw new KeyRingFault('delegated keys are not kept in KMS')
    const command = new CreateKeyCommand({
      KeySpec: KEY_SPEC[ring],
      KeyUsage: 'SIGN_VERIFY',
      Description: `token-broker ${this.stage}: signs ${ring} tokens`,
      Tags: [
        { TagKey: KEY_TAGS.purpose, TagValue: TOKEN_SIGNING },
        { TagKey: KEY_TAGS.stage, TagValue: this.stage },
        { TagKey: KEY_TAGS.ring, TagValue: ring },
        { TagKey: KEY_TAGS.reservation, TagValue: reservation },
      ],
    })
    const { KeyMetadata } = await answerOf('kms', this.client.send(command))
    if (KeyMetadata?.Arn === undefined)
      throw new DependencyUnavailable('kms', 'CreateKey answered without an ARN')
    return KeyMetadata.Arn
  }

  async publicKey(keyArn: string): Promise<PublicJwk> {
    const { PublicKey } = await answerOf('kms', this.client.send(new GetPublicKeyCommand({ KeyId: keyArn })))
    if (PublicKey === undefined) throw new DependencyUnavailable('kms', 'GetPublicKey answered without a key')
    const key = createPublicKey({ key: Buffer.from(PublicKey), format: 'der', type: 'spki' })
    return key.export({ format: 'jwk' }) as PublicJwk
  }

  async prove(key: KeyPair): Promise<'proven' | 'refused'> {
    if (!('keyArn' in key)) throw new KeyRingFault(`key ${key.kid} is not in KMS`)
    try {
      await signWithKms(this.client, key, `self-test of ${key.kid}`)
      return 'proven'
    } catch (error) {
      if (isOutOfUse(error)) return 'refused'
      throw error
    }
  }
}
