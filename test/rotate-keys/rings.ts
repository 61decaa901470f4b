import { keyTimesFor } from '../../functions/core/key-times.ts'
import { type KeyPeriods, secondsBeyondPeriod } from '../../functions/rotate-keys/key-age.ts'
import { keyHealth } from '../../functions/rotate-keys/key-health.ts'
import { type KeyRotation, reconcileKeys } from '../../functions/rotate-keys/reconcile.ts'
import type { KeyHealth } from '../../functions/run-telemetry.ts'
import { MemoryKeyManifests, MemoryKeys, newEcKey } from '../support/fakes.ts'

export const HOUR = 3600
export const DAY = 24 * HOUR
export const START = 1_800_000_000

const timesOf = (rotationSeconds: number) => keyTimesFor({ rotationSeconds, verifierCacheSeconds: 2 * HOUR })

/** All rings of a deployment in memory and virtual time: a key in KMS signs for 30 days, a delegated one for a day. */
export class Rings {
  /** Epoch seconds. */
  now = START
  readonly store = new MemoryKeyManifests()
  readonly periods: KeyPeriods = { RS256: 30 * DAY, ES256: 30 * DAY, 'delegated-ES256': DAY }
  /** What the rotation plans by. */
  inKms = timesOf(30 * DAY)
  delegated = timesOf(DAY)
  /** Whether KMS answers those who try a key. */
  kmsAnswers = true
  private readonly keys = new MemoryKeys(newEcKey)
  private ids = 0

  rotation(): KeyRotation {
    const { keys } = this
    const factory = Object.assign(Object.create(keys) as MemoryKeys, {
      prove: (key: Parameters<MemoryKeys['prove']>[0]) =>
        this.kmsAnswers ? keys.prove(key) : Promise.reject(new Error('KMS is down')),
    })
    return {
      store: this.store,
      factory,
      inventory: keys,
      times: this.inKms,
      delegated: {
        times: this.delegated,
        attester: { attest: async (_, by) => `by ${by.kid}` },
        keys: factory,
      },
      now: () => this.now,
      randomId: () => `reservation-${++this.ids}`,
    }
  }

  /** A run of the function, and what it measures. */
  async run(rotation = this.rotation()): Promise<KeyHealth> {
    const reports = await reconcileKeys(rotation)
    return { ...keyHealth(reports, this.now), secondsBeyondPeriod: await this.beyond() }
  }

  beyond(): Promise<number | undefined> {
    return secondsBeyondPeriod(this.store, this.periods, this.now)
  }
}
