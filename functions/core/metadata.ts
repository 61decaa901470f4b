import { PROOF_ALGORITHMS } from './dpop-proof.ts'
import { SUBJECT_ALGORITHMS } from './issuer-jwks.ts'
import { TOKEN_EXCHANGE_GRANT, TOKEN_PATH } from './token-request.ts'

const CLIENT_METHODS = ['private_key_jwt', 'client_secret_basic'] as const
const CERTIFICATE_METHODS = ['tls_client_auth', 'self_signed_tls_client_auth'] as const
const INTROSPECTION_PATH = '/introspect'
const REVOCATION_PATH = '/revoke'

/**
 * Authorization server metadata (RFC 8414 §2). It lists what is there and nothing that is only planned: what takes a
 * certificate (RFC 8705 §3.3, §5) only where clients can show one, below `mtlsUrl`.
 */
export function authorizationServerMetadata(issuer: string, mtlsUrl: string | undefined) {
  const methods = mtlsUrl === undefined ? CLIENT_METHODS : [...CLIENT_METHODS, ...CERTIFICATE_METHODS]
  return {
    issuer,
    ...endpointsBelow(issuer),
    jwks_uri: `${issuer}/.well-known/jwks.json`,
    grant_types_supported: [TOKEN_EXCHANGE_GRANT],
    response_types_supported: [],
    token_endpoint_auth_methods_supported: ['none', ...methods],
    token_endpoint_auth_signing_alg_values_supported: SUBJECT_ALGORITHMS,
    dpop_signing_alg_values_supported: PROOF_ALGORITHMS,
    introspection_endpoint_auth_methods_supported: methods,
    introspection_endpoint_auth_signing_alg_values_supported: SUBJECT_ALGORITHMS,
    introspection_signing_alg_values_supported: ['RS256'],
    revocation_endpoint_auth_methods_supported: methods,
    revocation_endpoint_auth_signing_alg_values_supported: SUBJECT_ALGORITHMS,
    ...(mtlsUrl !== undefined && {
      tls_client_certificate_bound_access_tokens: true,
      mtls_endpoint_aliases: endpointsBelow(mtlsUrl),
    }),
  }
}

function endpointsBelow(base: string) {
  return {
    token_endpoint: base + TOKEN_PATH,
    introspection_endpoint: base + INTROSPECTION_PATH,
    revocation_endpoint: base + REVOCATION_PATH,
  }
}

/**
 * OpenID Provider metadata, for verifiers that read only this (AWS IAM, API Gateway, ALB). Some insist on an
 * authorization endpoint; there is none, and the URN says so.
 */
export function openidConfiguration(issuer: string, mtlsUrl: string | undefined) {
  return {
    ...authorizationServerMetadata(issuer, mtlsUrl),
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
