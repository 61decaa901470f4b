import type { Authorised } from './authorise.ts'
import type { AwsSession } from './aws-session.ts'
import { type Confirmation, confirmationClaim } from './confirmation.ts'
import type { Target } from './policy/compiled.ts'
import type { IssuedIdentity, Revocation, RevocationKey } from './ports.ts'
import type { Refusal } from './refusal.ts'
import { digestOf } from './token-id.ts'
import type { TokenId } from './types.ts'

/** Where and when an event happened. `now` in epoch seconds. */
export interface AuditContext {
  readonly correlationId: string
  /** W3C trace id, where the client sent one. */
  readonly traceId?: string | undefined
  readonly now: number
  /** Digest of the policy that decided. */
  readonly policy: string
}

/**
 * Who may have what, by which grant: written before the token is released. What is refused or fails after that says so in an
 * event of the same `correlation_id`, which names the token as `withheld`. Ids and digests only: never a token, nor a part of one.
 */
export interface GrantedEvent {
  readonly event: 'exchange_granted'
  readonly correlation_id: string
  readonly trace_id?: string
  readonly time: number
  readonly policy: string
  readonly issuer: string
  readonly subject: string
  readonly subject_token: TokenId
  readonly client_id: string
  readonly target: string
  readonly grant: string
  readonly scope: string
  readonly token: TokenId
  readonly jti: string
  readonly expires_at: number
  readonly format: Target['format']
  /** The key that signed it, where one did. */
  readonly kid?: string
  readonly txn: string
  /** What the token is bound to, where it is. */
  readonly cnf?: Confirmation
  readonly lineage: readonly TokenId[]
  /** Who was presented as acting for the subject. */
  readonly actor?: string
  readonly actor_issuer?: string
  readonly actor_token?: TokenId
  /** Whom the token names as actors, the current one first. */
  readonly actors?: readonly string[]
  /** What could revoke the token because of them. */
  readonly lineage_actors?: readonly RevocationKey[]
  /** Where it is a session of an AWS role: by what CloudTrail knows it. */
  readonly aws_session?: AwsSessionFacts
}

export interface AwsSessionFacts {
  readonly role_arn: string
  readonly session_name: string
  readonly source_identity?: string
  /** Without their values, which CloudTrail has. */
  readonly tag_keys: readonly string[]
  readonly duration_seconds: number
  /** Set where the session policy ends it earlier, epoch seconds. */
  readonly deadline?: number
}

/** Who was refused, and the exact reason that the answer on the wire withholds. */
export interface RefusedEvent extends KnownFacts {
  readonly event: 'exchange_refused' | 'introspection_refused' | 'revocation_refused'
  readonly correlation_id: string
  readonly trace_id?: string
  readonly time: number
  readonly policy: string
  readonly reason: Refusal['kind']
  readonly detail: Readonly<Record<string, unknown>>
}

/** The request failed when its exchange had been recorded, or may have been: nothing was released. What failed is in the log. */
export interface FailedEvent extends KnownFacts {
  readonly event: 'exchange_failed'
  readonly correlation_id: string
  readonly trace_id?: string
  readonly time: number
  readonly policy: string
  readonly reason: 'fault'
}

/** A retry got the token that an earlier request had recorded; if that one says the token was withheld, it no longer is. */
export interface RepeatedEvent extends KnownFacts {
  readonly event: 'exchange_repeated'
  readonly correlation_id: string
  readonly trace_id?: string
  readonly time: number
  readonly policy: string
  readonly token: TokenId
}

/** Who revoked what, and why. */
export interface RevokedEvent {
  readonly event: 'revocation'
  readonly correlation_id: string
  readonly trace_id?: string
  readonly time: number
  readonly policy: string
  /** The id of a client, or the ARN of an operator. */
  readonly author: string
  /** By what the author named it. */
  readonly kind: string
  readonly keys: readonly RevocationKey[]
  readonly cut_off: number
  readonly reason: string
}

/** What the pipeline had verified when it refused. */
export interface KnownFacts {
  readonly client_id?: string
  readonly issuer?: string
  readonly subject?: string
  readonly subject_token?: TokenId
  readonly actor_issuer?: string
  readonly actor?: string
  readonly actor_token?: TokenId
  /** Set where it refused because of the actor's token, and not the subject's. */
  readonly of?: 'actor_token'
  readonly target?: string
  readonly grant?: string
  /** A token of ours that the request is about. */
  readonly token?: TokenId
  /** The operator who asked. */
  readonly author?: string
  /** The token that this request had recorded when it was refused, or may have when it failed: to this request it was not released. */
  readonly withheld?: TokenId
  /** Set where the same request under the same idempotency key may have been given the token all the same. */
  readonly withheld_but_for_retry?: true
}

export type AuditEvent = GrantedEvent | RefusedEvent | FailedEvent | RepeatedEvent | RevokedEvent

export function grantedEvent(
  authorised: Authorised,
  issued: IssuedIdentity,
  context: AuditContext & { readonly kid: string | undefined; readonly txn: string },
): GrantedEvent {
  const { subject, target, grant } = authorised
  return {
    event: 'exchange_granted',
    ...circumstancesOf(context),
    issuer: subject.issuer,
    subject: subject.subject,
    subject_token: subject.tokenId,
    client_id: authorised.clientId,
    target: target.id,
    grant: grant.id,
    scope: authorised.scopes.join(' '),
    token: issued.id,
    jti: issued.jti,
    expires_at: issued.expiresAt,
    format: target.format,
    ...(context.kid !== undefined && { kid: context.kid }),
    txn: context.txn,
    ...confirmationClaim(authorised.confirmation),
    lineage: subject.lineage,
    ...actorsIn(authorised),
    ...(authorised.session !== undefined && { aws_session: sessionFacts(authorised.session) }),
  }
}

type ActorFacts = Pick<GrantedEvent, 'actor' | 'actor_issuer' | 'actor_token' | 'actors' | 'lineage_actors'>

function actorsIn({ actor, actors, actorKeys }: Authorised): ActorFacts {
  return {
    ...(actor && { actor: actor.subject, actor_issuer: actor.issuer, actor_token: actor.tokenId }),
    ...(actors.length > 0 && { actors, lineage_actors: actorKeys }),
  }
}

function sessionFacts(session: AwsSession): AwsSessionFacts {
  const { sourceIdentity, deadline } = session
  return {
    role_arn: session.roleArn,
    session_name: session.sessionName,
    ...(sourceIdentity !== undefined && { source_identity: sourceIdentity }),
    tag_keys: Object.keys(session.tags),
    duration_seconds: session.durationSeconds,
    ...(deadline !== undefined && { deadline }),
  }
}

export function refusedEvent(refusal: Refusal, known: KnownFacts, context: AuditContext): RefusedEvent {
  const { kind, ...detail } = refusal
  return {
    event: 'exchange_refused',
    ...circumstancesOf(context),
    reason: kind,
    detail: safeDetail(detail),
    ...known,
  }
}

export function failedEvent(known: KnownFacts, context: AuditContext): FailedEvent {
  return {
    event: 'exchange_failed',
    ...circumstancesOf(context),
    reason: 'fault',
    ...known,
  }
}

export function repeatedEvent(token: TokenId, known: KnownFacts, context: AuditContext): RepeatedEvent {
  return {
    event: 'exchange_repeated',
    ...circumstancesOf(context),
    ...known,
    token,
  }
}

/** What is recorded of a cut-off that was written. */
export function revokedEvent(kind: string, revocation: Revocation, context: AuditContext): RevokedEvent {
  return {
    event: 'revocation',
    ...circumstancesOf(context),
    author: revocation.author,
    kind,
    keys: [revocation.key],
    cut_off: revocation.cutOff,
    reason: revocation.reason,
  }
}

/** What every event says of its request. */
function circumstancesOf({ correlationId, traceId, now, policy }: AuditContext) {
  const ids = { correlation_id: correlationId, ...(traceId !== undefined && { trace_id: traceId }) }
  return { ...ids, time: now, policy }
}

/** Parameters of the protocol. Any other name is the sender's text. */
const PARAMETERS: ReadonlySet<unknown> = new Set([
  'grant_type',
  'subject_token',
  'subject_token_type',
  'actor_token',
  'actor_token_type',
  'requested_token_type',
  'audience',
  'resource',
  'scope',
  'client_id',
  'token',
  'token_type_hint',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
])

/**
 * Details as they may be recorded. What the sender wrote could be a secret in the wrong place, whatever it looks like: of
 * an unknown audience, resource or target only a digest is kept, by which a suspected value can be confirmed.
 */
function safeDetail(detail: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  // A nonce is the client's to know, for as long as it is accepted.
  const { audience, resource, target, parameter, nonce: _, ...ours } = detail
  return {
    ...ours,
    ...(typeof audience === 'string' && { audience_sha256: digestOf(audience) }),
    ...(typeof resource === 'string' && { resource_sha256: digestOf(resource) }),
    ...(typeof target === 'string' && { target_sha256: digestOf(target) }),
    ...(parameter !== undefined && { parameter: PARAMETERS.has(parameter) ? parameter : '(unknown)' }),
  }
}
