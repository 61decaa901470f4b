import {
  type AuditContext,
  type KnownFacts,
  type RefusedEvent,
  type RevokedEvent,
  refusedEvent,
  revokedEvent,
} from './audit-event.ts'
import { preparseJwt } from './jwt-preparse.ts'
import { LIMITS } from './limits.ts'
import { type OwnTokenWorld, openOwnToken } from './own-token.ts'
import type { PolicyIndex } from './policy/decide.ts'
import type { Revocation, RevocationKey, RevocationRegister } from './ports.ts'
import { type Refused, type RevocationMember, refuse } from './refusal.ts'
import { cutOffNow, cutOffOf, type RevocationReason } from './revocation.ts'
import { tokenIdOf } from './token-id.ts'
import { issuerNamedIn } from './trusted-issuer.ts'
import type { JsonObject, JsonValue } from './types.ts'

/** What an operator's revocation needs of the world. */
export interface OperatorRevocationDependencies extends OwnTokenWorld {
  readonly policy: PolicyIndex
  readonly register: RevocationRegister
}

export interface OperatorRevocationInput {
  /** The ARN of who asks, as the gateway has verified it. */
  readonly author: string
  readonly body: JsonObject
}

/** What was done, named as on the wire. Times in epoch seconds. */
export interface OperatorRevocationAnswer {
  readonly revoked: readonly RevocationKey[]
  readonly cut_off: number
  readonly author: string
  readonly reason: string
  readonly at: number
  /** Whether policy knows the client, issuer or subject's issuer: if not, it was removed, or the id is mistyped. */
  readonly known?: boolean
}

export type OperatorRevocationOutcome =
  | { readonly answer: OperatorRevocationAnswer; readonly event: RevokedEvent }
  | (Refused & { readonly event: RefusedEvent })

/**
 * One revocation by an operator: read → what it names → write. When this returns an answer, the cut-off is
 * durable. Returns a refusal; throws {@link DependencyUnavailable} if the cut-off may not have been written.
 */
export async function revokeByOperator(
  { author, body }: OperatorRevocationInput,
  at: Pick<AuditContext, 'now' | 'correlationId' | 'traceId'>,
  world: OperatorRevocationDependencies,
): Promise<OperatorRevocationOutcome> {
  const audit = { ...at, policy: world.policy.digest }
  const known: KnownFacts = { author }
  const refused = (refusal: Refused) => ({
    ...refusal,
    event: { ...refusedEvent(refusal.refused, known, audit), event: 'revocation_refused' as const },
  })
  const request = readRequest(body)
  if ('refused' in request) return refused(request)
  const why = { reason: request.reason, author, at: at.now }
  const named = await request.name(request, why, world)
  if ('refused' in named) return refused(named)

  const { revocation } = named
  await world.register.revoke([revocation])
  return {
    answer: {
      revoked: [revocation.key],
      cut_off: revocation.cutOff,
      author,
      reason: request.reason,
      at: at.now,
      ...(named.known !== undefined && { known: named.known }),
    },
    event: revokedEvent(request.kind, revocation, audit),
  }
}

interface Request {
  readonly kind: string
  readonly id: string | undefined
  readonly token: string | undefined
  readonly reason: string
  readonly name: NameIt
}

interface Named {
  readonly revocation: Revocation
  readonly known?: boolean
}

/** Finds the cut-off that a request of one kind asks for. */
type NameIt = (
  request: Pick<Request, 'id' | 'token'>,
  why: RevocationReason,
  world: OperatorRevocationDependencies,
) => Named | Refused | Promise<Named | Refused>

const TOKEN_ID = /^[\w-]{21}[AQgw]$/
/** RFC 7638 thumbprint with SHA-256. */
const THUMBPRINT = /^[\w-]{42}[AEIMQUYcgkosw048]$/
/** `jti` of the first token of a lineage. */
const LINEAGE = /^[\w-]{22}$/
const POLICY_ID = /^[a-z0-9][a-z0-9_-]{0,62}$/
/** A trust domain is an issuer too. */
const URL_TEXT = /^(?:https?|spiffe):\/\/[\x21-\x7e]{1,500}$/
const SUBJECT = /^([a-z0-9][a-z0-9_-]{0,62}):[\x20\x21\x23-\x26\x28-\x5b\x5d-\x5f\x61-\x7e]+$/
const PRINTABLE = /^[^\p{C}\p{Zl}\p{Zp}]{1,500}$/u
/** What could be a token, or the handle of one: a reason is kept for years, where nobody keeps secrets. */
const TOKEN_LIKE = /[\w-]{16,}\.[\w-]{16,}\.|\brt_[\w-]{16,}/

const KINDS: Readonly<Record<string, NameIt>> = {
  token: nameToken,
  upstream_token: nameUpstreamToken,
  subject: ({ id = '' }, why, { policy }) => {
    const issuerId = id.length > LIMITS.subjectCharacters + 64 ? undefined : SUBJECT.exec(id)?.[1]
    if (issuerId === undefined) return malformed('id')
    return { revocation: cutOffNow(`subject#${id}`, why), known: issuerUrl(policy, issuerId) !== undefined }
  },
  // A client that policy has lost may hold tokens still: it can be revoked, and the answer says that nobody knows it.
  client: ({ id = '' }, why, { policy }) =>
    POLICY_ID.test(id)
      ? { revocation: cutOffNow(`client#${id}`, why), known: policy.clients.has(id) }
      : malformed('id'),
  issuer: ({ id = '' }, why, { policy }) => {
    const url = issuerUrl(policy, id) ?? (URL_TEXT.test(id) ? id : undefined)
    if (url === undefined) return malformed('id')
    return { revocation: cutOffNow(`issuer#${url}`, why), known: policy.issuers.has(url) }
  },
  lineage: ({ id = '' }, why) =>
    LINEAGE.test(id) ? { revocation: cutOffNow(`lineage#${id}`, why) } : malformed('id'),
  key: ({ id = '' }, why) =>
    THUMBPRINT.test(id) ? { revocation: cutOffNow(`key#${id}`, why) } : malformed('id'),
}
const TAKES_TOKEN: ReadonlySet<string> = new Set(['token', 'upstream_token'])
const MEMBERS: ReadonlySet<string> = new Set(['kind', 'id', 'token', 'reason'])

function readRequest(body: JsonObject): Request | Refused {
  if (Object.keys(body).some((member) => !MEMBERS.has(member))) return malformed('(unknown)')
  const { kind, id, token, reason } = body
  const name = typeof kind === 'string' && Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined
  if (typeof kind !== 'string' || name === undefined) return malformed('kind')
  if (!isReason(reason)) return malformed('reason')
  if (token !== undefined && (typeof token !== 'string' || !TAKES_TOKEN.has(kind))) return malformed('token')
  if (id !== undefined && typeof id !== 'string') return malformed('id')
  if ((id === undefined) === (token === undefined)) return malformed('id')
  return { kind, id, token, reason, name }
}

function isReason(reason: JsonValue | undefined): reason is string {
  return (
    typeof reason === 'string' && PRINTABLE.test(reason) && reason.trim() !== '' && !TOKEN_LIKE.test(reason)
  )
}

/** A token of ours, by its id, or by its text if that is authentic; it may have expired. */
async function nameToken(
  { id, token }: Pick<Request, 'id' | 'token'>,
  why: RevocationReason,
  world: OperatorRevocationDependencies,
): Promise<Named | Refused> {
  if (token === undefined) return nameById(id, why)
  const own = await openOwnToken(token, world, { now: why.at, mayBeExpired: true })
  return 'refused' in own ? notAcceptable(own.refused.kind) : { revocation: cutOffOf(own, why) }
}

/**
 * A token of somebody else's, by its id or its text. The text is not verified: its issuer's keys may be gone, or the
 * issuer out of policy. An operator who is handed a forgery revokes what it names, as with any id; nothing is revoked
 * that the operator could not revoke anyway. Nothing of it is believed beyond its name, its `exp` neither.
 */
function nameUpstreamToken(
  { id, token }: Pick<Request, 'id' | 'token'>,
  why: RevocationReason,
): Named | Refused {
  if (token === undefined) return nameById(id, why)
  const jwt = preparseJwt(token)
  if (typeof jwt === 'string') return notAcceptable(jwt)
  const { jti } = jwt.claims
  const issuer = issuerNamedIn(jwt.claims)
  if (issuer === undefined) return notAcceptable('claim_malformed')
  if (jti !== undefined && (typeof jti !== 'string' || jti === '')) return notAcceptable('claim_malformed')
  const tokenId = tokenIdOf({ kind: 'token', issuer, jti, signingInput: jwt.signingInput })
  return { revocation: cutOffNow(`token#${tokenId}`, why) }
}

function nameById(id: string | undefined, why: RevocationReason): Named | Refused {
  return id !== undefined && TOKEN_ID.test(id)
    ? { revocation: cutOffNow(`token#${id}`, why) }
    : malformed('id')
}

function issuerUrl(policy: PolicyIndex, id: string): string | undefined {
  return [...policy.issuers.values()].find((issuer) => issuer.id === id)?.issuer
}

function malformed(member: RevocationMember): Refused {
  return refuse({ kind: 'revocation_malformed', member })
}

function notAcceptable(because: string): Refused {
  return refuse({ kind: 'revocation_token_not_acceptable', because })
}
