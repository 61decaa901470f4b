import {
  type AuditContext,
  type KnownFacts,
  type RefusedEvent,
  type RevokedEvent,
  refusedEvent,
  revokedEvent,
} from './audit-event.ts'
import type { ClientAuthenticationWorld, PresentedCredentials } from './client-authentication.ts'
import { type OwnToken, type OwnTokenWorld, openOwnToken } from './own-token.ts'
import type { Client } from './policy/compiled.ts'
import type { PolicyIndex } from './policy/decide.ts'
import type { OneTimeLedger, RevocationRegister } from './ports.ts'
import { type Refused, refuse } from './refusal.ts'
import { claimAssertion, isForOneOf, presentedToken, requireClient } from './registered-client.ts'
import { cutOffOf } from './revocation.ts'

/** What revocation needs of the world. */
export interface RevocationDependencies extends ClientAuthenticationWorld, OwnTokenWorld {
  readonly policy: PolicyIndex
  readonly oneTime: OneTimeLedger
  readonly register: RevocationRegister
}

export type RevocationOutcome =
  | { readonly revoked: RevokedEvent }
  /** There was nothing that this client could revoke: to the client that is no error (RFC 7009 §2.2). */
  | { readonly ignored: RefusedEvent }
  | (Refused & { readonly event: RefusedEvent })

const REASON = 'revoked by a client'

/**
 * One revocation by a client (RFC 7009): authenticate client → open the token as ours, expired or not → may the client
 * revoke it → claim assertion → write. The token is verified before it counts: whoever writes a victim's `jti` into a
 * token of their own revokes nothing. When this returns `revoked`, the cut-off is durable.
 *
 * Returns a refusal; throws {@link DependencyUnavailable} if the cut-off may not have been written.
 */
export async function revokeToken(
  input: PresentedCredentials,
  at: Pick<AuditContext, 'now' | 'correlationId' | 'traceId'>,
  world: RevocationDependencies,
): Promise<RevocationOutcome> {
  const audit = { ...at, policy: world.policy.digest }
  let known: KnownFacts = {}
  const eventOf = ({ refused }: Refused): RefusedEvent => ({
    ...refusedEvent(refused, known, audit),
    event: 'revocation_refused',
  })
  const refused = (refusal: Refused) => ({ ...refusal, event: eventOf(refusal) })

  const authenticated = await requireClient(input, world, at.now)
  if ('refused' in authenticated) return refused(authenticated)
  const { client } = authenticated
  known = { client_id: client.id }
  const text = presentedToken(input.parameters)
  if (typeof text !== 'string') return refused(text)

  const token = await openOwnToken(text, world, { now: at.now, mayBeExpired: true })
  // Before the write and not beside it: a stolen assertion that was used once must not revoke anything.
  const replay = await claimAssertion(authenticated, world.oneTime)
  if (replay !== undefined) return refused(replay)
  if ('refused' in token) return { ignored: eventOf(token) }
  known = { ...known, subject: token.subject, token: token.tokenId }
  if (!mayRevoke(client, token, world.policy))
    return { ignored: eventOf(refuse({ kind: 'token_of_others' })) }

  const revocation = cutOffOf(token, { reason: REASON, author: client.id, at: at.now })
  await world.register.revoke([revocation])
  return { revoked: revokedEvent('token', revocation, audit) }
}

/** A client may revoke what was issued to it, and what is for a target that policy lets it revoke for. */
function mayRevoke(client: Client, token: OwnToken, policy: PolicyIndex): boolean {
  return token.clientId === client.id || isForOneOf(client.revokes, token, policy)
}
