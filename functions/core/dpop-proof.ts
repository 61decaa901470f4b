import { createHash } from 'node:crypto'
import { calculateJwkThumbprint, compactVerify, type JWK } from 'jose'
import { JOSEError } from 'jose/errors'
import { isSameHttpUrl } from './http-url.ts'
import { importPublicKey } from './import-public-key.ts'
import { fitsAlgorithm, isSignatureKey } from './issuer-jwks.ts'
import { type PreparsedProof, preparseProof } from './jwt-preparse.ts'
import { LIMITS } from './limits.ts'
import { isTime } from './subject-token.ts'
import type { JsonObject, PublicJwk } from './types.ts'

/** The algorithms that a proof may be signed with (RFC 9449 §5.1). `Ed25519` is what RFC 9864 calls `EdDSA` of that curve. */
export const PROOF_ALGORITHMS = ['ES256', 'ES384', 'EdDSA', 'Ed25519', 'PS256', 'RS256'] as const

/** Why a proof is not believed. On the wire all of these are one. */
export type ProofFailure =
  | 'proof_missing'
  | 'several_proofs'
  | 'proof_malformed'
  | 'proof_type_mismatch'
  | 'proof_algorithm_not_allowed'
  | 'proof_key_not_acceptable'
  | 'proof_signature_invalid'
  | 'proof_claim_malformed'
  | 'proof_for_another_method'
  | 'proof_for_another_url'
  | 'proof_for_another_token'
  | 'proof_too_old'
  | 'proof_not_yet_valid'

/** The request that a proof is to be made for. */
export interface ProvenRequest {
  readonly method: string
  /** The endpoint by every name that the deployment has given it. No header of the request has a say in this. */
  readonly urls: readonly string[]
  /** The token that goes with it. */
  readonly token: string
}

/** What an authentic proof says. `issuedAt` in epoch seconds. */
export interface VerifiedProof {
  /** Thumbprint (RFC 7638) of the key that signed it. */
  readonly jkt: string
  readonly jti: string
  readonly issuedAt: number
  readonly nonce: string | undefined
}

/**
 * Verifies a DPoP proof (RFC 9449 §4.3), but for its nonce and its one use. `values` are those of the header `DPoP`, of which
 * there may be one; `now` in epoch seconds.
 */
export async function verifyProof(
  values: readonly string[],
  request: ProvenRequest,
  now: number,
): Promise<VerifiedProof | ProofFailure> {
  const [compact, ...others] = values
  if (compact === undefined) return 'proof_missing'
  if (others.length > 0) return 'several_proofs'
  const proof = preparseProof(compact)
  if (typeof proof === 'string') return 'proof_malformed'
  if (proof.type !== 'dpop+jwt') return 'proof_type_mismatch'
  const algorithm = PROOF_ALGORITHMS.find((allowed) => allowed === proof.algorithm)
  if (algorithm === undefined) return 'proof_algorithm_not_allowed'
  const failure = refuseClaims(proof.claims, request, now)
  if (failure !== undefined) return failure
  const { jwk } = proof
  if (!isProofKey(jwk, algorithm)) return 'proof_key_not_acceptable'
  const refused = await refuseSignature(proof, jwk)
  if (refused !== undefined) return refused
  const { jti, iat, nonce } = proof.claims as { jti: string; iat: number; nonce?: string }
  const jkt = await calculateJwkThumbprint(jwk as JWK)
  return { jkt, jti, nonce, issuedAt: Math.floor(iat) }
}

function isProofKey(jwk: unknown, algorithm: string): jwk is PublicJwk {
  return isSignatureKey(jwk) && fitsAlgorithm(jwk, algorithm === 'Ed25519' ? 'EdDSA' : algorithm)
}

/** That the proof is signed with the key that it brings along makes it authentic: whose key that is, is asked elsewhere. */
async function refuseSignature(proof: PreparsedProof, jwk: PublicJwk): Promise<ProofFailure | undefined> {
  const key = await importPublicKey(jwk, proof.algorithm)
  if (key === undefined) return 'proof_key_not_acceptable'
  try {
    await compactVerify(proof.compact, key, { algorithms: [proof.algorithm] })
    return undefined
  } catch (error) {
    if (error instanceof JOSEError) return 'proof_signature_invalid'
    throw error
  }
}

function refuseClaims(claims: JsonObject, request: ProvenRequest, now: number): ProofFailure | undefined {
  const { jti, htm, htu, iat, ath, nonce } = claims
  if (typeof jti !== 'string' || jti === '' || jti.length > LIMITS.jtiCharacters)
    return 'proof_claim_malformed'
  if (typeof htm !== 'string' || typeof htu !== 'string' || !isTime(iat)) return 'proof_claim_malformed'
  if (nonce !== undefined && typeof nonce !== 'string') return 'proof_claim_malformed'
  if (htm !== request.method) return 'proof_for_another_method'
  if (!request.urls.some((url) => isSameHttpUrl(url, htu))) return 'proof_for_another_url'
  // Needed at resource servers only (RFC 9449 §4.2): but what it says must be true here as well.
  if (ath !== undefined && ath !== createHash('sha256').update(request.token).digest('base64url'))
    return 'proof_for_another_token'
  return refuseTimes(claims, iat, now)
}

/** Beside `iat`, which RFC 9449 asks for, what a proof may say of its validity like any other JWT. */
function refuseTimes({ exp, nbf }: JsonObject, iat: number, now: number): ProofFailure | undefined {
  const skew = LIMITS.clockSkewSeconds
  if ([exp, nbf].some((time) => time !== undefined && !isTime(time))) return 'proof_claim_malformed'
  const [end, start] = [exp ?? iat + LIMITS.proofAgeSeconds, nbf ?? iat] as [number, number]
  if (Math.min(end, iat + LIMITS.proofAgeSeconds) < now - skew) return 'proof_too_old'
  return Math.max(start, iat) > now + skew ? 'proof_not_yet_valid' : undefined
}
