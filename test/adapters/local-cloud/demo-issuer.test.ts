import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, type JWTPayload, jwtVerify } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TrustedIssuer } from '../../../functions/core/policy/compiled.ts'
import type { IssuerId, SubjectAlgorithm } from '../../../functions/core/types.ts'
import type { LocalCloud } from '../../../lib/local/cloud.ts'
import { startFixture, synthesizeFixture } from '../../support/fixture-cloud.ts'

const GITHUB = 'https://token.actions.githubusercontent.com'
const CORPORATE = 'https://login.corp.example'

function trusted(id: string, issuer: string, differences: Partial<TrustedIssuer> = {}): TrustedIssuer {
  return {
    id: id as IssuerId,
    issuer,
    keys: { kind: 'discovery' },
    algorithms: ['RS256'],
    audiences: ['https://broker.example.com', 'https://other.example.com'],
    maxLifetimeSeconds: 600,
    clockSkewSeconds: 30,
    clientAuthentication: 'none',
    replay: 'single-use',
    ...differences,
  }
}

const ISSUERS = [
  trusted('github', GITHUB, { maxLifetimeSeconds: 120 }),
  trusted('corporate', CORPORATE, {
    keys: { kind: 'jwks_uri', uri: `${CORPORATE}/keys` },
    algorithms: ['ES256' as SubjectAlgorithm],
  }),
  trusted('mesh', 'spiffe://example.org', {
    keys: { kind: 'jwks_uri', uri: 'https://example.org/bundle' },
    algorithms: ['ES256' as SubjectAlgorithm],
  }),
  trusted('fixed', 'https://fixed.example', { keys: { kind: 'inline', keys: [] } }),
  trusted('mine', 'http://127.0.0.1:9999'),
]

describe('the demo issuer', () => {
  let cloud: LocalCloud
  beforeAll(async () => {
    cloud = (await startFixture(synthesizeFixture(), { issuers: ISSUERS })).cloud
  })
  afterAll(() => cloud.close())

  const post = (body: string, headers: Record<string, string> = {}) =>
    fetch(`${cloud.url}/demo-issuer/sign`, { method: 'POST', body, headers })
  const sign = async (request: object): Promise<string> =>
    ((await (await post(JSON.stringify(request))).json()) as { token: string }).token
  const discovery = (issuer: string) =>
    fetch(`${cloud.demoIssuer.localIssuers()[issuer]}/.well-known/openid-configuration`)
  const verify = async (token: string, issuer: string): Promise<JWTPayload> => {
    const { jwks_uri } = (await (await discovery(issuer)).json()) as { jwks_uri: string }
    return (await jwtVerify(token, createRemoteJWKSet(new URL(jwks_uri)), { issuer })).payload
  }

  it('signs for a trust domain without naming an issuer', async () => {
    const token = await sign({ preset: 'spiffe' })
    expect(decodeJwt(token)).toMatchObject({ sub: 'spiffe://example.org/ns/payments/sa/worker' })
    expect(decodeJwt(token)).not.toHaveProperty('iss')
    expect(decodeProtectedHeader(token).alg).toBe('ES256')
  })

  it('signs as the real issuer, for the first audience of the policy, and publishes the keys on loopback', async () => {
    const payload = await verify(await sign({ preset: 'github-actions' }), GITHUB)
    expect(payload).toMatchObject({
      iss: GITHUB,
      aud: 'https://broker.example.com',
      sub: 'repo:octo-org/payments:ref:refs/heads/main',
      repository_id: '123456',
    })
  })

  it('names the real issuer in the discovery document', async () => {
    const document = (await (await discovery(GITHUB)).json()) as Record<string, string>
    expect(document['issuer']).toBe(GITHUB)
    expect(document['jwks_uri']).toBe(`${cloud.url}/demo-issuer/github/jwks.json`)
  })

  it('stands in for issuers that publish keys, and for no other', () => {
    expect(cloud.demoIssuer.localIssuers()).toEqual({
      [GITHUB]: `${cloud.url}/demo-issuer/github`,
      [CORPORATE]: `${cloud.url}/demo-issuer/corporate`,
      'spiffe://example.org': `${cloud.url}/demo-issuer/mesh`,
    })
  })

  it('tells the functions of the stand-ins', async () => {
    const answer = (await cloud.invoke('Echo', { headers: {} })) as { body: string }
    const { environment } = JSON.parse(answer.body) as { environment: Record<string, string> }
    expect(JSON.parse(environment['LOCAL_ISSUERS'] ?? '')).toEqual(cloud.demoIssuer.localIssuers())
  })

  it('makes every token fresh', async () => {
    const [first, second] = [
      decodeJwt(await sign({ preset: 'gitlab' })),
      decodeJwt(await sign({ preset: 'gitlab' })),
    ]
    expect(first.jti).not.toBe(second.jti)
  })

  it('gives no token a longer life than the policy accepts', async () => {
    const { iat = 0, exp = 0 } = decodeJwt(await sign({ preset: 'github-actions' }))
    expect(exp - iat).toBe(120)
  })

  it('lets claims override the defaults, and null remove one', async () => {
    const claims = decodeJwt(
      await sign({ preset: 'github-actions', claims: { ref: 'refs/tags/v1', jti: null, exp: 1 } }),
    )
    expect(claims).toMatchObject({ ref: 'refs/tags/v1', exp: 1 })
    expect(claims).not.toHaveProperty('jti')
  })

  it('signs as an issuer of the policy, with the algorithm that it pins', async () => {
    const token = await sign({ issuer: 'corporate', claims: { sub: 'alice' } })
    expect(decodeProtectedHeader(token).alg).toBe('ES256')
    expect(await verify(token, CORPORATE)).toMatchObject({ sub: 'alice' })
  })

  it.each([
    ['github-actions', GITHUB, /^repo:octo-org\/payments:ref:/],
    ['github-actions-immutable', GITHUB, /^repo:octo-org@987654\/payments@123456:ref:/],
    ['gitlab', 'https://gitlab.com', /^project_path:/],
    ['circleci', /^https:\/\/oidc\.circleci\.com\/org\//, /^org\//],
    ['buildkite', 'https://agent.buildkite.com', /^organization:/],
    ['kubernetes', /^https:\/\/oidc\.eks\./, /^system:serviceaccount:/],
    ['aws-outbound', /\.tokens\.sts\.global\.api\.aws$/, /^arn:aws:iam::\d{12}:role\//],
  ])('has the preset %s', async (preset, issuer, subject) => {
    const { iss, sub, aud } = decodeJwt(await sign({ preset }))
    expect(iss).toMatch(issuer)
    expect(sub).toMatch(subject)
    expect(aud).toBeTruthy()
  })

  it('answers the bare token to a shell', async () => {
    const response = await post('{"preset":"github-actions"}', { accept: 'text/plain' })
    expect(decodeJwt(await response.text()).iss).toBe(GITHUB)
  })

  it.each([
    ['an unknown preset', '{"preset":"jenkins"}', /no preset jenkins; there are github-actions/],
    ['a preset that only objects have', '{"preset":"constructor"}', /no preset constructor/],
    ['an unknown issuer', '{"issuer":"nobody"}', /no issuer nobody; it has github, corporate/],
    ['an issuer with keys of its own', '{"issuer":"fixed"}', /the keys of issuer fixed are its own/],
    ['neither', '{}', /name a preset/],
    ['claims that are no object', '{"preset":"gitlab","claims":[]}', /claims is not an object/],
    ['what is not JSON', 'preset=gitlab', /not JSON/],
  ])('refuses %s and says what it can do', async (_, body, message) => {
    const response = await post(body)
    expect(response.status).toBe(400)
    expect(((await response.json()) as { error: string }).error).toMatch(message)
  })

  it.each([{ origin: 'https://attacker.example' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }])(
    'signs nothing for a page of another site: %j',
    async (headers) => {
      const response = await post('{"preset":"gitlab"}', headers as Record<string, string>)
      expect([response.status, await response.json()]).toEqual([
        403,
        { error: 'requests from other sites are refused' },
      ])
    },
  )

  it('signs for its own console', async () => {
    const headers = { origin: cloud.url, 'sec-fetch-site': 'same-origin' }
    expect((await post('{"preset":"gitlab"}', headers)).status).toBe(200)
  })

  it.each(['%', '%E0%A4%A/jwks.json'])('refuses the malformed path %s', async (path) => {
    expect((await fetch(`${cloud.url}/demo-issuer/${path}`)).status).toBe(400)
  })

  it('keeps the keys published that rotation takes out of use, and has the next ones published before', async () => {
    const before = await sign({ preset: 'github-actions' })
    const { keys } = (await (await fetch(`${cloud.url}/demo-issuer/github/jwks.json`)).json()) as {
      keys: { kid: string }[]
    }
    await cloud.demoIssuer.rotate()
    const after = await sign({ preset: 'github-actions' })
    expect(decodeProtectedHeader(after).kid).not.toBe(decodeProtectedHeader(before).kid)
    expect(keys.map(({ kid }) => kid)).toContain(decodeProtectedHeader(after).kid)
    await verify(before, GITHUB)
    await verify(after, GITHUB)
  })

  it('can fail, while it still signs', async () => {
    cloud.demoIssuer.fail(true)
    expect((await discovery(GITHUB)).status).toBe(503)
    expect(await sign({ preset: 'github-actions' })).toMatch(/^eyJ/)
    cloud.demoIssuer.fail(false)
    expect((await discovery(GITHUB)).status).toBe(200)
  })
})
