import type { Authorised } from './authorise.ts'
import type { IssuedIdentity } from './ports.ts'
import type { Refusal } from './refusal.ts'
import type { TokenId } from './types.ts'

/** Where and when an event happened. `now` in epoch seconds. */
export interface AuditContext {
  readonly correlationId: string
  readonly now: number
  /** Digest of the policy that decided. */
  readonly policy: string
}

/** Who got what, by which grant. Ids and digests only: never a token, nor a part of one. */
export interface GrantedEvent {
  readonly event: 'exchange_granted'
  readonly correlation_id: string
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
  readonly kid: string
  readonly txn: string
  readonly lineage: readonly TokenId[]
}

/** Who was refused, and the exact reason that the answer on the wire withholds. */
export interface RefusedEvent extends KnownFacts {
  readonly event: 'exchange_refused'
  readonly correlation_id: string
  readonly time: number
  readonly policy: string
  readonly reason: Refusal['kind']
  readonly detail: Readonly<Record<string, unknown>>
}

/** What the pipeline had verified when it refused. */
export interface KnownFacts {
  readonly issuer?: string
  readonly subject?: string
  readonly subject_token?: TokenId
  readonly target?: string
  readonly grant?: string
}

export type AuditEvent = GrantedEvent | RefusedEvent

export function grantedEvent(
  authorised: Authorised,
  issued: IssuedIdentity,
  context: AuditContext & { readonly kid: string; readonly txn: string },
): GrantedEvent {
  const { subject, target, grant } = authorised
  return {
    event: 'exchange_granted',
    correlation_id: context.correlationId,
    time: context.now,
    policy: context.policy,
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
    kid: context.kid,
    txn: context.txn,
    lineage: subject.lineage,
  }
}

export function refusedEvent(refusal: Refusal, known: KnownFacts, context: AuditContext): RefusedEvent {
  const { kind, ...detail } = refusal
  return {
    event: 'exchange_refused',
    correlation_id: context.correlationId,
    time: context.now,
    policy: context.policy,
    reason: kind,
    detail: Object.fromEntries(Object.entries(detail).map(([name, value]) => [name, safeToRecord(value)])),
    ...known,
  }
}

const SAFE_TEXT = /^[\w .:/@#*-]{1,128}$/
const LOOKS_LIKE_A_TOKEN = /eyJ|^[A-Za-z0-9_-]{40,}$/

/** Text that the sender chose is recorded only when it is short, plain and unlike a token that was put in the wrong place. */
function safeToRecord(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(safeToRecord)
  if (typeof value !== 'string') return value
  return SAFE_TEXT.test(value) && !LOOKS_LIKE_A_TOKEN.test(value) ? value : '(withheld)'
}
