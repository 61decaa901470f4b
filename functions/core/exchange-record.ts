import { txnOf } from './access-token.ts'
import { type AuditContext, grantedEvent } from './audit-event.ts'
import type { Authorised } from './authorise.ts'
import type { TrustedIssuer } from './policy/compiled.ts'
import type { ExchangeRecord, IssuedIdentity } from './ports.ts'
import { MARGIN_SECONDS, replayKeyOf } from './replay.ts'
import { digestOf } from './token-id.ts'
import type { TokenRequest } from './token-request.ts'

/** All that is written, once, before a token is released: replay claim, ledger entry and audit event in one item. */
export function exchangeRecordOf(
  authorised: Authorised,
  issued: IssuedIdentity,
  given: {
    readonly request: TokenRequest
    readonly issuer: TrustedIssuer
    readonly kid: string | undefined
    readonly attempt: string
    readonly audit: AuditContext
  },
): ExchangeRecord {
  const { request, issuer } = given
  const lastUse = Math.max(authorised.subject.expiresAt, issued.expiresAt) + 2 * issuer.clockSkewSeconds
  return {
    key: replayKeyOf(authorised, issuer, issued),
    attempt: given.attempt,
    ...(request.idempotencyKey !== undefined && { fingerprint: fingerprintOf(authorised, request) }),
    issued,
    recordedAt: given.audit.now,
    expiresAt: lastUse + MARGIN_SECONDS,
    event: grantedEvent(authorised, issued, {
      ...given.audit,
      kid: given.kid,
      txn: txnOf(authorised, issued),
    }),
  }
}

/** Equal for two requests exactly if they ask the same of the same tokens under the same idempotency key. */
function fingerprintOf(authorised: Authorised, request: TokenRequest): string {
  const { subject, actor, target, clientId, scopes, confirmation } = authorised
  return digestOf(
    JSON.stringify([
      request.idempotencyKey,
      clientId,
      subject.tokenId,
      target.id,
      [...scopes].sort(),
      request.requestedTokenType,
      confirmation.jkt ?? null,
      confirmation['x5t#S256'] ?? null,
      actor?.tokenId ?? null,
    ]),
  )
}
