import { describe, expect, it } from 'vitest'
import { CachedKeyManifests } from '../../functions/adapters/cached-key-manifests.ts'
import { KmsSigner } from '../../functions/adapters/kms-signer.ts'
import { KmsSigningKeyFactory } from '../../functions/adapters/kms-signing-key-factory.ts'
import { importPublicKey } from '../../functions/core/import-public-key.ts'
import type { ManifestKey } from '../../functions/core/key-lifecycle.ts'
import { MemoryKeyManifests } from '../support/fakes.ts'
import { inProcessKms } from '../support/in-process-kms.ts'

const SIGNATURES = 10_000

describe('ES256 signatures by KMS', () => {
  it(`verify, all ${SIGNATURES} of them, short r and s included`, async () => {
    const kms = await inProcessKms(Date.now)
    const factory = new KmsSigningKeyFactory(kms, 'test')
    const keyArn = await factory.create('ES256', 'r')
    const publicJwk = await factory.publicKey(keyArn)
    const key: ManifestKey = { kid: 'k', keyArn, algorithm: 'ES256', publicJwk, state: 'active', since: 0 }
    const store = new MemoryKeyManifests()
    await store.save({ ring: 'ES256', version: 1, pending: undefined, keys: [key] })
    const signer = new KmsSigner(kms, new CachedKeyManifests(store, Date.now))
    const publicKey = await importPublicKey(publicJwk, 'ES256')
    if (publicKey === undefined) throw new Error('the public key is not one')
    const short = { r: 0, s: 0 }
    for (let i = 0; i < SIGNATURES; i++) {
      const text = `text ${i}`
      const signature = await signer.sign(key, text)
      expect(signature).toHaveLength(64)
      const isValid = await crypto.subtle.verify(
        { name: 'ECDSA', hash: 'SHA-256' },
        publicKey,
        signature as Uint8Array<ArrayBuffer>,
        Buffer.from(text),
      )
      if (!isValid) expect.fail(`signature ${i} does not verify`)
      if (signature[0] === 0) short.r++
      if (signature[32] === 0) short.s++
    }
    // One in 256 each: that none is among so many has a chance of 10^-17.
    expect(short.r).toBeGreaterThan(0)
    expect(short.s).toBeGreaterThan(0)
  })
})
