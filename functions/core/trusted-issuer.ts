import type { PreparsedJwt } from './jwt-preparse.ts'
import { LIMITS } from './limits.ts'
import { BROKER, type TrustedIssuer } from './policy/compiled.ts'
import type { PolicyIndex } from './policy/decide.ts'

/**
 * The issuer whose `iss` is exactly that of the token. The broker itself is one: its tokens may be exchanged onward as
 * often as they are used, and no issuer in a policy file can take its place.
 */
export function trustedIssuerOf(
  policy: PolicyIndex,
  jwt: PreparsedJwt,
  brokerIssuer: string,
): TrustedIssuer | undefined {
  const iss = jwt.claims['iss']
  if (typeof iss !== 'string') return undefined
  return iss === brokerIssuer ? brokerAsIssuer(brokerIssuer) : policy.issuers.get(iss)
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
