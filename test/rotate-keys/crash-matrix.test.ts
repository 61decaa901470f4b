import { describe, expect, it } from 'vitest'
import { isPublished, type KeyManifest } from '../../functions/core/key-lifecycle.ts'
import { DELEGATED_RING, KMS_RINGS, keyTimesFor } from '../../functions/core/key-times.ts'
import { LIMITS } from '../../functions/core/limits.ts'
import type { KeyManifestStore, SigningKeyFactory, SigningKeyInventory } from '../../functions/core/ports.ts'
import { isDelegated, ringOfKey } from '../../functions/core/signing-ring.ts'
import { type KeyRotation, reconcileKeys } from '../../functions/rotate-keys/reconcile.ts'
import { handleOf, MemoryKeyManifests, MemoryKeys, newEcKey } from '../support/fakes.ts'

const START = 1_800_000_000
const HOUR = 3600
const DAY = 24 * HOUR
const TICK = 15 * 60
/** Long enough for a key to pass through every state. */
const LIFE = 52 * DAY
const TIMES = keyTimesFor({ rotationSeconds: 10 * DAY, verifierCacheSeconds: 2 * HOUR })

interface CrashPoint {
  /** Which of the run's changes, in the world or in the manifest. */
  readonly change: number
  readonly when: 'before' | 'after'
}

/**
 * One deployment under a virtual clock: its store and keys, a process that can die at one point, an environment that signs
 * with the oldest manifest that it may have, and what verifiers have seen.
 */
class Deployment {
  readonly store = new MemoryKeyManifests()
  readonly keys = new MemoryKeys(newEcKey)
  readonly changes: string[] = []
  now = START
  private readonly crash: CrashPoint | undefined
  private isDead = false
  private reservations = 0
  private readonly publishedSince = new Map<string, number>()
  private readonly lastTokenEnd = new Map<string, number>()
  /** The key of each ring that verifiers cannot lack. */
  private readonly first = new Map<string, string>()
  /** Whether somebody may have read the key set. */
  private isServed = false
  /** Active keys of each ring after every write. Looked at outside the run, which reports what is thrown inside it. */
  private readonly actives: number[] = []

  constructor(crash?: CrashPoint) {
    this.crash = crash
  }

  /** One run, by a new process. In the minute after it, an environment signs with what it read before. */
  async tick(runs = 1): Promise<number> {
    const before = [...this.store.manifests.values()]
    this.isDead = false
    const reports = await Promise.all(Array.from({ length: runs }, () => reconcileKeys(this.rotation())))
    this.now += LIMITS.manifestCacheSeconds - 1
    this.sign(before)
    this.sign([...this.store.manifests.values()])
    this.check()
    const next = reports.flatMap((all) => all.map(({ nextStepAt }) => nextStepAt ?? this.now))
    return Math.max(this.now + TICK, Math.min(...next))
  }

  /** Runs until nothing more is due before `end`, checking every time. */
  async live(end: number, runs = 1): Promise<void> {
    while (this.now < end) {
      const next = await this.tick(runs)
      // Just before a step: what the last tokens need must still be there.
      this.now = next - 1
      this.check()
      this.now = next
    }
  }

  unmanaged(): readonly string[] {
    const managed = [...this.store.manifests.values()].flatMap(({ keys }) => keys.map(handleOf))
    return [...this.keys.made].flatMap(([handle, { ring, state }]) =>
      // KMS has nothing of a delegated key.
      ring !== DELEGATED_RING && state === 'enabled' && !managed.includes(handle) ? [handle] : [],
    )
  }

  private rotation(): KeyRotation {
    const { keys } = this
    const factory: SigningKeyFactory = {
      create: (ring, reservation) => this.change('create', () => keys.create(ring, reservation)),
      publicKey: (handle) => this.alive(() => keys.publicKey(handle)),
      prove: (key) => this.alive(() => keys.prove(key)),
    }
    const inventory: SigningKeyInventory = {
      find: (ring) => this.alive(() => keys.find(ring)),
      disable: (handle) => this.change('disable', () => keys.disable(handle)),
      scheduleDeletion: (handle) => this.change('scheduleDeletion', () => keys.scheduleDeletion(handle)),
    }
    const nothingInKms = { disable: async () => undefined, scheduleDeletion: async () => undefined }
    return {
      store: this.crashingStore(),
      factory,
      inventory,
      times: TIMES,
      delegated: {
        times: TIMES,
        attester: { attest: (_key, by) => this.alive(async () => `by ${by.kid}`) },
        keys: { ...factory, ...inventory, ...nothingInKms },
      },
      now: () => this.now,
      randomId: () => `reservation-${++this.reservations}`,
    }
  }

  private crashingStore(): KeyManifestStore {
    return {
      read: (ring) => this.alive(() => this.store.read(ring)),
      save: (manifest) => {
        const name = `save ${transition(this.store.manifests.get(manifest.ring), manifest)}`
        return this.change(name, async () => {
          const outcome = await this.store.save(manifest)
          this.observe()
          return outcome
        })
      },
    }
  }

  private async alive<T>(call: () => Promise<T>): Promise<T> {
    if (this.isDead) throw new Error('dead')
    return call()
  }

  private async change<T>(name: string, call: () => Promise<T>): Promise<T> {
    if (this.isDead) throw new Error('dead')
    const isHere = this.changes.push(name) - 1 === this.crash?.change
    if (isHere && this.crash?.when === 'before') return this.die()
    const result = await call()
    return isHere ? this.die() : result
  }

  private die(): never {
    this.isDead = true
    throw new Error('dead')
  }

  private sign(manifests: readonly KeyManifest[]): void {
    for (const { keys } of manifests) {
      const active = keys.find(({ state }) => state === 'active')
      if (active === undefined) continue
      const age = this.now - (this.publishedSince.get(active.kid) ?? this.now)
      const isFirst = this.first.get(ringOfKey(active)) === active.kid
      expect(isFirst || age >= TIMES.publishedSeconds, 'a verifier may not have the key').toBe(true)
      expect(this.keys.made.get(handleOf(active))?.state, 'the signing key is usable').toBe('enabled')
      this.lastTokenEnd.set(active.kid, this.now + LIMITS.maxLifetimeSeconds)
    }
  }

  /** What is true the moment a write lands, seen from outside the run. */
  private observe(): void {
    for (const { ring, keys } of this.store.manifests.values()) {
      this.actives.push(keys.filter(({ state }) => state === 'active').length)
      for (const { kid } of keys.filter(isPublished)) {
        if (!this.publishedSince.has(kid)) this.publishedSince.set(kid, this.now)
        if (!this.first.has(ring) && !this.isServed) this.first.set(ring, kid)
      }
    }
    const { manifests } = this.store
    const isPromised = manifests.get(DELEGATED_RING)?.pending?.signsAtOnce === true
    this.isServed ||= !isPromised && KMS_RINGS.every((ring) => manifests.get(ring)?.keys.some(isPublished))
  }

  private check(): void {
    expect(Math.max(0, ...this.actives.splice(0))).toBeLessThanOrEqual(1)
    for (const { keys } of this.store.manifests.values())
      expect(keys.filter(isPublished).length).toBeLessThanOrEqual(3)
    const inJwks = new Set(
      [...this.store.manifests.values()].flatMap(({ keys }) =>
        keys.filter(isPublished).map(({ kid }) => kid),
      ),
    )
    for (const [kid, end] of this.lastTokenEnd)
      if (end > this.now) expect(inJwks.has(kid), 'a valid token’s key is published').toBe(true)
    for (const key of this.store.manifests.get(DELEGATED_RING)?.keys.filter(isDelegated) ?? []) {
      expect(key.wrapped !== undefined, 'a private half is kept as long as the key').toBe(isPublished(key))
      if (isPublished(key)) expect(inJwks.has(key.attestation.by), 'its attester is published').toBe(true)
    }
  }
}

/** Names the step that a change of the manifest was. */
function transition(before: KeyManifest | undefined, after: KeyManifest): string {
  if (before?.pending === undefined && after.pending !== undefined) return 'reserve'
  const handle = (manifest?: KeyManifest) => manifest?.pending?.keyArn ?? manifest?.pending?.wrapped
  if (handle(before) === undefined && handle(after) !== undefined) return 'create'
  const known = new Map(before?.keys.map((key) => [key.kid, key.state]))
  if (after.keys.length < known.size) return 'forget'
  if (after.keys.length > known.size) return 'publish'
  return (
    after.keys.find(({ kid, state }) => state !== 'retired' && known.get(kid) !== state)?.state ?? 'attest'
  )
}

async function changesOfALife(): Promise<readonly string[]> {
  const deployment = new Deployment()
  await deployment.live(START + LIFE)
  expect(deployment.unmanaged()).toEqual([])
  return deployment.changes
}

const changes = await changesOfALife()

describe('a run that dies', () => {
  it('can die at every step and at every effect', () => {
    expect(new Set(changes)).toEqual(
      new Set([
        'save reserve',
        'create',
        'save create',
        'save publish',
        'save active',
        'save attest',
        'disable',
        'save disabled',
        'scheduleDeletion',
        'save deleted',
        'save forget',
      ]),
    )
  })

  it.each(['before', 'after'] as const)(
    'right %s any of its changes is continued by the next run, with nothing signed too early and no key left over',
    async (when) => {
      for (const change of changes.keys()) {
        const deployment = new Deployment({ change, when })
        await deployment.live(START + LIFE + 12 * DAY)
        const at = `${when} ${change}: ${changes[change]}`
        expect(deployment.unmanaged(), at).toEqual([])
        for (const { keys, pending } of deployment.store.manifests.values()) {
          expect(pending, at).toBeUndefined()
          const states = keys
            .map(({ state }) => state)
            .filter((state) => state === 'active' || state === 'published')
          expect(states, at).toEqual(['active', 'published'])
        }
      }
    },
  )

  it('while other runs overlap it leaves nothing behind either', async () => {
    for (const change of changes.keys()) {
      const deployment = new Deployment({ change, when: change % 2 === 0 ? 'before' : 'after' })
      await deployment.live(START + 25 * DAY, 2)
      await deployment.live(START + 45 * DAY)
      expect(deployment.unmanaged(), `${change}`).toEqual([])
    }
  })
})
