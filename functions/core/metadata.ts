import { PROOF_ALGORITHMS } from './dpop-proof.ts'
import { SUBJECT_ALGORITHMS } from './issuer-jwks.ts'
import { TOKEN_EXCHANGE_GRANT, TOKEN_PATH } from './token-request.ts'

const CLIENT_METHODS = ['private_key_jwt', 'client_secret_basic'] as const

/** Authorization server metadata (RFC 8414 §2). It lists what is there and nothing that is only planned. */
export function authorizationServerMetadata(issuer: string) {
  return {
    issuer,
    token_endpoint: issuer + TOKEN_PATH,
    jwks_uri: `${issuer}/.well-known/jwks.json`,
    grant_types_supported: [TOKEN_EXCHANGE_GRANT],
    response_types_supported: [],
    token_endpoint_auth_methods_supported: ['none', ...CLIENT_METHODS],
    token_endpoint_auth_signing_alg_values_supported: SUBJECT_ALGORITHMS,
    dpop_signing_alg_values_supported: PROOF_ALGORITHMS,
    introspection_endpoint: `${issuer}/introspect`,
    introspection_endpoint_auth_methods_supported: CLIENT_METHODS,
    introspection_endpoint_auth_signing_alg_values_supported: SUBJECT_ALGORITHMS,
    introspection_signing_alg_values_supported: ['RS256'],
    revocation_endpoint: `${issuer}/revoke`,
    revocation_endpoint_auth_methods_supported: CLIENT_METHODS,
    revocation_endpoint_auth_signing_alg_values_supported: SUBJECT_ALGORITHMS,
  }
}

/**
 * OpenID Provider metadata, for verifiers that read only this (AWS IAM, API Gateway, ALB). Some insist on an
 * authorization endpoint; there is none, and the URN says so.
 */
export function openidConfiguration(issuer: string) {
  return {
    ...authorizationServerMetadata(issuer),
    authorization_endpoint: 'urn:token-broker:no-authorization-endpoint',
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256', 'ES256'],
    claims_supported: [
      'iss',
      'sub',
      'aud',
      'exp',
      'iat',
      'nbf',
      'jti',
      'client_id',
      'scope',
      'grant',
      'txn',
      'lineage',
      'lineage_keys',
      'lineage_clients',
      'idp',
      'cnf',
      'status',
    ],
  }
}
