import type { KeyManifest } from '../core/key-lifecycle.ts'
import { LIMITS } from '../core/limits.ts'
import type { KeyManifestStore } from '../core/ports.ts'
import type { RingName } from '../core/types.ts'

// The life cycle of the keys is computed with this: a manifest that lives longer would sign with a key that is gone.
const EXPIRE_AFTER_MS = LIMITS.manifestCacheSeconds * 1000
const REFRESH_AFTER_MS = EXPIRE_AFTER_MS / 2

interface Cached {
  readonly manifest: KeyManifest | undefined
  readonly readAt: number
}

interface Reading {
  readonly startedAt: number
  readonly cached: Promise<Cached>
}

/**
 * The manifests as this environment knows them, read at most 60 s ago. From 30 s on they are read again beside the
 * request that is being served, so that a busy environment never waits for them.
 */
export class CachedKeyManifests {
  private readonly store: KeyManifestStore
  private readonly nowMs: () => number
  private readonly cached = new Map<RingName, Cached>()
  private readonly reading = new Map<RingName, Reading>()

  constructor(store: KeyManifestStore, nowMs: () => number) {
    this.store = store
    this.nowMs = nowMs
  }

  /** The time that ages are measured by. Epoch seconds. */
  now(): number {
    return Math.floor(this.nowMs() / 1000)
  }

  /** The ring's manifest, at most 60 s old. */
  async current(ring: RingName): Promise<KeyManifest | undefined> {
    const known = this.cached.get(ring)
    const age = known === undefined ? Number.POSITIVE_INFINITY : this.nowMs() - known.readAt
    if (known === undefined || age >= EXPIRE_AFTER_MS) return (await this.readOnce(ring)).manifest
    // What fails here is tried again by the next request, and waited for once the 60 s are over.
    if (age >= REFRESH_AFTER_MS) this.readOnce(ring).catch(() => undefined)
    return known.manifest
  }

  /** As {@link current}, but serves what was read last, however long ago, while the store cannot be read. */
  async lastGood(ring: RingName): Promise<KeyManifest | undefined> {
    try {
      return await this.current(ring)
    } catch (error) {
      const known = this.cached.get(ring)
      if (known === undefined) throw error
      return known.manifest
    }
  }

  /** Makes the next {@link current} read again: what is cached was found to be wrong. */
  forget(ring: RingName): void {
    this.cached.delete(ring)
    this.reading.delete(ring)
  }

  private readOnce(ring: RingName): Promise<Cached> {
    const underWay = this.reading.get(ring)
    // Lambda may have frozen this environment in the middle of a read: what it began then is not of today.
    if (underWay !== undefined && this.nowMs() - underWay.startedAt < EXPIRE_AFTER_MS) return underWay.cached
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

  private async read(ring: RingName, readAt: number): Promise<Cached> {
    return { readAt, manifest: await this.store.read(ring) }
  }
}
