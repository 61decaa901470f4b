import { calculateJwkThumbprint, type JWK } from 'jose'
import { KeyRingFault } from '../core/fault.ts'
import {
  changed,
  type KeyManifest,
  type KeyStep,
  type ManifestKey,
  type PendingKey,
  withActive,
  withKeyState,
} from '../core/key-lifecycle.ts'
import type { KeyPair, SigningKeyFactory, SigningKeyInventory } from '../core/ports.ts'

/** What a step needs of the world. */
export interface StepWorld {
  readonly factory: SigningKeyFactory
  readonly inventory: SigningKeyInventory
  /** Epoch seconds. Asked for after the effect: what is counted from here is counted from the write that follows. */
  readonly now: () => number
  readonly randomId: () => string
}

export interface StepOutcome {
  /** What the manifest is to say now. The step counts once this is saved. */
  readonly manifest: KeyManifest
  /** Keys that were made in vain. Certain only once the manifest is saved: until then, another run may be ahead. */
  readonly strays: readonly string[]
}

/** Has the step's effect, which may be had twice. Throws what KMS makes of it, and for a key that fails its self-test. */
export async function carryOut(step: KeyStep, manifest: KeyManifest, world: StepWorld): Promise<StepOutcome> {
  if (step.kind === 'create') return findOrCreate(step.pending, manifest, world)
  return { manifest: await afterStep(step, manifest, world), strays: [] }
}

async function afterStep(
  step: Exclude<KeyStep, { kind: 'create' }>,
  manifest: KeyManifest,
  { factory, inventory, now, randomId }: StepWorld,
): Promise<KeyManifest> {
  switch (step.kind) {
    case 'reserve':
      return changed(manifest, { pending: { reservation: randomId(), since: now() } })
    case 'publish': {
      const key = await provenKey(step.keyArn, manifest, factory)
      const published: ManifestKey = { ...key, state: 'published', since: now() }
      return changed(manifest, { pending: undefined, keys: [...manifest.keys, published] })
    }
    case 'abandon':
      return changed(manifest, { pending: undefined })
    case 'activate':
      await selfTest(step.key, factory)
      return withActive(manifest, step.key, now())
    case 'withdraw':
      return withKeyState(manifest, step.key, 'retired', now())
    case 'disable':
      await inventory.disable(step.key.keyArn)
      return withKeyState(manifest, step.key, 'disabled', now())
    case 'delete':
      await inventory.scheduleDeletion(step.key.keyArn)
      return withKeyState(manifest, step.key, 'deleted', now())
    case 'forget':
      return changed(manifest, { keys: manifest.keys.filter(({ kid }) => kid !== step.key.kid) })
  }
}

/**
 * The key of this reservation: a run may have died, or overtake this one, between making it and writing it down. Keys of
 * other reservations that no entry names were made in vain. They are never taken up: tags alone do not prove that the
 * broker made a key, and that nobody else knows its private half.
 */
async function findOrCreate(
  pending: PendingKey,
  manifest: KeyManifest,
  { factory, inventory }: StepWorld,
): Promise<StepOutcome> {
  const { reservation } = pending
  const known = new Set(manifest.keys.map(({ keyArn }) => keyArn))
  const unknown = (await inventory.find(manifest.ring)).filter(({ keyArn }) => !known.has(keyArn))
  const made = unknown.find((key) => key.reservation === reservation)
  const keyArn = made?.keyArn ?? (await factory.create(manifest.ring, reservation))
  return {
    manifest: changed(manifest, { pending: { ...pending, keyArn } }),
    strays: unknown.filter((key) => key.reservation !== reservation).map((key) => key.keyArn),
  }
}

async function provenKey(
  keyArn: string,
  { ring }: KeyManifest,
  factory: SigningKeyFactory,
): Promise<KeyPair> {
  const publicJwk = await factory.publicKey(keyArn)
  const kid = await calculateJwkThumbprint(publicJwk as JWK)
  const key = { kid, keyArn, algorithm: ring, publicJwk }
  await selfTest(key, factory)
  return key
}

async function selfTest(key: KeyPair, factory: SigningKeyFactory): Promise<void> {
  if ((await factory.prove(key)) === 'refused')
    throw new KeyRingFault(`KMS refuses to sign with key ${key.kid}`)
}
