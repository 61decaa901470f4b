import { accessTokenSigningInput, compactJws, identifyIssued } from './access-token.ts'
import { type AuditContext, type KnownFacts, type RefusedEvent, refusedEvent } from './audit-event.ts'
import { authorise } from './authorise.ts'
import { authenticateClient, type ClientAuthenticationWorld, refuseClient } from './client-authentication.ts'
import { exchangeRecordOf } from './exchange-record.ts'
import { DependencyUnavailable } from './fault.ts'
import { preparseJwt } from './jwt-preparse.ts'
import { type PolicyIndex, resolveTarget } from './policy/decide.ts'
import type { AssertionLedger, ExchangeLedger, IssuerKeys, RevocationStore, Signer } from './ports.ts'
import { type Refused, refuse } from './refusal.ts'
import { replayScopeOf } from './replay.ts'
import { findRevocation, revocationKeysFor } from './revocation.ts'
import { authenticate, validateSubject } from './subject-token.ts'
import { readTokenRequest, type TokenRequestInput, tokenTypeUri } from './token-request.ts'
import { trustedIssuerOf } from './trusted-issuer.ts'

/** What an exchange needs of the world. */
export interface ExchangeDependencies extends ClientAuthenticationWorld {
  readonly policy: PolicyIndex
  readonly issuerKeys: IssuerKeys
  readonly assertions: AssertionLedger
  readonly ledger: ExchangeLedger
  readonly revocations: RevocationStore
  readonly signer: Signer
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
  | {
      readonly answer: TokenAnswer
      /** Whether this request made the token; a retry gets the one that was made. */
      readonly isNew: boolean
    }
  | (Refused & {
      /** The exact reason, for the audit trail. */
      readonly event: RefusedEvent
    })

/**
 * THE FLOW. One token exchange, in the one order that every path follows: parse → authenticate client → pre-parse JWT →
 * issuer → key → signature → claims → authorise → record ‖ claim assertion ‖ revocation check ‖ sign → release. The last
 * four run at the same time, and the token is released only if all agree. Until both signatures are verified and policy
 * has agreed, nothing is written and nothing consumed.
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

  const client = await authenticateClient(input, world, at.now)
  if (client !== undefined && 'refused' in client) return refused(client)
  if (client !== undefined) known = { client_id: client.client.id }

  const jwt = preparseJwt(request.subjectToken)
  if (typeof jwt === 'string') return refused(refuse({ kind: 'token_malformed', malformation: jwt }))

  const issuer = trustedIssuerOf(policy, jwt, brokerIssuer)
  if (issuer === undefined) return refused(refuse({ kind: 'issuer_not_trusted' }))
  known = { ...known, issuer: issuer.id }
  if (issuer.clientAuthentication === 'required' && client === undefined)
    return refused(refuseClient('authentication_missing'))

  const algorithm = issuer.algorithms.find((allowed) => allowed === jwt.algorithm)
  if (algorithm === undefined) return refused(refuse({ kind: 'algorithm_not_allowed' }))
  const issuerKey = await world.issuerKeys.find(issuer, jwt.kid, algorithm)
  if (issuerKey === undefined) return refused(refuse({ kind: 'key_unknown' }))
  const authentic = await authenticate(jwt, issuerKey)
  if ('refused' in authentic) return refused(authentic)

  const subject = validateSubject(authentic, issuer, { type: request.subjectTokenType, now: at.now })
  if ('refused' in subject) return refused(subject)
  known = { ...known, subject: subject.subject, subject_token: subject.tokenId }

  const target = resolveTarget(policy, { ...request, issuer, client: client?.client })
  if ('kind' in target) return refused(refuse(target))
  known = { ...known, target: target.id }

  const authorised = authorise(policy, { subject, client, target, scopes: request.scopes }, at.now)
  if ('refused' in authorised) return refused(authorised)
  known = { ...known, grant: authorised.grant.id }

  const key = await world.signer.activeKey(target.algorithm)
  const retry = { idempotencyKey: request.idempotencyKey, scope: replayScopeOf(authorised, issuer) }
  const issuance = { issuer: brokerIssuer, now: at.now, randomId: world.randomId }
  const issued = identifyIssued(authorised, retry, issuance)
  const attempt = world.randomId()
  const record = exchangeRecordOf(authorised, issued, { request, issuer, key, attempt, audit })
  let signingInput = accessTokenSigningInput(authorised, issued, { issuer: brokerIssuer, key })
  const ownKey = `key#${key.kid}` as const
  const [recorded, claimed, cutOffs, speculative] = await Promise.all([
    world.ledger.record(record),
    client?.assertion && world.assertions.claim(client.assertion),
    world.revocations.cutOffs([...revocationKeysFor(authorised, issued), ownKey]),
    world.signer.sign(key, signingInput),
  ])
  if (claimed === 'replayed') return refused(refuseClient('assertion_replayed', { client: client?.client }))
  const revokedBy = findRevocation(subject, cutOffs)
  if (revokedBy !== undefined) return refused(refuse({ kind: 'token_revoked', by: revokedBy }))
  if (cutOffs.has(ownKey)) {
    // Its revocation names another in the manifest: the next request is to find that, not what is cached here.
    world.signer.forget(target.algorithm)
    throw new DependencyUnavailable('kms', 'the active signing key is revoked')
  }
  const isSpent = recorded.kind === 'same_request' && recorded.issued.expiresAt <= at.now
  if (recorded.kind === 'replayed' || isSpent) return refused(refuse({ kind: 'token_replayed' }))

  let released = issued
  let signature = speculative
  if (recorded.kind === 'same_request') {
    released = recorded.issued
    signingInput = accessTokenSigningInput(authorised, released, { issuer: brokerIssuer, key })
    signature = await world.signer.sign(key, signingInput)
  }
  return {
    isNew: recorded.kind === 'recorded',
    answer: {
      access_token: compactJws(signingInput, signature),
      issued_token_type: tokenTypeUri(request.requestedTokenType),
      token_type: 'Bearer',
      expires_in: released.expiresAt - at.now,
      ...(authorised.scopes.length > 0 && { scope: authorised.scopes.join(' ') }),
    },
  }
}
