import { createPrivateKey, createPublicKey, webcrypto } from 'node:crypto'
import {
  DecryptCommand,
  GenerateDataKeyPairWithoutPlaintextCommand,
  type KMSClient,
} from '@aws-sdk/client-kms'
import { DependencyUnavailable } from '../core/fault.ts'
import type { PublicJwk } from '../core/types.ts'
import { delegatedKeyContext } from '../key-tags.ts'
import { answerOf, isCausedBy } from './aws-client.ts'

/** The wrapping key is out of use, or is not the one that encrypted. */
const LOST = new Set([
  'DisabledException',
  'IncorrectKeyException',
  'InvalidCiphertextException',
  'KMSInvalidStateException',
  'NotFoundException',
])

/** Whether KMS refused because what it was given can be decrypted no more. */
export function isLost(fault: unknown): boolean {
  return isCausedBy(fault, LOST)
}

/** The symmetric KMS key under which delegated keys are made and handed over. */
export class KmsWrapping {
  private readonly client: KMSClient
  private readonly keyArn: string
  private readonly context: Record<string, string>

  constructor(client: KMSClient, keyArn: string, stage: string) {
    this.client = client
    this.keyArn = keyArn
    this.context = delegatedKeyContext(stage)
  }

  /** A new P-256 key pair: its private half, encrypted, base64. Throws {@link DependencyUnavailable}. */
  async generate(): Promise<string> {
    const command = new GenerateDataKeyPairWithoutPlaintextCommand({
      KeyId: this.keyArn,
      KeyPairSpec: 'ECC_NIST_P256',
      EncryptionContext: this.context,
    })
    const { PrivateKeyCiphertextBlob: wrapped } = await answerOf('kms', this.client.send(command))
    if (wrapped === undefined)
      throw new DependencyUnavailable('kms', 'GenerateDataKeyPairWithoutPlaintext answered without a key')
    return Buffer.from(wrapped).toString('base64')
  }

  /** The private half, to sign with and for nothing else: not even this process can read it out again. */
  async unwrap(wrapped: string): Promise<webcrypto.CryptoKey> {
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
    return this.decrypted(wrapped, (pkcs8) =>
      webcrypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign']),
    )
  }

  /** The public half of an encrypted private one. */
  async publicHalfOf(wrapped: string): Promise<PublicJwk> {
    return this.decrypted(wrapped, async (pkcs8) => {
      const der = Buffer.from(pkcs8.buffer, pkcs8.byteOffset, pkcs8.byteLength)
      const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
      return createPublicKey(privateKey).export({ format: 'jwk' }) as PublicJwk
    })
  }

  /** Lends out the plaintext, and overwrites it. */
  private async decrypted<T>(wrapped: string, use: (pkcs8: Uint8Array) => Promise<T>): Promise<T> {
    const command = new DecryptCommand({
      KeyId: this.keyArn,
      CiphertextBlob: Buffer.from(wrapped, 'base64'),
      EncryptionContext: this.context,
    })
    const { Plaintext = new Uint8Array() } = await answerOf('kms', this.client.send(command))
    try {
      return await use(Plaintext)
    } catch {
      // Without the cause: whatever it says, it says about a private key.
      throw new DependencyUnavailable('kms', 'what Decrypt answered is no P-256 key')
    } finally {
      Plaintext.fill(0)
    }
  }
}

/** The JWS signature (r‖s) of `text`. */
export async function signLocally(key: webcrypto.CryptoKey, text: string): Promise<Uint8Array> {
  return new Uint8Array(
    await webcrypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key, Buffer.from(text)),
  )
}
