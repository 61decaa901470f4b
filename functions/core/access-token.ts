import { actClaim } from './act-claim.ts'
import type { Authorised } from './authorise.ts'
import { confirmationClaim } from './confirmation.ts'
import type { ManifestKey } from './key-lifecycle.ts'
import type { IssuedIdentity, StatusIndex } from './ports.ts'
import { statusListUri } from './status-list.ts'
import { digestOf, tokenIdOf } from './token-id.ts'
import type { JsonObject } from './types.ts'

/** What an issued token takes from its surroundings. `now` in epoch seconds. */
export interface Issuance {
  readonly issuer: string
  readonly now: number
  /** Taken for a token whose target wants its status in a list. */
  readonly status: StatusIndex | undefined
}

/**
 * Names what a request may get: 128 bits, base64url, random or, with an idempotency key, following from that key and from
 * what the key is bound to, so that a retry arrives at the same name, and the same record, without having to look anything up.
 */
export function jtiFor(
  { idempotencyKey, scope }: { readonly idempotencyKey: string | undefined; readonly scope: string },
  randomId: () => string,
): string {
  if (idempotencyKey === undefined) return randomId()
  return digestOf(JSON.stringify(['idempotent', scope, idempotencyKey])).slice(0, 22)
}

/** All that names the token that a request will get, and its times. */
export function identifyIssued(authorised: Authorised, { issuer, now, status }: Issuance): IssuedIdentity {
  const { jti } = authorised
  const id = tokenIdOf({ kind: 'token', issuer, jti, signingInput: '' })
  const identity = { id, jti, issuedAt: now, expiresAt: authorised.expiresAt }
  return status === undefined ? identity : { ...identity, status }
}

/**
 * The claims of an access token (RFC 9068), whatever its format: one audience, and the lineage by which a revocation
 * reaches descendants. `txn` is the `jti` of the first token that the broker issued in this lineage.
 */
export function accessTokenClaims(
  authorised: Authorised,
  issued: IssuedIdentity,
  issuer: string,
): JsonObject {
  const { subject, target, grant, scopes, actorKeys } = authorised
  const act = actClaim(authorised.actors)
  return {
    ...authorised.mappedClaims,
    iss: issuer,
    sub: subject.subject,
    aud: target.audience,
    exp: issued.expiresAt,
    iat: issued.issuedAt,
    nbf: issued.issuedAt,
    jti: issued.jti,
    client_id: authorised.clientId,
    ...(scopes.length > 0 && { scope: scopes.join(' ') }),
    grant: grant.id,
    txn: txnOf(authorised, issued),
    lineage: subject.lineage,
    ...(subject.signedBy.length > 0 && { lineage_keys: subject.signedBy }),
    ...(subject.clients.length > 0 && { lineage_clients: subject.clients }),
    idp: subject.idp,
    ...(act !== undefined && { act }),
    ...(actorKeys.length > 0 && { lineage_actors: actorKeys }),
    ...confirmationClaim(authorised.confirmation),
    ...(issued.status && { status: { status_list: statusClaim(issuer, issued.status) } }),
  }
}

/** Token Status List §6.2. */
function statusClaim(issuer: string, { list, index }: StatusIndex): JsonObject {
  return { idx: index, uri: statusListUri(issuer, list) }
}

/** The JWS signing input of claims, those of an access token unless `type` says otherwise (RFC 8725 §3.11). */
export function signingInputOf(claims: JsonObject, key: ManifestKey, type = 'at+jwt'): string {
  const header = { alg: key.algorithm, typ: type, kid: key.kid }
  return `${encode(header)}.${encode(claims)}`
}

/** The id shared by the whole lineage of a token. */
export function txnOf(authorised: Authorised, issued: IssuedIdentity): string {
  return authorised.subject.txn ?? issued.jti
}

/** The compact serialization (RFC 7515 §7.1). */
export function compactJws(signingInput: string, signature: Uint8Array): string {
  return `${signingInput}.${Buffer.from(signature).toString('base64url')}`
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
