import { JwtVerifier } from 'aws-jwt-verify'
import { SimpleJwksCache } from 'aws-jwt-verify/jwk'
import { createRemoteJWKSet, customFetch, jwtVerify } from 'jose'
import jsonwebtoken from 'jsonwebtoken'
import jwksRsa from 'jwks-rsa'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { SigningAlgorithm } from '../../functions/core/types.ts'
import { AUDIENCE, aMonthOfRotations, DAYS, ISSUER, type JwkSet } from './month.ts'

const JWKS_URL = `${ISSUER}/.well-known/jwks.json`

type Verify = (token: string, algorithm: SigningAlgorithm) => Promise<unknown>
type Keys = () => JwkSet

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }))
afterEach(() => void vi.useRealTimers())

/** Libraries of other languages go through the same month in `npm run conformance`. */
const MAKERS: readonly (readonly [name: string, make: (keys: Keys) => Verify])[] = [
  ['aws-jwt-verify', byAws],
  ['jose', byJose],
  ['jsonwebtoken', byJsonwebtoken],
  ['jose', byJose],
]

function byJose(keys: Keys): Verify {
  const set = createRemoteJWKSet(new URL(JWKS_URL), {
    cooldownDuration: 0,
    [customFetch]: async () => Response.json(keys()),
  })
  return (token, algorithm) =>
    jwtVerify(token, set, { issuer: ISSUER, audience: AUDIENCE, algorithms: [algorithm] })
}

function byAws(keys: Keys): Verify {
  const jwksCache = new SimpleJwksCache({
    fetcher: { fetch: async () => new TextEncoder().encode(JSON.stringify(keys())).buffer },
  })
  const verifier = JwtVerifier.create(
    { issuer: ISSUER, audience: AUDIENCE, jwksUri: JWKS_URL },
    { jwksCache },
  )
  return (token) => verifier.verify(token)
}

function byJsonwebtoken(keys: Keys): Verify {
  const client = jwksRsa({
    jwksUri: JWKS_URL,
    cache: false,
    fetcher: async () => ({ keys: [...keys().keys] }),
  })
  return async (token, algorithm) => {
    const kid = jsonwebtoken.decode(token, { complete: true })?.header.kid
    const key = await client.getSigningKey(kid)
    return jsonwebtoken.verify(token, key.getPublicKey(), {
      issuer: ISSUER,
      audience: AUDIENCE,
      algorithms: [algorithm],
    })
  }
}

describe(`${DAYS} days with a new key every day`, () => {
  it('are noticed by no verifier, though each of them keeps the keys for two hours', async () => {
    let held: readonly JwkSet[] = []
    const verifiers = MAKERS.map(([name, make], index) => ({
      name,
      verify: make(() => held[index] ?? { keys: [] }),
    }))
    const kids = new Set<string>()
    let verified = 0
    for await (const { now, valid, keySets, published, active } of aMonthOfRotations(MAKERS.length)) {
      vi.setSystemTime(now * 1000)
      held = keySets
      for (const { token, algorithm, kid } of valid) {
        kids.add(kid)
        for (const { name, verify } of verifiers)
          await expect(verify(token, algorithm), `${name}, at ${now}`).resolves.toBeDefined()
        verified += verifiers.length
      }
      expect(published.keys.length).toBeLessThanOrEqual(10)
      expect(active).toEqual([1, 1, 1])
    }
    expect(kids.size).toBeGreaterThanOrEqual(3 * (DAYS - 2))
    expect(verified).toBeGreaterThan(3000)
  })
})
