import { type AcceptedToken, acceptToken, type TokenRefused } from './accept-token.ts'
import { identifyIssued, jtiFor } from './access-token.ts'
import {
  type AuditContext,
  failedEvent,
  type KnownFacts,
  type RefusedEvent,
  type RepeatedEvent,
  refusedEvent,
  repeatedEvent,
} from './audit-event.ts'
import type { TokenAuthentication } from './authentic-token.ts'
import { authorise } from './authorise.ts'
import { authenticateClient, type ClientAuthenticationWorld } from './client-authentication.ts'
import { exchangeRecordOf } from './exchange-record.ts'
import { DependencyUnavailable } from './fault.ts'
import { type Mint, minterFor, type Released } from './mint.ts'
import { claimOnce } from './one-time.ts'
import type { Target } from './policy/compiled.ts'
import { type PolicyIndex, resolveTarget } from './policy/decide.ts'
import type {
  ExchangeLedger,
  ExchangeRecord,
  OneTimeLedger,
  RatePermits,
  RecordListener,
  RecordOutcome,
  RevocationStore,
  StageListener,
  StatusIndices,
} from './ports.ts'
import { type PossessionWorld, provePossession } from './possession.ts'
import { rateRuleFor } from './rate.ts'
import { type Refused, refuse } from './refusal.ts'
import { replayScopeOf, usesBeside } from './replay.ts'
import { refuseRevoked, revocationKeysFor } from './revocation.ts'
import { ringOfKey } from './signing-ring.ts'
import {
  type RequestedTokenType,
  readTokenRequest,
  TOKEN_PATH,
  type TokenRequestInput,
  tokenTypeUri,
} from './token-request.ts'

/** What an exchange needs of the world. */
export interface ExchangeDependencies
  extends ClientAuthenticationWorld,
    TokenAuthentication,
    PossessionWorld,
    Mint {
  readonly policy: PolicyIndex
  readonly oneTime: OneTimeLedger
  readonly ledger: ExchangeLedger
  readonly permits: RatePermits
  readonly revocations: RevocationStore
  readonly statusIndices: StatusIndices
}

/** A successful answer (RFC 8693 §2.2.1), named as on the wire. */
export interface TokenAnswer {
  readonly access_token: string
  readonly issued_token_type: string
  readonly token_type: Released['tokenType']
  readonly expires_in: number
  readonly scope?: string
}

export type ExchangeOutcome =
  | {
      readonly answer: TokenAnswer
      /** For the audit trail, where this is a retry, which gets the token that was made; `undefined` where it was made now. */
      readonly repeated: RepeatedEvent | undefined
      readonly known: KnownFacts
      /** For the client's next DPoP proof (RFC 9449 §8.2), where the target wants one in it. */
      readonly nextNonce: string | undefined
    }
  | (Refused & {
      /** The exact reason, for the audit trail. */
      readonly event: RefusedEvent
    })

/**
 * THE FLOW. One token exchange, in the one order that every path follows: parse → authenticate client → accept the subject's
 * token (pre-parse JWT → issuer → key → signature, or look a handle up → claims), and in the same way the actor's →
 * possession of keys → authorise → record ‖ claim what is used once ‖ revocation check ‖ mint → release. The last four run at
 * the same time, and the token is released only if all agree. Until client and tokens are known to be authentic and policy has
 * agreed, nothing is written and nothing consumed.
 *
 * Returns a refusal; throws {@link DependencyUnavailable} or another fault. Then nothing is released either, and whoever listens
 * to `recording` has what the audit trail is to say of it.
 */
export async function exchange(
  input: TokenRequestInput,
  at: Pick<AuditContext, 'now' | 'correlationId' | 'traceId'> & Partial<StageListener & RecordListener>,
  world: ExchangeDependencies,
): Promise<ExchangeOutcome> {
  const { issuer: brokerIssuer, policy } = world
  const audit = { ...at, policy: policy.digest }
  let known: KnownFacts = {}
  const refused = ({ refused, of }: Refused) => {
    const facts = of === undefined ? known : { ...known, of }
    return { refused, event: refusedEvent(refused, facts, audit) }
  }

  const request = readTokenRequest(input)
  if ('refused' in request) return refused(request)

  at.enter?.('verify')
  const client = await authenticateClient(input, world, at.now)
  if (client !== undefined && 'refused' in client) return refused(client)
  if (client !== undefined) known = { client_id: client.client.id }

  const by = { client, now: at.now }
  const subject = await acceptToken(request.subject, by, world)
  known = { ...known, ...subjectFacts(subject) }
  if ('refused' in subject) return refused(subject)
  const { issuer } = subject

  const actor = request.actor && (await acceptToken(request.actor, by, world))
  known = { ...known, ...actorFacts(actor) }
  if (actor !== undefined && 'refused' in actor) return refused({ ...actor, of: 'actor_token' })

  at.enter?.('policy')
  const target = resolveTarget(policy, { ...request, issuer, client: client?.client })
  if ('kind' in target) return refused(refuse(target))
  known = { ...known, target: target.id }
  if (!gives(target, request.requestedTokenType))
    return refused(refuse({ kind: 'requested_token_type_not_supported' }))

  const tokens = { subject: subject.accepted, actor: actor?.accepted }
  const bindings = [tokens.subject, ...(tokens.actor ? [tokens.actor] : [])].map(
    (token) => token.confirmation,
  )
  const demands = target.format === 'aws-credentials' ? {} : { target }
  const endpoint = { method: 'POST', path: TOKEN_PATH }
  const proven = { ...endpoint, token: request.subject.token, bindings, ...demands, ...at }
  const possession = await provePossession(input, proven, world)
  if ('refused' in possession) return refused(possession)

  const { confirmation } = possession
  const boundTo = replayScopeOf({ subject: tokens.subject, target }, issuer)
  const jti = jtiFor({ idempotencyKey: request.idempotencyKey, scope: boundTo }, world.randomId)
  const asked = { ...tokens, client, target, scopes: request.scopes, confirmation, jti }
  const authorised = authorise(policy, asked, at.now)
  if ('refused' in authorised) return refused(authorised)
  known = { ...known, grant: authorised.grant.id }

  at.enter?.('mint')
  const rate = rateRuleFor(authorised)
  // Before anything is spent: whoever is told to come back later must be able to.
  const permit = rate && (await world.permits.take(rate))
  if (permit?.kind === 'exceeded') return refused(refuse({ ...permit, kind: 'rate_exceeded' }))

  const [{ key, mint, release }, status] = await Promise.all([
    minterFor(authorised, world),
    'statusList' in target && target.statusList ? world.statusIndices.next() : undefined,
  ])
  const issued = identifyIssued(authorised, { issuer: brokerIssuer, now: at.now, status })
  const attempt = world.randomId()
  const record = exchangeRecordOf(authorised, issued, { request, issuer, kid: key?.kid, attempt, audit })
  const ownKeys = key === undefined ? [] : [`key#${key.kid}` as const]
  const oneTime = [
    ...(client?.assertion ? [client.assertion] : []),
    ...possession.spent,
    ...usesBeside(authorised, { subject: issuer, actor: actor?.issuer }, { record, policy }),
  ]
  const withheld = { ...known, ...withheldFact(record) }
  at.recording?.(failedEvent(withheld, audit))
  const [recorded, replay, cutOffs, speculative] = await Promise.all([
    recordFor(at, record, world.ledger),
    claimOnce(oneTime, world.oneTime, client?.client),
    world.revocations.cutOffs([...revocationKeysFor(authorised, issued), ...ownKeys]),
    mint(issued),
  ])
  if (recorded.kind === 'recorded') known = withheld
  if (replay !== undefined) return refused(replay)
  const revoked = refuseRevoked(authorised, issued, cutOffs)
  if (revoked !== undefined) return refused(revoked)
  if (key !== undefined && cutOffs.has(`key#${key.kid}`)) {
    // Its revocation names another in the manifest: the next request is to find that, not what is cached here.
    world.signer.forget(ringOfKey(key))
    throw new DependencyUnavailable('kms', 'the active signing key is revoked')
  }
  const isSpent = recorded.kind === 'same_request' && recorded.issued.expiresAt <= at.now
  if (recorded.kind === 'replayed' || isSpent) return refused(refuse({ kind: 'token_replayed' }))

  const [logical, minted] =
    recorded.kind === 'same_request' ? [recorded.issued, await mint(recorded.issued)] : [issued, speculative]
  const released = await release(minted, logical)
  if ('refused' in released) return refused(released)
  return {
    repeated: recorded.kind === 'same_request' ? repeatedEvent(logical.id, known, audit) : undefined,
    known,
    nextNonce: possession.nextNonce,
    answer: {
      access_token: released.text,
      issued_token_type: tokenTypeUri(request.requestedTokenType),
      token_type: released.tokenType,
      expires_in: released.expiresAt - at.now,
      ...(authorised.scopes.length > 0 && { scope: authorised.scopes.join(' ') }),
    },
  }
}

/** What is known of the subject's token, accepted or not. */
function subjectFacts(token: AcceptedToken | TokenRefused): KnownFacts {
  const { issuer } = token
  if ('refused' in token) return issuer === undefined ? {} : { issuer: issuer.id }
  return { issuer: token.issuer.id, subject: token.accepted.subject, subject_token: token.accepted.tokenId }
}

/** The same of the actor's. */
function actorFacts(token: AcceptedToken | TokenRefused | undefined): KnownFacts {
  const { issuer, subject, subject_token } = token === undefined ? {} : subjectFacts(token)
  return {
    ...(issuer !== undefined && { actor_issuer: issuer }),
    ...(subject !== undefined && { actor: subject }),
    ...(subject_token !== undefined && { actor_token: subject_token }),
  }
}

/** A role gives credentials and nothing else does; what is no JWT is not called one. */
function gives({ format }: Target, requested: RequestedTokenType): boolean {
  if (format === 'aws-credentials' || requested === 'aws_credentials')
    return format === 'aws-credentials' && requested === 'aws_credentials'
  return !(format === 'reference' && requested === 'jwt')
}

/** Writes the record; where there is none of this request, nobody needs to be told that nothing was released. */
async function recordFor(
  listener: Partial<RecordListener>,
  record: ExchangeRecord,
  ledger: ExchangeLedger,
): Promise<RecordOutcome> {
  const outcome = await ledger.record(record)
  if (outcome.kind !== 'recorded') listener.accounted?.()
  return outcome
}

/** For the refusal of a request that has left a record: the record alone would say that somebody got the token. */
function withheldFact({ issued, fingerprint }: ExchangeRecord): KnownFacts {
  return { withheld: issued.id, ...(fingerprint !== undefined && { withheld_but_for_retry: true }) }
}
