import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { type KMSClient, SignCommand, type SigningAlgorithmSpec } from '@aws-sdk/client-kms'
import { WrongSignature } from '../core/fault.ts'
import type { KmsKey } from '../core/key-lifecycle.ts'
import type { KeyPair } from '../core/ports.ts'
import type { SigningAlgorithm } from '../core/types.ts'
import { answerOf, isCausedBy } from './aws-client.ts'
import { rawEcdsaSignature } from './ecdsa-der.ts'

const KMS_ALGORITHM: Readonly<Record<SigningAlgorithm, SigningAlgorithmSpec>> = {
  RS256: 'RSASSA_PKCS1_V1_5_SHA_256',
  ES256: 'ECDSA_SHA_256',
}

/** What KMS says of a key that is disabled, waits for its deletion, or is deleted. */
const OUT_OF_USE = new Set(['DisabledException', 'KMSInvalidStateException', 'NotFoundException'])

/** What is needed of a key to sign with KMS. */
export type KmsKeyPair = Pick<KmsKey, 'kid' | 'keyArn' | 'algorithm' | 'publicJwk'>

const publicKeys = new WeakMap<object, KeyObject>()

/** Whether KMS refused because of the state that somebody has put the key into. */
export function isOutOfUse(fault: unknown): boolean {
  return isCausedBy(fault, OUT_OF_USE)
}

/**
 * The JWS signature of `text`, verified with the key's public half. Only the digest goes to KMS. Throws
 * {@link DependencyUnavailable} or {@link WrongSignature}.
 */
export async function signWithKms(client: KMSClient, key: KmsKeyPair, text: string): Promise<Uint8Array> {
  const command = new SignCommand({
    KeyId: key.keyArn,
    SigningAlgorithm: KMS_ALGORITHM[key.algorithm],
    MessageType: 'DIGEST',
    Message: createHash('sha256').update(text).digest(),
  })
  const { Signature = new Uint8Array() } = await answerOf('kms', client.send(command))
  const signature = jwsSignature(key.algorithm, Signature)
  return verified(key, text, signature)
}

/** The signature, if `key`'s public half verifies it. Throws {@link WrongSignature}. */
export function verified(
  key: Pick<KeyPair, 'kid' | 'algorithm' | 'publicJwk'>,
  text: string,
  signature: Uint8Array | undefined,
): Uint8Array {
  // A garbled signature or another key's must not leave: it could give the key away, or never verify.
  if (signature === undefined || !verifies(publicKeyOf(key), key.algorithm, text, signature))
    throw new WrongSignature(`the signature by key ${key.kid} does not verify`)
  return signature
}

function publicKeyOf(key: Pick<KeyPair, 'publicJwk'>): KeyObject {
  const known = publicKeys.get(key)
  if (known !== undefined) return known
  const made = createPublicKey({ key: { ...key.publicJwk }, format: 'jwk' })
  publicKeys.set(key, made)
  return made
}

function jwsSignature(algorithm: SigningAlgorithm, signature: Uint8Array): Uint8Array | undefined {
  return algorithm === 'ES256' ? rawEcdsaSignature(signature, 32) : signature
}

function verifies(key: KeyObject, algorithm: SigningAlgorithm, text: string, signature: Uint8Array): boolean {
  const verifier = algorithm === 'ES256' ? ({ key, dsaEncoding: 'ieee-p1363' } as const) : key
  return verify('sha256', Buffer.from(text), verifier, signature)
}
