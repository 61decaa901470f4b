import type { webcrypto } from 'node:crypto'
import type { MacAlgorithm } from './kms-mac.ts'

export type KeyUsage = 'SIGN_VERIFY' | 'ENCRYPT_DECRYPT' | 'KEY_AGREEMENT' | 'GENERATE_VERIFY_MAC'
export type KeySpec = keyof typeof SPECS
export type SigningAlgorithm = keyof typeof ALGORITHMS

type Hash = 'sha256' | 'sha384' | 'sha512'

/** A curve, with the names and numbers of the NIST (FIPS 186-5, SEC 2). */
export interface Curve {
  /** As JWK and OpenSSL call it. */
  readonly jwk: webcrypto.EcKeyAlgorithm['namedCurve']
  readonly openssl: string
  readonly bytes: number
  /** Prime of the field, and order of the base point. */
  readonly p: bigint
  readonly n: bigint
}

interface Spec {
  /** The first is what `GetPublicKey` and friends are most used with; AWS refuses any other usage. */
  readonly usages: readonly KeyUsage[]
  readonly algorithms: readonly SigningAlgorithm[]
  readonly modulusLength?: number
  readonly curve?: Curve
  /** Of a key for MACs: AWS gives each spec one algorithm. */
  readonly mac?: MacAlgorithm
  /** Of a symmetric key. */
  readonly secretBytes?: number
}

/** How each algorithm signs a digest. */
export const ALGORITHMS = {
  RSASSA_PKCS1_V1_5_SHA_256: { scheme: 'pkcs1', hash: 'sha256' },
  RSASSA_PKCS1_V1_5_SHA_384: { scheme: 'pkcs1', hash: 'sha384' },
  RSASSA_PKCS1_V1_5_SHA_512: { scheme: 'pkcs1', hash: 'sha512' },
  RSASSA_PSS_SHA_256: { scheme: 'pss', hash: 'sha256' },
  RSASSA_PSS_SHA_384: { scheme: 'pss', hash: 'sha384' },
  RSASSA_PSS_SHA_512: { scheme: 'pss', hash: 'sha512' },
  ECDSA_SHA_256: { scheme: 'ecdsa', hash: 'sha256' },
  ECDSA_SHA_384: { scheme: 'ecdsa', hash: 'sha384' },
} as const satisfies Record<string, { readonly scheme: string; readonly hash: Hash }>

/** Bytes of a digest. */
export const DIGEST_BYTES: Readonly<Record<Hash, number>> = { sha256: 32, sha384: 48, sha512: 64 }

const P256: Curve = {
  jwk: 'P-256',
  openssl: 'prime256v1',
  bytes: 32,
  p: 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn,
  n: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
}
const P384: Curve = {
  jwk: 'P-384',
  openssl: 'secp384r1',
  bytes: 48,
  p: 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffffn,
  n: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
}

const RSA_ALGORITHMS = [
  'RSASSA_PKCS1_V1_5_SHA_256',
  'RSASSA_PKCS1_V1_5_SHA_384',
  'RSASSA_PKCS1_V1_5_SHA_512',
  'RSASSA_PSS_SHA_256',
  'RSASSA_PSS_SHA_384',
  'RSASSA_PSS_SHA_512',
] as const
const RSA_USAGES = ['SIGN_VERIFY', 'ENCRYPT_DECRYPT'] as const
const ECC_USAGES = ['SIGN_VERIFY', 'KEY_AGREEMENT'] as const
const MAC_USAGES = ['GENERATE_VERIFY_MAC'] as const

/** The key specs that this KMS makes. */
export const SPECS = {
  RSA_2048: { usages: RSA_USAGES, algorithms: RSA_ALGORITHMS, modulusLength: 2048 },
  RSA_3072: { usages: RSA_USAGES, algorithms: RSA_ALGORITHMS, modulusLength: 3072 },
  RSA_4096: { usages: RSA_USAGES, algorithms: RSA_ALGORITHMS, modulusLength: 4096 },
  ECC_NIST_P256: { usages: ECC_USAGES, algorithms: ['ECDSA_SHA_256'], curve: P256 },
  ECC_NIST_P384: { usages: ECC_USAGES, algorithms: ['ECDSA_SHA_384'], curve: P384 },
  SYMMETRIC_DEFAULT: { usages: ['ENCRYPT_DECRYPT'], algorithms: [], secretBytes: 32 },
  HMAC_224: { usages: MAC_USAGES, algorithms: [], mac: 'HMAC_SHA_224', secretBytes: 28 },
  HMAC_256: { usages: MAC_USAGES, algorithms: [], mac: 'HMAC_SHA_256', secretBytes: 32 },
  HMAC_384: { usages: MAC_USAGES, algorithms: [], mac: 'HMAC_SHA_384', secretBytes: 48 },
  HMAC_512: { usages: MAC_USAGES, algorithms: [], mac: 'HMAC_SHA_512', secretBytes: 64 },
} as const satisfies Record<string, Spec>

/** The spec by its name, or `undefined`. */
export function isKeySpec(name: string): name is KeySpec {
  return Object.hasOwn(SPECS, name)
}

/** Whether KMS knows the algorithm, for whatever key. */
export function isSigningAlgorithm(name: string): name is SigningAlgorithm {
  return Object.hasOwn(ALGORITHMS, name)
}

/** What the spec allows. */
export function specOf(name: KeySpec): Spec {
  return SPECS[name]
}
