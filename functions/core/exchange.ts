import { identifyIssued } from './access-token.ts'
import { type AuditContext, type KnownFacts, type RefusedEvent, refusedEvent } from './audit-event.ts'
import { authenticateToken, type TokenAuthentication } from './authentic-token.ts'
import { authorise } from './authorise.ts'
import { exchangeRecordOf } from './exchange-record.ts'
import { DependencyUnavailable } from './fault.ts'
import { type Mint, minterFor } from './mint.ts'
import { resolveTarget } from './policy/decide.ts'
import type { ExchangeLedger, RevocationStore } from './ports.ts'
import { type Refused, refuse } from './refusal.ts'
import { replayScopeOf } from './replay.ts'
import { findRevocation, revocationKeysFor } from './revocation.ts'
import { validateSubject } from './subject-token.ts'
import { readTokenRequest, type TokenRequestInput, tokenTypeUri } from './token-request.ts'

/** What an exchange needs of the world. */
export interface ExchangeDependencies extends TokenAuthentication, Mint {
  readonly ledger: ExchangeLedger
  readonly revocations: RevocationStore
  /** 128 random bits, base64url. */
  readonly randomId: () => string
}

/** A successful answer (RFC 8693 §2.2.1), named as on the wire. */
export interface TokenAnswer {
  readonly access_token: string
  readonly issued_token_type: string
  readonly token_type: 'Bearer'
  readonly expires_in: number
  readonly scope?: string
}

export type ExchangeOutcome =
  | { readonly answer: TokenAnswer }
  | (Refused & {
      /** The exact reason, for the audit trail. */
      readonly event: RefusedEvent
    })

/**
 * THE FLOW. One token exchange, in the one order that every path follows: parse → authenticate the token (pre-parse JWT →
 * issuer → key → signature; or look the handle up) → claims → authorise → record ‖ revocation check ‖ mint → release. The
 * last three run at the same time, and the token is released only if all three agree. Until the subject token is known to
 * be authentic nothing is written and nothing consumed.
 *
 * Returns a refusal; throws {@link DependencyUnavailable} or another fault, and then nothing is released either.
 */
export async function exchange(
  input: TokenRequestInput,
  at: Pick<AuditContext, 'now' | 'correlationId' | 'traceId'>,
  world: ExchangeDependencies,
): Promise<ExchangeOutcome> {
  const { issuer: brokerIssuer, policy } = world
  const audit = { now: at.now, correlationId: at.correlationId, traceId: at.traceId, policy: policy.digest }
  let known: KnownFacts = {}
  const refused = ({ refused }: Refused) => ({ refused, event: refusedEvent(refused, known, audit) })

  const request = readTokenRequest(input)
  if ('refused' in request) return refused(request)

  const presented = { token: request.subjectToken, type: request.subjectTokenType }
  const authentic = await authenticateToken(presented, world)
  if (authentic.issuer !== undefined) known = { issuer: authentic.issuer.id }
  if ('refused' in authentic) return refused(authentic)
  const { issuer, token } = authentic

  const subject = validateSubject(token, issuer, { type: request.subjectTokenType, now: at.now })
  if ('refused' in subject) return refused(subject)
  known = { ...known, subject: subject.subject, subject_token: subject.tokenId }

  const target = resolveTarget(policy, { ...request, issuer })
  if ('kind' in target) return refused(refuse(target))
  known = { ...known, target: target.id }
  if (target.format === 'reference' && request.requestedTokenType === 'jwt')
    return refused(refuse({ kind: 'requested_token_type_not_supported' }))

  const authorised = authorise(policy, { subject, target, scopes: request.scopes }, at.now)
  if ('refused' in authorised) return refused(authorised)
  known = { ...known, grant: authorised.grant.id }

  const minter = await minterFor(authorised, world)
  const retry = { idempotencyKey: request.idempotencyKey, scope: replayScopeOf(authorised, issuer) }
  const issuance = { issuer: brokerIssuer, now: at.now, randomId: world.randomId }
  const issued = identifyIssued(authorised, retry, issuance)
  const attempt = world.randomId()
  const record = exchangeRecordOf(authorised, issued, {
    request,
    issuer,
    kid: minter.key?.kid,
    attempt,
    audit,
  })
  const ownKeys = minter.key === undefined ? [] : [`key#${minter.key.kid}` as const]
  const [recorded, cutOffs, speculative] = await Promise.all([
    world.ledger.record(record),
    world.revocations.cutOffs([...revocationKeysFor(authorised, issued), ...ownKeys]),
    minter.mint(issued),
  ])
  const revokedBy = findRevocation(subject, cutOffs)
  if (revokedBy !== undefined) return refused(refuse({ kind: 'token_revoked', by: revokedBy }))
  if (ownKeys.some((key) => cutOffs.has(key)))
    throw new DependencyUnavailable('kms', 'the active signing key is revoked')
  const isSpent = recorded.kind === 'same_request' && recorded.issued.expiresAt <= at.now
  if (recorded.kind === 'replayed' || isSpent) return refused(refuse({ kind: 'token_replayed' }))

  const [released, accessToken] =
    recorded.kind === 'same_request'
      ? [recorded.issued, await minter.mint(recorded.issued)]
      : [issued, speculative]
  return {
    answer: {
      access_token: accessToken,
      issued_token_type: tokenTypeUri(request.requestedTokenType),
      token_type: 'Bearer',
      expires_in: released.expiresAt - at.now,
      ...(authorised.scopes.length > 0 && { scope: authorised.scopes.join(' ') }),
    },
  }
}
