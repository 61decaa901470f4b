import { compactVerify } from 'jose'
import { beforeEach, describe, expect, it } from 'vitest'
import { FetchedIssuerKeys } from '../../functions/adapters/fetched-issuer-keys.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import type { TrustedIssuer } from '../../functions/core/policy/compiled.ts'
import type { PublicJwk } from '../../functions/core/types.ts'
import { createTestIssuer } from '../support/tokens.ts'

const ISSUER = 'https://ci.example.com'
const issuer = {
  id: 'ci',
  issuer: ISSUER,
  keys: { kind: 'discovery' },
  algorithms: ['RS256'],
} as unknown as TrustedIssuer
const first = await createTestIssuer(ISSUER)
const second = await createTestIssuer(ISSUER, { kid: 'key-2' })

let now = 0
let fetches: string[] = []
let published: unknown
let metadata: unknown
let isDown = false
let hold: Promise<void> | undefined
let keys: FetchedIssuerKeys
let failures: string[]

beforeEach(() => {
  now = 1_800_000_000
  fetches = []
  published = { keys: [first.jwk] }
  metadata = { issuer: ISSUER, jwks_uri: `${ISSUER}/jwks` }
  isDown = false
  failures = []
  hold = undefined
  keys = new FetchedIssuerKeys(
    async (url) => {
      fetches.push(url)
      await hold
      if (isDown) throw new Error('down')
      return url.endsWith('openid-configuration') ? metadata : published
    },
    () => now,
    { onFailure: ({ id }, fault) => void failures.push(`${id}: ${String(fault)}`) },
  )
})

const find = (kid = 'key-1', algorithm = 'RS256', from = issuer) => keys.find(from, kid, algorithm)
const jwksFetches = () => fetches.filter((url) => url.endsWith('/jwks')).length

describe('issuer keys', () => {
  it('are found by discovery, and then kept for 10 minutes', async () => {
    expect(await find()).toBeDefined()
    now += 599
    await find()
    expect(fetches).toEqual([`${ISSUER}/.well-known/openid-configuration`, `${ISSUER}/jwks`])
    now += 1
    await find()
    expect(jwksFetches()).toBe(2)
  })

  it('are read at jwks_uri where policy names it', async () => {
    const named = {
      ...issuer,
      keys: { kind: 'jwks_uri', uri: 'https://keys.example.com/jwks' },
    } as TrustedIssuer
    expect(await find('key-1', 'RS256', named)).toBeDefined()
    expect(fetches).toEqual(['https://keys.example.com/jwks'])
  })

  it('are taken from policy where they stand in it, without a fetch', async () => {
    const inline = { ...issuer, keys: { kind: 'inline', keys: [first.jwk] } } as TrustedIssuer
    expect(await find('key-1', 'RS256', inline)).toBeDefined()
    expect(await find('unknown', 'RS256', inline)).toBeUndefined()
    expect(fetches).toEqual([])
  })

  it('are fetched once for any number of simultaneous requests', async () => {
    await Promise.all(Array.from({ length: 50 }, () => find()))
    expect(jwksFetches()).toBe(1)
  })

  it('are asked for again when a kid is unknown, once in 30 s', async () => {
    await find()
    published = { keys: [first.jwk, second.jwk] }
    for (let kid = 0; kid < 30; kid++) expect(await find(`unknown-${kid}`)).toBeUndefined()
    expect(jwksFetches()).toBe(1)
    now += 30
    expect(await find('key-2')).toBeDefined()
    expect(jwksFetches()).toBe(2)
  })

  it('stay usable for an hour while the issuer fails, which is asked once in 30 s', async () => {
    await find()
    isDown = true
    now += 3600
    expect(await find()).toBeDefined()
    for (let request = 0; request < 30; request++) await find()
    expect(fetches).toHaveLength(3)
    now += 1
    await expect(find()).rejects.toThrow(DependencyUnavailable)
  })

  it('are a fault, not a refusal, where the issuer was never reached, and it is not stormed', async () => {
    isDown = true
    for (let request = 0; request < 30; request++) await expect(find()).rejects.toThrow(DependencyUnavailable)
    expect(fetches).toHaveLength(1)
    isDown = false
    now += 30
    expect(await find()).toBeDefined()
  })

  it.each([
    ['an empty set', () => ({ keys: [] })],
    ['no set', () => '<html>'],
    ['101 keys', () => ({ keys: Array.from({ length: 101 }, (_, i) => ({ ...first.jwk, kid: `k${i}` })) })],
    ['only private keys', () => ({ keys: [{ ...first.jwk, d: 'AQAB' }] })],
  ])('outlive %s', async (_name, answer) => {
    await find()
    published = answer()
    now += 600
    expect(await find()).toBeDefined()
  })

  it('are waited for once when they are due and the issuer fails, not again and again', async () => {
    await find()
    isDown = true
    now += 600
    await find()
    let isAnswered = false
    hold = new Promise(() => undefined)
    now += 30
    await find().then(() => {
      isAnswered = true
    })
    expect(isAnswered).toBe(true)
  })

  it('of a new set replace those of the old one under the same kid', async () => {
    const token = await first.sign({ sub: 'x' })
    const verify = async () => compactVerify(token, (await find()) as never)
    await expect(verify()).resolves.toBeDefined()
    published = { keys: [{ ...second.jwk, kid: 'key-1' }] }
    now += 600
    await expect(verify()).rejects.toThrow('signature')
  })

  it('are not those of another curve', async () => {
    const p384 = await createTestIssuer(ISSUER, { algorithm: 'ES384' })
    published = { keys: [p384.jwk] }
    expect(await find('key-1', 'ES256')).toBeUndefined()
    expect(await find('key-1', 'ES384')).toBeDefined()
  })

  it('are reported when they cannot be read, also while those that were read before serve', async () => {
    await find()
    expect(failures).toEqual([])
    isDown = true
    now += 601
    expect(await find()).toBeDefined()
    expect(failures).toEqual([`${issuer.id}: Error: down`])
    now += 10
    expect(await find()).toBeDefined()
    expect(failures).toHaveLength(1)
  })

  it('have one deadline for both documents', async () => {
    const deadlines: AbortSignal[] = []
    keys = new FetchedIssuerKeys(
      async (url, deadline) => {
        deadlines.push(deadline)
        return url.endsWith('openid-configuration') ? metadata : published
      },
      () => now,
    )
    await find()
    expect(deadlines).toHaveLength(2)
    expect(deadlines[0]).toBe(deadlines[1])
  })

  it('end with the set that no longer has them', async () => {
    await find()
    published = { keys: [second.jwk] }
    now += 600
    expect(await find()).toBeUndefined()
  })

  it('are not taken from a discovery document that names another issuer', async () => {
    metadata = { issuer: `${ISSUER}/`, jwks_uri: `${ISSUER}/jwks` }
    await expect(find()).rejects.toThrow(DependencyUnavailable)
    expect(jwksFetches()).toBe(0)
  })

  it('are found through a stand-in by what the token says its issuer is', async () => {
    keys = new FetchedIssuerKeys(
      async (url) => {
        fetches.push(url)
        return url.endsWith('openid-configuration')
          ? { issuer: ISSUER, jwks_uri: 'http://127.0.0.1/jwks' }
          : published
      },
      () => now,
      { standIns: { [ISSUER]: 'http://127.0.0.1:9/ci' } },
    )
    expect(await find()).toBeDefined()
    expect(fetches[0]).toBe('http://127.0.0.1:9/ci/.well-known/openid-configuration')
  })

  const weak: readonly (readonly [string, (key: PublicJwk) => object])[] = [
    ['private', (key) => ({ ...key, d: 'AQAB' })],
    ['for encryption', (key) => ({ ...key, use: 'enc' })],
    ['not for verifying', (key) => ({ ...key, key_ops: ['encrypt'] })],
    ['for another algorithm', (key) => ({ ...key, alg: 'PS256' })],
    ['symmetric', () => ({ kty: 'oct', k: 'AQAB', kid: 'key-1' })],
    [
      'of 1024 bits behind zeros',
      (key) => ({
        ...key,
        n: Buffer.concat([Buffer.alloc(200), Buffer.alloc(128, 0xff)]).toString('base64url'),
      }),
    ],
    ['of more than 8192 bits', (key) => ({ ...key, n: Buffer.alloc(1025, 0xff).toString('base64url') })],
    ['of exponent 1', (key) => ({ ...key, e: 'AQ' })],
    ['of exponent 3', (key) => ({ ...key, e: 'Aw' })],
    ['of 1024 bits', (key) => ({ ...key, n: Buffer.alloc(128, 0xff).toString('base64url') })],
    ['of another type', () => ({ kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA', kid: 'key-1' })],
  ]

  it.each(weak)('leave out a key that is %s', async (_name, change) => {
    published = { keys: [change(first.jwk), second.jwk] }
    expect(await find('key-1')).toBeUndefined()
    expect(await find('key-2')).toBeDefined()
  })

  it('leave out both keys of one name', async () => {
    published = { keys: [first.jwk, { ...second.jwk, kid: 'key-1' }, second.jwk] }
    expect(await find('key-1')).toBeUndefined()
    expect(await find('key-2')).toBeDefined()
  })

  it('leave out a point that is not on its curve', async () => {
    const zero = Buffer.alloc(32).toString('base64url')
    published = { keys: [{ kty: 'EC', crv: 'P-256', x: zero, y: zero, kid: 'key-1' }] }
    expect(await find('key-1', 'ES256')).toBeUndefined()
  })
})
