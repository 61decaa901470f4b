import { calculateJwkThumbprint, type JWK } from 'jose'
import { KeyRingFault } from '../core/fault.ts'
import {
  type Attestation,
  attestedUntil,
  changed,
  type DelegatedKey,
  type KeyHandle,
  type KeyManifest,
  type KeyStep,
  type KmsKey,
  type ManifestKey,
  type PendingKey,
  withActive,
  withKeyState,
} from '../core/key-lifecycle.ts'
import { DELEGATED_RING, type KeyTimes } from '../core/key-times.ts'
import type { KeyAttester, KeyPair, SigningKeyFactory, SigningKeyInventory } from '../core/ports.ts'
import { isDelegated } from '../core/signing-ring.ts'

/** What a step needs of the world. */
export interface StepWorld {
  readonly factory: SigningKeyFactory
  readonly inventory: SigningKeyInventory
  readonly times: KeyTimes
  /** Whoever vouches for the keys of the ring. `undefined` for rings whose keys need nobody to. */
  readonly attestation: { readonly attester: KeyAttester; readonly by: KmsKey | undefined } | undefined
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
  world: StepWorld,
): Promise<KeyManifest> {
  const { factory, inventory, now, randomId } = world
  switch (step.kind) {
    case 'reserve':
      return changed(manifest, { pending: { reservation: randomId(), since: now() } })
    case 'publish': {
      const key = await publishable(step.handle, manifest, world)
      return changed(manifest, { pending: undefined, keys: [...manifest.keys, { ...key, since: now() }] })
    }
    case 'abandon':
      return changed(manifest, { pending: undefined })
    case 'activate':
      await selfTest(step.key, factory)
      return withActive(manifest, step.key, now())
    case 'attest': {
      const attestation = await attestationOf(step.key, world)
      const keys = manifest.keys.map((key) =>
        key.kid === step.key.kid && isDelegated(key) ? { ...key, attestation } : key,
      )
      return changed(manifest, { keys })
    }
    case 'withdraw':
      return withKeyState(manifest, step.key, 'retired', now())
    case 'disable':
      await inventory.disable(handleOf(step.key))
      return withKeyState(manifest, step.key, 'disabled', now())
    case 'delete':
      await inventory.scheduleDeletion(handleOf(step.key))
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
  const known = new Set(manifest.keys.map(handleOf))
  const unknown = (await inventory.find(manifest.ring)).filter(({ keyArn }) => !known.has(keyArn))
  const made = unknown.find((key) => key.reservation === reservation)
  const handle = made?.keyArn ?? (await factory.create(manifest.ring, reservation))
  const half = manifest.ring === DELEGATED_RING ? { wrapped: handle } : { keyArn: handle }
  return {
    manifest: changed(manifest, { pending: { ...pending, ...half } }),
    strays: unknown.filter((key) => key.reservation !== reservation).map((key) => key.keyArn),
  }
}

function handleOf(key: ManifestKey): KeyHandle {
  return isDelegated(key) ? (key.wrapped ?? '') : key.keyArn
}

/** The pending key, proven; a delegated one with the statement without which nobody would use it. */
async function publishable(
  handle: KeyHandle,
  { ring, pending }: KeyManifest,
  world: StepWorld,
): Promise<ManifestKey> {
  const publicJwk = await world.factory.publicKey(handle)
  const kid = await calculateJwkThumbprint(publicJwk as JWK)
  const key: KeyPair =
    ring === DELEGATED_RING
      ? { kid, algorithm: 'ES256', publicJwk, wrapped: handle }
      : { kid, algorithm: ring, publicJwk, keyArn: handle }
  await selfTest(key, world.factory)
  const state = pending?.signsAtOnce === true ? 'active' : 'published'
  const entry = { state, since: world.now() } as const
  if ('keyArn' in key) return { ...key, ...entry }
  return { ...key, ...entry, attestation: await attestationOf({ ...key, ...entry }, world) }
}

async function attestationOf(
  key: Pick<DelegatedKey, 'kid' | 'publicJwk' | 'state' | 'since'>,
  { attestation, times, now }: StepWorld,
): Promise<Attestation> {
  const by = attestation?.by
  if (attestation === undefined || by === undefined)
    throw new KeyRingFault(`no KMS key can vouch for key ${key.kid}`)
  const expiresAt = attestedUntil(key, times, now())
  return { statement: await attestation.attester.attest(key, by, expiresAt), by: by.kid, expiresAt }
}

async function selfTest(key: KeyPair, factory: SigningKeyFactory): Promise<void> {
  if ((await factory.prove(key)) === 'refused')
    throw new KeyRingFault(`KMS refuses to sign with key ${key.kid}`)
}
