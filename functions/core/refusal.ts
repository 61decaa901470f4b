import type { SessionRefusal } from './aws-session.ts'
import type { ClientAuthenticationFailure } from './client-authentication.ts'
import type { ProofFailure } from './dpop-proof.ts'
import type { JwtMalformation } from './jwt-preparse.ts'
import type { GrantRefusal, TargetRefusal } from './policy/decide.ts'
import type { ClaimRefusal } from './policy/render-claims.ts'
import type { BindingFailure } from './possession.ts'

/** The request itself cannot be read. */
export type RequestRefusal =
  | { readonly kind: 'method_not_allowed'; readonly allow: string }
  | { readonly kind: 'body_too_large' }
  | { readonly kind: 'media_type_not_supported' }
  | { readonly kind: 'body_malformed' }
  | { readonly kind: 'parameters_in_query' }
  | { readonly kind: 'too_many_parameters' }
  | { readonly kind: 'parameter_repeated'; readonly parameter: string }
  | { readonly kind: 'parameter_missing'; readonly parameter: string }
  | { readonly kind: 'grant_type_not_supported' }
  | { readonly kind: 'subject_token_type_not_supported' }
  | { readonly kind: 'requested_token_type_not_supported' }
  | { readonly kind: 'idempotency_key_malformed' }
  | { readonly kind: 'actor_token_incomplete' }
  | { readonly kind: 'actor_token_type_not_supported' }
  | { readonly kind: 'too_many_targets' }
  | { readonly kind: 'resource_malformed' }
  | { readonly kind: 'scope_malformed' }
  | { readonly kind: 'client_authenticated_twice' }
  | {
      readonly kind: 'client_authentication_failed'
      readonly usedHeader: boolean
      readonly failure: ClientAuthenticationFailure
      /** The registered client that the request claims to be from. */
      readonly claimed_client?: string
    }
  | { readonly kind: 'dpop_proof_not_acceptable'; readonly because: ProofFailure }
  | { readonly kind: 'dpop_proof_replayed' }
  /** The client is told the nonce to repeat its request with. */
  | { readonly kind: 'dpop_nonce_needed'; readonly nonce: string }
  /** The target's tokens are bound to a certificate, and there is none to bind to. */
  | { readonly kind: 'certificate_not_acceptable'; readonly because: BindingFailure }
  | { readonly kind: 'json_expected' }
  /** The caller of an operator's endpoint is not named by the gateway. */
  | { readonly kind: 'operator_unknown' }
  | { readonly kind: 'revocation_malformed'; readonly member: RevocationMember }
  /** The whole token that an operator wants to revoke is none that can be, and why. */
  | { readonly kind: 'revocation_token_not_acceptable'; readonly because: string }

/** The subject's or the actor's token is not acceptable. On the wire all of these are one. */
export type SubjectRefusal =
  | { readonly kind: 'token_malformed'; readonly malformation: JwtMalformation | 'not_a_handle' }
  | { readonly kind: 'handle_unknown' }
  | { readonly kind: 'issuer_not_trusted' }
  | { readonly kind: 'algorithm_not_allowed' }
  | { readonly kind: 'key_unknown' }
  | { readonly kind: 'signature_invalid' }
  | { readonly kind: 'token_type_mismatch' }
  | { readonly kind: 'claim_malformed'; readonly claim: string }
  | { readonly kind: 'audience_not_ours' }
  | { readonly kind: 'token_expired' }
  | { readonly kind: 'token_not_yet_valid' }
  | { readonly kind: 'token_lifetime_too_long' }
  | { readonly kind: 'token_bound_to_key'; readonly because: BindingFailure }
  | { readonly kind: 'lineage_too_long' }

/** The two tokens are acceptable, but not together. On the wire all of these are one with {@link SubjectRefusal}. */
export type DelegationRefusal =
  /** `may_act` of the subject's token names somebody else. */
  | { readonly kind: 'actor_not_named' }
  /** The actor's token itself has an actor, or says who may be one: whoever presents it need not be its subject. */
  | { readonly kind: 'actor_has_actor' }
  /** The actor is the subject, or acts already. */
  | { readonly kind: 'delegation_loop' }
  | { readonly kind: 'delegation_too_deep' }

/** A member of an operator's request, or any other name. */
export type RevocationMember = 'kind' | 'id' | 'token' | 'reason' | '(unknown)'

/** A token of ours that this client may neither see nor revoke. On the wire it is as good as unknown. */
export interface ForeignTokenRefusal {
  readonly kind: 'token_of_others'
}

/** Policy says no to an acceptable token, or the token was used up or revoked meanwhile. */
export type AuthorisationRefusal =
  | GrantRefusal
  | ClaimRefusal
  | SessionRefusal
  /** The subject token, or a proof with it, is bound to a key, which credentials of AWS cannot be. */
  | { readonly kind: 'credentials_not_bindable' }
  /** The role's trust policy does not let us in, by STS's error code. */
  | { readonly kind: 'role_not_assumable'; readonly code: string }
  | { readonly kind: 'scope_not_allowed' }
  | { readonly kind: 'rate_exceeded'; readonly retryAfterSeconds: number }
  | { readonly kind: 'token_replayed' }
  | { readonly kind: 'token_revoked'; readonly by: string }

/** Every reason for which the broker says no. A fault is not among them: it is thrown. */
export type Refusal =
  | RequestRefusal
  | SubjectRefusal
  | DelegationRefusal
  | TargetRefusal
  | AuthorisationRefusal
  | ForeignTokenRefusal

/** What a stage returns instead of its result. */
export interface Refused {
  readonly refused: Refusal
  /** Set where it is about the actor's token: on the wire that makes no difference. */
  readonly of?: 'actor_token'
}

/** Makes the answer of a stage that refuses. */
export function refuse(refusal: Refusal): Refused {
  return { refused: refusal }
}

/** One OAuth error answer (RFC 6749 §5.2, RFC 8693 §2.2.2). */
export interface WireError {
  readonly status: number
  readonly error: string
  readonly description: string
  readonly headers?: Readonly<Record<string, string>>
}

const INVALID_REQUEST = { status: 400, error: 'invalid_request' } as const
const MALFORMED = { ...INVALID_REQUEST, description: 'the request is malformed' } as const
/** One answer for every unacceptable token, whatever the reason: anything finer would be an oracle. */
const TOKEN_NOT_ACCEPTABLE = {
  ...INVALID_REQUEST,
  description: 'the subject or actor token is not acceptable',
} as const
const INVALID_TARGET = {
  status: 400,
  error: 'invalid_target',
  description: 'audience and resource must name exactly one known target',
} as const
const INVALID_SCOPE = {
  status: 400,
  error: 'invalid_scope',
  description: 'the scope is malformed or wider than allowed',
} as const

/** Only operators see these. */
const REVOCATION_MEMBERS: Readonly<Record<RevocationMember, string>> = {
  kind: 'kind must be token, upstream_token, subject, client, issuer, lineage or key',
  id: 'id must name what the kind says; of a token, give id or token',
  token: 'token must be a whole token, and only where the kind is token or upstream_token',
  reason: 'reason must be 1 to 500 printable characters, and no token',
  '(unknown)': 'members are kind, id or token, and reason',
}

/** The one map from refusals to the wire. Descriptions are fixed texts: they echo no input. */
export function wireErrorFor(refusal: Refusal): WireError {
  switch (refusal.kind) {
    case 'method_not_allowed':
      return {
        status: 405,
        error: 'invalid_request',
        description: 'the method is not allowed here',
        headers: { allow: refusal.allow },
      }
    case 'body_too_large':
      return { status: 413, error: 'invalid_request', description: 'the request is too large' }
    case 'media_type_not_supported':
      return {
        status: 415,
        error: 'invalid_request',
        description: 'the body must be application/x-www-form-urlencoded, not compressed',
      }
    case 'json_expected':
      return {
        status: 415,
        error: 'invalid_request',
        description: 'the body must be application/json, not compressed',
      }
    case 'operator_unknown':
      return { status: 403, error: 'access_denied', description: 'the operator is not known' }
    case 'revocation_malformed':
      return { ...INVALID_REQUEST, description: REVOCATION_MEMBERS[refusal.member] }
    case 'revocation_token_not_acceptable':
      return { ...INVALID_REQUEST, description: 'the token is not one that can be revoked by its text' }
    case 'body_malformed':
    case 'too_many_parameters':
    case 'idempotency_key_malformed':
      return MALFORMED
    case 'parameters_in_query':
      return { ...INVALID_REQUEST, description: 'parameters belong in the body, not in the query' }
    case 'parameter_repeated':
      return { ...INVALID_REQUEST, description: 'a parameter is repeated' }
    case 'parameter_missing':
      return { ...INVALID_REQUEST, description: 'a required parameter is missing' }
    case 'grant_type_not_supported':
      return {
        status: 400,
        error: 'unsupported_grant_type',
        description: 'the only grant type is urn:ietf:params:oauth:grant-type:token-exchange',
      }
    case 'subject_token_type_not_supported':
      return { ...INVALID_REQUEST, description: 'the subject_token_type is not supported' }
    case 'requested_token_type_not_supported':
      return { ...INVALID_REQUEST, description: 'the requested_token_type is not supported' }
    case 'actor_token_incomplete':
      return { ...INVALID_REQUEST, description: 'actor_token and actor_token_type go together' }
    case 'actor_token_type_not_supported':
      return { ...INVALID_REQUEST, description: 'the actor_token_type is not supported' }
    case 'client_authenticated_twice':
      return { ...INVALID_REQUEST, description: 'more than one method of client authentication is used' }
    case 'client_authentication_failed':
      return {
        status: 401,
        error: 'invalid_client',
        description: 'client authentication failed',
        ...(refusal.usedHeader && { headers: { 'www-authenticate': 'Basic realm="token-broker"' } }),
      }
    case 'client_not_allowed':
      return {
        status: 400,
        error: 'unauthorized_client',
        description: 'the client may not exchange such tokens for this target',
      }
    case 'dpop_nonce_needed':
      return {
        status: 400,
        error: 'use_dpop_nonce',
        description: 'the DPoP proof must have the nonce of this answer',
        headers: { 'dpop-nonce': refusal.nonce },
      }
    case 'certificate_not_acceptable':
      return { ...INVALID_REQUEST, description: 'a client certificate is needed' }
    case 'dpop_proof_not_acceptable':
    case 'dpop_proof_replayed':
      return { status: 400, error: 'invalid_dpop_proof', description: 'the DPoP proof is not acceptable' }
    case 'rate_exceeded':
      return {
        status: 429,
        error: 'temporarily_unavailable',
        description: 'too many requests: try again later',
        headers: { 'retry-after': String(refusal.retryAfterSeconds) },
      }
    case 'scope_malformed':
    case 'scope_not_allowed':
      return INVALID_SCOPE
    case 'too_many_targets':
    case 'resource_malformed':
    case 'target_missing':
    case 'audience_not_in_policy':
    case 'resource_not_in_policy':
    case 'target_not_in_policy':
    case 'two_targets':
      return INVALID_TARGET
    case 'role_not_assumable':
      return {
        status: 400,
        error: 'invalid_target',
        description: 'the role does not accept the session: its trust policy may not name the broker',
      }
    case 'token_malformed':
    case 'handle_unknown':
    case 'issuer_not_trusted':
    case 'algorithm_not_allowed':
    case 'key_unknown':
    case 'signature_invalid':
    case 'token_type_mismatch':
    case 'claim_malformed':
    case 'audience_not_ours':
    case 'token_expired':
    case 'token_not_yet_valid':
    case 'token_lifetime_too_long':
    case 'token_bound_to_key':
    case 'lineage_too_long':
    case 'actor_not_named':
    case 'actor_has_actor':
    case 'delegation_loop':
    case 'delegation_too_deep':
    case 'actor_not_allowed':
    case 'actor_missing':
    case 'no_grant_matches':
    case 'several_grants_match':
    case 'claim_not_insertable':
    case 'session_value_not_acceptable':
    case 'subject_ends_too_soon':
    case 'credentials_not_bindable':
    case 'token_replayed':
    case 'token_revoked':
    case 'token_of_others':
      return TOKEN_NOT_ACCEPTABLE
  }
}
