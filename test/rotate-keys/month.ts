import { randomUUID } from 'node:crypto'
import { CreateKeyCommand } from '@aws-sdk/client-kms'
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
const VERIFIER_CACHE = 2 * HOUR
/** Minutes for which tokens live: from the default to the longest that policy may allow. */
const LIFETIMES = [5, 15, 60]

export const DAYS = 30
export const ISSUER = 'https://tokens.example.com'
export const AUDIENCE = 'https://payments.example.com'

export type JwkSet = ReturnType<typeof jwkSetOf>

export interface SignedToken {
  readonly token: string
  readonly algorithm: SigningAlgorithm
  readonly kid: string
  /** Epoch seconds. */
  readonly exp: number
}

/** One moment of the month. */
export interface MonthStep {
  /** Virtual, epoch seconds. */
  readonly now: number
  /** Every token that has not expired. */
  readonly valid: readonly SignedToken[]
  /** The keys as each of the verifiers has them, which keeps them for two hours. */
  readonly keySets: readonly JwkSet[]
  /** The keys as they are published. */
  readonly published: JwkSet
  /** How many keys of each ring are active. */
  readonly active: readonly number[]
}

/**
 * Thirty days with a new key every day, in virtual time: two exchange environments and one that serves the keys, each with
 * a cache of its own, and `verifiers` that read the keys at different times. Throws what a run of the rotation does.
 */
export async function* aMonthOfRotations(verifiers: number): AsyncGenerator<MonthStep> {
  let now = START
  const nowMs = () => now * 1000
  const store = new MemoryKeyManifests()
  const kms = await inProcessKms(nowMs)
  const cached = () => new CachedKeyManifests(store, nowMs)
  const { KeyMetadata } = await kms.send(new CreateKeyCommand({}))
  const wrapping = new KmsWrapping(kms, KeyMetadata?.Arn ?? '', 'test')
  const environment = () => {
    const manifests = cached()
    const delegated = new DelegatedSigner(wrapping, manifests, { issuer: ISSUER, rotationSeconds: DAY })
    return new RingSigner(new KmsSigner(kms, manifests), delegated, manifests)
  }
  const [one, other, documents] = [environment(), environment(), cached()]
  const times = keyTimesFor({ rotationSeconds: DAY, verifierCacheSeconds: VERIFIER_CACHE })
  const read = async () =>
    jwkSetOf(publishedKeys(await Promise.all(RINGS.map((ring) => documents.lastGood(ring)))))
  // One after the other, evenly: whenever keys change, some verifier has just read.
  const caches = Array.from({ length: verifiers }, (_, index) =>
    slowCache(read, () => now + (index * VERIFIER_CACHE) / verifiers),
  )
  const keySets = () => Promise.all(caches.map((keys) => keys()))
  const rotation = {
    store,
    factory: new KmsSigningKeyFactory(kms, 'test'),
    inventory: new KmsSigningKeyInventory(kms, 'test'),
    times,
    delegated: {
      times,
      attester: new KmsKeyAttester(kms, ISSUER, () => now),
      keys: new DelegatedSigningKeys(wrapping),
    },
    now: () => now,
    randomId: randomUUID,
  }
  const reconcile = async () => {
    for (const { faults } of await reconcileKeys(rotation)) for (const fault of faults) throw fault
  }
  await reconcile()
  let valid: SignedToken[] = []
  // Uneven steps, so that rotations, caches and tokens end in ever other orders; every fourth run does not happen.
  for (let step = 0; now < START + DAYS * DAY; step++) {
    now += 2117 + (step % 5) * 431
    await keySets()
    // Environments do not know of a switch for a minute: the last tokens of a key are the longest.
    valid.push(await sign(one, RINGS[step % 3] ?? 'RS256', { now, minutes: 60 }))
    if (step % 4 !== 3) await reconcile()
    // As soon as every environment has the new manifest, while some verifier has just read the old keys.
    now += 61
    for (const ring of RINGS) valid.push(await sign(other, ring, { now, minutes: LIFETIMES[step % 3] ?? 5 }))
    valid = valid.filter(({ exp }) => exp > now)
    yield {
      now,
      valid: [...valid],
      keySets: await keySets(),
      published: await read(),
      active: activeIn(store),
    }
  }
}

/** What a verifier's HTTP layer does at worst: for two hours it gives the same answer, whoever asks again. */
function slowCache(read: () => Promise<JwkSet>, now: () => number): () => Promise<JwkSet> {
  let kept: { readonly set: Promise<JwkSet>; readonly period: number } | undefined
  return () => {
    const period = Math.floor(now() / VERIFIER_CACHE)
    if (kept?.period !== period) kept = { set: read(), period }
    return kept.set
  }
}

async function sign(
  signer: Signer,
  ring: RingName,
  { now, minutes }: { readonly now: number; readonly minutes: number },
): Promise<SignedToken> {
  const key = await signer.activeKey(ring)
  const { algorithm } = key
  const exp = now + minutes * 60
  const ids = { sub: 's', client_id: 'c', jti: randomUUID() }
  const claims = { iss: ISSUER, aud: AUDIENCE, iat: now, nbf: now, exp, ...ids }
  const [header, payload] = [{ alg: algorithm, typ: 'at+jwt', kid: key.kid }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  )
  const input = `${header}.${payload}`
  return { token: compactJws(input, await signer.sign(key, input)), algorithm, exp, kid: key.kid }
}

function activeIn({ manifests }: MemoryKeyManifests): readonly number[] {
  return [...manifests.values()].map(({ keys }) => keys.filter(({ state }) => state === 'active').length)
}
