import { randomUUID } from 'node:crypto'
import { DisableKeyCommand, EnableKeyCommand } from '@aws-sdk/client-kms'
import { compactVerify } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { CachedKeyManifests } from '../../functions/adapters/cached-key-manifests.ts'
import { DynamoDbKeyManifests } from '../../functions/adapters/dynamodb-key-manifests.ts'
import { KmsSigner } from '../../functions/adapters/kms-signer.ts'
import { KmsSigningKeyFactory } from '../../functions/adapters/kms-signing-key-factory.ts'
import { KmsSigningKeyInventory } from '../../functions/adapters/kms-signing-key-inventory.ts'
import { RingSigner } from '../../functions/adapters/ring-signer.ts'
import { compactJws } from '../../functions/core/access-token.ts'
import { DependencyUnavailable, SignedByRetiredKey, WrongSignature } from '../../functions/core/fault.ts'
import { importPublicKey } from '../../functions/core/import-public-key.ts'
import { type KeyManifest, type ManifestKey, withActive } from '../../functions/core/key-lifecycle.ts'
import { keyTimesFor } from '../../functions/core/key-times.ts'
import type { Signer } from '../../functions/core/ports.ts'
import type { SigningAlgorithm } from '../../functions/core/types.ts'
import { reconcileKeys } from '../../functions/rotate-keys/reconcile.ts'
import { arnOf, MemoryKeyManifests, MemoryKeys } from '../support/fakes.ts'
import { type LocalAws, startLocalAws } from '../support/local-aws.ts'

const DAY = 24 * 60 * 60

let aws: LocalAws
let nowMs = 0
const store = () => new DynamoDbKeyManifests(aws.dynamoDb, 'signing-keys')

function kmsSigner(): KmsSigner {
  return new KmsSigner(aws.kms, new CachedKeyManifests(store(), () => nowMs))
}

beforeAll(async () => {
  aws = await startLocalAws(['signing-keys', 'other-keys'])
  // Again, as its schedule does, where this machine has taken over a second for an RSA key.
  await vi.waitFor(
    async () => {
      const reports = await reconcileKeys({
        store: store(),
        factory: new KmsSigningKeyFactory(aws.kms, 'test'),
        inventory: new KmsSigningKeyInventory(aws.kms, 'test'),
        times: keyTimesFor({ rotationSeconds: DAY, verifierCacheSeconds: 7200 }),
        now: () => 1,
        randomId: randomUUID,
      })
      expect(reports.flatMap(({ faults }) => faults)).toEqual([])
    },
    { timeout: 60_000 },
  )
})
afterAll(() => aws.close())
afterEach(() => aws.endpoint.faults.clear())

async function inMemory(): Promise<Signer> {
  const keys = new MemoryKeys()
  await keys.activate('RS256')
  await keys.activate('ES256')
  return keys
}

async function jwsBy(
  signer: Signer,
  algorithm: SigningAlgorithm,
): Promise<{ jws: string; key: ManifestKey }> {
  const key = await signer.activeKey(algorithm)
  const header = Buffer.from(JSON.stringify({ alg: algorithm })).toString('base64url')
  const input = `${header}.${Buffer.from('{}').toString('base64url')}`
  return { jws: compactJws(input, await signer.sign(key, input)), key }
}

describe.each<[string, () => Promise<Signer>]>([
  ['in memory', inMemory],
  ['in KMS', async () => kmsSigner()],
])('a signer %s', (_name, create) => {
  it.each(['RS256', 'ES256'] as const)('makes %s signatures that jose verifies', async (algorithm) => {
    const signer = await create()
    for (let i = 0; i < 20; i++) {
      const { jws, key } = await jwsBy(signer, algorithm)
      const publicKey = await importPublicKey(key.publicJwk, algorithm)
      await expect(compactVerify(jws, publicKey as never, { algorithms: [algorithm] })).resolves.toBeDefined()
    }
  })

  it('gives the active key of the ring', async () => {
    expect(await (await create()).activeKey('ES256')).toMatchObject({ algorithm: 'ES256', state: 'active' })
  })

  it('has a fault, not a signature, for a key that is not active', async () => {
    const signer = await create()
    const key = await signer.activeKey('RS256')
    const other = { ...key, kid: 'another', keyArn: arnOf(await signer.activeKey('ES256')) }
    await expect(signer.sign(other, 'text')).rejects.toThrow('key another is not active')
  })

  it('has a fault, not a signature, for a key that it does not have', async () => {
    const signer = await create()
    const key = await signer.activeKey('RS256')
    const missing = {
      ...key,
      keyArn: 'arn:aws:kms:eu-west-1:111111111111:key/00000000-0000-4000-8000-000000000000',
    }
    await expect(signer.sign(missing, 'text')).rejects.toThrow(DependencyUnavailable)
  })
})

describe('the signer of all rings', () => {
  it('lets no signature out that a key has made after its time, whichever signer was mistaken', async () => {
    const memory = new MemoryKeyManifests()
    const manifests = new CachedKeyManifests(memory, () => nowMs)
    const keys = new MemoryKeys()
    const signer = new RingSigner(keys, undefined, manifests)
    const active = await keys.activate('ES256')
    const ring = (key: ManifestKey, version: number) =>
      memory.save({ ring: 'ES256', version, pending: undefined, keys: [key] })
    await ring(active, 1)
    await expect(signer.sign(active, 'text')).resolves.toBeDefined()
    const since = Math.floor(nowMs / 1000)
    await ring({ ...active, state: 'retired', since }, 2)
    manifests.forget('ES256')
    nowMs += 59_000
    await expect(signer.sign(active, 'text')).resolves.toBeDefined()
    nowMs += 1000
    await expect(signer.sign(active, 'text')).rejects.toThrow(SignedByRetiredKey)
    await ring({ ...active, state: 'disabled', since }, 3)
    manifests.forget('ES256')
    await expect(signer.sign(active, 'text')).rejects.toThrow(SignedByRetiredKey)
  })
})

describe('the KMS signer', () => {
  it('gives, once it was told to forget, the key that the manifest names by then, after one read', async () => {
    const memory = new MemoryKeyManifests()
    const manifest = (await store().read('ES256')) as KeyManifest
    const next = manifest.keys.find(({ state }) => state === 'published') as ManifestKey
    await memory.save({ ...manifest, version: 1 })
    const signer = new KmsSigner(aws.kms, new CachedKeyManifests(memory, () => nowMs))
    const { kid } = await signer.activeKey('ES256')
    await memory.save({ ...withActive(manifest, next, 1), version: 2 })
    expect((await signer.activeKey('ES256')).kid).toBe(kid)
    signer.forget('ES256')
    const read = vi.spyOn(memory, 'read')
    expect((await signer.activeKey('ES256')).kid).toBe(next.kid)
    await signer.activeKey('ES256')
    expect(read).toHaveBeenCalledTimes(1)
  })

  it.each(['RS256', 'ES256'] as const)('lets no garbled %s signature out', async (algorithm) => {
    aws.endpoint.faults.set({ operation: 'kms:Sign', kind: 'garble' })
    for (let i = 0; i < 100; i++) await expect(jwsBy(kmsSigner(), algorithm)).rejects.toThrow(WrongSignature)
  })

  it('lets no signature by another key out', async () => {
    const signer = kmsSigner()
    const [rsa, other] = [await signer.activeKey('RS256'), await new MemoryKeys().activate('RS256')]
    await expect(signer.sign({ ...rsa, publicJwk: other.publicJwk }, 'text')).rejects.toThrow(WrongSignature)
  })

  it('signs with no key that the manifest has published or retired, even if KMS would', async () => {
    const manifest = await store().read('ES256')
    const next = manifest?.keys.find(({ state }) => state === 'published') as ManifestKey
    const refused = withoutKms(() => kmsSigner().sign({ ...next, state: 'active' }, 'text'))
    await expect(refused).rejects.toThrow(`key ${next.kid} is not active`)
    const memory = new MemoryKeyManifests()
    const signer = new KmsSigner(aws.kms, new CachedKeyManifests(memory, () => nowMs))
    const retired = { ...next, state: 'retired', since: Math.floor(nowMs / 1000) - 60 } as const
    await memory.save({ ring: 'ES256', version: 1, pending: undefined, keys: [retired] })
    await expect(signer.sign(retired, 'text')).rejects.toThrow('is not active')
  })

  it('ends a request with the key that it began with, though the next one has just taken over', async () => {
    const manifest = (await store().read('ES256')) as KeyManifest
    const next = manifest.keys.find(({ state }) => state === 'published') as ManifestKey
    const memory = new MemoryKeyManifests()
    await memory.save({ ...manifest, version: 1 })
    const signer = new KmsSigner(aws.kms, new CachedKeyManifests(memory, () => nowMs))
    const key = await signer.activeKey('ES256')
    await memory.save({ ...withActive(manifest, next, Math.floor(nowMs / 1000)), version: 2 })
    nowMs += 60_000
    expect(await signer.activeKey('ES256')).toMatchObject({ kid: next.kid })
    nowMs -= 1000
    await expect(signer.sign(key, 'text')).resolves.toBeDefined()
  })

  it('reads the manifest again, once, after KMS refused the key: the next request has the key that took over', async () => {
    const memory = new MemoryKeyManifests()
    const manifest = (await store().read('ES256')) as KeyManifest
    const next = manifest.keys.find(({ state }) => state === 'published') as ManifestKey
    await memory.save({ ...manifest, version: 1 })
    const signer = new KmsSigner(aws.kms, new CachedKeyManifests(memory, () => nowMs))
    const key = await signer.activeKey('ES256')
    await aws.kms.send(new DisableKeyCommand({ KeyId: arnOf(key) }))
    await memory.save({ ...withActive(manifest, next, Math.floor(nowMs / 1000)), version: 2 })
    await expect(signer.sign(key, 'text')).rejects.toThrow('DisabledException')
    const read = vi.spyOn(memory, 'read')
    const taken = await signer.activeKey('ES256')
    expect(taken.kid).toBe(next.kid)
    await expect(signer.sign(taken, 'text')).resolves.toBeDefined()
    expect(read).toHaveBeenCalledTimes(1)
    await aws.kms.send(new EnableKeyCommand({ KeyId: arnOf(key) }))
  })

  it('does not read the manifest again because KMS is slow', async () => {
    const signer = kmsSigner()
    const key = await signer.activeKey('RS256')
    aws.endpoint.faults.set({ operation: 'kms:Sign', kind: 'throttle' })
    await expect(signer.sign(key, 'text')).rejects.toThrow(DependencyUnavailable)
    expect(await readsDuring(() => signer.activeKey('RS256'))).toBe(0)
  })

  it('uses a manifest of at most 60 s, renewed without waiting from 30 s on', async () => {
    const signer = kmsSigner()
    expect(await readsDuring(() => signer.activeKey('ES256'))).toBe(1)
    nowMs += 29_999
    expect(await readsDuring(() => signer.activeKey('ES256'))).toBe(0)
    nowMs += 1
    aws.endpoint.faults.set({ operation: 'dynamodb:GetItem', kind: 'hang' })
    expect(await signer.activeKey('ES256')).toBeDefined()
    nowMs += 30_000
    await expect(signer.activeKey('ES256')).rejects.toThrow(DependencyUnavailable)
  })

  it('asks anew at each request while no key is active', async () => {
    const manifest = (await store().read('ES256')) as KeyManifest
    const memory = new MemoryKeyManifests()
    const none = manifest.keys.map((key) => ({ ...key, state: 'published' as const }))
    await memory.save({ ...manifest, keys: none, version: 1 })
    const signer = new KmsSigner(aws.kms, new CachedKeyManifests(memory, () => nowMs))
    await expect(signer.activeKey('ES256')).rejects.toThrow('no active ES256 key')
    await memory.save({ ...manifest, version: 2 })
    await expect(signer.activeKey('ES256')).resolves.toMatchObject({ state: 'active' })
  })

  it('says that no key is active before the first one is', async () => {
    const empty = new KmsSigner(aws.kms, new CachedKeyManifests(new MemoryKeyManifests(), () => nowMs))
    await expect(empty.activeKey('RS256')).rejects.toThrow('no active RS256 key')
  })
})

describe.each([
  ['in memory', () => new MemoryKeyManifests()],
  ['in DynamoDB', () => new DynamoDbKeyManifests(aws.dynamoDb, 'other-keys')],
])('a key manifest store %s', (_name, create) => {
  it('saves a version once, and only after the one before it', async () => {
    const manifests = create()
    const manifest = {
      ring: 'RS256' as const,
      version: 1,
      pending: { reservation: 'r', keyArn: 'arn', since: 1 },
      keys: [],
    }
    expect(await manifests.read('RS256')).toBeUndefined()
    expect(await manifests.save({ ...manifest, version: 2 })).toBe('conflict')
    expect(await manifests.save(manifest)).toBe('saved')
    expect(await manifests.save(manifest)).toBe('conflict')
    expect(await manifests.read('RS256')).toEqual(manifest)
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, () => manifests.save({ ...manifest, version: 2 })),
    )
    expect(outcomes.filter((outcome) => outcome === 'saved')).toHaveLength(1)
  })
})

async function withoutKms(work: () => Promise<unknown>): Promise<unknown> {
  const send = vi.spyOn(aws.kms, 'send')
  try {
    return await work()
  } finally {
    expect(send).not.toHaveBeenCalled()
    send.mockRestore()
  }
}

async function readsDuring(work: () => Promise<unknown>): Promise<number> {
  let reads = 0
  const send = aws.dynamoDb.send.bind(aws.dynamoDb)
  aws.dynamoDb.send = ((...sent: Parameters<typeof send>) => {
    reads++
    return send(...sent)
  }) as never
  await work()
  aws.dynamoDb.send = send
  return reads
}
