import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { makeClientSecret } from '../../../functions/core/client-secret.ts'
import { readDistinguishedName } from '../../../functions/core/distinguished-name.ts'
import { compilePolicy } from '../../../functions/core/policy/compile.ts'
import { certificate, derOf, newKey } from '../../support/certificates.ts'
import {
  compiled,
  findingsIn,
  POLICY,
  policyFile,
  withClient,
  withGrant,
  withIssuer,
  withTarget,
} from './policy-fixture.ts'

const RSA_KEY = { kty: 'RSA', kid: '1', use: 'sig', n: `${'n'.repeat(341)}Q`, e: 'AQAB' }
const EC_KEY = { kty: 'EC', kid: '2', crv: 'P-256', x: 'x', y: 'y' }
const { secret, digest } = makeClientSecret(randomBytes)
const { digest: nextDigest } = makeClientSecret(randomBytes)

const withKeys = (keys: readonly unknown[], more = {}) =>
  withClient({ authentication: { method: 'private_key_jwt', jwks: { keys }, ...more } })
const withSecrets = (...digests: readonly unknown[]) =>
  withClient({ authentication: { method: 'client_secret_basic', secret_digests: digests } })
const authenticationIn = (policy: unknown) => compiled(policy).clients[0]?.authentication

describe('a client', () => {
  it('has what it may introspect and revoke, and its default target', () => {
    const changes = { introspects: ['payments'], revokes: ['payments'], default_target: 'payments' }
    expect(compiled(withClient(changes)).clients).toEqual([
      {
        id: 'checkout',
        authentication: {
          method: 'private_key_jwt',
          keys: { kind: 'jwks_uri', uri: 'https://checkout.example.com/jwks' },
          algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
        },
        introspects: ['payments'],
        revokes: ['payments'],
        defaultTarget: 'payments',
      },
    ])
    expect(compiled(withClient({ introspects: undefined })).clients).toMatchObject([
      { introspects: [], revokes: [] },
    ])
  })

  it.each([
    ['introspects', ['payments', 'nowhere'], 'clients.checkout.introspects[1]'],
    ['revokes', ['nowhere'], 'clients.checkout.revokes[0]'],
    ['default_target', 'nowhere', 'clients.checkout.default_target'],
  ])('names targets that exist: %s', (key, value, path) => {
    expect(findingsIn(withClient({ [key]: value }))).toEqual([`${path}: found "nowhere"; allowed: payments`])
  })

  it('is named by grants only if it exists', () => {
    expect(findingsIn(withGrant({ client: 'nobody' }))).toEqual([
      expect.stringContaining('grants.payments-ci.client: found "nobody"; allowed: nothing: the policy'),
    ])
    const { grants } = withGrant({ client: 'checkout' })
    expect(compiled({ ...withClient({}), grants }).grants[0]?.client).toBe('checkout')
  })

  it('may be required of those who present the tokens of an issuer', () => {
    expect(compiled(withIssuer({ client_authentication: 'required' })).issuers[0]?.clientAuthentication).toBe(
      'required',
    )
    expect(compiled(withIssuer({ client_authentication: 'none' })).issuers[0]?.clientAuthentication).toBe(
      'none',
    )
  })

  it('makes another policy of it', () => {
    expect(compiled(withClient({})).digest).not.toBe(compiled(POLICY).digest)
  })
})

describe('a client with keys', () => {
  it.each([
    ['RSA', [RSA_KEY], ['RS256', 'PS256']],
    ['RSA for one algorithm', [{ ...RSA_KEY, alg: 'PS256' }], ['PS256']],
    ['P-256', [EC_KEY], ['ES256']],
    ['both', [RSA_KEY, EC_KEY], ['RS256', 'PS256', 'ES256']],
  ])('signs with what its keys are for, unless it says otherwise: %s', (_, keys, algorithms) => {
    expect(authenticationIn(withKeys(keys))).toMatchObject({ keys: { kind: 'inline' }, algorithms })
  })

  it('signs with the algorithms that it says', () => {
    expect(authenticationIn(withKeys([RSA_KEY], { algorithms: ['PS256', 'ES256'] }))).toMatchObject({
      algorithms: ['PS256'],
    })
  })

  it.each([
    [
      'no key for its algorithms',
      [{ ...EC_KEY, crv: 'P-384' }],
      {},
      "jwks.keys: found no key for the client's algorithms",
    ],
    ['no key at all', [], {}, 'jwks.keys: found an empty list'],
    [
      'one kid twice',
      [EC_KEY, { ...RSA_KEY, kid: '2' }],
      {},
      'keys[1].kid: found "2"; allowed: a kid that no other key of the client',
    ],
    ['a private key', [{ ...EC_KEY, d: 'hush' }], {}, 'keys[0].d: found the secret member d'],
    ['a symmetric algorithm', [EC_KEY], { algorithms: ['HS256'] }, 'algorithms[0]: found "HS256"'],
    [
      'two places',
      [EC_KEY],
      { jwks_uri: 'https://a.example/jwks' },
      'authentication: found both jwks and jwks_uri',
    ],
    [
      'a secret beside them',
      [EC_KEY],
      { secret_digests: [digest] },
      'authentication.secret_digests: found secret_digests beside method private_key_jwt',
    ],
  ])('cannot have %s', (_, keys, more, finding) => {
    const findings = findingsIn(withKeys(keys, more))
    expect(findings).toEqual([expect.stringContaining(finding)])
    expect(findings.join()).not.toContain('hush')
  })

  it('needs them', () => {
    expect(findingsIn(withClient({ authentication: { method: 'private_key_jwt' } }))).toEqual([
      'clients.checkout.authentication: found neither jwks nor jwks_uri; allowed: one of them',
    ])
  })

  it('publishes them over https, or on loopback in the local run only', () => {
    const at = (jwks_uri: string) => withClient({ authentication: { method: 'private_key_jwt', jwks_uri } })
    for (const uri of ['http://a.example/jwks', 'https://a@a.example/jwks', 'https://a.example/jwks#a'])
      expect(findingsIn(at(uri))).toEqual([
        expect.stringContaining(
          `clients.checkout.authentication.jwks_uri: found "${uri}"; allowed: an https URL`,
        ),
      ])
    const files = [policyFile(at('http://127.0.0.1:8080/jwks'))]
    expect(compilePolicy(files, { loopbackIssuers: true })).toHaveProperty('policy')
    expect(compilePolicy(files, { loopbackIssuers: false })).toHaveProperty('findings.length', 1)
  })
})

describe('a client with a secret', () => {
  it('has one digest, or two while the secret is replaced', () => {
    expect(authenticationIn(withSecrets(digest))).toEqual({
      method: 'client_secret_basic',
      digests: [digest],
    })
    expect(authenticationIn(withSecrets(digest, nextDigest))).toMatchObject({ digests: [digest, nextDigest] })
  })

  it.each([
    ['none', [], 'secret_digests: found an empty list'],
    ['three', [digest, nextDigest, makeClientSecret(randomBytes).digest], 'secret_digests: found 3 digests'],
    ['one twice', [digest, digest], 'secret_digests[1]: found a digest twice'],
    [
      'another form',
      [digest.replace('hmac-sha256', 'sha256')],
      'secret_digests[0]: found a text that is no digest',
    ],
    ['less of it', [digest.slice(0, -1)], 'secret_digests[0]: found a text that is no digest'],
    ['padding', [`${digest}=`], 'secret_digests[0]: found a text that is no digest'],
  ])('cannot have %s', (_, digests, finding) => {
    expect(findingsIn(withSecrets(...digests))).toEqual([
      expect.stringContaining(`clients.checkout.authentication.${finding}`),
    ])
  })

  it('cannot have the secret itself in policy, and then it is not shown', () => {
    const findings = findingsIn(withSecrets(secret))
    expect(findings).toEqual([expect.stringContaining('treat it as leaked')])
    expect(findings.join()).not.toContain(secret.slice(0, 8))
  })

  it('cannot have keys beside it', () => {
    const authentication = { method: 'client_secret_basic', secret_digests: [digest], algorithms: ['RS256'] }
    expect(findingsIn(withClient({ authentication }))).toEqual([
      'clients.checkout.authentication.algorithms: found algorithms beside method client_secret_basic; allowed: secret_digests',
    ])
  })

  it('needs one', () => {
    expect(findingsIn(withClient({ authentication: { method: 'client_secret_basic' } }))).toEqual([
      expect.stringContaining('clients.checkout.authentication.secret_digests: found nothing'),
    ])
  })
})

describe('a client with a certificate', () => {
  const named = (names: object) => withClient({ authentication: { method: 'tls_client_auth', ...names } })

  it.each([
    ['subject_dn', 'CN=pay,O=Ex\\, Inc', 'subject', readDistinguishedName('CN=pay,O=Ex\\, Inc')],
    ['san_dns', 'Pay.example.com', 'dns', 'pay.example.com'],
    ['san_uri', 'spiffe://example.com/pay', 'uri', 'spiffe://example.com/pay'],
    ['san_ip', '2001:DB8:0:0::1', 'ip', '2001:db8::1'],
    ['san_email', 'pay@example.com', 'email', 'pay@example.com'],
  ])(
    'is known by exactly one name, in the one form in which names are compared: %s',
    (key, text, kind, value) => {
      const name = { kind, value }
      expect(authenticationIn(named({ [`tls_client_auth_${key}`]: text }))).toEqual({
        method: 'tls_client_auth',
        name,
      })
    },
  )

  it.each([
    ['no name', {}, 'authentication: found no name; allowed: exactly one of'],
    [
      'two names',
      { tls_client_auth_san_dns: 'a.example', tls_client_auth_san_ip: '10.0.0.1' },
      'authentication: found tls_client_auth_san_dns, tls_client_auth_san_ip; allowed: exactly one of',
    ],
    [
      'any host',
      { tls_client_auth_san_dns: '*.example.com' },
      'san_dns: found "*.example.com"; allowed: a host name',
    ],
    [
      'a subject with spaces',
      { tls_client_auth_subject_dn: 'CN=pay, C=DE' },
      'subject_dn: found "CN=pay, C=DE"',
    ],
    ['half an address', { tls_client_auth_san_ip: '10.1' }, 'san_ip: found "10.1"; allowed: an IP address'],
    ['a path', { tls_client_auth_san_uri: '/pay' }, 'san_uri: found "/pay"; allowed: a URI'],
    ['a name alone', { tls_client_auth_san_email: 'pay' }, 'san_email: found "pay"; allowed: an e-mail'],
    [
      'keys',
      { tls_client_auth_san_dns: 'a.example', jwks_uri: 'https://a.example/jwks' },
      'authentication.jwks_uri: found jwks_uri beside method tls_client_auth',
    ],
  ])('cannot be known by %s', (_, names, finding) => {
    expect(findingsIn(named(names))).toEqual([expect.stringContaining(finding)])
  })

  const key = newKey()
  const x5c = (of = key) => [derOf(certificate({ subject: [['CN', 'pay']], key: of })).toString('base64')]
  const own = (more: object) => {
    const { kty, crv, x, y } = key.export({ format: 'jwk' })
    const keys = [{ kid: 'one', kty, crv, x, y, ...more }]
    return withClient({ authentication: { method: 'self_signed_tls_client_auth', jwks: { keys } } })
  }

  it('of its own making is known by the key, or by the certificate that stands beside it', () => {
    expect(authenticationIn(own({}))).toMatchObject({ keys: { keys: [{ kid: 'one', crv: 'P-256' }] } })
    const listed = authenticationIn(own({ x5c: x5c() }))
    expect(listed).toMatchObject({ keys: { keys: [{ 'x5t#S256': expect.stringMatching(/^[\w-]{43}$/) }] } })
    expect(JSON.stringify(listed)).not.toContain('x5c')
  })

  it.each([
    ['of another key', x5c(newKey())],
    ['that is none', ['AAAA']],
    ['that is no list', 'AAAA'],
    ['that is not there', []],
  ])('cannot be known by a certificate %s', (_, list) => {
    expect(findingsIn(own({ x5c: list }))).toEqual([
      expect.stringContaining('authentication.jwks.keys[0].x5c: found no certificate of this key'),
    ])
  })

  it('is refused where nobody can show one, and so is a binding to one', () => {
    const documents = [
      [named({ tls_client_auth_san_dns: 'a.example' }), 'clients.checkout.authentication.method'],
      [own({}), 'clients.checkout.authentication.method'],
      [withTarget({ token: { binding: 'mtls' } }), 'targets.payments.token.binding'],
    ] as const
    for (const [document, path] of documents) {
      const files = [policyFile(document)]
      expect(compilePolicy(files, { loopbackIssuers: false, mutualTls: true })).toHaveProperty('policy')
      const message = expect.stringContaining('or domain.mutualTls in cdk.json') as string
      const findings = [expect.objectContaining({ path, message })]
      expect(compilePolicy(files, { loopbackIssuers: false })).toEqual({ findings })
    }
  })
})
