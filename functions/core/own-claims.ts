import { readActors } from './act-claim.ts'
import { type Confirmation, readConfirmation } from './confirmation.ts'
import type { RevocationKey } from './ports.ts'
import { type Refused, refuse } from './refusal.ts'
import { tokenIdOf } from './token-id.ts'
import type { JsonObject, JsonValue, TokenId } from './types.ts'

/** What the broker wrote into one of its own tokens. Times in epoch seconds. */
export interface OwnClaims {
  readonly tokenId: TokenId
  readonly subject: string
  readonly clientId: string
  readonly audience: string
  readonly issuedAt: number
  readonly expiresAt: number
  /** The token's ancestors, root first, and the token itself. */
  readonly lineage: readonly TokenId[]
  /** Shared by all tokens that descend from one external exchange. */
  readonly txn: string
  /** The first external issuer. */
  readonly idp: string
  readonly scopes: readonly string[]
  /** The broker's keys that signed it and its ancestors, root first. */
  readonly signedBy: readonly string[]
  /** The authenticated clients to which it and its ancestors were issued, root first. */
  readonly clients: readonly string[]
  /** The keys that its holder must prove to have. */
  readonly confirmation: Confirmation
  /** Who acts for the subject, and who did before, as subjects of ours; the current actor first (RFC 8693 §4.1). */
  readonly actors: readonly string[]
  /** What could revoke the token because of those who act or did. */
  readonly actorKeys: readonly RevocationKey[]
}

/**
 * Reads the claims of a token that the broker itself has issued and vouches for, by its signature or by its own record.
 * `signedBy` is the `kid` that signed it, if one did. This is the one place that reads them.
 */
export function readOwnClaims(
  claims: JsonObject,
  issued: { readonly issuer: string; readonly signedBy: string | undefined },
): OwnClaims | Refused {
  const { lineage, lineage_keys: keys = [], lineage_clients: clients = [], scope, exp, iat } = claims
  const { lineage_actors: actorKeys = [] } = claims
  const missing = TEXTS.find((name) => typeof claims[name] !== 'string' || claims[name] === '')
  if (missing !== undefined) return refuse({ kind: 'claim_malformed', claim: missing })
  if (!isTexts(lineage)) return refuse({ kind: 'claim_malformed', claim: 'lineage' })
  if (!isTexts(keys)) return refuse({ kind: 'claim_malformed', claim: 'lineage_keys' })
  if (!isTexts(clients)) return refuse({ kind: 'claim_malformed', claim: 'lineage_clients' })
  const confirmation = readConfirmation(claims['cnf'])
  if (confirmation === undefined) return refuse({ kind: 'claim_malformed', claim: 'cnf' })
  if (!isTexts(actorKeys)) return refuse({ kind: 'claim_malformed', claim: 'lineage_actors' })
  const actors = readActors(claims['act'])
  if (actors === 'malformed') return refuse({ kind: 'claim_malformed', claim: 'act' })
  if (typeof exp !== 'number') return refuse({ kind: 'claim_malformed', claim: 'exp' })
  if (typeof iat !== 'number') return refuse({ kind: 'claim_malformed', claim: 'iat' })
  const { sub, aud, client_id, jti, txn, idp } = claims as Readonly<Record<(typeof TEXTS)[number], string>>
  const tokenId = tokenIdOf({ kind: 'token', issuer: issued.issuer, jti, signingInput: '' })
  return {
    tokenId,
    subject: sub,
    clientId: client_id,
    audience: aud,
    issuedAt: Math.floor(iat),
    expiresAt: Math.floor(exp),
    lineage: [...(lineage as readonly TokenId[]), tokenId],
    txn,
    idp,
    scopes: typeof scope === 'string' && scope !== '' ? scope.split(' ') : [],
    signedBy: [...new Set([...keys, ...(issued.signedBy === undefined ? [] : [issued.signedBy])])],
    // `sub` stands there where no client was authenticated.
    clients: [...new Set([...clients, ...(client_id === sub ? [] : [client_id])])],
    confirmation,
    actors,
    actorKeys: actorKeys as readonly RevocationKey[],
  }
}

const TEXTS = ['sub', 'aud', 'client_id', 'jti', 'txn', 'idp'] as const

function isTexts(value: JsonValue | undefined): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}
