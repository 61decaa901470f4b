import { txnOf } from './access-token.ts'
import type { Authorised } from './authorise.ts'
import { LIMITS } from './limits.ts'
import type { OwnClaims } from './own-claims.ts'
import type { OwnToken } from './own-token.ts'
import type { IssuedIdentity, Revocation, RevocationKey } from './ports.ts'
import { type Refused, refuse } from './refusal.ts'

/** These name one thing that is dead as a whole; a cut-off by subject, client or issuer spares what was issued later. */
const DEAD_AS_A_WHOLE = new Set(['token', 'lineage', 'key'])

/** What a token can be revoked by. `txn` is unknown of one that no exchange has made. */
export type Revocable = Pick<
  OwnClaims,
  'lineage' | 'subject' | 'clients' | 'idp' | 'signedBy' | 'actorKeys'
> & {
  readonly txn: string | undefined
  readonly issuedAt: number | undefined
}

/**
 * Every cut-off that could have ended this token: its own and its ancestors', by whatever they share, and those of all who
 * act for its subject or did.
 */
export function revocationKeysOf(token: Revocable): readonly RevocationKey[] {
  return [
    ...token.lineage.map((id): RevocationKey => `token#${id}`),
    `subject#${token.subject}`,
    ...[...token.clients, token.subject].map((id): RevocationKey => `client#${id}`),
    `issuer#${token.idp}`,
    ...(token.txn === undefined ? [] : [`lineage#${token.txn}` as const]),
    ...token.signedBy.map((kid): RevocationKey => `key#${kid}`),
    ...token.actorKeys,
  ]
}

/**
 * Every cut-off that could forbid this exchange: of the subject's and the actor's token and each of their ancestors, of the
 * token about to be issued (a retry must not bring a revoked one back), of its lineage, and of the client that presents them.
 */
export function revocationKeysFor(authorised: Authorised, issued: IssuedIdentity): readonly RevocationKey[] {
  const { actor } = authorised
  return [...subjectKeysFor(authorised, issued), ...(actor === undefined ? [] : revocationKeysOf(actor))]
}

function subjectKeysFor(authorised: Authorised, issued: IssuedIdentity): readonly RevocationKey[] {
  const { subject, clientId } = authorised
  return [
    ...revocationKeysOf({ ...subject, txn: txnOf(authorised, issued) }),
    `token#${issued.id}`,
    `client#${clientId}`,
  ]
}

/** Kept beyond the last moment at which a token, or a retry that would name it again, could still be presented. */
export const KEPT_AFTER_EXPIRY_SECONDS = 2 * LIMITS.clockSkewSeconds + LIMITS.idempotencySeconds

/** Why, by whom and when something is revoked. `at` in epoch seconds. */
export interface RevocationReason {
  readonly reason: string
  readonly author: string
  readonly at: number
}

const PRINTABLE = /^[^\p{C}\p{Zl}\p{Zp}]{1,500}$/u
/** What could be a token, or the handle of one: a reason is kept for years, where nobody keeps secrets. */
const TOKEN_LIKE = /[\w-]{16,}\.[\w-]{16,}\.|\brt_[\w-]{16,}/

/** Whether a text may be kept as the reason of a revocation, whichever way it is given. */
export function isReason(text: string): boolean {
  return PRINTABLE.test(text) && text.trim() !== '' && !TOKEN_LIKE.test(text)
}

/**
 * The cut-off that revokes what `key` names. A subject, client or issuer is cut off 30 s from now: an exchange that read
 * the cut-offs just before this one was written stamps its token with the clock of another environment, and what it
 * releases must count as issued before. What is honestly issued in those 30 s counts so too, and has to be asked for again.
 */
export function cutOffNow(key: RevocationKey, why: RevocationReason): Revocation {
  const [kind = ''] = key.split('#')
  return { key, cutOff: DEAD_AS_A_WHOLE.has(kind) ? why.at : why.at + LIMITS.clockSkewSeconds, ...why }
}

/** The cut-off that revokes one token of ours. The store may forget it when no descendant can be alive any more. */
export function cutOffOf(token: OwnToken, why: RevocationReason): Revocation {
  // A child never outlives its parent (`authorise.ts`).
  return {
    ...cutOffNow(`token#${token.tokenId}`, why),
    expiresAt: token.expiresAt + KEPT_AFTER_EXPIRY_SECONDS,
  }
}

/** The kind of the first cut-off that covers the token, or `undefined`. Others may be among them. */
export function findRevocation(
  token: Revocable,
  cutOffs: ReadonlyMap<RevocationKey, number>,
): string | undefined {
  return firstCovering(revocationKeysOf(token), token.issuedAt, cutOffs)
}

/** The refusal of an exchange that one of these cut-offs forbids; each token is held against its own. */
export function refuseRevoked(
  authorised: Authorised,
  issued: IssuedIdentity,
  cutOffs: ReadonlyMap<RevocationKey, number>,
): Refused | undefined {
  const { subject, actor } = authorised
  const by = firstCovering(subjectKeysFor(authorised, issued), subject.issuedAt, cutOffs)
  if (by !== undefined) return refuse({ kind: 'token_revoked', by })
  const ofActor = actor === undefined ? undefined : findRevocation(actor, cutOffs)
  if (ofActor === undefined) return undefined
  return { ...refuse({ kind: 'token_revoked', by: ofActor }), of: 'actor_token' }
}

/** Without `issuedAt` every cut-off covers. */
function firstCovering(
  keys: readonly RevocationKey[],
  issuedAt: number | undefined,
  cutOffs: ReadonlyMap<RevocationKey, number>,
): string | undefined {
  for (const key of keys) {
    const cutOff = cutOffs.get(key)
    const [kind = ''] = key.split('#')
    if (cutOff !== undefined && (DEAD_AS_A_WHOLE.has(kind) || (issuedAt ?? 0) <= cutOff)) return kind
  }
  return undefined
}
