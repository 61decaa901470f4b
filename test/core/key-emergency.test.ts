import { describe, expect, it } from 'vitest'
import { planKeyRevocation, planRotation, withKeyRevoked } from '../../functions/core/key-emergency.ts'
import type { KeyManifest, KeyState, ManifestKey } from '../../functions/core/key-lifecycle.ts'
import { isPublished } from '../../functions/core/key-lifecycle.ts'
import { keyTimesFor } from '../../functions/core/key-times.ts'

const NOW = 1_800_000_000
const HOUR = 3600
const TIMES = keyTimesFor({ rotationSeconds: 720 * HOUR, verifierCacheSeconds: 2 * HOUR })

function key(kid: string, state: KeyState, since = NOW - 10 * HOUR): ManifestKey {
  return { kid, keyArn: `arn:${kid}`, algorithm: 'RS256', publicJwk: { kty: 'RSA' }, state, since }
}

function ring(...keys: readonly ManifestKey[]): KeyManifest {
  return { ring: 'RS256', version: 7, pending: undefined, keys }
}

const SETTLED = ring(key('old', 'retired'), key('now', 'active'), key('next', 'published'))

const states = ({ keys }: KeyManifest) =>
  keys.map(({ kid, state, since }) => `${kid} ${state} ${since - NOW}`)

describe('a rotation ahead of its time', () => {
  it('hands over to the next key, and keeps the one before it published for its last tokens', () => {
    expect(planRotation(SETTLED, TIMES, { now: NOW })).toMatchObject({
      next: { kid: 'next' },
      active: { kid: 'now' },
      publishedUntil: NOW + TIMES.retiredSeconds,
      knownFrom: NOW - 10 * HOUR + TIMES.publishedSeconds,
    })
  })

  it('says from when every verifier has the next key', () => {
    const young = ring(key('now', 'active'), key('next', 'published', NOW - 60))
    expect(planRotation(young, TIMES, { now: NOW })?.knownFrom).toBe(NOW - 60 + TIMES.publishedSeconds)
  })

  it('waits for nobody in a ring that has never signed', () => {
    const first = ring(key('first', 'published', NOW - 1))
    expect(planRotation(first, TIMES, { now: NOW })).toMatchObject({ active: undefined, knownFrom: NOW - 1 })
  })

  it('is not possible without a next key, nor with one that KMS refuses', () => {
    expect(planRotation(ring(key('now', 'active')), TIMES, { now: NOW })).toBeUndefined()
    expect(planRotation(SETTLED, TIMES, { now: NOW, refused: ['next'] })).toBeUndefined()
  })
})

describe('the revocation of a key', () => {
  const plan = (kid: string, manifest = SETTLED, refused: readonly string[] = []) =>
    planKeyRevocation(manifest, kid, { times: TIMES, refused })
  const revoked = (kid: string, manifest = SETTLED, refused: readonly string[] = []) => {
    const planned = plan(kid, manifest, refused)
    if (planned === undefined) throw new Error('no plan')
    return withKeyRevoked(manifest, planned, NOW)
  }

  it('of the active one lets the next one sign, in one version', () => {
    expect(plan('now')).toMatchObject({
      leavesJwks: true,
      wasActive: true,
      successor: { kid: 'next' },
      knownFrom: NOW - 10 * HOUR + TIMES.publishedSeconds,
    })
    expect(states(revoked('now'))).toEqual([`old retired ${-10 * HOUR}`, 'now disabled 0', 'next active 0'])
    expect(revoked('now').version).toBe(8)
  })

  it('of the active one leaves nobody to sign where no key, or only one that KMS refuses, could take over', () => {
    for (const [manifest, refused] of [
      [ring(key('now', 'active')), []],
      [ring(key('now', 'active'), key('next', 'published')), ['next']],
    ] as const) {
      expect(plan('now', manifest, refused)).toMatchObject({ wasActive: true, successor: undefined })
      expect(revoked('now', manifest, refused).keys.some(({ state }) => state === 'active')).toBe(false)
      expect(revoked('now', manifest, refused).version).toBe(8)
    }
  })

  it.each(['old', 'next'])('of %s, which does not sign, takes it out of the key set alone', (kid) => {
    expect(plan(kid)).toMatchObject({ leavesJwks: true, wasActive: false, successor: undefined })
    const { keys } = revoked(kid)
    expect(keys.filter(isPublished).map((each) => each.kid)).not.toContain(kid)
    expect(keys.find((each) => each.kid === 'now')?.state).toBe('active')
  })

  it.each(['disabled', 'deleted'] as const)('of one that is %s changes nothing', (state) => {
    const manifest = ring(key('gone', state), key('now', 'active'))
    expect(plan('gone', manifest)).toMatchObject({ leavesJwks: false, successor: undefined })
    expect(revoked('gone', manifest)).toBe(manifest)
  })

  it('is of a key of the ring', () => {
    expect(plan('other')).toBeUndefined()
  })
})
