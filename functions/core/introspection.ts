import { compactJws } from './access-token.ts'
import { type AuditContext, type KnownFacts, type RefusedEvent, refusedEvent } from './audit-event.ts'
import type { ClientAuthenticationWorld, PresentedCredentials } from './client-authentication.ts'
import { tokenTypeOf } from './confirmation.ts'
import { DependencyUnavailable } from './fault.ts'
import type { ManifestKey } from './key-lifecycle.ts'
import { type OwnToken, type OwnTokenWorld, openOwnToken } from './own-token.ts'
import type { Client } from './policy/compiled.ts'
import type { PolicyIndex } from './policy/decide.ts'
import type { OneTimeLedger, RevocationKey, RevocationStore, Signer } from './ports.ts'
import { type Refused, refuse } from './refusal.ts'
import { claimAssertion, isForOneOf, presentedToken, requireClient } from './registered-client.ts'
import { findRevocation, revocationKeysOf } from './revocation.ts'
import type { JsonValue } from './types.ts'

/** What introspection needs of the world. */
export interface IntrospectionDependencies extends ClientAuthenticationWorld, OwnTokenWorld {
  readonly policy: PolicyIndex
  readonly oneTime: OneTimeLedger
  readonly revocations: RevocationStore
  readonly signer: Signer
}

export interface IntrospectionInput extends PresentedCredentials {
  /** Whether the client asks for a signed answer (RFC 9701). */
  readonly wantsJwt: boolean
}

/** Everything that a client may learn of a token (RFC 7662 §2.2); of one that it may not see, only the first member. */
export type Introspection =
  | { readonly active: false }
  | { readonly active: true; readonly [claim: string]: JsonValue }

export type IntrospectionOutcome =
  | {
      /** The answer as JSON, or signed. */
      readonly answer: Introspection | string
      /** Why the token is not active for this client: for the audit trail alone. */
      readonly event?: RefusedEvent
    }
  | (Refused & { readonly event: RefusedEvent })

/** The media type of a signed answer (RFC 9701 §4), and without `application/` its `typ`. */
export const INTROSPECTION_JWT = 'application/token-introspection+jwt'
/** RS256 whatever the token's target: the client is not the target, and verifies what every verifier can. */
const RING = 'RS256'
const INACTIVE: Introspection = { active: false }

/**
 * One introspection: authenticate client → open the token as ours → may the client see it → claim assertion ‖ revocation
 * check → answer. What is unknown, expired, revoked or somebody else's has one and the same answer, in both forms.
 *
 * Returns a refusal; throws {@link DependencyUnavailable} where the answer would be a guess.
 */
export async function introspect(
  input: IntrospectionInput,
  at: Pick<AuditContext, 'now' | 'correlationId' | 'traceId'>,
  world: IntrospectionDependencies,
): Promise<IntrospectionOutcome> {
  const audit = { ...at, policy: world.policy.digest }
  let known: KnownFacts = {}
  const eventOf = ({ refused }: Refused): RefusedEvent => ({
    ...refusedEvent(refused, known, audit),
    event: 'introspection_refused',
  })
  const refused = (refusal: Refused) => ({ ...refusal, event: eventOf(refusal) })

  const authenticated = await requireClient(input, world, at.now)
  if ('refused' in authenticated) return refused(authenticated)
  const { client } = authenticated
  known = { client_id: client.id }
  const text = presentedToken(input.parameters)
  if (typeof text !== 'string') return refused(text)

  const key = input.wantsJwt ? await world.signer.activeKey(RING) : undefined
  const token = await visibleToken(text, client, { world, now: at.now })
  const [replay, cutOffs] = await Promise.all([
    claimAssertion(authenticated, world.oneTime),
    readCutOffs(token, key, world.revocations),
  ])
  if (replay !== undefined) return refused(replay)
  const checked = 'refused' in token ? token : unlessRevoked(token, cutOffs)
  if (!('refused' in token)) known = { ...known, subject: token.subject, token: token.tokenId }

  const introspection = 'refused' in checked ? INACTIVE : factsOf(checked)
  const why = 'refused' in checked && { event: eventOf(checked) }
  if (key === undefined) return { answer: introspection, ...why }
  if (cutOffs.has(`key#${key.kid}`)) {
    // As in an exchange: another key may have taken over since the manifest was read.
    world.signer.forget(RING)
    throw new DependencyUnavailable('kms', 'the active signing key is revoked')
  }
  return { answer: await signedAnswer(introspection, { client, key, now: at.now }, world), ...why }
}

async function visibleToken(
  text: string,
  client: Client,
  { world, now }: { readonly world: IntrospectionDependencies; readonly now: number },
): Promise<OwnToken | Refused> {
  const token = await openOwnToken(text, world, { now, mayBeExpired: false })
  if ('refused' in token || isForOneOf(client.introspects, token, world.policy)) return token
  return refuse({ kind: 'token_of_others' })
}

/** One read of everything. Nothing is read about a token whose answer is known already. */
async function readCutOffs(
  token: OwnToken | Refused,
  key: ManifestKey | undefined,
  revocations: RevocationStore,
): Promise<ReadonlyMap<RevocationKey, number>> {
  const keys: readonly RevocationKey[] = [
    ...('refused' in token ? [] : revocationKeysOf(token)),
    ...(key === undefined ? [] : [`key#${key.kid}` as const]),
  ]
  return keys.length === 0 ? new Map() : revocations.cutOffs(keys)
}

function unlessRevoked(token: OwnToken, cutOffs: ReadonlyMap<RevocationKey, number>): OwnToken | Refused {
  const by = findRevocation(token, cutOffs)
  return by === undefined ? token : refuse({ kind: 'token_revoked', by })
}

/** What only the broker needs: who revokes what is not the resource server's to know. */
const HIDDEN: ReadonlySet<string> = new Set([
  'lineage',
  'lineage_keys',
  'lineage_clients',
  'lineage_actors',
  'active',
  'token_type',
])

/** The token's claims as they are, the mapped ones too: of a reference token this is the only way to see them. */
function factsOf({ claims, confirmation }: OwnToken): Introspection {
  const visible = Object.entries(claims).filter(([name]) => !HIDDEN.has(name))
  return { active: true, token_type: tokenTypeOf(confirmation), ...Object.fromEntries(visible) }
}

/** RFC 9701 §5: no `sub` and no `exp` outside the member, so that nobody takes it for an access token. */
async function signedAnswer(
  introspection: Introspection,
  { client, key, now }: { readonly client: Client; readonly key: ManifestKey; readonly now: number },
  { issuer, signer }: IntrospectionDependencies,
): Promise<string> {
  const header = { alg: key.algorithm, typ: 'token-introspection+jwt', kid: key.kid }
  const claims = { iss: issuer, aud: client.id, iat: now, token_introspection: introspection }
  const parts = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
  const signingInput = parts.join('.')
  return compactJws(signingInput, await signer.sign(key, signingInput))
}
