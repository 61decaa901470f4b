import {
  constants,
  createHash,
  type KeyObject,
  privateEncrypt,
  publicDecrypt,
  randomBytes,
} from 'node:crypto'
import { DIGEST_BYTES } from './kms-specs.ts'

/* RSA signatures over a digest that was made elsewhere, which node:crypto does not offer: it always hashes. */

type Hash = keyof typeof DIGEST_BYTES

/** DER of `DigestInfo` up to the digest (RFC 8017, section 9.2, note 1). */
const DIGEST_INFO: Readonly<Record<Hash, Buffer>> = {
  sha256: Buffer.from('3031300d060960864801650304020105000420', 'hex'),
  sha384: Buffer.from('3041300d060960864801650304020205000430', 'hex'),
  sha512: Buffer.from('3051300d060960864801650304020305000440', 'hex'),
}
const PKCS1 = constants.RSA_PKCS1_PADDING
const NONE = constants.RSA_NO_PADDING
const PSS_TRAILER = 0xbc

/** RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2.1). */
export function signDigestWithPkcs1(key: KeyObject, hash: Hash, digest: Buffer): Buffer {
  return privateEncrypt({ key, padding: PKCS1 }, Buffer.concat([DIGEST_INFO[hash], digest]))
}

/** Whether the RSASSA-PKCS1-v1_5 signature is the key's, of this digest. */
export function verifyDigestWithPkcs1(
  key: KeyObject,
  hash: Hash,
  digest: Buffer,
  signature: Buffer,
): boolean {
  const opened = open(key, PKCS1, signature)
  return opened?.equals(Buffer.concat([DIGEST_INFO[hash], digest])) === true
}

/** RSASSA-PSS (RFC 8017, section 8.1.1) with a salt as long as the digest, as KMS and JWA's PS256 have it. */
export function signDigestWithPss(key: KeyObject, hash: Hash, digest: Buffer): Buffer {
  const salt = randomBytes(DIGEST_BYTES[hash])
  const seal = sealOf(hash, digest, salt)
  const block = Buffer.alloc(modulusBytes(key) - seal.length - 1)
  block[block.length - salt.length - 1] = 1
  salt.copy(block, block.length - salt.length)
  const masked = unmask(hash, block, seal)
  return privateEncrypt({ key, padding: NONE }, Buffer.concat([masked, seal, Buffer.of(PSS_TRAILER)]))
}

/** Whether the RSASSA-PSS signature is the key's, of this digest, with a salt as long as the digest. */
export function verifyDigestWithPss(key: KeyObject, hash: Hash, digest: Buffer, signature: Buffer): boolean {
  const encoded = open(key, NONE, signature)
  if (encoded === undefined || encoded.at(-1) !== PSS_TRAILER || (encoded[0] ?? 0) >= 0x80) return false
  const hashBytes = DIGEST_BYTES[hash]
  const seal = encoded.subarray(-1 - hashBytes, -1)
  const block = unmask(hash, encoded.subarray(0, -1 - hashBytes), seal)
  const salt = block.subarray(-hashBytes)
  const padding = block.subarray(0, -hashBytes - 1)
  const padded = padding.every((byte) => byte === 0) && block[padding.length] === 1
  return padded && sealOf(hash, digest, salt).equals(seal)
}

/** `H` of RFC 8017, section 9.1.1. */
function sealOf(hash: Hash, digest: Buffer, salt: Buffer): Buffer {
  return createHash(hash).update(Buffer.alloc(8)).update(digest).update(salt).digest()
}

/** XORs with MGF1 of the seal; the highest bit is cleared because the encoded message is one bit shorter than the modulus. */
function unmask(hash: Hash, block: Buffer, seal: Buffer): Buffer {
  const rounds = Math.ceil(block.length / DIGEST_BYTES[hash])
  const mask = Buffer.concat(
    Array.from({ length: rounds }, (_, counter) => {
      const suffix = Buffer.alloc(4)
      suffix.writeUInt32BE(counter)
      return createHash(hash).update(seal).update(suffix).digest()
    }),
  )
  return Buffer.from(block.map((byte, index) => (byte ^ (mask[index] ?? 0)) & (index === 0 ? 0x7f : 0xff)))
}

function open(key: KeyObject, padding: number, signature: Buffer): Buffer | undefined {
  if (signature.length !== modulusBytes(key)) return undefined
  try {
    return publicDecrypt({ key, padding }, signature)
  } catch {
    return undefined
  }
}

function modulusBytes(key: KeyObject): number {
  return (key.asymmetricKeyDetails?.modulusLength ?? 0) / 8
}
