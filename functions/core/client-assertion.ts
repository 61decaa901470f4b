import type { ClientAuthenticationFailure } from './client-authentication.ts'
import { preparseJwt } from './jwt-preparse.ts'
import { LIMITS } from './limits.ts'
import type { Client } from './policy/compiled.ts'
import type { IssuerKeys, SpentCredential } from './ports.ts'
import { holderOf } from './registered-keys.ts'
import { authenticate, isTime } from './subject-token.ts'
import { tokenIdOf } from './token-id.ts'
import type { JsonObject } from './types.ts'

/** The value of `client_assertion_type` for a JWT (RFC 7523 §2.2). */
export const JWT_BEARER_ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** A JWT of another kind, also one of our own, must not pass for an assertion (RFC 8725 §3.12). */
const ASSERTION_TYPES = ['jwt', 'client-authentication+jwt']
/** Kept beyond the last moment at which the assertion could still be presented. */
const MARGIN_SECONDS = 60

/** What it takes to verify an assertion. `now` in epoch seconds; `attempt` is random, one per invocation. */
export interface AssertionContext {
  /** The broker's issuer: the one `aud` that an assertion for it may have. */
  readonly issuer: string
  readonly clientKeys: IssuerKeys
  readonly now: number
  readonly attempt: string
}

export type VerifiedAssertion =
  | { readonly client: Client; readonly assertion: SpentCredential }
  | { readonly failure: ClientAuthenticationFailure; readonly client?: Client }

/**
 * Verifies a client assertion (RFC 7523 §3) strictly: the client's own keys and algorithms, our issuer as the only
 * audience, one use. The use is only named here; `exchange.ts` claims it when nothing else can fail any more.
 */
export async function verifyClientAssertion(
  compact: string,
  clients: ReadonlyMap<string, Client>,
  context: AssertionContext,
): Promise<VerifiedAssertion> {
  const jwt = preparseJwt(compact)
  if (typeof jwt === 'string') return { failure: 'assertion_malformed' }
  const { iss, sub } = jwt.claims
  const client = typeof iss === 'string' ? clients.get(iss) : undefined
  if (client === undefined) return { failure: 'client_unknown' }
  const failed = (failure: ClientAuthenticationFailure) => ({ failure, client })
  if (sub !== iss) return failed('assertion_claim_malformed')
  const { authentication } = client
  if (authentication.method !== 'private_key_jwt') return failed('method_not_registered')
  const algorithm = authentication.algorithms.find((allowed) => allowed === jwt.algorithm)
  if (algorithm === undefined) return failed('assertion_algorithm_not_allowed')
  const key = await context.clientKeys.find(holderOf(client, authentication.keys), jwt.kid, algorithm)
  if (key === undefined) return failed('assertion_key_unknown')
  const authentic = await authenticate(jwt, key)
  if ('refused' in authentic) return failed('assertion_signature_invalid')
  if (!ASSERTION_TYPES.includes(jwt.type)) return failed('assertion_type_mismatch')
  const failure = refuseClaims(jwt.claims, context)
  return failure === undefined ? { client, assertion: spentOf(client, jwt.claims, context) } : failed(failure)
}

function refuseClaims(
  { aud, exp, iat, nbf, jti }: JsonObject,
  { issuer, now }: AssertionContext,
): ClientAuthenticationFailure | undefined {
  // One text: with a list, or with an endpoint's URL, another server could pass on what it received.
  if (aud !== issuer) return 'assertion_audience_not_ours'
  if (typeof jti !== 'string' || jti === '' || jti.length > LIMITS.jtiCharacters)
    return 'assertion_claim_malformed'
  if (!isTime(exp) || !isTime(iat) || iat > exp) return 'assertion_claim_malformed'
  if (nbf !== undefined && !isTime(nbf)) return 'assertion_claim_malformed'
  const skew = LIMITS.clockSkewSeconds
  if (Math.floor(exp) <= now - skew) return 'assertion_expired'
  if (iat > now + skew || (nbf ?? iat) > now + skew) return 'assertion_not_yet_valid'
  if (exp > now + LIMITS.clientAssertionSeconds + skew) return 'assertion_lives_too_long'
  return undefined
}

/** The id is over the client and the `jti`: another client's equal `jti`, or a subject token's, is not spent by it. */
function spentOf({ id }: Client, claims: JsonObject, { now, attempt }: AssertionContext): SpentCredential {
  const jti = claims['jti'] as string
  return {
    kind: 'assertion',
    id: tokenIdOf({ kind: 'client_assertion', issuer: id, jti, signingInput: '' }),
    attempt,
    spentAt: now,
    expiresAt: Math.floor(claims['exp'] as number) + 2 * LIMITS.clockSkewSeconds + MARGIN_SECONDS,
  }
}
