import { RINGS } from '../core/key-times.ts'
import type { KeyManifestStore } from '../core/ports.ts'
import type { RingName } from '../core/types.ts'

/** For how long a key of each ring is to sign, seconds: what the deployment says, not what a plan makes of it. */
export type KeyPeriods = Readonly<Record<RingName, number>>

/**
 * For how long a key has signed beyond the period of its ring, of all rings where that is most; below zero while no key has.
 * `undefined` if none is active as far as can be read. Seconds; `now` in epoch seconds. Never throws.
 *
 * What is stored and the clock decide: whoever asks the plan, or the run that followed it, is not told when these are wrong.
 * Counted from the end of the period, because a key of a day that signs for a week is younger than one of a month; and not
 * in parts of it, because an hour would then be a quarter of the shortest period and nothing of the longest.
 */
export async function secondsBeyondPeriod(
  store: Pick<KeyManifestStore, 'read'>,
  periods: KeyPeriods,
  now: number,
): Promise<number | undefined> {
  const read = RINGS.map(async (ring) => {
    const active = (await store.read(ring))?.keys.filter(({ state }) => state === 'active') ?? []
    return active.map(({ since }) => now - since - periods[ring])
  })
  // That a ring cannot be read, or has no active key, the run reports.
  const beyond = (await Promise.allSettled(read)).flatMap((ring) =>
    ring.status === 'fulfilled' ? ring.value : [],
  )
  return beyond.length === 0 ? undefined : Math.max(...beyond)
}
