import { calculateJwkThumbprint, type JWK } from 'jose'
import {
  changed,
  emptyManifest,
  type KeyManifest,
  type KeyStep,
  type ManifestKey,
  nextKeyStep,
  RINGS,
  withKeyState,
} from '../core/key-lifecycle.ts'
import type { KeyManifestStore, Signer, SigningKeyFactory } from '../core/ports.ts'
import type { SigningAlgorithm } from '../core/types.ts'

export interface KeyRotation {
  readonly store: KeyManifestStore
  readonly factory: SigningKeyFactory
  readonly signer: Signer
}

/** More steps than any ring ever needs at once; conflicts with another run count too. */
const MAX_STEPS = 12

/**
 * Brings every ring to where nothing is left to do, one conditional step at a time. Safe to run at any moment and more
 * than once at a time. Throws what a step threw; the next run continues there.
 */
export async function reconcileKeys(rotation: KeyRotation, now: number): Promise<void> {
  for (const ring of RINGS) await reconcileRing(ring, rotation, now)
}

async function reconcileRing(ring: SigningAlgorithm, rotation: KeyRotation, now: number): Promise<void> {
  for (let steps = 0; steps < MAX_STEPS; steps++) {
    const manifest = (await rotation.store.read(ring)) ?? emptyManifest(ring)
    const step = nextKeyStep(manifest)
    if (step === undefined) return
    // A conflict means that another run was faster: read again and continue from its state.
    await rotation.store.save(await carryOut(step, manifest, { ...rotation, now }))
  }
  throw new Error(`ring ${ring} is not settled after ${MAX_STEPS} steps`)
}

async function carryOut(
  step: KeyStep,
  manifest: KeyManifest,
  { factory, signer, now }: KeyRotation & { readonly now: number },
): Promise<KeyManifest> {
  switch (step.kind) {
    case 'create':
      return changed(manifest, { pending: { keyArn: await factory.create(manifest.ring), since: now } })
    case 'publish': {
      const { keyArn } = step.pending
      const publicJwk = await factory.publicKey(keyArn)
      const kid = await calculateJwkThumbprint(publicJwk as JWK)
      const key: ManifestKey = {
        kid,
        keyArn,
        algorithm: manifest.ring,
        state: 'published',
        publicJwk,
        since: now,
      }
      // Self-test: the signer throws unless the public key verifies what the new key signs.
      await signer.sign(key, `self-test of ${kid}`)
      return changed(manifest, { pending: undefined, keys: [...manifest.keys, key] })
    }
    case 'activate':
      return withKeyState(manifest, step.key, 'active', now)
  }
}
