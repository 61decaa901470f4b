import type { Authorised } from './authorise.ts'
import type { TrustedIssuer } from './policy/compiled.ts'
import type { IssuedIdentity } from './ports.ts'

/** What an idempotency key is bound to: the subject token, or its one use for this target. Ids contain no `#`. */
export function replayScopeOf(authorised: Authorised, issuer: TrustedIssuer): string {
  const { subject, target } = authorised
  return issuer.replay === 'once-per-target' ? `${subject.tokenId}#${target.id}` : subject.tokenId
}

/** What may happen only once: a use of the subject token, or, where that is reusable, the issue of this one token. */
export function replayKeyOf(authorised: Authorised, issuer: TrustedIssuer, issued: IssuedIdentity): string {
  return issuer.replay === 'reusable' ? issued.id : replayScopeOf(authorised, issuer)
}
