import type { KeyManifest } from '../core/key-lifecycle.ts'
import { LIMITS } from '../core/limits.ts'
import type { KeyManifestStore } from '../core/ports.ts'
import type { SigningAlgorithm } from '../core/types.ts'

interface Cached {
  readonly manifest: KeyManifest | undefined
  readonly readAt: number
}

interface Reading {
  readonly startedAt: number
  readonly cached: Promise<Cached>
}

/**
 * The manifests as this environment knows them, read at most 60 s ago, or as long as it is told. From half of that on they
 * are read again beside the request that is being served, so that a busy environment never waits for them.
 */
export class CachedKeyManifests {
  private readonly store: KeyManifestStore
  private readonly nowMs: () => number
  private readonly expireAfterMs: number
  private readonly cached = new Map<SigningAlgorithm, Cached>()
  private readonly reading = new Map<SigningAlgorithm, Reading>()

  /** The life cycle of the keys is computed with the default: with a manifest that lives longer, a key that is gone would sign. */
  constructor(
    store: KeyManifestStore,
    nowMs: () => number,
    maxAgeSeconds: number = LIMITS.manifestCacheSeconds,
  ) {
    this.store = store
    this.nowMs = nowMs
    this.expireAfterMs = maxAgeSeconds * 1000
  }

  /** The time that ages are measured by. Epoch seconds. */
  now(): number {
    return Math.floor(this.nowMs() / 1000)
  }

  /** The ring's manifest, no older than that. */
  async current(ring: SigningAlgorithm): Promise<KeyManifest | undefined> {
    const known = this.cached.get(ring)
    const age = known === undefined ? Number.POSITIVE_INFINITY : this.nowMs() - known.readAt
    if (known === undefined || age >= this.expireAfterMs) return (await this.readOnce(ring)).manifest
    // What fails here is tried again by the next request, and waited for once the time is over.
    if (age >= this.expireAfterMs / 2) this.readOnce(ring).catch(() => undefined)
    return known.manifest
  }

  /** As {@link current}, but serves what was read last, however long ago, while the store cannot be read. */
  async lastGood(ring: SigningAlgorithm): Promise<KeyManifest | undefined> {
    try {
      return await this.current(ring)
    } catch (error) {
      const known = this.cached.get(ring)
      if (known === undefined) throw error
      return known.manifest
    }
  }

  /** Makes the next {@link current} read again: what is cached was found to be wrong. */
  forget(ring: SigningAlgorithm): void {
    this.cached.delete(ring)
    this.reading.delete(ring)
  }

  private readOnce(ring: SigningAlgorithm): Promise<Cached> {
    const underWay = this.reading.get(ring)
    // Lambda may have frozen this environment in the middle of a read: what it began then is not of today.
    if (underWay !== undefined && this.nowMs() - underWay.startedAt < this.expireAfterMs)
      return underWay.cached
    const startedAt = this.nowMs()
    const reading: Reading = { startedAt, cached: this.read(ring, startedAt) }
    this.reading.set(ring, reading)
    const settle = (cached: Cached | undefined) => {
      // Only if nobody has asked to forget, or begun anew, since it began.
      if (this.reading.get(ring) !== reading) return
      this.reading.delete(ring)
      // A ring without keys yet is asked for again each time: its first key may come at any moment.
      if (cached?.manifest !== undefined) this.cached.set(ring, cached)
    }
    return reading.cached.then(
      (cached) => {
        settle(cached)
        return cached
      },
      (error: unknown) => {
        settle(undefined)
        throw error
      },
    )
  }

  private async read(ring: SigningAlgorithm, readAt: number): Promise<Cached> {
    return { readAt, manifest: await this.store.read(ring) }
  }
}
