import { txnOf } from './access-token.ts'
import type { Authorised } from './authorise.ts'
import type { OwnToken } from './own-token.ts'
import type { IssuedIdentity, RevocationKey } from './ports.ts'
import type { ValidatedSubject } from './subject-token.ts'

/** These name one thing that is dead as a whole; a cut-off by subject, client or issuer spares what was issued later. */
const DEAD_AS_A_WHOLE = new Set(['token', 'lineage', 'key'])

/**
 * Every cut-off that could forbid this exchange: of the subject token and each of its ancestors, of the token about to
 * be issued (a retry must not bring a revoked one back), of the subject, client, first issuer and lineage, and of every
 * key of ours that signed one of its ancestors.
 */
export function revocationKeysFor(authorised: Authorised, issued: IssuedIdentity): readonly RevocationKey[] {
  const { subject, clientId } = authorised
  return [
    ...subject.lineage.map((id): RevocationKey => `token#${id}`),
    `token#${issued.id}`,
    `subject#${subject.subject}`,
    `client#${clientId}`,
    `issuer#${subject.idp}`,
    `lineage#${txnOf(authorised, issued)}`,
    ...subject.signedBy.map((kid): RevocationKey => `key#${kid}`),
  ]
}

/** Every cut-off that could have ended this token: its own and its ancestors', by whatever they share. */
export function revocationKeysOf(token: OwnToken): readonly RevocationKey[] {
  return [
    ...token.lineage.map((id): RevocationKey => `token#${id}`),
    `subject#${token.subject}`,
    `client#${token.clientId}`,
    `issuer#${token.idp}`,
    `lineage#${token.txn}`,
    ...token.signedBy.map((kid): RevocationKey => `key#${kid}`),
  ]
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
