import { KeyRingFault } from '../core/fault.ts'
import { emptyManifest, type KeyManifest, type KeyStep, planKeySteps } from '../core/key-lifecycle.ts'
import { type KeyTimes, RINGS } from '../core/key-times.ts'
import type { KeyManifestStore, SigningKeyFactory, SigningKeyInventory } from '../core/ports.ts'
import type { SigningAlgorithm } from '../core/types.ts'
import { carryOut } from './carry-out.ts'

export interface KeyRotation {
  readonly store: KeyManifestStore
  readonly factory: SigningKeyFactory
  readonly inventory: SigningKeyInventory
  readonly times: KeyTimes
  /** Epoch seconds. */
  readonly now: () => number
  /** 128 random bits, base64url. */
  readonly randomId: () => string
}

/** How a run left a ring. */
export interface RingReport {
  readonly ring: SigningAlgorithm
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
  const reports: RingReport[] = []
  for (const ring of RINGS) reports.push(await reconcileRing(ring, rotation))
  return reports
}

async function reconcileRing(ring: SigningAlgorithm, rotation: KeyRotation): Promise<RingReport> {
  const { store, inventory, times, now } = rotation
  const faults: unknown[] = []
  const failed = new Set<string>()
  let manifest: KeyManifest | undefined
  let unusable: ReadonlySet<string> | undefined
  try {
    for (let steps = 0; steps < MAX_STEPS; steps++) {
      // Read again after each write: what another run has done meanwhile counts as done.
      manifest = (await store.read(ring)) ?? emptyManifest(ring)
      unusable ??= await findUnusable(manifest, rotation, faults)
      const plan = planKeySteps(manifest, times, unusable)
      const due = plan.find(({ step, at }) => at <= now() && !failed.has(nameOf(step)))
      if (due === undefined) {
        faults.push(...missingKey(manifest, unusable))
        return { ring, manifest, nextStepAt: earliest(plan.map(({ at }) => at)), faults }
      }
      try {
        const { manifest: next, strays } = await carryOut(due.step, manifest, rotation)
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
  { factory }: KeyRotation,
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

function missingKey({ keys }: KeyManifest, unusable: ReadonlySet<string>): readonly KeyRingFault[] {
  const active = keys.find(({ state }) => state === 'active')
  if (active === undefined) return [new KeyRingFault('no key is active')]
  return unusable.has(active.kid) ? [new KeyRingFault(`KMS refuses the active key ${active.kid}`)] : []
}

function nameOf(step: KeyStep): string {
  return 'key' in step ? `${step.kind} ${step.key.kid}` : step.kind
}

function earliest(times: readonly number[]): number | undefined {
  return times.length === 0 ? undefined : Math.min(...times)
}
