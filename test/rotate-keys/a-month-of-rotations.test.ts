import { randomUUID } from 'node:crypto'
import { CreateKeyCommand } from '@aws-sdk/client-kms'
import { JwtVerifier } from 'aws-jwt-verify'
import { SimpleJwksCache } from 'aws-jwt-verify/jwk'
import { createRemoteJWKSet, customFetch, jwtVerify } from 'jose'
import jsonwebtoken from 'jsonwebtoken'
import jwksRsa from 'jwks-rsa'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CachedKeyManifests } from '../../functions/adapters/cached-key-manifests.ts'
import { DelegatedSigner } from '../../functions/adapters/delegated-signer.ts'
import { DelegatedSigningKeys } from '../../functions/adapters/delegated-signing-keys.ts'
import { KmsKeyAttester } from '../../functions/adapters/kms-key-attester.ts'
import { KmsSigner } from '../../functions/adapters/kms-signer.ts'
import { KmsSigningKeyFactory } from '../../functions/adapters/kms-signing-key-factory.ts'
import { KmsSigningKeyInventory } from '../../functions/adapters/kms-signing-key-inventory.ts'
import { KmsWrapping } from '../../functions/adapters/kms-wrapping.ts'
import { RingSigner } from '../../functions/adapters/ring-signer.ts'
import { compactJws } from '../../functions/core/access-token.ts'
import { keyTimesFor, RINGS } from '../../functions/core/key-times.ts'
import type { Signer } from '../../functions/core/ports.ts'
import { jwkSetOf, publishedKeys } from '../../functions/core/published-keys.ts'
import type { RingName, SigningAlgorithm } from '../../functions/core/types.ts'
import { reconcileKeys } from '../../functions/rotate-keys/reconcile.ts'
import { MemoryKeyManifests } from '../support/fakes.ts'
import { inProcessKms } from '../support/in-process-kms.ts'

const HOUR = 3600
const DAY = 24 * HOUR
const START = 1_800_000_000
const DAYS = 30
const ISSUER = 'https://tokens.example.com'
const AUDIENCE = 'https://payments.example.com'
const VERIFIER_CACHE = 2 * HOUR
/** Minutes for which tokens live: from the default to the longest that policy may allow. */
const LIFETIMES = [5, 15, 60]

type Verify = (token: string, algorithm: SigningAlgorithm) => Promise<unknown>
type JwkSet = ReturnType<typeof jwkSetOf>

const now = () => Math.floor(Date.now() / 1000)

const advance = (seconds: number) => vi.setSystemTime((now() + seconds) * 1000)

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'], now: START * 1000 }))
afterEach(() => void vi.useRealTimers())

/**
 * What a verifier's HTTP layer does at worst: for two hours it gives the same answer, whoever asks again. `phase` in
 * seconds shifts when it reads, so that some verifier has always read right before a change.
 */
function slowCache(read: () => Promise<JwkSet>, phase: number): () => Promise<JwkSet> {
  let kept: { readonly set: Promise<JwkSet>; readonly period: number } | undefined
  return () => {
    const period = Math.floor((now() + phase) / VERIFIER_CACHE)
    if (kept?.period !== period) kept = { set: read(), period }
    return kept.set
  }
}

interface Verifier {
  readonly name: string
  readonly verify: Verify
  /** Reads the keys if it is time to, as if another token had come. */
  readonly keys: () => Promise<JwkSet>
}

function verifiers(read: () => Promise<JwkSet>): readonly Verifier[] {
  return MAKERS.map(([name, make], index) => {
    const keys = slowCache(read, (index * VERIFIER_CACHE) / MAKERS.length)
    return { name, verify: make(keys), keys }
  })
}

/** Every half an hour one of them reads the keys. */
const MAKERS: readonly (readonly [name: string, make: (keys: () => Promise<JwkSet>) => Verify])[] = [
  ['aws-jwt-verify', byAws],
  ['jose', byJose],
  ['jsonwebtoken', byJsonwebtoken],
  ['jose', byJose],
]

function byJose(keys: () => Promise<JwkSet>): Verify {
  const set = createRemoteJWKSet(new URL(`${ISSUER}/.well-known/jwks.json`), {
    cooldownDuration: 0,
    [customFetch]: async () => Response.json(await keys()),
  })
  return (token, algorithm) =>
    jwtVerify(token, set, { issuer: ISSUER, audience: AUDIENCE, algorithms: [algorithm] })
}

function byAws(keys: () => Promise<JwkSet>): Verify {
  const jwksCache = new SimpleJwksCache({
    fetcher: { fetch: async () => new TextEncoder().encode(JSON.stringify(await keys())).buffer },
  })
  const jwksUri = `${ISSUER}/.well-known/jwks.json`
  const verifier = JwtVerifier.create({ issuer: ISSUER, audience: AUDIENCE, jwksUri }, { jwksCache })
  return (token) => verifier.verify(token)
}

function byJsonwebtoken(keys: () => Promise<JwkSet>): Verify {
  const client = jwksRsa({
    jwksUri: `${ISSUER}/.well-known/jwks.json`,
    cache: false,
    fetcher: async () => ({ keys: [...(await keys()).keys] }),
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

async function sign(signer: Signer, ring: RingName, lifetimeMinutes: number) {
  const key = await signer.activeKey(ring)
  const { algorithm } = key
  const exp = now() + lifetimeMinutes * 60
  const claims = { iss: ISSUER, aud: AUDIENCE, sub: 's', iat: now(), nbf: now(), exp, jti: randomUUID() }
  const [header, payload] = [{ alg: algorithm, typ: 'at+jwt', kid: key.kid }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  )
  const input = `${header}.${payload}`
  return { token: compactJws(input, await signer.sign(key, input)), algorithm, exp, kid: key.kid }
}

/** A deployment of two exchange environments and one that serves the keys, each with a cache of its own. */
async function deploy() {
  const store = new MemoryKeyManifests()
  const kms = await inProcessKms(Date.now)
  const { KeyMetadata } = await kms.send(new CreateKeyCommand({}))
  const wrapping = new KmsWrapping(kms, KeyMetadata?.Arn ?? '', 'test')
  const times = keyTimesFor({ rotationSeconds: DAY, verifierCacheSeconds: VERIFIER_CACHE })
  const cached = () => new CachedKeyManifests(store, Date.now)
  const environment = () => {
    const manifests = cached()
    const options = { issuer: ISSUER, rotationSeconds: DAY }
    return new RingSigner(new KmsSigner(kms, manifests), new DelegatedSigner(wrapping, manifests, options))
  }
  const published = cached()
  return {
    store,
    signers: [environment(), environment()] as const,
    readKeys: async () =>
      jwkSetOf(publishedKeys(await Promise.all(RINGS.map((ring) => published.lastGood(ring))))),
    reconcile: async () => {
      const reports = await reconcileKeys({
        store,
        factory: new KmsSigningKeyFactory(kms, 'test'),
        inventory: new KmsSigningKeyInventory(kms, 'test'),
        times,
        delegated: {
          times,
          attester: new KmsKeyAttester(kms, ISSUER, now),
          keys: new DelegatedSigningKeys(wrapping),
        },
        now,
        randomId: randomUUID,
      })
      return reports.flatMap(({ faults }) => faults)
    },
  }
}

describe(`${DAYS} days with a new key every day`, () => {
  it('are noticed by no verifier, though each of them keeps the keys for two hours', async () => {
    const { store, signers, readKeys, reconcile } = await deploy()
    const [one, other] = signers
    await reconcile()
    const all = verifiers(readKeys)
    const kids = new Set<string>()
    let valid: Awaited<ReturnType<typeof sign>>[] = []
    let verified = 0
    // Uneven steps, so that rotations, caches and tokens end in ever other orders; every fourth run does not happen.
    for (let step = 0; now() < START + DAYS * DAY; step++) {
      advance(2117 + (step % 5) * 431)
      for (const { keys } of all) await keys()
      // Environments do not know of a switch for a minute: the last tokens of a key are the longest.
      valid.push(await sign(one, RINGS[step % 3] ?? 'RS256', 60))
      if (step % 4 !== 3) expect(await reconcile()).toEqual([])
      // As soon as every environment has the new manifest, while some verifier has just read the old keys.
      advance(61)
      for (const ring of RINGS) valid.push(await sign(other, ring, LIFETIMES[step % 3] ?? 5))
      valid = valid.filter(({ exp }) => exp > now())
      for (const { token, algorithm, kid } of valid) {
        kids.add(kid)
        for (const { name, verify } of all)
          await expect(verify(token, algorithm), `${name}, ${now() - START} s`).resolves.toBeDefined()
        verified += all.length
      }
      expect((await readKeys()).keys.length).toBeLessThanOrEqual(10)
    }
    expect(kids.size).toBeGreaterThanOrEqual(3 * (DAYS - 2))
    expect(verified).toBeGreaterThan(3000)
    for (const { keys } of store.manifests.values())
      expect(keys.filter(({ state }) => state === 'active')).toHaveLength(1)
  }, 180_000)
})
