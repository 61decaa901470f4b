import { randomUUID } from 'node:crypto'
import { DisableKeyCommand, type KMSClient, ScheduleKeyDeletionCommand } from '@aws-sdk/client-kms'
import { compactVerify } from 'jose'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { CachedKeyManifests } from '../../functions/adapters/cached-key-manifests.ts'
import { KmsSigner } from '../../functions/adapters/kms-signer.ts'
import { KmsSigningKeyFactory } from '../../functions/adapters/kms-signing-key-factory.ts'
import { KmsSigningKeyInventory } from '../../functions/adapters/kms-signing-key-inventory.ts'
import { compactJws } from '../../functions/core/access-token.ts'
import { importPublicKey } from '../../functions/core/import-public-key.ts'
import { keyTimesFor } from '../../functions/core/key-times.ts'
import { publishedKeys } from '../../functions/core/published-keys.ts'
import { reconcileKeys } from '../../functions/rotate-keys/reconcile.ts'
import { arnOf, MemoryKeyManifests } from '../support/fakes.ts'
import { inProcessKms } from '../support/in-process-kms.ts'

const HOUR = 3600
const HEADER = Buffer.from('{"alg":"ES256"}').toString('base64url')

let now = 1_800_000_000
let kms: KMSClient
let store: MemoryKeyManifests
let signer: KmsSigner

beforeEach(async () => {
  kms = await inProcessKms(() => now * 1000)
  store = new MemoryKeyManifests()
  signer = new KmsSigner(kms, new CachedKeyManifests(store, () => now * 1000))
  await reconcile()
  now += 3 * HOUR
})

async function reconcile(): Promise<void> {
  await reconcileKeys({
    store,
    factory: new KmsSigningKeyFactory(kms, 'test'),
    inventory: new KmsSigningKeyInventory(kms, 'test'),
    times: keyTimesFor({ rotationSeconds: 24 * HOUR, verifierCacheSeconds: 2 * HOUR }),
    now: () => now,
    randomId: randomUUID,
  })
}

/** What an exchange does with the signer: choose the key, then sign. */
async function sign() {
  const key = await signer.activeKey('ES256')
  const input = `${HEADER}.${HEADER}`
  return { key, jws: compactJws(input, await signer.sign(key, input)) }
}

describe('an active key that an operator takes away', () => {
  it.each([
    ['disables', DisableKeyCommand, 'DisabledException'],
    ['schedules for deletion', ScheduleKeyDeletionCommand, 'KMSInvalidStateException'],
  ])(
    'and %s is replaced at the next run, and from then on each environment reads once and signs',
    async (_how, Command, refusal) => {
      const before = await sign()
      await kms.send(new Command({ KeyId: arnOf(before.key) }) as DisableKeyCommand)
      await expect(sign()).rejects.toThrow(refusal)
      await reconcile()
      const read = vi.spyOn(store, 'read')
      const after = await sign()
      expect(after.key.kid).not.toBe(before.key.kid)
      expect(read).toHaveBeenCalledTimes(1)
      await sign()
      expect(read).toHaveBeenCalledTimes(1)
      const published = publishedKeys([await store.read('ES256')])
      for (const { key, jws } of [before, after]) {
        const found = published.find(({ kid }) => kid === key.kid)
        const publicKey = await importPublicKey(found?.publicJwk ?? { kty: 'none' }, 'ES256')
        await expect(compactVerify(jws, publicKey as never)).resolves.toBeDefined()
      }
    },
  )
})
