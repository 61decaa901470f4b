import type { Authorised } from './authorise.ts'
import type { ManifestKey } from './key-lifecycle.ts'
import type { IssuedIdentity } from './ports.ts'
import { digestOf, tokenIdOf } from './token-id.ts'

/** What an issued token takes from its surroundings. `now` in epoch seconds; `randomId` gives 128 random bits, base64url. */
export interface Issuance {
  readonly issuer: string
  readonly now: number
  readonly randomId: () => string
}

/**
 * Names the token that a request will get. With an idempotency key its `jti` follows from that key and from what the key
 * is bound to, so that a retry arrives at the same name, and the same record, without having to look anything up.
 */
export function identifyIssued(
  authorised: Authorised,
  retry: { readonly idempotencyKey: string | undefined; readonly scope: string },
  { issuer, now, randomId }: Issuance,
): IssuedIdentity {
  const { idempotencyKey, scope } = retry
  const jti =
    idempotencyKey === undefined
      ? randomId()
      : digestOf(JSON.stringify(['idempotent', scope, idempotencyKey])).slice(0, 22)
  const id = tokenIdOf({ kind: 'token', issuer, jti, signingInput: '' })
  return { id, jti, issuedAt: now, expiresAt: authorised.expiresAt }
}

/**
 * The JWS signing input of an access token (RFC 9068): `typ` `at+jwt`, one audience, and the lineage by which a
 * revocation reaches descendants. `txn` is the `jti` of the first token that the broker issued in this lineage.
 */
export function accessTokenSigningInput(
  authorised: Authorised,
  issued: IssuedIdentity,
  signed: { readonly issuer: string; readonly key: ManifestKey },
): string {
  const { subject, target, grant, scopes } = authorised
  const header = { alg: signed.key.algorithm, typ: 'at+jwt', kid: signed.key.kid }
  const claims = {
    ...authorised.mappedClaims,
    iss: signed.issuer,
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
  }
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
