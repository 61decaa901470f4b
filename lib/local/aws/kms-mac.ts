import { createHmac, timingSafeEqual } from 'node:crypto'

/** How each MAC algorithm computes. */
export const MAC_ALGORITHMS = {
  HMAC_SHA_224: 'sha224',
  HMAC_SHA_256: 'sha256',
  HMAC_SHA_384: 'sha384',
  HMAC_SHA_512: 'sha512',
} as const
export type MacAlgorithm = keyof typeof MAC_ALGORITHMS

/** Whether KMS knows the algorithm, for whatever key. */
export function isMacAlgorithm(name: string): name is MacAlgorithm {
  return Object.hasOwn(MAC_ALGORITHMS, name)
}

/** The MAC of `message` by a key of the store: its secret, base64. */
export function macOf(secret: string, algorithm: MacAlgorithm, message: Uint8Array): Buffer {
  return createHmac(MAC_ALGORITHMS[algorithm], Buffer.from(secret, 'base64')).update(message).digest()
}

export function isSameMac(mac: Buffer, other: Buffer): boolean {
  return mac.length === other.length && timingSafeEqual(mac, other)
}
