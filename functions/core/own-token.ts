import { preparseJwt } from './jwt-preparse.ts'
import { LIMITS } from './limits.ts'
import { type OwnClaims, readOwnClaims } from './own-claims.ts'
import type { IssuerKeys } from './ports.ts'
import { type Refused, refuse } from './refusal.ts'
import { authenticate } from './subject-token.ts'
import { brokerAsIssuer } from './trusted-issuer.ts'
import type { Brand, JsonObject } from './types.ts'

/** What opening a token of our own needs of the world. */
export interface OwnTokenWorld {
  /** The broker's own issuer URL. */
  readonly issuer: string
  readonly issuerKeys: IssuerKeys
}

/** A presented token that the broker has issued. Only {@link openOwnToken} makes one; whether it is revoked is not known yet. */
export type OwnToken = Brand<OwnClaims & { readonly claims: JsonObject }, 'OwnToken'>

/**
 * Opens a presented token as the broker's own: our `iss`, `typ` `at+jwt`, an algorithm and a published key of ours, the
 * signature, then what we wrote into it. Anything else is refused, and an expired token too unless `mayBeExpired`.
 * `now` in epoch seconds. Throws {@link DependencyUnavailable} if our own keys cannot be read.
 */
export async function openOwnToken(
  text: string,
  world: OwnTokenWorld,
  asked: { readonly now: number; readonly mayBeExpired: boolean },
): Promise<OwnToken | Refused> {
  const issued = await openSigned(text, world)
  if ('refused' in issued) return issued
  const facts = readOwnClaims(issued.claims, { issuer: world.issuer, signedBy: issued.kid })
  if ('refused' in facts) return facts
  if (!asked.mayBeExpired && facts.expiresAt <= asked.now) return refuse({ kind: 'token_expired' })
  // Another environment of ours issued it, whose clock may be ahead.
  if (facts.issuedAt > asked.now + LIMITS.clockSkewSeconds) return refuse({ kind: 'token_not_yet_valid' })
  return { ...facts, claims: issued.claims } as OwnToken
}

interface Issued {
  readonly claims: JsonObject
  readonly kid: string
}

async function openSigned(text: string, { issuer, issuerKeys }: OwnTokenWorld): Promise<Issued | Refused> {
  const jwt = preparseJwt(text)
  if (typeof jwt === 'string') return refuse({ kind: 'token_malformed', malformation: jwt })
  if (jwt.claims['iss'] !== issuer) return refuse({ kind: 'issuer_not_trusted' })
  // What else we sign (RFC 9701 answers, say) is no access token, whatever it contains (RFC 8725 §3.12).
  if (jwt.type !== 'at+jwt') return refuse({ kind: 'token_type_mismatch' })
  const broker = brokerAsIssuer(issuer)
  const algorithm = broker.algorithms.find((ours) => ours === jwt.algorithm)
  if (algorithm === undefined) return refuse({ kind: 'algorithm_not_allowed' })
  const key = await issuerKeys.find(broker, jwt.kid, algorithm)
  if (key === undefined) return refuse({ kind: 'key_unknown' })
  const authentic = await authenticate(jwt, key)
  return 'refused' in authentic ? authentic : { claims: authentic.claims, kid: authentic.kid }
}
