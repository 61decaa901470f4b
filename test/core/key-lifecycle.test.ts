import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  emptyManifest,
  isPublished,
  type KeyManifest,
  type KeyState,
  type ManifestKey,
  maySign,
  planKeySteps,
  withActive,
} from '../../functions/core/key-lifecycle.ts'
import {
  keyTimesFor,
  PUBLISHED_KEYS_PER_RING,
  shortestRotationSeconds,
} from '../../functions/core/key-times.ts'

const NOW = 1_800_000_000
const HOUR = 3600
const DAY = 24 * HOUR
const TIMES = keyTimesFor({ rotationSeconds: 30 * DAY, verifierCacheSeconds: 2 * HOUR })
/** Verifier, HTTP cache, manifest, skew. */
const CACHES = 2 * HOUR + 300 + 60 + 30

function key(kid: string, state: KeyState, since: number): ManifestKey {
  return { kid, keyArn: `arn:${kid}`, algorithm: 'RS256', publicJwk: { kty: 'RSA' }, state, since }
}

function ring(...keys: readonly ManifestKey[]): KeyManifest {
  return { ring: 'RS256', version: 7, pending: undefined, keys }
}

/** The plan as `kind kid?` with its time. */
function planned(manifest: KeyManifest, unusable: readonly string[] = []) {
  return planKeySteps(manifest, TIMES, { unusable: new Set(unusable) }).map(({ step, at }) => [
    'key' in step ? `${step.kind} ${step.key.kid}` : step.kind,
    at,
  ])
}

describe('the times of a key', () => {
  it('follow from what may be cached, and for how long', () => {
    expect(TIMES).toEqual({
      pendingSeconds: DAY,
      publishedSeconds: CACHES,
      activeSeconds: 30 * DAY,
      retiredSeconds: HOUR + CACHES,
      disabledSeconds: 7 * DAY,
      deletedSeconds: 31 * DAY,
    })
  })

  it('grow with the slowest verifier', () => {
    const slow = keyTimesFor({ rotationSeconds: DAY, verifierCacheSeconds: 10 * HOUR })
    expect(slow.publishedSeconds - TIMES.publishedSeconds).toBe(8 * HOUR)
    expect(slow.retiredSeconds - TIMES.retiredSeconds).toBe(8 * HOUR)
  })

  it('leave room for every key of a rotation that is as short as allowed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 300, max: DAY }), (verifierCacheSeconds) => {
        const rotationSeconds = shortestRotationSeconds(verifierCacheSeconds)
        const { publishedSeconds, retiredSeconds } = keyTimesFor({ rotationSeconds, verifierCacheSeconds })
        const retired = Math.ceil((retiredSeconds + 900) / rotationSeconds)
        expect(retired + 2).toBeLessThanOrEqual(PUBLISHED_KEYS_PER_RING)
        expect(publishedSeconds + 900).toBeLessThanOrEqual(rotationSeconds)
      }),
    )
    expect(PUBLISHED_KEYS_PER_RING).toBe(3)
  })
})

describe('the plan of a ring', () => {
  it('begins with a reservation, before anything is made', () => {
    expect(planned(emptyManifest('RS256'))).toEqual([['reserve', 0]])
  })

  it('makes the key of the reservation, then publishes it, and gives up after a day', () => {
    const reserved = { ...ring(), pending: { reservation: 'r', since: NOW } }
    expect(planned(reserved)).toEqual([
      ['abandon', NOW + DAY],
      ['create', NOW],
    ])
    const made = { ...ring(), pending: { reservation: 'r', keyArn: 'arn', since: NOW } }
    expect(planned(made)).toEqual([
      ['abandon', NOW + DAY],
      ['publish', NOW],
    ])
  })

  it('lets the first key sign at once', () => {
    expect(planned(ring(key('a', 'published', NOW)))).toEqual([['activate a', NOW]])
  })

  it('makes the next key as soon as one is active', () => {
    expect(planned(ring(key('a', 'active', NOW)))).toEqual([['reserve', NOW]])
  })

  it('lets the next key sign when the rotation is due', () => {
    const keys = [key('a', 'active', NOW), key('b', 'published', NOW + 5)]
    expect(planned(ring(...keys))).toEqual([['activate b', NOW + 30 * DAY]])
  })

  it('lets no key sign before every cache must have it, however late the rotation is', () => {
    const keys = [key('a', 'active', NOW - 60 * DAY), key('b', 'published', NOW)]
    expect(planned(ring(...keys))).toEqual([['activate b', NOW + CACHES]])
  })

  it('retires, disables and deletes a key no sooner than its times allow', () => {
    const others = [key('x', 'active', NOW), key('y', 'published', NOW)]
    const next = ['activate y', NOW + 30 * DAY]
    expect(planned(ring(key('a', 'retired', NOW), ...others))).toEqual([
      next,
      ['disable a', NOW + HOUR + CACHES],
    ])
    expect(planned(ring(key('a', 'disabled', NOW), ...others))).toEqual([next, ['delete a', NOW + 7 * DAY]])
    expect(planned(ring(key('a', 'deleted', NOW), ...others))).toEqual([next, ['forget a', NOW + 31 * DAY]])
  })

  it('lets the next key take over early from one that KMS refuses to use, but not before the caches have it', () => {
    const keys = [key('a', 'active', NOW), key('b', 'published', NOW)]
    expect(planned(ring(...keys), ['a'])).toEqual([['activate b', NOW + CACHES]])
  })

  it('replaces a next key that KMS refuses to use', () => {
    const keys = [key('a', 'active', NOW), key('b', 'published', NOW)]
    expect(planned(ring(...keys), ['b'])).toEqual([
      ['withdraw b', NOW],
      ['reserve', NOW],
    ])
  })

  it('does not treat a key as the first one after another has been withdrawn', () => {
    const keys = [key('a', 'retired', NOW), key('b', 'published', NOW)]
    expect(planned(ring(...keys))).toContainEqual(['activate b', NOW + CACHES])
  })

  it('publishes no key for which the set has no room', () => {
    const retired = ['a', 'b', 'c', 'd'].map((kid) => key(kid, 'retired', NOW))
    const full = { ...ring(...retired, key('e', 'active', NOW)), pending: { reservation: 'r', since: NOW } }
    expect(planned(full).map(([step]) => step)).toEqual(['disable a', 'disable b', 'disable c', 'disable d'])
  })
})

describe('a switch to the next key', () => {
  it('is one change of the manifest, whatever was in it', () => {
    const states = fc.constantFrom<KeyState>('published', 'active', 'retired', 'disabled', 'deleted')
    fc.assert(
      fc.property(fc.array(states, { minLength: 1, maxLength: 6 }), (before) => {
        const keys = before.map((state, index) => key(`k${index}`, state, NOW))
        const next = { ...(keys[0] as ManifestKey) }
        const after = withActive(ring(...keys), next, NOW + 9)
        expect(after.version).toBe(8)
        expect(after.keys.filter(({ state }) => state === 'active').map(({ kid }) => kid)).toEqual(['k0'])
        expect(after.keys.filter(isPublished).length).toBeGreaterThanOrEqual(keys.filter(isPublished).length)
      }),
    )
  })
})

describe('the right to sign', () => {
  const manifest = ring(
    key('published', 'published', NOW - DAY),
    key('active', 'active', NOW - DAY),
    key('just-retired', 'retired', NOW - 59),
    key('retired', 'retired', NOW - 60),
    key('disabled', 'disabled', NOW - 10),
    key('deleted', 'deleted', NOW - 10),
  )

  it.each([
    ['active', true],
    // A request that began before the switch ends with the key that it began with.
    ['just-retired', true],
    ['retired', false],
    ['published', false],
    ['disabled', false],
    ['deleted', false],
    ['unknown', false],
  ])('of a key that is %s: %s', (kid, expected) => {
    expect(maySign(manifest, kid, NOW)).toBe(expected)
  })

  it('is nobody’s without a manifest', () => {
    expect(maySign(undefined, 'active', NOW)).toBe(false)
  })
})
