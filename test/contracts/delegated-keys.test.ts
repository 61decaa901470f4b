import { randomUUID, webcrypto } from 'node:crypto'
import {
  CreateKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  EncryptCommand,
  GenerateDataKeyPairWithoutPlaintextCommand,
  type KMSClient,
} from '@aws-sdk/client-kms'
import { compactVerify, jwtVerify } from 'jose'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { BrokerIssuerKeys } from '../../functions/adapters/broker-issuer-keys.ts'
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
import { DependencyUnavailable, KeyRingFault, WrongSignature } from '../../functions/core/fault.ts'
import { importPublicKey } from '../../functions/core/import-public-key.ts'
import type { DelegatedKey, KeyManifest } from '../../functions/core/key-lifecycle.ts'
import { DELEGATED_RING, keyTimesFor } from '../../functions/core/key-times.ts'
import { BROKER, type TrustedIssuer } from '../../functions/core/policy/compiled.ts'
import { reconcileKeys } from '../../functions/rotate-keys/reconcile.ts'
import { arnOf, MemoryIssuerKeys, MemoryKeyManifests } from '../support/fakes.ts'
import { inProcessKms } from '../support/in-process-kms.ts'

const HOUR = 3600
const DAY = 24 * HOUR
const START = 1_800_000_000
const ISSUER = 'https://tokens.example.com'

let now = START
let kms: KMSClient
let keyArn: string
let store: MemoryKeyManifests
/** Names of the operations that KMS was asked for. */
let asked: string[]
let failing: string | undefined
/** Of the keys in KMS. */
let rotationSeconds: number

beforeEach(async () => {
  now = START
  asked = []
  failing = undefined
  rotationSeconds = 60 * DAY
  const real = await inProcessKms(() => now * 1000)
  const send = async (command: { readonly constructor: { readonly name: string } }) => {
    const operation = command.constructor.name.replace(/Command$/, '')
    asked.push(operation)
    if (failing === operation) throw Object.assign(new Error(), { name: 'ThrottlingException' })
    return real.send(command as never)
  }
  kms = { send } as unknown as KMSClient
  keyArn = (await kms.send(new CreateKeyCommand({}))).KeyMetadata?.Arn ?? ''
  store = new MemoryKeyManifests()
})

const wrapping = () => new KmsWrapping(kms, keyArn, 'test')
const factory = () => new DelegatedSigningKeys(wrapping())

/** One run of the rotation, where the policy asks for delegated keys. */
const reconcile = () => reconcileWith(factory())
/** As {@link reconcile}, where no target of the policy asks for them. */
const reconcileWithoutDelegation = () => reconcileWith(undefined)

async function reconcileWith(keys: DelegatedSigningKeys | undefined): Promise<readonly string[]> {
  const timesOf = (seconds: number) =>
    keyTimesFor({ rotationSeconds: seconds, verifierCacheSeconds: 2 * HOUR })
  const reports = await reconcileKeys({
    store,
    factory: new KmsSigningKeyFactory(kms, 'test'),
    inventory: new KmsSigningKeyInventory(kms, 'test'),
    times: timesOf(rotationSeconds),
    delegated: { times: timesOf(DAY), attester: new KmsKeyAttester(kms, ISSUER, () => now), keys },
    now: () => now,
    randomId: randomUUID,
  })
  return reports.flatMap(({ faults }) => faults.map(String))
}

function environment() {
  const manifests = new CachedKeyManifests(store, () => now * 1000)
  const options = { issuer: ISSUER, rotationSeconds: DAY }
  return new RingSigner(
    new KmsSigner(kms, manifests),
    new DelegatedSigner(wrapping(), manifests, options),
    manifests,
  )
}

const ring = () =>
  store.manifests.get(DELEGATED_RING) as Omit<KeyManifest, 'keys'> & {
    readonly keys: readonly DelegatedKey[]
  }
const states = () => ring().keys.map(({ state }) => state)
const keyIn = (state: string) => ring().keys.find((key) => key.state === state) as DelegatedKey

/** Changes keys behind everybody's back. */
function tamper(change: (key: DelegatedKey) => DelegatedKey): void {
  store.manifests.set(DELEGATED_RING, { ...ring(), keys: ring().keys.map(change) })
}

async function sign(signer = environment()) {
  const key = await signer.activeKey(DELEGATED_RING)
  const input = [{ alg: 'ES256' }, {}].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
  const jws = compactJws(input.join('.'), await signer.sign(key, input.join('.')))
  const publicKey = await importPublicKey(key.publicJwk, 'ES256')
  await compactVerify(jws, publicKey as never, { algorithms: ['ES256'] })
  return key
}

describe('delegated keys', () => {
  it('are made, prove themselves, and have a public half', async () => {
    const wrapped = await factory().create(DELEGATED_RING)
    const publicJwk = await factory().publicKey(wrapped)
    expect(publicJwk).toEqual({ kty: 'EC', crv: 'P-256', x: expect.any(String), y: expect.any(String) })
    const pair = { kid: 'k', algorithm: 'ES256' as const, publicJwk, wrapped }
    expect(await factory().prove(pair)).toBe('proven')
    expect(await factory().prove({ ...pair, wrapped: undefined })).toBe('refused')
    const other = await factory().create(DELEGATED_RING)
    await expect(factory().prove({ ...pair, wrapped: other })).rejects.toThrow(WrongSignature)
  })

  it('refuse once the key that wraps them is out of use, and not because KMS is throttled', async () => {
    const wrapped = await factory().create(DELEGATED_RING)
    const pair = {
      kid: 'k',
      algorithm: 'ES256' as const,
      publicJwk: await factory().publicKey(wrapped),
      wrapped,
    }
    await kms.send(new DisableKeyCommand({ KeyId: keyArn }))
    expect(await factory().prove(pair)).toBe('refused')
    await kms.send(new EnableKeyCommand({ KeyId: keyArn }))
    failing = 'Decrypt'
    await expect(factory().prove(pair)).rejects.toThrow(DependencyUnavailable)
  })

  it('are those of one stage: another can not decrypt them', async () => {
    const wrapped = await factory().create(DELEGATED_RING)
    await expect(new KmsWrapping(kms, keyArn, 'other').unwrap(wrapped)).rejects.toThrow('InvalidCiphertext')
  })

  it('leave nothing in KMS that could be found, disabled or deleted', async () => {
    const wrapped = await factory().create(DELEGATED_RING)
    const before = asked.length
    expect(await factory().find()).toEqual([])
    await factory().disable()
    await factory().scheduleDeletion()
    expect(asked).toHaveLength(before)
    expect(await factory().publicKey(wrapped)).toBeDefined()
  })

  it('cannot be asked of the factory of another ring, nor can others be of theirs', async () => {
    await expect(factory().create('ES256')).rejects.toThrow(KeyRingFault)
    const inKms = new KmsSigningKeyFactory(kms, 'test')
    await expect(inKms.create(DELEGATED_RING, 'r')).rejects.toThrow(KeyRingFault)
  })

  it('leave nothing of what KMS has decrypted in memory that was handed over', async () => {
    const wrapped = await factory().create(DELEGATED_RING)
    const plaintexts: Uint8Array[] = []
    const real = kms
    const send = async (command: never) => {
      const answer = (await real.send(command)) as { readonly Plaintext?: Uint8Array }
      if (answer.Plaintext !== undefined) plaintexts.push(answer.Plaintext)
      return answer
    }
    kms = { send } as unknown as KMSClient
    await wrapping().unwrap(wrapped)
    await factory().publicKey(wrapped)
    expect(plaintexts.map((bytes) => [bytes.length > 100, bytes.some((byte) => byte !== 0)])).toEqual([
      [true, false],
      [true, false],
    ])
  })

  it('are handed over as keys that cannot be read out again', async () => {
    const key = await wrapping().unwrap(await factory().create(DELEGATED_RING))
    expect(key.extractable).toBe(false)
    await expect(crypto.subtle.exportKey('pkcs8', key)).rejects.toThrow()
  })
})

describe('the ring of delegated keys', () => {
  it('can sign when a new deployment is done', async () => {
    expect(await reconcile()).toEqual([])
    expect(states()).toEqual(['active', 'published'])
    await sign()
  })

  it('begins with that promise though its first run failed, and keeps it with the next', async () => {
    failing = 'GenerateDataKeyPairWithoutPlaintext'
    expect(await reconcile()).not.toEqual([])
    expect(ring().pending?.signsAtOnce).toBe(true)
    failing = undefined
    now += 900
    expect(await reconcile()).toEqual([])
    expect(states()).toEqual(['active', 'published'])
  })

  it('waits with its first key where verifiers may have a key set without it, which is no fault', async () => {
    await reconcileWithoutDelegation()
    now += HOUR
    expect(await reconcile()).toEqual([])
    expect(states()).toEqual(['published'])
    await expect(sign()).rejects.toThrow('no active delegated-ES256 key')
    now += 2 * HOUR + 389
    await reconcile()
    expect(states()).toEqual(['published'])
    now += 1
    await reconcile()
    expect(states()).toEqual(['active', 'published'])
    await sign()
  })

  it('waits too in a deployment of a version that knew no such keys', async () => {
    await reconcileWithoutDelegation()
    store.manifests.delete(DELEGATED_RING)
    now += HOUR
    expect(await reconcile()).toEqual([])
    expect(states()).toEqual(['published'])
  })

  it('is read as it was before there were delegated keys, and costs those who have none nothing', async () => {
    await reconcileWithoutDelegation()
    expect(ring()).toEqual({ ring: DELEGATED_RING, version: 1, pending: undefined, keys: [] })
    expect(asked).not.toContain('GenerateDataKeyPairWithoutPlaintext')
  })

  it('erases a private half when its key is disabled, and forgets the key later', async () => {
    await reconcile()
    const { kid } = keyIn('active')
    const seen = new Set<string>()
    for (; now < START + 45 * DAY; now += 6 * HOUR) {
      expect(await reconcile()).toEqual([])
      const key = ring().keys.find((each) => each.kid === kid)
      if (key === undefined) continue
      seen.add(key.state)
      const isKept = ['active', 'retired'].includes(key.state)
      expect(key.wrapped === undefined, key.state).toBe(!isKept)
    }
    expect([...seen]).toEqual(['active', 'retired', 'disabled', 'deleted'])
    expect(ring().keys.some((each) => each.kid === kid)).toBe(false)
  })

  it('winds down without a call to KMS once no policy asks for it: the active key keeps its time', async () => {
    await reconcile()
    const { kid } = keyIn('active')
    await reconcileWithoutDelegation()
    expect(states()).toEqual(['active', 'retired'])
    expect((await sign()).kid).toBe(kid)
    asked = []
    now = START + DAY
    expect(await reconcileWithoutDelegation()).toEqual([])
    expect(states()).not.toContain('active')
    expect(asked).not.toContain('Decrypt')
    now += 4 * HOUR
    await reconcileWithoutDelegation()
    expect(new Set(states())).toEqual(new Set(['disabled']))
    for (const { wrapped } of ring().keys) expect(wrapped).toBeUndefined()
    expect(ring().pending).toBeUndefined()
  })

  it('that comes back after that waits like any that is new', async () => {
    await reconcile()
    await reconcileWithoutDelegation()
    now += 60 * DAY
    for (let runs = 0; runs < 5; runs++, now += 40 * DAY) await reconcileWithoutDelegation()
    expect(ring().keys).toEqual([])
    await reconcile()
    expect(states()).toEqual(['published'])
  })

  it('replaces keys that the wrapping key can decrypt no more', async () => {
    await reconcile()
    const lost = ring().keys.map(({ kid }) => kid)
    keyArn = (await kms.send(new CreateKeyCommand({}))).KeyMetadata?.Arn ?? ''
    await reconcile()
    now += 3 * HOUR
    expect(await reconcile()).toEqual([])
    expect(lost).not.toContain((await sign()).kid)
  })

  it('is vouched for by the KMS key that signs now, as long as its keys are published', async () => {
    rotationSeconds = 5 * DAY
    for (; now < START + 12 * DAY; now += 2 * HOUR) {
      expect(await reconcile()).toEqual([])
      const es256 = store.manifests.get('ES256')
      const signing = es256?.keys.find(({ state }) => state === 'active')
      for (const key of ring().keys.filter(({ wrapped }) => wrapped !== undefined)) {
        expect(key.attestation.by).toBe(signing?.kid)
        const publicKey = await importPublicKey(signing?.publicJwk ?? { kty: 'none' }, 'ES256')
        const { payload } = await jwtVerify(key.attestation.statement, publicKey as never, {
          currentDate: new Date(now * 1000),
        })
        expect(payload).toMatchObject({ iss: ISSUER, sub: key.kid, exp: key.attestation.expiresAt })
      }
    }
  })

  it('cannot publish a key while no KMS key can vouch for it', async () => {
    failing = 'Sign'
    await reconcile()
    expect(ring().keys).toEqual([])
    failing = undefined
    expect(await reconcile()).toEqual([])
  })
})

describe('an environment that signs with delegated keys', () => {
  const decrypts = () => asked.filter((operation) => operation === 'Decrypt').length

  it('decrypts each key once, and the next one before it takes over', async () => {
    await reconcile()
    const signer = environment()
    asked = []
    for (let minute = 0; minute < 5; minute++, now += 60) await sign(signer)
    expect(asked).toEqual(['Decrypt'])
    const first = keyIn('active').kid
    now = START + DAY - 601
    await sign(signer)
    expect(decrypts()).toBe(1)
    now = START + DAY - 300
    await sign(signer)
    await expect.poll(decrypts).toBe(2)
    now = START + DAY + 900
    await reconcile()
    now += 61
    asked = []
    expect((await sign(signer)).kid).not.toBe(first)
    expect(asked).toEqual([])
  })

  it('ends a request with the key that it began with, and uses it no more a minute later', async () => {
    await reconcile()
    const signer = environment()
    const key = await sign(signer)
    now = START + DAY
    await reconcile()
    now += 30
    await expect(signer.sign(key, 'text')).resolves.toBeDefined()
    now += 31
    await expect(signer.sign(key, 'text')).rejects.toThrow(`key ${key.kid} is not active`)
  })

  it('that slept through its key’s time signs with the one that is active now', async () => {
    await reconcile()
    const signer = environment()
    const key = await sign(signer)
    for (let day = 0; day < 3; day++, now += DAY) await reconcile()
    await expect(signer.sign(key, 'text')).rejects.toThrow('is not active')
    expect((await sign(signer)).kid).not.toBe(key.kid)
  })

  it('has no key once it is disabled', async () => {
    await reconcile()
    const signer = environment()
    await sign(signer)
    tamper((key) => (key.state === 'active' ? { ...key, state: 'disabled', wrapped: undefined } : key))
    now += 61
    await expect(sign(signer)).rejects.toThrow(DependencyUnavailable)
  })

  it('uses no key whose public half somebody has swapped, though it has used it before', async () => {
    await reconcile()
    const signer = environment()
    await sign(signer)
    const { publicJwk } = keyIn('published')
    tamper((key) => ({ ...key, publicJwk }))
    now += 61
    await expect(sign(signer)).rejects.toThrow('no KMS key vouches for')
  })

  it('uses no key under another name: a revocation of its own would not find it', async () => {
    await reconcile()
    tamper((key) => ({ ...key, kid: 'A'.repeat(43) }))
    await expect(sign()).rejects.toThrow('no KMS key vouches for')
  })

  it('uses no key of somebody else, though the wrapping key has encrypted it', async () => {
    await reconcile()
    // Whoever may write the table, and make data key pairs, still cannot sign what is said of them.
    const wrapped = await factory().create(DELEGATED_RING)
    const publicJwk = await factory().publicKey(wrapped)
    tamper((key) => ({ ...key, wrapped, publicJwk }))
    await expect(sign()).rejects.toThrow('no KMS key vouches for')
  })

  it.each<[string, (key: DelegatedKey, es256: KeyManifest) => Partial<DelegatedKey['attestation']>]>([
    ['that has expired', () => ({})],
    ['by a key that is not published', (_key, { keys }) => ({ by: `${keys[0]?.kid}x` })],
    ['by another published key', (_key, { keys }) => ({ by: String(keys[1]?.kid) })],
  ])('uses no key with a statement %s', async (what, change) => {
    await reconcile()
    const es256 = store.manifests.get('ES256') as KeyManifest
    tamper((key) => ({ ...key, attestation: { ...key.attestation, ...change(key, es256) } }))
    if (what.includes('expired')) now = keyIn('active').attestation.expiresAt + 31
    await expect(sign()).rejects.toThrow('no KMS key vouches for')
  })

  it('uses no key with a statement for another issuer', async () => {
    await reconcile()
    const manifests = new CachedKeyManifests(store, () => now * 1000)
    const options = { issuer: 'https://other.example.com', rotationSeconds: DAY }
    const other = new DelegatedSigner(wrapping(), manifests, options)
    await expect(other.activeKey()).rejects.toThrow('no KMS key vouches for')
  })

  it('uses no key whose KMS key has left the key set', async () => {
    await reconcile()
    const es256 = store.manifests.get('ES256') as KeyManifest
    const keys = es256.keys.map((key) => ({ ...key, state: 'disabled' as const }))
    store.manifests.set('ES256', { ...es256, keys })
    await expect(sign()).rejects.toThrow('no KMS key vouches for')
  })

  it('uses no private half that does not belong to the public one', async () => {
    await reconcile()
    const { wrapped } = keyIn('published')
    tamper((key) => ({ ...key, wrapped }))
    await expect(sign()).rejects.toThrow('do not belong together')
  })

  it('uses nothing that is no P-256 key', async () => {
    await reconcile()
    const EncryptionContext = {
      'token-broker:purpose': 'delegated-signing',
      'token-broker:stage': 'test',
      'token-broker:ring': DELEGATED_RING,
    }
    const { CiphertextBlob = new Uint8Array() } = await kms.send(
      new EncryptCommand({ KeyId: keyArn, Plaintext: Buffer.from('text'), EncryptionContext }),
    )
    const rsa = await kms.send(
      new GenerateDataKeyPairWithoutPlaintextCommand({
        KeyId: keyArn,
        KeyPairSpec: 'RSA_2048',
        EncryptionContext,
      }),
    )
    for (const blob of [CiphertextBlob, rsa.PrivateKeyCiphertextBlob ?? new Uint8Array()]) {
      tamper((key) => ({ ...key, wrapped: Buffer.from(blob).toString('base64') }))
      await expect(sign()).rejects.toThrow('no P-256 key')
    }
  })

  it('lets no garbled signature out', async () => {
    await reconcile()
    const signer = environment()
    const key = await sign(signer)
    const real = webcrypto.subtle.sign.bind(webcrypto.subtle)
    const garbled = vi.spyOn(webcrypto.subtle, 'sign').mockImplementation(async (...given) => {
      const signature = new Uint8Array(await real(...given))
      signature[5] = (signature[5] ?? 0) ^ 1
      return signature.buffer
    })
    try {
      await expect(signer.sign(key, 'text')).rejects.toThrow(WrongSignature)
    } finally {
      garbled.mockRestore()
    }
    await expect(signer.sign(key, 'text')).resolves.toBeDefined()
  })

  it('asks KMS again after a Decrypt that failed, and never asks it to sign', async () => {
    await reconcile()
    const signer = environment()
    asked = []
    failing = 'Decrypt'
    await expect(sign(signer)).rejects.toThrow(DependencyUnavailable)
    await expect(sign(signer)).rejects.toThrow(DependencyUnavailable)
    failing = undefined
    await sign(signer)
    expect(asked).toEqual(['Decrypt', 'Decrypt', 'Decrypt'])
  })

  it('signs with each key where its private half is, and with no other', async () => {
    await reconcile()
    const manifests = new CachedKeyManifests(store, () => now * 1000)
    const onlyKms = new RingSigner(new KmsSigner(kms, manifests), undefined, manifests)
    await expect(onlyKms.activeKey(DELEGATED_RING)).rejects.toThrow('has no delegated keys')
    await expect(onlyKms.sign(keyIn('active'), 'text')).rejects.toThrow('has no delegated keys')
    const inKms = await onlyKms.activeKey('ES256')
    await expect(onlyKms.sign(inKms, 'text')).resolves.toBeDefined()
    await expect(new KmsSigner(kms, manifests).activeKey(DELEGATED_RING)).rejects.toThrow('no active')
    await expect(new KmsSigner(kms, manifests).sign(keyIn('active'), 'text')).rejects.toThrow('is not in KMS')
    // A key in KMS in the manifest of delegated keys is not used either way.
    const planted = { ...inKms, kid: 'planted', keyArn: arnOf(inKms) } as const
    store.manifests.set(DELEGATED_RING, { ...ring(), keys: [planted as never] })
    await expect(environment().activeKey(DELEGATED_RING)).rejects.toThrow('no active')
  })
})

describe('the broker’s own tokens', () => {
  it('are verified with the keys of both rings of their algorithm, and no other', async () => {
    await reconcile()
    const manifests = new CachedKeyManifests(store, () => now * 1000)
    const keys = new BrokerIssuerKeys(manifests, new MemoryIssuerKeys())
    const issuer = { id: BROKER, issuer: ISSUER } as TrustedIssuer
    expect(await keys.find(issuer, keyIn('active').kid, 'ES256')).toBeDefined()
    expect(await keys.find(issuer, keyIn('active').kid, 'RS256')).toBeUndefined()
    const inKms = store.manifests.get('ES256')?.keys[0]?.kid ?? ''
    expect(await keys.find(issuer, inKms, 'ES256')).toBeDefined()
    expect(await keys.find(issuer, inKms, 'PS256')).toBeUndefined()
    tamper((key) => ({ ...key, state: 'disabled' }))
    now += 61
    expect(await keys.find(issuer, keyIn('disabled').kid, 'ES256')).toBeUndefined()
  })

  it('are not verified with a delegated key that somebody has planted in the manifest', async () => {
    await reconcile()
    const keys = new BrokerIssuerKeys(new CachedKeyManifests(store, () => now * 1000), new MemoryIssuerKeys())
    const issuer = { id: BROKER, issuer: ISSUER } as TrustedIssuer
    const { publicKey } = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
      'sign',
      'verify',
    ])
    const { kty = '', crv = '', x = '', y = '' } = await webcrypto.subtle.exportKey('jwk', publicKey)
    const { kid } = keyIn('active')
    tamper((key) => ({ ...key, publicJwk: { kty, crv, x, y } as DelegatedKey['publicJwk'] }))
    expect(await keys.find(issuer, kid, 'ES256')).toBeUndefined()
  })
})
