import { describe, expect, it } from 'vitest'
import { authorizationServerMetadata, openidConfiguration } from '../../functions/core/metadata.ts'

const ISSUER = 'https://tokens.example.com'
const MTLS = 'https://mtls.tokens.example.com'

describe.each([
  ['authorization server metadata', authorizationServerMetadata],
  ['the OpenID configuration', openidConfiguration],
])('%s', (_, metadata) => {
  it('names the algorithms of DPoP proofs', () => {
    expect(metadata(ISSUER, undefined).dpop_signing_alg_values_supported).toEqual(
      expect.arrayContaining(['ES256', 'RS256', 'PS256', 'EdDSA']),
    )
  })

  it('says nothing of certificates where nobody can show one', () => {
    expect(JSON.stringify(metadata(ISSUER, undefined))).not.toMatch(/tls/)
  })

  it('names what takes certificates, and where (RFC 8705 §5)', () => {
    const document = metadata(ISSUER, MTLS)
    expect(document).toMatchObject({
      issuer: ISSUER,
      token_endpoint: `${ISSUER}/token`,
      tls_client_certificate_bound_access_tokens: true,
      mtls_endpoint_aliases: {
        token_endpoint: `${MTLS}/token`,
        introspection_endpoint: `${MTLS}/introspect`,
        revocation_endpoint: `${MTLS}/revoke`,
      },
    })
    for (const methods of [
      document.token_endpoint_auth_methods_supported,
      document.introspection_endpoint_auth_methods_supported,
      document.revocation_endpoint_auth_methods_supported,
    ])
      expect(methods).toEqual(expect.arrayContaining(['tls_client_auth', 'self_signed_tls_client_auth']))
  })
})
