import { txnOf } from './access-token.ts'
import type { Authorised } from './authorise.ts'
import { LIMITS } from './limits.ts'
import type { OwnClaims } from './own-claims.ts'
import type { OwnToken } from './own-token.ts'
import type { IssuedIdentity, Revocation, RevocationKey } from './ports.ts'
import type { ValidatedSubject } from './subject-token.ts'

/** These name one thing that is dead as a whole; a cut-off by subject, client or issuer spares what was issued later. */
const DEAD_AS_A_WHOLE = new Set(['token', 'lineage', 'key'])

/**
 * Every cut-off that could forbid this exchange: of the subject token and each of its ancestors, of the token about to
 * be issued (a retry must not bring a revoked one back), of the subject, first issuer and lineage, of the client that
 * presents it and of those to which it and its ancestors were issued, and of every key of ours that signed one of them.
 */
export function revocationKeysFor(authorised: Authorised, issued: IssuedIdentity): readonly RevocationKey[] {
  const { subject, clientId } = authorised
  return [
    ...subject.lineage.map((id): RevocationKey => `token#${id}`),
    `token#${issued.id}`,
    `subject#${subject.subject}`,
    ...[...subject.clients, subject.subject, clientId].map((id): RevocationKey => `client#${id}`),
    `issuer#${subject.idp}`,
    `lineage#${txnOf(authorised, issued)}`,
    ...subject.signedBy.map((kid): RevocationKey => `key#${kid}`),
  ]
}

/** What a token can be revoked by. */
export type Revocable = Pick<
  OwnClaims,
  'lineage' | 'subject' | 'clients' | 'idp' | 'txn' | 'signedBy' | 'issuedAt'
>

/** Every cut-off that could have ended this token: its own and its ancestors', by whatever they share. */
export function revocationKeysOf(token: Revocable): readonly RevocationKey[] {
  return [
    ...token.lineage.map((id): RevocationKey => `token#${id}`),
    `subject#${token.subject}`,
    ...[...token.clients, token.subject].map((id): RevocationKey => `client#${id}`),
    `issuer#${token.idp}`,
    `lineage#${token.txn}`,
    ...token.signedBy.map((kid): RevocationKey => `key#${kid}`),
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

/** The kind of the first cut-off that covers the token, or `undefined`. Without `iat` every cut-off covers it. */
export function findRevocation(
  subject: Pick<ValidatedSubject, 'issuedAt' | 'signedBy'>,
  cutOffs: ReadonlyMap<RevocationKey, number>,
): string | undefined {
  for (const [key, cutOff] of cutOffs) {
    const [kind = ''] = key.split('#')
    // The key that is about to sign is read in the same batch; its revocation says nothing about the subject.
    if (kind === 'key' && !subject.signedBy.includes(key.slice('key#'.length))) continue
    if (DEAD_AS_A_WHOLE.has(kind) || (subject.issuedAt ?? 0) <= cutOff) return kind
  }
  return undefined
}

/** Whether one of all cut-offs that there are covers the token. */
export function isRevoked(token: Revocable, cutOffs: ReadonlyMap<RevocationKey, number>): boolean {
  const ofToken = revocationKeysOf(token).flatMap((key) => {
    const cutOff = cutOffs.get(key)
    return cutOff === undefined ? [] : [[key, cutOff] as const]
  })
  return findRevocation(token, new Map(ofToken)) !== undefined
}
