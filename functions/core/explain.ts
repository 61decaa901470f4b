import type { AcceptedToken, TokenRefused } from './accept-token.ts'
import { type Authorised, authorise } from './authorise.ts'
import { type AuthenticatedClient, refuseClient } from './client-authentication.ts'
import { BROKER, type Target, type TrustedIssuer } from './policy/compiled.ts'
import { type ExplainedGrant, explainGrants, type PolicyIndex, resolveTarget } from './policy/decide.ts'
import { type Refusal, type Refused, refuse } from './refusal.ts'
import { type AuthenticToken, validateSubject } from './subject-token.ts'
import { trustedIssuerOf } from './trusted-issuer.ts'
import type { ClientId, JsonObject } from './types.ts'

/** Of an exchange that does not take place; as long as all are. */
const SOME_JTI = '-jti-of-the-exchange--'

/** An exchange as far as policy goes: claims that somebody might present, and what they would ask for. */
export interface Question {
  readonly claims: JsonObject
  /** Claims of the actor's token, if one is presented. */
  readonly actor?: JsonObject | undefined
  readonly clientId?: ClientId | undefined
  readonly audiences: readonly string[]
  readonly resources: readonly string[]
  /** `undefined` when left out: the grant's default scopes. */
  readonly scopes: readonly string[] | undefined
}

/** What policy says to a question, and how it got there. */
export type Explanation =
  | {
      readonly outcome: 'granted'
      readonly issuer: TrustedIssuer
      readonly target: Target
      readonly authorised: Authorised
      readonly candidates: readonly ExplainedGrant[]
    }
  | {
      readonly outcome: 'refused'
      readonly refusal: Refusal
      /** As far as it was known by then. */
      readonly issuer: TrustedIssuer | undefined
      readonly target: Target | undefined
      /** Set where the reason is about the actor's token. */
      readonly of?: Refused['of']
      readonly candidates: readonly ExplainedGrant[]
    }

/**
 * Answers as an exchange would, step by step through the same functions, with all but the signature, replay and
 * revocation, which no policy decides. For people and tests of a policy: nothing here is ever signed. `now` in epoch
 * seconds.
 */
export function explainExchange(
  policy: PolicyIndex,
  question: Question,
  at: { readonly now: number; readonly brokerIssuer: string },
): Explanation {
  const { claims, clientId } = question
  const client = assumedClient(policy, clientId)
  const subject = assumeToken(policy, claims, { ...at, client })
  if ('refused' in subject) return refusedBy(subject, { issuer: subject.issuer })
  const { issuer, accepted } = subject
  const actor = question.actor && assumeToken(policy, question.actor, { ...at, client })
  if (actor !== undefined && 'refused' in actor)
    return refusedBy({ ...actor, of: 'actor_token' }, { issuer: actor.issuer })
  const target = resolveTarget(policy, { ...question, issuer, client: client?.client })
  if ('kind' in target) return refusedBy(refuse(target), { issuer })
  const candidates = explainGrants(policy, {
    issuerId: accepted.issuer,
    claims: accepted.claims,
    clientId,
    actor: actor && { issuerId: actor.accepted.issuer, claims: actor.accepted.claims },
    target,
  })
  const { confirmation } = accepted
  const asked = {
    subject: accepted,
    actor: actor?.accepted,
    client,
    target,
    scopes: question.scopes,
    confirmation,
    jti: SOME_JTI,
  }
  const authorised = authorise(policy, asked, at.now)
  if ('refused' in authorised) return { ...refusedBy(authorised, { issuer, target }), candidates }
  return { outcome: 'granted', issuer, target, authorised, candidates }
}

function refusedBy(
  { refused, of }: Refused,
  known: { readonly issuer?: TrustedIssuer | undefined; readonly target?: Target },
): Explanation {
  const { issuer, target } = known
  return { outcome: 'refused', refusal: refused, issuer, target, candidates: [], ...(of && { of }) }
}

/** As `acceptToken` does, without what makes claims authentic. */
function assumeToken(
  policy: PolicyIndex,
  claims: JsonObject,
  at: {
    readonly now: number
    readonly brokerIssuer: string
    readonly client: AuthenticatedClient | undefined
  },
): AcceptedToken | TokenRefused {
  const issuer = trustedIssuerOf(policy, claims, at.brokerIssuer)
  if (issuer === undefined) return refuse({ kind: 'issuer_not_trusted' })
  const accepted = validateSubject(unverifiedToken(claims, issuer), issuer, { type: 'jwt', now: at.now })
  if ('refused' in accepted) return { ...accepted, issuer }
  if (issuer.clientAuthentication === 'required' && at.client === undefined)
    return { ...refuseClient('authentication_missing'), issuer }
  return { accepted, issuer }
}

/** The client as if it had proved who it is. */
function assumedClient(policy: PolicyIndex, id: ClientId | undefined): AuthenticatedClient | undefined {
  const client = id && policy.clients.get(id)
  return client && ({ client } as AuthenticatedClient)
}

/**
 * The claims in the form in which the pipeline takes them; the signature is what nobody asks about here. Our own tokens
 * are of another type than everybody else's.
 */
function unverifiedToken(claims: JsonObject, { id }: TrustedIssuer): AuthenticToken {
  const type = id === BROKER ? 'at+jwt' : 'jwt'
  return { type, claims, signingInput: '', kid: undefined } as AuthenticToken
}
