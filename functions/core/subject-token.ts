import { compactVerify } from 'jose'
import { JOSEError } from 'jose/errors'
import { type Confirmation, readConfirmation } from './confirmation.ts'
import type { PreparsedJwt } from './jwt-preparse.ts'
import { LIMITS } from './limits.ts'
import { readOwnClaims } from './own-claims.ts'
import { BROKER, SPIFFE_SCHEME, type TrustedIssuer } from './policy/compiled.ts'
import type { RevocationKey, VerificationKey } from './ports.ts'
import { type Refusal, type Refused, refuse } from './refusal.ts'
import { tokenIdOf } from './token-id.ts'
import type { SubjectTokenType } from './token-request.ts'
import type { Brand, IssuerId, JsonObject, JsonValue, TokenId } from './types.ts'

/** A token whose claims are authentic, not yet acceptable: {@link authenticate} or {@link fromReference} made it. */
export type AuthenticToken = Brand<
  {
    /** As of {@link PreparsedJwt}. */
    readonly type: string
    readonly claims: JsonObject
    /** The part of a compact JWS before the last dot; empty where nothing was signed. */
    readonly signingInput: string
    /** The key that signed it; `undefined` where nothing was signed. */
    readonly kid: string | undefined
  },
  'AuthenticToken'
>

/** What is known of a subject once its token is accepted. Times in epoch seconds. */
interface SubjectFacts {
  readonly issuer: IssuerId
  readonly claims: JsonObject
  readonly tokenId: TokenId
  /** `sub` of the issued token: `<issuer id>:<sub>`, or unchanged when the broker issued the subject token itself. */
  readonly subject: string
  readonly issuedAt: number | undefined
  readonly expiresAt: number
  /** Ancestors of a token issued on this subject, root first, this token included. */
  readonly lineage: readonly TokenId[]
  /** Shared by all tokens that descend from one external exchange; `undefined` where that exchange is this one. */
  readonly txn: string | undefined
  /** The first external issuer. */
  readonly idp: string
  /** The scopes that an issued token may not exceed; `undefined` for an external token, whose scopes are not ours. */
  readonly scopes: readonly string[] | undefined
  /** The broker's keys that signed it and its ancestors, root first; none for an external token. */
  readonly signedBy: readonly string[]
  /** The authenticated clients to which it and its ancestors were issued, root first; none for an external token. */
  readonly clients: readonly string[]
  /** The keys that whoever presents it must prove to have. */
  readonly confirmation: Confirmation
  /** As of {@link OwnClaims}; none for an external token: what it says in `act` nobody has verified. */
  readonly actors: readonly string[]
  /** As of {@link OwnClaims}; none for an external token. */
  readonly actorKeys: readonly RevocationKey[]
}

/** A token that the broker accepts, of a subject or of an actor. Only {@link validateSubject} makes one. */
export type ValidatedSubject = Brand<SubjectFacts, 'ValidatedSubject'>

const SUBJECT = /^[\x20\x21\x23-\x26\x28-\x5b\x5d-\x5f\x61-\x7e]+$/

/** Verifies the signature with `jose`, the algorithm pinned to what the pre-parsed header says and policy allows. */
export async function authenticate(
  jwt: PreparsedJwt,
  key: VerificationKey,
): Promise<AuthenticToken | Refused> {
  try {
    await compactVerify(jwt.compact, key, { algorithms: [jwt.algorithm] })
    const { type, claims, signingInput, kid } = jwt
    return { type, claims, signingInput, kid } as AuthenticToken
  } catch (error) {
    if (error instanceof JOSEError) return refuse({ kind: 'signature_invalid' })
    throw error
  }
}

/** The claims that the broker itself has kept under the hash of a handle: whoever has the handle presents that token. */
export function fromReference(claims: JsonObject): AuthenticToken {
  const token = { type: 'at+jwt', claims, signingInput: '', kid: undefined }
  return token as AuthenticToken
}

/** Checks every claim that the broker relies on. `now` in epoch seconds. */
export function validateSubject(
  token: AuthenticToken,
  issuer: TrustedIssuer,
  asked: { readonly type: SubjectTokenType; readonly now: number },
): ValidatedSubject | Refused {
  const refusal =
    refuseType(token, issuer, asked.type) ??
    refuseAudience(token.claims, issuer) ??
    refuseTimes(token.claims, issuer, asked.now) ??
    refuseIdentity(token.claims)
  if (refusal !== undefined) return refuse(refusal)
  const { sub } = token.claims
  if (!isSubject(sub, issuer)) return refuse({ kind: 'claim_malformed', claim: 'sub' })
  return issuer.id === BROKER ? ownSubject(token, issuer) : externalSubject(token, issuer, sub)
}

function externalSubject(token: AuthenticToken, issuer: TrustedIssuer, sub: string): ValidatedSubject {
  const common = commonFacts(token, issuer)
  const facts: SubjectFacts = {
    ...common,
    subject: `${issuer.id}:${sub}`,
    lineage: [common.tokenId],
    txn: undefined,
    idp: issuer.issuer,
    scopes: undefined,
    signedBy: [],
    clients: [],
    actors: [],
    actorKeys: [],
  }
  return facts as ValidatedSubject
}

/** A token of our own: what it says of its ancestors are our own words, signed by our own key or kept by us. */
function ownSubject(token: AuthenticToken, issuer: TrustedIssuer): ValidatedSubject | Refused {
  const own = readOwnClaims(token.claims, { issuer: issuer.issuer, signedBy: token.kid })
  if ('refused' in own) return own
  if (own.lineage.length > LIMITS.lineage) return refuse({ kind: 'lineage_too_long' })
  const { subject, lineage, txn, idp, scopes, signedBy, clients, actors, actorKeys } = own
  const facts: SubjectFacts = {
    ...commonFacts(token, issuer),
    subject,
    lineage,
    txn,
    idp,
    scopes,
    signedBy,
    clients,
    actors,
    actorKeys,
  }
  return facts as ValidatedSubject
}

function commonFacts(
  { claims, signingInput }: AuthenticToken,
  { id, issuer }: TrustedIssuer,
): Pick<SubjectFacts, 'issuer' | 'claims' | 'tokenId' | 'issuedAt' | 'expiresAt' | 'confirmation'> {
  const issuedAt = claims['iat'] as number | undefined
  return {
    issuer: id,
    claims,
    tokenId: tokenIdOf({ kind: 'token', issuer, jti: claims['jti'] as string | undefined, signingInput }),
    issuedAt: issuedAt && Math.floor(issuedAt),
    expiresAt: Math.floor(claims['exp'] as number),
    confirmation: readConfirmation(claims['cnf']) ?? {},
  }
}

/** One kind of token must not pass for another (RFC 8725 §3.12): by header type, and by claims only one kind has. */
function refuseType(
  token: AuthenticToken,
  issuer: TrustedIssuer,
  asked: SubjectTokenType,
): Refusal | undefined {
  const isAccessToken = token.type === 'at+jwt'
  const isIdToken = 'nonce' in token.claims || 'at_hash' in token.claims
  const isKnown = issuer.id === BROKER ? isAccessToken : isAccessToken || isPlainType(token.type, issuer)
  const isAsked = !(isAccessToken && asked === 'id_token') && !(isIdToken && asked === 'access_token')
  return isKnown && isAsked ? undefined : { kind: 'token_type_mismatch' }
}

/** JWT-SVID §2.3 allows `JOSE` too. */
function isPlainType(type: string, issuer: TrustedIssuer): boolean {
  return type === 'jwt' || (type === 'jose' && isTrustDomain(issuer))
}

function isTrustDomain({ issuer }: TrustedIssuer): boolean {
  return issuer.startsWith(SPIFFE_SCHEME)
}

/**
 * Our own tokens carry an issuer id before the `sub` that was accepted from outside. A trust domain speaks for its own
 * workloads only, whatever it signs.
 */
function isSubject(sub: JsonValue | undefined, issuer: TrustedIssuer): sub is string {
  const limit = LIMITS.subjectCharacters + (issuer.id === BROKER ? LIMITS.idCharacters + 1 : 0)
  if (typeof sub !== 'string' || sub.length > limit || !SUBJECT.test(sub)) return false
  return !isTrustDomain(issuer) || sub.startsWith(`${issuer.issuer}/`)
}

/** `jti` may be absent; what is there must be a name. A `cnf` may bind the token to a key whose proof we cannot check. */
function refuseIdentity({ jti, cnf }: JsonObject): Refusal | undefined {
  if (jti !== undefined && (typeof jti !== 'string' || jti === '' || jti.length > LIMITS.jtiCharacters))
    return { kind: 'claim_malformed', claim: 'jti' }
  return readConfirmation(cnf) ? undefined : { kind: 'token_bound_to_key', because: 'binding_not_known' }
}

/** Every audience must be one that policy names: a token meant for others too could have been stolen from them. */
function refuseAudience({ aud }: JsonObject, issuer: TrustedIssuer): Refusal | undefined {
  const audiences: readonly JsonValue[] = Array.isArray(aud) ? aud : [aud]
  if (audiences.length === 0 || audiences.length > LIMITS.targetNames)
    return { kind: 'claim_malformed', claim: 'aud' }
  if (!audiences.every((audience) => typeof audience === 'string' && audience !== ''))
    return { kind: 'claim_malformed', claim: 'aud' }
  // Our own tokens are addressed to a target; the grant's conditions say whose may be exchanged onward.
  if (issuer.id === BROKER) return undefined
  const areOurs = audiences.every((audience) => issuer.audiences.includes(audience as string))
  return areOurs ? undefined : { kind: 'audience_not_ours' }
}

function refuseTimes(claims: JsonObject, issuer: TrustedIssuer, now: number): Refusal | undefined {
  const { exp, iat, nbf } = claims
  if (!isTime(exp)) return { kind: 'claim_malformed', claim: 'exp' }
  if (iat !== undefined && !isTime(iat)) return { kind: 'claim_malformed', claim: 'iat' }
  if (nbf !== undefined && !isTime(nbf)) return { kind: 'claim_malformed', claim: 'nbf' }
  const skew = issuer.clockSkewSeconds
  if (Math.floor(exp) <= now - skew) return { kind: 'token_expired' }
  if ((iat ?? now) > now + skew || (nbf ?? now) > now + skew) return { kind: 'token_not_yet_valid' }
  if (iat !== undefined && iat > exp) return { kind: 'claim_malformed', claim: 'iat' }
  const lifetime = Math.floor(exp) - Math.floor(iat ?? now)
  return lifetime > issuer.maxLifetimeSeconds ? { kind: 'token_lifetime_too_long' } : undefined
}

/** Whether a value is a NumericDate (RFC 7519 §2) in this era: milliseconds given for seconds are too far away. */
export function isTime(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && value > 0 && value < 100_000_000_000
}
