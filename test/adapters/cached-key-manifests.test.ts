import { beforeEach, describe, expect, it } from 'vitest'
import { CachedKeyManifests } from '../../functions/adapters/cached-key-manifests.ts'
import type { KeyManifest } from '../../functions/core/key-lifecycle.ts'

let nowMs = 0
let reads: ((manifest: KeyManifest | undefined) => void)[] = []
let manifests: CachedKeyManifests

const version = (number: number): KeyManifest => ({
  ring: 'RS256',
  version: number,
  pending: undefined,
  keys: [],
})

beforeEach(() => {
  nowMs = 0
  reads = []
  const read = () => new Promise<KeyManifest | undefined>((resolve) => reads.push(resolve))
  manifests = new CachedKeyManifests({ read, save: async () => 'saved' }, () => nowMs)
})

async function answered(number: number): Promise<KeyManifest | undefined> {
  const current = manifests.current('RS256')
  reads.at(-1)?.(version(number))
  return current
}

describe('cached key manifests', () => {
  it('are read once for any number of simultaneous requests', async () => {
    const requests = Array.from({ length: 10 }, () => manifests.current('RS256'))
    reads[0]?.(version(1))
    expect(new Set(await Promise.all(requests)).size).toBe(1)
    expect(reads).toHaveLength(1)
  })

  it('are not those of a read that began before the environment was frozen', async () => {
    await answered(1)
    nowMs = 31_000
    await manifests.current('RS256')
    expect(reads).toHaveLength(2)
    nowMs = 3_600_000
    const current = manifests.current('RS256')
    reads[1]?.(version(2))
    expect(reads).toHaveLength(3)
    reads[2]?.(version(3))
    expect((await current)?.version).toBe(3)
    expect((await manifests.current('RS256'))?.version).toBe(3)
  })

  it('are not brought back by a read that began before they were forgotten', async () => {
    await answered(1)
    nowMs = 31_000
    await manifests.current('RS256')
    manifests.forget('RS256')
    reads[1]?.(version(1))
    await Promise.resolve()
    expect((await answered(2))?.version).toBe(2)
    expect(reads).toHaveLength(3)
  })

  it('age from the moment at which their read began', async () => {
    const current = manifests.current('RS256')
    nowMs = 59_999
    reads[0]?.(version(1))
    await current
    nowMs = 60_000
    void manifests.current('RS256')
    expect(reads).toHaveLength(2)
  })

  it('live only as long as they are told to, and serve on only where the last good ones may', async () => {
    const read = () => new Promise<KeyManifest | undefined>((resolve) => reads.push(resolve))
    manifests = new CachedKeyManifests({ read, save: async () => 'saved' }, () => nowMs, 5)
    await answered(1)
    nowMs = 2499
    expect((await manifests.current('RS256'))?.version).toBe(1)
    expect(reads).toHaveLength(1)
    nowMs = 5000
    expect((await answered(2))?.version).toBe(2)
    expect(reads).toHaveLength(2)
  })

  it('are asked for again while there are none', async () => {
    const none = manifests.current('RS256')
    reads[0]?.(undefined)
    expect(await none).toBeUndefined()
    expect((await answered(1))?.version).toBe(1)
  })
})
