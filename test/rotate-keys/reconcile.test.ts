import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { keyTimesFor } from '../../functions/core/key-times.ts'
import type { SigningAlgorithm } from '../../functions/core/types.ts'
import { answerCustomResource, isCustomResourceEvent } from '../../functions/rotate-keys/custom-resource.ts'
import { keyHealth } from '../../functions/rotate-keys/key-health.ts'
import { reconcileKeys } from '../../functions/rotate-keys/reconcile.ts'
import { createKeyTelemetry } from '../../functions/run-telemetry.ts'
import { arnOf, MemoryKeyManifests, MemoryKeys, newEcKey } from '../support/fakes.ts'

const START = 1_800_000_000
const HOUR = 3600
const DAY = 24 * HOUR

let keys: MemoryKeys
let store: MemoryKeyManifests
let now: number
let rotation: ReturnType<typeof newRotation>

function newRotation() {
  let ids = 0
  return {
    store,
    factory: keys,
    inventory: keys,
    times: keyTimesFor({ rotationSeconds: DAY, verifierCacheSeconds: 2 * HOUR }),
    now: () => now,
    randomId: () => `reservation-${++ids}`,
  }
}

beforeEach(() => {
  keys = new MemoryKeys(newEcKey)
  store = new MemoryKeyManifests()
  now = START
  rotation = newRotation()
})

const run = () => reconcileKeys(rotation)
const faultsOf = async (changes: Partial<typeof rotation>) =>
  (await reconcileKeys({ ...rotation, ...changes })).flatMap(({ faults }) => faults.map(String))
const states = () => store.manifests.get('RS256')?.keys.map(({ state }) => state)
const arnIn = (state: string) => arnOf(store.manifests.get('RS256')?.keys.find((key) => key.state === state))

describe('key reconciliation', () => {
  it('leaves every ring with one active key that has proved itself, and the next one', async () => {
    const reports = await run()
    expect(reports.flatMap(({ faults }) => faults)).toEqual([])
    for (const ring of ['RS256', 'ES256'] as const) {
      const manifest = store.manifests.get(ring)
      expect(manifest).toMatchObject({
        version: 7,
        keys: [
          { state: 'active', algorithm: ring, since: START },
          { state: 'published', algorithm: ring, since: START },
        ],
      })
      expect(manifest?.keys[0]?.kid).toMatch(/^[\w-]{43}$/)
    }
    // Once before each is published, once more before one is active.
    expect(keys.signatures).toBe(2 * 3)
  })

  it('does nothing when nothing is left to do', async () => {
    await run()
    const before = structuredClone(store.manifests)
    now += 900
    await run()
    expect(store.manifests).toEqual(before)
    expect(keys.private.size).toBe(4)
  })

  it('takes a key through all its states in time, and keeps nothing for ever', async () => {
    await run()
    const [first] = store.manifests.get('RS256')?.keys ?? []
    const seen: [string | undefined, number][] = []
    for (; now < START + 45 * DAY; now += 900) {
      await run()
      const state = store.manifests.get('RS256')?.keys.find(({ kid }) => kid === first?.kid)?.state
      if (seen.at(-1)?.[0] !== state) seen.push([state, now - START])
    }
    const disabledAfter = DAY + 3 * HOUR + 15 * 60
    expect(seen).toEqual([
      ['active', 0],
      ['retired', DAY],
      ['disabled', disabledAfter],
      ['deleted', disabledAfter + 7 * DAY],
      [undefined, disabledAfter + 38 * DAY],
    ])
    expect(keys.made.get(arnOf(first))?.state).toBe('pending deletion')
    expect(store.manifests.get('RS256')?.keys.length).toBeLessThanOrEqual(42)
  })

  it('publishes no key that fails its self-test, and continues there at the next run', async () => {
    const failing = Object.assign(Object.create(keys) as MemoryKeys, {
      prove: () => Promise.reject(new Error('not yet allowed')),
    })
    expect(await faultsOf({ factory: failing })).toContain('Error: not yet allowed')
    expect(store.manifests.get('RS256')).toMatchObject({ keys: [], pending: { since: START } })
    // Another refusal must not lead to another key.
    now += 20
    await faultsOf({ factory: failing })
    expect(keys.private.size).toBe(2)
    now += 900
    await run()
    expect(states()).toEqual(['active', 'published'])
    expect(keys.private.size).toBe(4)
  })

  it('gives up on a key that cannot be published for a day, disables it and makes another', async () => {
    await faultsOf({
      factory: Object.assign(Object.create(keys), { publicKey: () => Promise.reject(new Error('no')) }),
    })
    const stuck = store.manifests.get('RS256')?.pending?.keyArn ?? ''
    now += DAY
    await run()
    expect(states()).toEqual(['active', 'published'])
    expect(keys.made.get(stuck)?.state).toBe('disabled')
  })

  it('does not activate the next key if it fails the self-test right before', async () => {
    await run()
    now += DAY
    let proofs = 0
    const factory = Object.assign(Object.create(keys) as MemoryKeys, {
      prove: async () => (++proofs % 3 === 0 ? ('refused' as const) : ('proven' as const)),
    })
    expect(await faultsOf({ factory })).toContainEqual(expect.stringContaining('KMS refuses to sign'))
    expect(states()).toEqual(['active', 'published'])
    await run()
    expect(states()).toEqual(['retired', 'active', 'published'])
  })

  it('continues with the other ring, and with what else is due, where one thing fails', async () => {
    await run()
    now += DAY
    await run()
    now += 4 * HOUR
    const inventory = Object.assign(Object.create(keys) as MemoryKeys, {
      disable: (keyArn: string) =>
        keyArn === arnIn('retired') ? Promise.reject(new Error('denied')) : keys.disable(keyArn),
    })
    const reports = await reconcileKeys({ ...rotation, inventory })
    expect(reports.map(({ ring, faults }) => [ring, faults.length])).toEqual([
      ['RS256', 1],
      ['ES256', 0],
    ])
    expect(store.manifests.get('ES256')?.keys.map(({ state }) => state)).toEqual([
      'disabled',
      'active',
      'published',
    ])
    expect(states()).toEqual(['retired', 'active', 'published'])
  })

  it('reports a store that cannot be read, ring by ring', async () => {
    const failing = Object.assign(Object.create(store) as MemoryKeyManifests, {
      read: (ring: string) => (ring === 'RS256' ? Promise.reject(new Error('down')) : store.read('ES256')),
    })
    const reports = await reconcileKeys({ ...rotation, store: failing })
    expect(reports.map(({ faults }) => faults.length)).toEqual([1, 0])
    expect(reports[0]?.manifest).toBeUndefined()
  })

  it('converges to one active key and one next when runs overlap, with no key left over', async () => {
    await Promise.all([run(), run(), run()])
    expect(states()).toEqual(['active', 'published'])
    for (let day = 0; day < 3; day++) {
      now += DAY
      await Promise.all([run(), run(), run()])
    }
    const known = new Set([...store.manifests.values()].flatMap((manifest) => manifest.keys.map(arnOf)))
    const unmanaged = () =>
      [...keys.made].filter(([arn, key]) => !known.has(arn) && key.state === 'enabled').length
    // What the overlap made in vain is found before the next key is made.
    expect(unmanaged()).toBeGreaterThan(0)
    now += DAY
    await run()
    for (const { keys: managed } of store.manifests.values()) for (const key of managed) known.add(arnOf(key))
    expect(unmanaged()).toBe(0)
  })
})

describe('a key that somebody has put out of use', () => {
  it('is replaced at the next run by the next key, which has been published long enough', async () => {
    await run()
    now += 4 * HOUR
    await keys.disable(arnIn('active'))
    const reports = await run()
    expect(states()).toEqual(['retired', 'active', 'published'])
    expect(reports.flatMap(({ faults }) => faults)).toEqual([])
  })

  it('is reported, and not replaced, while no other key may sign yet', async () => {
    await run()
    now += HOUR
    await keys.disable(arnIn('active'))
    expect(await faultsOf({})).toEqual([expect.stringContaining('KMS refuses the active key')])
    expect(states()).toEqual(['active', 'published'])
    now += 2 * HOUR
    await run()
    expect(states()).toEqual(['retired', 'active', 'published'])
  })

  it('is replaced before it would have been needed', async () => {
    await run()
    now += HOUR
    await keys.disable(arnIn('published'))
    expect(await faultsOf({})).toEqual([])
    expect(states()).toEqual(['active', 'retired', 'published'])
  })

  it('is left in force while KMS does not answer: that says nothing of the key', async () => {
    await run()
    now += 4 * HOUR
    const factory = Object.assign(Object.create(keys) as MemoryKeys, {
      prove: () => Promise.reject(new Error('timeout')),
    })
    expect(await faultsOf({ factory })).toHaveLength(4)
    expect(states()).toEqual(['active', 'published'])
  })
})

describe('keys that no manifest knows', () => {
  it('are taken up if they were made for the reservation', async () => {
    const dying = Object.assign(Object.create(store) as MemoryKeyManifests, {
      save: (manifest: { pending?: { keyArn?: string } }) =>
        manifest.pending?.keyArn === undefined
          ? store.save(manifest as never)
          : Promise.reject(new Error('died')),
    })
    await reconcileKeys({ ...rotation, store: dying })
    expect(keys.private.size).toBe(2)
    await run()
    expect(states()).toEqual(['active', 'published'])
    expect(keys.private.size).toBe(4)
  })

  it('are disabled, never used, if they only have our tags', async () => {
    const planted = await keys.create('RS256', 'guessed')
    await run()
    expect(keys.made.get(planted)?.state).toBe('disabled')
    expect(store.manifests.get('RS256')?.keys.map(arnOf)).not.toContain(planted)
  })

  it('are not guessed by a run that another one has overtaken', async () => {
    let isOvertaken = false
    const slow = Object.assign(Object.create(keys) as MemoryKeys, {
      find: async (ring: SigningAlgorithm) => {
        if (!isOvertaken) {
          isOvertaken = true
          await run()
        }
        return keys.find(ring)
      },
    })
    await reconcileKeys({ ...rotation, inventory: slow })
    expect(states()).toEqual(['active', 'published'])
    for (const state of ['active', 'published']) expect(keys.made.get(arnIn(state))?.state).toBe('enabled')
  })

  it('do not hold up the rotation if they cannot be disabled', async () => {
    await keys.create('RS256', 'guessed')
    const inventory = Object.assign(Object.create(keys) as MemoryKeys, {
      disable: () => Promise.reject(new Error('denied')),
    })
    expect(await faultsOf({ inventory })).toContain('Error: denied')
    expect(states()).toEqual(['active', 'published'])
  })
})

describe('the health of the keys', () => {
  it('is that of the ring that is worst off', async () => {
    await run()
    now += HOUR
    await keys.disable(arnIn('published'))
    const reports = await run()
    expect(keyHealth(reports, now)).toEqual({
      // The withdrawn key is disabled three hours and 6.5 min later; nothing is due before.
      secondsToNextStep: 3 * HOUR + 390,
      rings: [
        {
          ring: 'RS256',
          activeKeyAgeSeconds: HOUR,
          secondsToNextStep: 3 * HOUR + 390,
          publishedKeys: 3,
          hasFailed: false,
        },
        {
          ring: 'ES256',
          activeKeyAgeSeconds: HOUR,
          secondsToNextStep: 23 * HOUR,
          publishedKeys: 2,
          hasFailed: false,
        },
      ],
    })
  })

  it('shows a step that is overdue, and the failure', async () => {
    await run()
    now += DAY + HOUR
    const factory = Object.assign(Object.create(keys) as MemoryKeys, {
      prove: () => Promise.reject(new Error('down')),
    })
    const reports = await reconcileKeys({ ...rotation, factory })
    expect(keyHealth(reports, now)).toMatchObject({
      secondsToNextStep: -HOUR,
      rings: [{ hasFailed: true }, { hasFailed: true }],
    })
  })

  it('is not guessed where nothing could be read', () => {
    const report = {
      ring: 'RS256',
      manifest: undefined,
      nextStepAt: undefined,
      faults: [new Error('down')],
    } as const
    expect(keyHealth([report], now)).toMatchObject({
      secondsToNextStep: undefined,
      rings: [{ activeKeyAgeSeconds: undefined, publishedKeys: 0, hasFailed: true }],
    })
  })

  it('is one line without a dimension for rings', async () => {
    const health = { ...keyHealth(await run(), now), secondsBeyondPeriod: -DAY }
    const written = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
    createKeyTelemetry('test').measure(health)
    const lines = written.mock.calls.map(([text]) => String(text))
    written.mockRestore()
    const [emf] = lines.map((line) => JSON.parse(line) as Record<string, unknown> & { _aws: EmfHeader })
    const [declared] = emf?._aws.CloudWatchMetrics ?? []
    expect(declared?.Dimensions.map((names) => names.toSorted())).toEqual([['service', 'stage']])
    expect(declared?.Metrics.map(({ Name }) => Name)).toEqual([
      'SecondsToNextKeyStep',
      'SecondsBeyondKeyPeriod',
    ])
    expect(emf).toMatchObject({
      stage: 'test',
      SecondsBeyondKeyPeriod: -DAY,
      rings: expect.stringContaining('activeKeyAgeSeconds'),
    })
  })
})

interface EmfHeader {
  readonly CloudWatchMetrics: readonly {
    readonly Dimensions: readonly (readonly string[])[]
    readonly Metrics: readonly { readonly Name: string }[]
  }[]
}

describe('the custom resource', () => {
  async function answerTo(requestType: string, work: () => Promise<void>) {
    const received: { body?: string; type?: string | undefined } = {}
    const server = createServer((request, response) => {
      received.type = request.headers['content-type']
      void request.toArray().then((chunks) => {
        received.body = Buffer.concat(chunks).toString()
        response.end()
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/answer`
    const event = {
      RequestType: requestType,
      ResponseURL: url,
      StackId: 's',
      RequestId: 'r',
      LogicalResourceId: 'l',
    }
    expect(isCustomResourceEvent(event)).toBe(true)
    await answerCustomResource(event as never, work, { tries: 2, waitMs: 1 })
    server.close()
    return { ...(JSON.parse(received.body ?? '{}') as object), type: received.type }
  }

  const identity = { PhysicalResourceId: 'l', StackId: 's', RequestId: 'r', LogicalResourceId: 'l' }

  it('answers success once the work is done, after another try if need be', async () => {
    let tries = 0
    const work = async () => {
      if (++tries === 1) throw new Error('not yet')
    }
    expect(await answerTo('Create', work)).toEqual({ Status: 'SUCCESS', ...identity, type: '' })
    expect(tries).toBe(2)
  })

  it('answers failure with its reason', async () => {
    const fail = () => Promise.reject(new Error('no permission'))
    expect(await answerTo('Update', fail)).toMatchObject({ Status: 'FAILED', Reason: 'no permission' })
  })

  it('keeps the keys when the stack is deleted', async () => {
    const fail = () => Promise.reject(new Error('must not run'))
    expect(await answerTo('Delete', fail)).toMatchObject({ Status: 'SUCCESS' })
  })

  it('is told from a schedule', () => {
    expect(isCustomResourceEvent({ source: 'aws.events' })).toBe(false)
  })
})
