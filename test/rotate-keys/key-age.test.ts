import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { composeKeyRotation } from '../../functions/compose.ts'
import { withKeyState } from '../../functions/core/key-lifecycle.ts'
import { RINGS } from '../../functions/core/key-times.ts'
import type { RingName } from '../../functions/core/types.ts'
import { secondsBeyondPeriod } from '../../functions/rotate-keys/key-age.ts'
import { toEnvironment } from '../../functions/settings.ts'
import { DAY, HOUR, Rings, START } from './rings.ts'

let rings: Rings
beforeEach(() => {
  rings = new Rings()
})

const activeSince = (ring: RingName) =>
  rings.store.manifests.get(ring)?.keys.find(({ state }) => state === 'active')?.since

describe('how long a key signs beyond its period', () => {
  it('is below zero until its time is over, and begins anew with the key that takes over', async () => {
    const seen: [number, number | undefined][] = []
    await rings.run()
    for (const now of [START, START + HOUR, START + DAY - 1, START + DAY]) {
      rings.now = now
      seen.push([now - START, await rings.beyond()])
    }
    expect(seen).toEqual([
      [0, -DAY],
      [HOUR, HOUR - DAY],
      [DAY - 1, -1],
      [DAY, 0],
    ])
    // The run at which it is due measures the key that signs from then on.
    expect((await rings.run()).secondsBeyondPeriod).toBe(-DAY)
  })

  it('goes on while a step fails, and the run is measured all the same', async () => {
    await rings.run()
    rings.kmsAnswers = false
    rings.now += 3 * DAY
    const { rings: health, secondsBeyondPeriod: beyond } = await rings.run()
    expect(health.every(({ hasFailed }) => hasFailed)).toBe(true)
    expect(beyond).toBe(2 * DAY)
  })

  it('is that of a key of a day, though one of a month is older by far', async () => {
    await rings.run()
    rings.now += 20 * DAY
    await rings.run()
    rings.delegated = { ...rings.delegated, activeSeconds: 1000 * DAY }
    rings.now += 5 * DAY
    await rings.run()
    expect([activeSince('RS256'), activeSince('delegated-ES256')]).toEqual([START, START + 20 * DAY])
    expect(await rings.beyond()).toBe(4 * DAY)
  })

  it('does not ask the plan, which may take a key for young', async () => {
    const never = { activeSeconds: 1000 * DAY }
    rings.inKms = { ...rings.inKms, ...never }
    rings.delegated = { ...rings.delegated, ...never }
    await rings.run()
    rings.now += 40 * DAY
    const { secondsToNextStep, secondsBeyondPeriod: beyond } = await rings.run()
    expect(secondsToNextStep).toBeGreaterThan(900 * DAY)
    expect(beyond).toBe(39 * DAY)
    rings.store.manifests.delete('delegated-ES256')
    expect(await rings.beyond()).toBe(10 * DAY)
  })

  it('counts a ring that no run steps', async () => {
    await rings.run()
    rings.now += 3 * DAY
    const { delegated: _, ...withoutDelegated } = rings.rotation()
    const { rings: stepped, secondsBeyondPeriod: beyond } = await rings.run(withoutDelegated)
    expect(stepped.map(({ ring }) => ring)).toEqual(['RS256', 'ES256'])
    expect(beyond).toBe(2 * DAY)
  })

  it('is nothing of a ring in which no key is active, and nothing at all where none is', async () => {
    expect(await rings.beyond()).toBeUndefined()
    await rings.run()
    for (const ring of RINGS) {
      const manifest = rings.store.manifests.get(ring)
      const active = manifest?.keys.find(({ state }) => state === 'active')
      if (manifest === undefined || active === undefined) throw new Error(`ring ${ring} has no active key`)
      rings.store.manifests.set(ring, withKeyState(manifest, active, 'retired', rings.now))
      const left = RINGS.filter((each) => activeSince(each) !== undefined)
      const expected = Math.max(...left.map((each) => -rings.periods[each]))
      expect(await rings.beyond()).toBe(left.length === 0 ? undefined : expected)
    }
  })

  it('is that of the rings that can be read', async () => {
    await rings.run()
    const beyond = (isDown: (ring: RingName) => boolean) => {
      const read = async (ring: RingName) => {
        if (isDown(ring)) throw new Error('down')
        return rings.store.read(ring)
      }
      return secondsBeyondPeriod({ read }, rings.periods, rings.now)
    }
    expect(await beyond((ring) => ring === 'delegated-ES256')).toBe(-30 * DAY)
    expect(await beyond((ring) => ring === 'RS256')).toBe(-DAY)
    expect(await beyond(() => true)).toBeUndefined()
  })
})

describe('the periods', () => {
  afterEach(() => void vi.unstubAllEnvs())

  it('are those of the deployment, each of its ring', () => {
    const settings = toEnvironment({
      issuer: 'https://tokens.example.com',
      stage: 'test',
      signingKeysTable: 'signing-keys',
      keyRotationSeconds: String(90 * DAY),
      delegatedKeySeconds: String(6 * HOUR),
      verifierCacheSeconds: String(2 * HOUR),
    })
    for (const [name, value] of Object.entries({ ...settings, AWS_REGION: 'eu-west-1' }))
      vi.stubEnv(name, value)
    const { periods, times, delegated } = composeKeyRotation()
    expect(periods).toEqual({ RS256: 90 * DAY, ES256: 90 * DAY, 'delegated-ES256': 6 * HOUR })
    expect([times.activeSeconds, delegated?.times.activeSeconds]).toEqual([90 * DAY, 6 * HOUR])
  })
})
