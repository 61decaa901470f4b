import { CreateKeyCommand, DescribeKeyCommand, type KMSClient } from '@aws-sdk/client-kms'
import { beforeAll, describe, expect, it } from 'vitest'
import { KmsSigningKeyFactory } from '../../functions/adapters/kms-signing-key-factory.ts'
import { KmsSigningKeyInventory } from '../../functions/adapters/kms-signing-key-inventory.ts'
import { DependencyUnavailable, WrongSignature } from '../../functions/core/fault.ts'
import type { SigningKeyFactory, SigningKeyInventory } from '../../functions/core/ports.ts'
import type { SigningAlgorithm } from '../../functions/core/types.ts'
import { MemoryKeys } from '../support/fakes.ts'
import { inProcessKms } from '../support/in-process-kms.ts'

const DAY_MS = 24 * 60 * 60 * 1000

let kms: KMSClient
let nowMs = 1_800_000_000_000

beforeAll(async () => {
  kms = await inProcessKms(() => nowMs)
})

interface Keys {
  readonly factory: SigningKeyFactory
  readonly inventory: SigningKeyInventory
}

function inMemory(): Keys {
  const keys = new MemoryKeys()
  return { factory: keys, inventory: keys }
}

let stages = 0
function inKms(stage = `stage-${++stages}`): Keys {
  return {
    factory: new KmsSigningKeyFactory(kms, stage),
    inventory: new KmsSigningKeyInventory(kms, stage),
  }
}

async function pairOf({ factory }: Keys, ring: SigningAlgorithm) {
  const keyArn = await factory.create(ring, 'r')
  return { kid: 'k', keyArn, algorithm: ring, publicJwk: await factory.publicKey(keyArn) }
}

describe.each([
  ['in memory', inMemory],
  ['in KMS', inKms],
])('signing keys %s', (_name, create) => {
  it.each([
    ['RS256', { kty: 'RSA', e: 'AQAB' }],
    ['ES256', { kty: 'EC', crv: 'P-256' }],
  ] as const)('of ring %s are made, prove themselves, and have a public half', async (ring, expected) => {
    const keys = create()
    const pair = await pairOf(keys, ring)
    expect(pair.publicJwk).toMatchObject(expected)
    expect(pair.publicJwk).not.toHaveProperty('d')
    expect(await keys.factory.prove(pair)).toBe('proven')
  })

  it('are found by ring, with the reservation that they were made for', async () => {
    const { factory, inventory } = create()
    const made = [await factory.create('ES256', 'one'), await factory.create('ES256', 'two')]
    await factory.create('RS256', 'three')
    const found = (await inventory.find('ES256')).toSorted((a, b) =>
      String(a.reservation).localeCompare(String(b.reservation)),
    )
    expect(found).toEqual([
      { keyArn: made[0], reservation: 'one' },
      { keyArn: made[1], reservation: 'two' },
    ])
  })

  it('refuse to sign once they are disabled or wait for deletion, both of which may be repeated', async () => {
    const keys = create()
    const pair = await pairOf(keys, 'ES256')
    for (let times = 0; times < 2; times++) await keys.inventory.disable(pair.keyArn)
    expect(await keys.factory.prove(pair)).toBe('refused')
    for (let times = 0; times < 2; times++) await keys.inventory.scheduleDeletion(pair.keyArn)
    expect(await keys.factory.prove(pair)).toBe('refused')
    await keys.inventory.disable(pair.keyArn)
  })
})

describe('signing keys in KMS', () => {
  it('of another stage, another ring or without tags are not found', async () => {
    const stage = `stage-${++stages}`
    await inKms('another').factory.create('ES256', 'r')
    await inKms(stage).factory.create('RS256', 'r')
    await kms.send(new CreateKeyCommand({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' }))
    expect(await inKms(stage).inventory.find('ES256')).toEqual([])
  })

  it('wait 30 days for their deletion, and are then no fault', async () => {
    const keys = inKms()
    const pair = await pairOf(keys, 'ES256')
    await keys.inventory.scheduleDeletion(pair.keyArn)
    const { KeyMetadata } = await kms.send(new DescribeKeyCommand({ KeyId: pair.keyArn }))
    expect(KeyMetadata?.KeyState).toBe('PendingDeletion')
    expect(Number(KeyMetadata?.DeletionDate)).toBe((nowMs + 30 * DAY_MS) / 1000)
    nowMs += 31 * DAY_MS
    expect(await keys.factory.prove(pair)).toBe('refused')
    await keys.inventory.disable(pair.keyArn)
    await keys.inventory.scheduleDeletion(pair.keyArn)
  })

  it('do not count as refused because KMS is throttled', async () => {
    const keys = inKms()
    const pair = await pairOf(keys, 'ES256')
    const throttled = {
      send: () => Promise.reject(Object.assign(new Error(), { name: 'ThrottlingException' })),
    }
    const factory = new KmsSigningKeyFactory(throttled as unknown as KMSClient, 'x')
    await expect(factory.prove(pair)).rejects.toThrow(DependencyUnavailable)
  })

  it('do not prove themselves with another key’s signature', async () => {
    const keys = inKms()
    const [one, two] = [await pairOf(keys, 'ES256'), await pairOf(keys, 'ES256')]
    await expect(keys.factory.prove({ ...one, keyArn: two.keyArn })).rejects.toThrow(WrongSignature)
  })

  it('are looked for among 5,000 keys at most, and not where a key policy forbids it', async () => {
    const pages: unknown[] = []
    const endless = {
      send: async (command: { readonly input: { readonly KeyId?: string } }) => {
        if (command.input.KeyId !== undefined)
          throw Object.assign(new Error(), { name: 'AccessDeniedException' })
        pages.push(command.input)
        return { Keys: [{ KeyArn: `arn:${pages.length}` }], Truncated: true, NextMarker: `m${pages.length}` }
      },
    }
    const inventory = new KmsSigningKeyInventory(endless as unknown as KMSClient, 'x')
    expect(await inventory.find('ES256')).toEqual([])
    expect(pages).toHaveLength(5)
    expect(pages[4]).toEqual({ Limit: 1000, Marker: 'm4' })
  })
})
