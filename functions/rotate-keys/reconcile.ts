import { KeyRingFault } from '../core/fault.ts'
import {
  changed,
  emptyManifest,
  type KeyManifest,
  type KeyStep,
  type KmsKey,
  type PlannedStep,
  planKeySteps,
} from '../core/key-lifecycle.ts'
import { DELEGATED_RING, type KeyTimes, KMS_RINGS } from '../core/key-times.ts'
import type { KeyAttester, KeyManifestStore, SigningKeyFactory, SigningKeyInventory } from '../core/ports.ts'
import { isDelegated } from '../core/signing-ring.ts'
import type { RingName } from '../core/types.ts'
import { carryOut, type StepWorld } from './carry-out.ts'

export interface KeyRotation {
  readonly store: KeyManifestStore
  readonly factory: SigningKeyFactory
  readonly inventory: SigningKeyInventory
  readonly times: KeyTimes
  /** @default - the ring of delegated keys is not looked at */
  readonly delegated?: DelegatedRotation
  /** Epoch seconds. */
  readonly now: () => number
  /** 128 random bits, base64url. */
  readonly randomId: () => string
}

/** How the ring of delegated keys differs from those in KMS. */
export interface DelegatedRotation {
  readonly times: KeyTimes
  readonly attester: KeyAttester
  /** Makes the keys. `undefined` where no target of the policy asks for them: those that there are live out their time. */
  readonly keys: (SigningKeyFactory & SigningKeyInventory) | undefined
}

/** How a run left a ring. */
export interface RingReport {
  readonly ring: RingName
  /** As it was read last; `undefined` if it could not be read. */
  readonly manifest: KeyManifest | undefined
  /** Time of the next step, epoch seconds: in the past if the step did not succeed. */
  readonly nextStepAt: number | undefined
  /** What went wrong. The next run tries again. */
  readonly faults: readonly unknown[]
}

/** More steps than any ring ever needs at once; conflicts with another run count too. */
const MAX_STEPS = 20

/**
 * Takes every step that is due in any ring, one conditional write at a time. Safe to run at any moment, more than once at a
 * time, and to die anywhere. A step or a ring that fails does not hold up the others. Never throws.
 */
export async function reconcileKeys(rotation: KeyRotation): Promise<readonly RingReport[]> {
  const { delegated } = rotation
  const begun = delegated && (await beginDelegatedRing(rotation, delegated))
  const reports: RingReport[] = []
  for (const ring of KMS_RINGS) {
    const world = stepWorldOf(ring, rotation)
    reports.push(await reconcileRing({ ring, world, isWindingDown: false }, rotation, []))
  }
  if (delegated !== undefined) {
    const es256 = reports.find(({ ring }) => ring === 'ES256')?.manifest
    const ring = delegatedWork(rotation, delegated, es256)
    reports.push(await reconcileRing(ring, rotation, begun ?? []))
  }
  return reports
}

/** What a single step of the ring needs, for whoever takes it by hand. */
export function stepWorldOf(ring: RingName, rotation: KeyRotation, es256?: KeyManifest): StepWorld {
  const { delegated } = rotation
  if (ring !== DELEGATED_RING) return { ...rotation, attestation: undefined }
  if (delegated === undefined) throw new KeyRingFault('the ring of delegated keys is not looked at')
  return delegatedWork(rotation, delegated, es256).world
}

interface RingWork {
  readonly ring: RingName
  readonly world: StepWorld
  readonly isWindingDown: boolean
}

/** What is to be done to delegated keys. They are vouched for by the KMS key that signs ES256 tokens. */
function delegatedWork(
  rotation: KeyRotation,
  { times, attester, keys }: DelegatedRotation,
  es256: KeyManifest | undefined,
): RingWork {
  const by = es256?.keys.find((key): key is KmsKey => key.state === 'active' && !isDelegated(key))
  const maker = keys ?? NO_KEYS
  const world = { ...rotation, factory: maker, inventory: maker, times, attestation: { attester, by } }
  return { ring: DELEGATED_RING, world, isWindingDown: keys === undefined }
}

/** A ring that winds down makes and tries no keys, and what disables its keys is the manifest. */
const NO_KEYS: SigningKeyFactory & SigningKeyInventory = {
  create: () => Promise.reject(new KeyRingFault('no delegated keys are made')),
  publicKey: () => Promise.reject(new KeyRingFault('no delegated keys are made')),
  prove: async () => 'proven',
  find: async () => [],
  disable: async () => undefined,
  scheduleDeletion: async () => undefined,
}

/**
 * Gives the ring of delegated keys a manifest before the other rings have keys. In a new deployment its first key is promised
 * by it: the key set is not served until that key is in, so that it may sign at once. Later it would be too late for that,
 * and a first key waits like every other until all caches have it. Returns what went wrong.
 */
async function beginDelegatedRing(
  { store, now, randomId }: KeyRotation,
  { keys }: DelegatedRotation,
): Promise<readonly unknown[]> {
  try {
    if ((await store.read(DELEGATED_RING)) !== undefined) return []
    const others = await Promise.all(KMS_RINGS.map((ring) => store.read(ring)))
    const isNew = keys !== undefined && others.every((other) => (other?.keys ?? []).length === 0)
    const first = { reservation: randomId(), signsAtOnce: true, since: now() } as const
    await store.save(changed(emptyManifest(DELEGATED_RING), { pending: isNew ? first : undefined }))
    return []
  } catch (fault) {
    return [fault]
  }
}

async function reconcileRing(
  { ring, world, isWindingDown }: RingWork,
  { store, now }: KeyRotation,
  before: readonly unknown[],
): Promise<RingReport> {
  const { inventory, times } = world
  const attester = world.attestation?.by?.kid
  const faults: unknown[] = [...before]
  const failed = new Set<string>()
  let manifest: KeyManifest | undefined
  let unusable: ReadonlySet<string> | undefined
  try {
    for (let steps = 0; steps < MAX_STEPS; steps++) {
      // Read again after each write: what another run has done meanwhile counts as done.
      manifest = (await store.read(ring)) ?? emptyManifest(ring)
      unusable ??= await findUnusable(manifest, world, faults)
      const plan = planKeySteps(manifest, times, { unusable, isWindingDown, attester })
      const due = plan.find(({ step, at }) => at <= now() && !failed.has(nameOf(step)))
      if (due === undefined) {
        if (!isWindingDown) faults.push(...missingKey(manifest, unusable, plan))
        return { ring, manifest, nextStepAt: earliest(plan.map(({ at }) => at)), faults }
      }
      try {
        const { manifest: next, strays } = await carryOut(due.step, manifest, world)
        if ((await store.save(next)) === 'saved')
          for (const keyArn of strays)
            await inventory.disable(keyArn).catch((fault: unknown) => faults.push(fault))
      } catch (fault) {
        failed.add(nameOf(due.step))
        faults.push(fault)
      }
    }
    faults.push(new KeyRingFault(`ring ${ring} is not settled after ${MAX_STEPS} steps`))
  } catch (fault) {
    faults.push(fault)
  }
  return { ring, manifest, nextStepAt: undefined, faults }
}

/** The keys that sign, or are to sign next, and with which KMS refuses to: somebody has disabled or deleted them. */
async function findUnusable(
  manifest: KeyManifest,
  { factory }: StepWorld,
  faults: unknown[],
): Promise<ReadonlySet<string>> {
  const unusable = new Set<string>()
  for (const key of manifest.keys.filter(({ state }) => state === 'active' || state === 'published')) {
    try {
      if ((await factory.prove(key)) === 'refused') unusable.add(key.kid)
    } catch (fault) {
      // KMS may be down: that says nothing of the key.
      faults.push(fault)
    }
  }
  return unusable
}

function missingKey(
  { ring, keys }: KeyManifest,
  unusable: ReadonlySet<string>,
  plan: readonly PlannedStep[],
): readonly KeyRingFault[] {
  const active = keys.find(({ state }) => state === 'active')
  // The first key of a ring that came later than the others waits for the caches: all is well.
  const isComing = ring === DELEGATED_RING && plan.some(({ step }) => step.kind === 'activate')
  if (active === undefined && isComing) return []
  if (active === undefined) return [new KeyRingFault('no key is active')]
  return unusable.has(active.kid) ? [new KeyRingFault(`KMS refuses the active key ${active.kid}`)] : []
}

function nameOf(step: KeyStep): string {
  return 'key' in step ? `${step.kind} ${step.key.kid}` : step.kind
}

function earliest(times: readonly number[]): number | undefined {
  return times.length === 0 ? undefined : Math.min(...times)
}
