import { LIMITS } from './limits.ts'
import { BROKER, type TrustedIssuer } from './policy/compiled.ts'
import type { PolicyIndex } from './policy/decide.ts'
import type { JsonObject } from './types.ts'

const SPIFFE_ID = /^(spiffe:\/\/[a-z0-9._-]{1,255})\//

/**
 * The issuer whose `iss` is exactly that of the token. The broker itself is one: its tokens may be exchanged onward as
 * often as they are used, and no issuer in a policy file can take its place.
 */
export function trustedIssuerOf(
  policy: PolicyIndex,
  claims: JsonObject,
  brokerIssuer: string,
): TrustedIssuer | undefined {
  const iss = issuerNamedIn(claims)
  if (iss === undefined) return undefined
  return iss === brokerIssuer ? brokerAsIssuer(brokerIssuer) : policy.issuers.get(iss)
}

/** The issuer that claims name, trusted or not; `undefined` if they name none. */
export function issuerNamedIn(claims: JsonObject): string | undefined {
  const { iss = trustDomainOf(claims) } = claims
  return typeof iss === 'string' ? iss : undefined
}

/** A SPIFFE JWT-SVID may leave `iss` out: the trust domain in its `sub` is who signs (JWT-SVID §3). */
function trustDomainOf({ sub }: JsonObject): string | undefined {
  return typeof sub === 'string' ? SPIFFE_ID.exec(sub)?.[1] : undefined
}

/** The broker as the issuer of the subject tokens that it issued itself. */
export function brokerAsIssuer(brokerIssuer: string): TrustedIssuer {
  return {
    id: BROKER,
    issuer: brokerIssuer,
    keys: { kind: 'discovery' },
    algorithms: ['RS256', 'ES256'],
    audiences: [],
    maxLifetimeSeconds: LIMITS.maxLifetimeSeconds,
    clockSkewSeconds: LIMITS.clockSkewSeconds,
    replay: 'reusable',
    clientAuthentication: 'none',
  }
}
