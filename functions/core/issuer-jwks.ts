import { LIMITS } from './limits.ts'
import { isStrongRsa } from './rsa-strength.ts'
import type { PublicJwk, SubjectAlgorithm } from './types.ts'

/** The usable keys of a JWK Set by `kid`, or `undefined` if the set as a whole cannot be used. */
export type KeysByKid = ReadonlyMap<string, PublicJwk>

/** What a key must be for an algorithm (RFC 7518 §3.1): each key serves exactly one kind. */
const KEY_FOR: Readonly<Record<SubjectAlgorithm, { readonly kty: string; readonly crv?: string }>> = {
  RS256: { kty: 'RSA' },
  RS384: { kty: 'RSA' },
  RS512: { kty: 'RSA' },
  PS256: { kty: 'RSA' },
  PS384: { kty: 'RSA' },
  PS512: { kty: 'RSA' },
  ES256: { kty: 'EC', crv: 'P-256' },
  ES384: { kty: 'EC', crv: 'P-384' },
  ES512: { kty: 'EC', crv: 'P-521' },
  EdDSA: { kty: 'OKP', crv: 'Ed25519' },
}

/** Every algorithm by which the broker can verify a token. */
export const SUBJECT_ALGORITHMS = Object.keys(KEY_FOR) as readonly SubjectAlgorithm[]

/** RFC 7518 §6: what only the holder of the private or symmetric key knows. */
export const SECRET_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'] as const
/** SPIFFE bundles mark JWT keys with a `use` of their own. */
const SIGNATURE_USES = ['sig', 'jwt-svid'] as const

/**
 * Reads a JWK Set (RFC 7517 §5) that an issuer served. Keys that should not be there are left out: private, symmetric,
 * weak, not for signatures, without a name. Two usable keys of one name are both left out. An empty or oversized set is
 * no set: whoever has a good one keeps it.
 */
export function readJwks(document: unknown): KeysByKid | undefined {
  const listed = (document as { keys?: unknown } | null | undefined)?.keys
  if (!Array.isArray(listed) || listed.length === 0 || listed.length > LIMITS.jwksKeys) return undefined
  const named = new Map<string, PublicJwk[]>()
  for (const key of listed.filter(isUsable)) named.set(key.kid, [...(named.get(key.kid) ?? []), key])
  const unambiguous = [...named].flatMap(([kid, [key, ...others]]) =>
    key !== undefined && others.length === 0 ? [[kid, key] as const] : [],
  )
  return unambiguous.length === 0 ? undefined : new Map(unambiguous)
}

/** Whether `key` may verify signatures of `algorithm`: by type, by curve, and by its own `alg` if it has one. */
export function fitsAlgorithm(key: PublicJwk, algorithm: string): boolean {
  const needed = Object.hasOwn(KEY_FOR, algorithm) ? KEY_FOR[algorithm as SubjectAlgorithm] : undefined
  if (needed === undefined || key.kty !== needed.kty) return false
  if (needed.crv !== undefined && key.crv !== needed.crv) return false
  return key.alg === undefined || key.alg === algorithm || (algorithm === 'EdDSA' && key.alg === 'Ed25519')
}

function isUsable(key: unknown): key is PublicJwk & { readonly kid: string } {
  const kid = (key as PublicJwk | null | undefined)?.kid
  return typeof kid === 'string' && kid !== '' && isSignatureKey(key)
}

/** Whether `key` is a public key that may verify signatures: neither private, symmetric nor weak, nor for another use. */
export function isSignatureKey(key: unknown): key is PublicJwk {
  if (typeof key !== 'object' || key === null) return false
  const { use, key_ops, kty } = key as PublicJwk
  if (SECRET_MEMBERS.some((member) => member in key)) return false
  if (use !== undefined && !SIGNATURE_USES.some((known) => known === use)) return false
  if (key_ops !== undefined && !(Array.isArray(key_ops) && key_ops.includes('verify'))) return false
  return kty === 'RSA' ? isStrongRsa(key as PublicJwk) : kty === 'EC' || kty === 'OKP'
}
