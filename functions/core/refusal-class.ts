import type { Refusal } from './refusal.ts'

/** What a refusal says about the request: what metrics count it as. */
export type RefusalClass =
  /** It cannot be read, whoever sent it. */
  | 'invalid_input'
  /** It can be read, and is not allowed. */
  | 'denied'
  /** What may be used once was presented again: a client that retries without a key, or a thief. */
  | 'replayed'
  /** It came too often. */
  | 'throttled'

const CLASSES: Readonly<Record<Refusal['kind'], RefusalClass>> = {
  method_not_allowed: 'invalid_input',
  body_too_large: 'invalid_input',
  media_type_not_supported: 'invalid_input',
  json_expected: 'invalid_input',
  body_malformed: 'invalid_input',
  parameters_in_query: 'invalid_input',
  too_many_parameters: 'invalid_input',
  parameter_repeated: 'invalid_input',
  parameter_missing: 'invalid_input',
  grant_type_not_supported: 'invalid_input',
  subject_token_type_not_supported: 'invalid_input',
  requested_token_type_not_supported: 'invalid_input',
  idempotency_key_malformed: 'invalid_input',
  actor_token_incomplete: 'invalid_input',
  actor_token_type_not_supported: 'invalid_input',
  too_many_targets: 'invalid_input',
  resource_malformed: 'invalid_input',
  scope_malformed: 'invalid_input',
  client_authenticated_twice: 'invalid_input',
  dpop_proof_not_acceptable: 'denied',
  dpop_nonce_needed: 'denied',
  certificate_not_acceptable: 'denied',
  revocation_malformed: 'invalid_input',
  revocation_token_not_acceptable: 'invalid_input',
  token_malformed: 'invalid_input',
  claim_malformed: 'invalid_input',
  actor_not_named: 'denied',
  actor_has_actor: 'denied',
  actor_not_allowed: 'denied',
  actor_missing: 'denied',
  delegation_loop: 'denied',
  delegation_too_deep: 'denied',
  client_authentication_failed: 'denied',
  operator_unknown: 'denied',
  handle_unknown: 'denied',
  issuer_not_trusted: 'denied',
  algorithm_not_allowed: 'denied',
  key_unknown: 'denied',
  signature_invalid: 'denied',
  token_type_mismatch: 'denied',
  audience_not_ours: 'denied',
  token_expired: 'denied',
  token_not_yet_valid: 'denied',
  token_lifetime_too_long: 'denied',
  token_bound_to_key: 'denied',
  lineage_too_long: 'denied',
  target_missing: 'denied',
  audience_not_in_policy: 'denied',
  resource_not_in_policy: 'denied',
  target_not_in_policy: 'denied',
  two_targets: 'denied',
  no_grant_matches: 'denied',
  client_not_allowed: 'denied',
  several_grants_match: 'denied',
  claim_not_insertable: 'denied',
  session_value_not_acceptable: 'denied',
  subject_ends_too_soon: 'denied',
  role_not_assumable: 'denied',
  credentials_not_bindable: 'denied',
  scope_not_allowed: 'denied',
  token_revoked: 'denied',
  token_of_others: 'denied',
  token_replayed: 'replayed',
  dpop_proof_replayed: 'replayed',
  rate_exceeded: 'throttled',
}

/** What metrics count a refusal as. */
export function classOf(refusal: Refusal): RefusalClass {
  const isReplay = refusal.kind === 'client_authentication_failed' && refusal.failure === 'assertion_replayed'
  return isReplay ? 'replayed' : CLASSES[refusal.kind]
}
