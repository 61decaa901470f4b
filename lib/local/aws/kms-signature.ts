import { createHash, type KeyObject } from 'node:crypto'
import { signDigestWithEcdsa, verifyDigestWithEcdsa } from './ecdsa-digest.ts'
import { ALGORITHMS, type KeySpec, type SigningAlgorithm, specOf } from './kms-specs.ts'
import {
  signDigestWithPkcs1,
  signDigestWithPss,
  verifyDigestWithPkcs1,
  verifyDigestWithPss,
} from './rsa-digest.ts'

/** The digest that the algorithm signs for a message of type RAW. */
export function digestOf(algorithm: SigningAlgorithm, message: Buffer): Buffer {
  return createHash(ALGORITHMS[algorithm].hash).update(message).digest()
}

/** The signature of a digest as KMS gives it: ECDSA in DER. The algorithm must suit the spec. */
export function signDigest(
  spec: KeySpec,
  privateKey: KeyObject,
  algorithm: SigningAlgorithm,
  digest: Buffer,
): Buffer {
  const { scheme, hash } = ALGORITHMS[algorithm]
  switch (scheme) {
    case 'pkcs1':
      return signDigestWithPkcs1(privateKey, hash, digest)
    case 'pss':
      return signDigestWithPss(privateKey, hash, digest)
    case 'ecdsa':
      return signDigestWithEcdsa(curveOf(spec), privateKey, digest)
  }
}

/** Whether the signature is the key's, of this digest. The algorithm must suit the spec. */
export function verifyDigest(
  spec: KeySpec,
  publicKey: KeyObject,
  algorithm: SigningAlgorithm,
  signed: { readonly digest: Buffer; readonly signature: Buffer },
): boolean {
  const { scheme, hash } = ALGORITHMS[algorithm]
  switch (scheme) {
    case 'pkcs1':
      return verifyDigestWithPkcs1(publicKey, hash, signed.digest, signed.signature)
    case 'pss':
      return verifyDigestWithPss(publicKey, hash, signed.digest, signed.signature)
    case 'ecdsa':
      return verifyDigestWithEcdsa(curveOf(spec), publicKey, signed.digest, signed.signature)
  }
}

function curveOf(spec: KeySpec) {
  const { curve } = specOf(spec)
  if (curve === undefined) throw new Error(`${spec} has no curve`)
  return curve
}
