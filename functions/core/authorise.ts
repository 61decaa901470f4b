import { actClaim } from './act-claim.ts'
import { type AwsSession, latestEndOf, sessionFor } from './aws-session.ts'
import type { AuthenticatedClient } from './client-authentication.ts'
import { type Confirmation, isBound } from './confirmation.ts'
import { type Delegation, delegate } from './delegation.ts'
import { LIMITS } from './limits.ts'
import type { AwsTarget, Grant, Target, TokenTarget } from './policy/compiled.ts'
import { decideGrant, type PolicyIndex } from './policy/decide.ts'
import { isProbe, PROBE } from './policy/probe.ts'
import { renderClaims } from './policy/render-claims.ts'
import { type Refused, refuse } from './refusal.ts'
import type { ValidatedSubject } from './subject-token.ts'
import type { TokenRequest } from './token-request.ts'
import type { Brand, JsonObject } from './types.ts'

interface Decision extends Delegation {
  readonly subject: ValidatedSubject
  readonly grant: Grant
  readonly scopes: readonly string[]
  /**
   * The authenticated client, or the subject where its token is itself the credential. The one is never taken for the
   * other: a subject has a colon after its issuer's id, a client's id has none.
   */
  readonly clientId: string
  /** What the issued token is bound to. */
  readonly confirmation: Confirmation
  /** The claims that the grant maps, by name. */
  readonly mappedClaims: Readonly<Record<string, string>>
  /** The latest time at which what is issued may expire, epoch seconds. */
  readonly expiresAt: number
  /** Of what is issued. */
  readonly jti: string
}

/** A token that policy allows. */
export type AuthorisedToken = Brand<
  Decision & { readonly target: TokenTarget; readonly session?: undefined },
  'Authorised'
>

/** A session of an AWS role that policy allows. */
export type AuthorisedSession = Brand<
  Decision & { readonly target: AwsTarget; readonly session: AwsSession },
  'Authorised'
>

/** What policy allows of one request. Only {@link authorise} makes one, and only this can be signed. */
export type Authorised = AuthorisedToken | AuthorisedSession

/** Decides by policy alone: delegation, grant, then scope, claims and lifetime. `now` in epoch seconds. */
export function authorise(
  policy: PolicyIndex,
  asked: {
    readonly subject: ValidatedSubject
    readonly actor: ValidatedSubject | undefined
    readonly client: AuthenticatedClient | undefined
    readonly target: Target
    readonly scopes: TokenRequest['scopes']
    readonly confirmation: Confirmation
    readonly jti: string
  },
  now: number,
): Authorised | Refused {
  const { subject, actor, target, confirmation, jti } = asked
  const delegation = delegate(subject, actor, policy.maxDelegationDepth)
  if ('refused' in delegation) return delegation
  const client = asked.client?.client
  const { issuer: issuerId, claims } = subject
  const isOfProbe = [subject, actor].some((one) => one !== undefined && isProbe(one.subject))
  if (isOfProbe && target.id !== PROBE) return refuse({ kind: 'no_grant_matches', candidates: 0 })
  const acting = actor && { issuerId: actor.issuer, claims: actor.claims }
  const grant = decideGrant(policy, { issuerId, claims, clientId: client?.id, actor: acting, target })
  if ('kind' in grant) return refuse(grant)
  const scopes = grantedScopes(grant, subject.scopes, asked.scopes)
  if (scopes === 'not_allowed') return refuse({ kind: 'scope_not_allowed' })
  const mapped = renderClaims(grant, subject.claims)
  if (mapped.kind !== 'rendered') return refuse(mapped)
  // Within the clock skew an expired token is still authentic, but it has no time left to pass on.
  const ends = Math.min(subject.expiresAt, actor?.expiresAt ?? subject.expiresAt)
  if (ends <= now) return refuse({ kind: 'token_expired' })
  const clientId = client?.id ?? subject.subject
  const { claims: mappedClaims } = mapped
  const decision = { ...delegation, subject, grant, scopes, clientId, confirmation, mappedClaims, jti }
  if (target.format !== 'aws-credentials') {
    const expiresAt = Math.min(ends, now + lifetimeOf(grant, target))
    return { ...decision, target, expiresAt } as AuthorisedToken
  }
  // A child never drops a binding, and these credentials can have none.
  if (isBound(confirmation)) return refuse({ kind: 'credentials_not_bindable' })
  const claimsOfSession = claimsOfExchange(subject, delegation, jti)
  const session = sessionFor(target, { ...subject, claims: claimsOfSession, expiresAt: ends }, now)
  if ('kind' in session) return refuse(session)
  const expiresAt = latestEndOf(session, ends, now)
  return { ...decision, target, session, expiresAt } as AuthorisedSession
}

/**
 * What a session is described by: the subject's claims, but for those that name an exchange and who acts in it. Whatever
 * another issuer has written there, they are ours, as in a token.
 */
function claimsOfExchange(
  { claims, txn }: ValidatedSubject,
  { actors }: Delegation,
  jti: string,
): JsonObject {
  const { act: _, ...others } = claims
  const act = actClaim(actors)
  return { ...others, jti, txn: txn ?? jti, ...(act !== undefined && { act }) }
}

/** The requested scopes, all allowed by grant and parent; left out, the grant's defaults as far as the parent has them. */
function grantedScopes(
  grant: Grant,
  parentScopes: readonly string[] | undefined,
  requested: readonly string[] | undefined,
): readonly string[] | 'not_allowed' {
  const isHeld = (scope: string) => parentScopes === undefined || parentScopes.includes(scope)
  if (requested === undefined) return grant.defaultScopes.filter(isHeld)
  return requested.every((scope) => grant.scopes.includes(scope) && isHeld(scope)) ? requested : 'not_allowed'
}

function lifetimeOf(grant: Grant, target: TokenTarget): number {
  return Math.min(grant.lifetimeSeconds, target.maxLifetimeSeconds, LIMITS.maxLifetimeSeconds)
}
