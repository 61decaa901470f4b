import { describe, expect, it } from 'vitest'
import { compilePolicy } from '../../../functions/core/policy/compile.ts'
import { findingsIn, GITHUB, POLICY, policyFile, withIssuer } from './policy-fixture.ts'

describe('an issuer', () => {
  it('cannot have the id that is reserved for our own tokens', () => {
    expect(findingsIn(withIssuer({ issuer: 'https://a.example' }, 'broker'))).toEqual([
      expect.stringContaining('issuers.broker: found the issuer id broker, which is reserved'),
    ])
  })

  it.each(['circleci', 'kubernetes', 'aws-outbound', 'okta', 'entra', 'spiffe', undefined])(
    'of preset %s needs an issuer URL',
    (preset) => {
      const { preset: _, ...rest } = { ...GITHUB, algorithms: ['RS256'] }
      const issuers = { github: preset === undefined ? rest : { ...rest, preset } }
      expect(findingsIn({ ...POLICY, issuers })).toEqual([
        expect.stringContaining('issuers.github.issuer: found nothing; allowed: the issuer URL'),
      ])
    },
  )

  it('of preset spiffe is a trust domain, with the keys of its bundle', () => {
    const spiffe = (changes: object) =>
      findingsIn(
        withIssuer(
          {
            preset: 'spiffe',
            issuer: 'spiffe://example.org',
            keys: { jwks_uri: 'https://a.example' },
            ...changes,
          },
          'mesh',
        ),
      )
    expect(spiffe({})).toEqual([])
    expect(spiffe({ keys: 'discovery' })).toEqual([
      expect.stringContaining('issuers.mesh.keys: found discovery, which trust domains do not have'),
    ])
    for (const issuer of ['spiffe://Example.org', 'spiffe://example.org/', 'spiffe://a@b', 'spiffe://'])
      expect(spiffe({ issuer })).toEqual([expect.stringContaining('issuers.mesh.issuer: found')])
    expect(spiffe({ preset: 'kubernetes' })).toEqual([expect.stringContaining('issuers.mesh.issuer: found')])
  })

  it('of preset spiffe with an OpenID Connect provider in front is a URL as any other', () => {
    expect(findingsIn(withIssuer({ preset: 'spiffe', issuer: 'https://oidc.example.org' }, 'mesh'))).toEqual(
      [],
    )
  })

  it('without preset needs algorithms', () => {
    const { preset: _, ...rest } = { ...GITHUB, issuer: 'https://a.example' }
    expect(findingsIn({ ...POLICY, issuers: { github: rest } })).toEqual([
      expect.stringContaining('issuers.github.algorithms: found nothing'),
    ])
  })

  it.each([
    'http://issuer.example',
    'http://127.0.0.1:8080',
    'https://issuer.example?a=b',
    'https://issuer.example/?',
    'https://issuer.example/#a',
    'https://user@issuer.example',
    'https://@issuer.example',
    'https:issuer.example',
    'https://',
    'https://issuer.example\\a',
    'https://issuer.example/a b',
    ' https://issuer.example',
    'https://issuer.example\n',
    'ftp://issuer.example',
    'issuer.example',
  ])('cannot have the URL %j', (issuer) => {
    expect(findingsIn(withIssuer({ issuer }))).toEqual([
      expect.stringContaining('issuers.github.issuer: found '),
    ])
  })

  it.each(['http://127.0.0.1:8080', 'http://[::1]:8080/a', 'http://localhost:1'])(
    'can be on loopback over http in the local run only: %s',
    (issuer) => {
      const files = [policyFile(withIssuer({ issuer, keys: { jwks_uri: `${issuer}/jwks` } }))]
      expect(compilePolicy(files, { loopbackIssuers: true })).toHaveProperty('policy')
      expect(compilePolicy(files, { loopbackIssuers: false })).toHaveProperty('findings.length', 2)
    },
  )

  it.each(['http://issuer.example', 'http://127.0.0.1.issuer.example', 'http://localhost@issuer.example'])(
    'cannot be elsewhere over http even in the local run: %s',
    (issuer) => {
      const files = [policyFile(withIssuer({ issuer }))]
      expect(compilePolicy(files, { loopbackIssuers: true })).toHaveProperty('findings.length', 1)
    },
  )

  it.each(['http://issuer.example/jwks', 'https://issuer.example/jwks#a', 'https://a@issuer.example/jwks'])(
    'cannot have its keys at %s',
    (uri) => {
      expect(findingsIn(withIssuer({ keys: { jwks_uri: uri } }))).toEqual([
        expect.stringContaining(`issuers.github.keys.jwks_uri: found "${uri}"`),
      ])
    },
  )

  it.each([
    ['max_lifetime', '25h'],
    ['max_lifetime', '0s'],
    ['clock_skew', '31s'],
  ])('cannot have a %s of %s', (key, duration) => {
    expect(findingsIn(withIssuer({ [key]: duration }))).toEqual([
      expect.stringContaining(`issuers.github.${key}: found "${duration}"; allowed: `),
    ])
  })
})
