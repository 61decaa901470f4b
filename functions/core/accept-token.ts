import { identifyToken, type TokenAuthentication } from './authentic-token.ts'
import { type AuthenticatedClient, refuseClient } from './client-authentication.ts'
import type { TrustedIssuer } from './policy/compiled.ts'
import type { Refused } from './refusal.ts'
import { type ValidatedSubject, validateSubject } from './subject-token.ts'
import type { TypedToken } from './token-request.ts'

/** A token that the broker accepts, and who has issued it. */
export interface AcceptedToken {
  readonly issuer: TrustedIssuer
  readonly accepted: ValidatedSubject
}

/** The refusal of a token, with who should have issued it, if that is known: the audit trail is to say so. */
export type TokenRefused = Refused & { readonly issuer?: TrustedIssuer }

/**
 * Accepts the token of a subject or of an actor, by the same steps and as strictly: pre-parse → issuer → does it want an
 * authenticated client → key → signature (or look a handle up) → claims. `now` in epoch seconds.
 * Throws {@link DependencyUnavailable} if the issuer's keys, or the handle, cannot be read.
 */
export async function acceptToken(
  presented: TypedToken,
  asked: { readonly client: AuthenticatedClient | undefined; readonly now: number },
  world: TokenAuthentication,
): Promise<AcceptedToken | TokenRefused> {
  const identified = await identifyToken(presented, world)
  if ('refused' in identified) return identified
  const { issuer } = identified
  if (issuer.clientAuthentication === 'required' && asked.client === undefined)
    return { ...refuseClient('authentication_missing'), issuer }
  const token = await identified.authenticate()
  if ('refused' in token) return { ...token, issuer }
  const accepted = validateSubject(token, issuer, { type: presented.type, now: asked.now })
  return 'refused' in accepted ? { ...accepted, issuer } : { accepted, issuer }
}
