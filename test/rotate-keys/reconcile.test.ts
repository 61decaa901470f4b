import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { nextKeyStep } from '../../functions/core/key-lifecycle.ts'
import { answerCustomResource, isCustomResourceEvent } from '../../functions/rotate-keys/custom-resource.ts'
import { reconcileKeys } from '../../functions/rotate-keys/reconcile.ts'
import { MemoryKeyManifests, MemoryKeys } from '../support/fakes.ts'

const NOW = 1_800_000_000

function rotation() {
  const keys = new MemoryKeys()
  return { store: new MemoryKeyManifests(), factory: keys, signer: keys, keys }
}

describe('key reconciliation', () => {
  it('leaves every ring with one active key that has proved itself', async () => {
    const made = rotation()
    await reconcileKeys(made, NOW)
    for (const ring of ['RS256', 'ES256'] as const) {
      const manifest = await made.store.read(ring)
      expect(manifest).toMatchObject({ version: 3, keys: [{ state: 'active', algorithm: ring, since: NOW }] })
      expect(manifest?.keys[0]?.kid).toMatch(/^[\w-]{43}$/)
    }
    expect(made.keys.signatures).toBe(2)
  })

  it('does nothing when nothing is left to do', async () => {
    const made = rotation()
    await reconcileKeys(made, NOW)
    const before = structuredClone(made.store.manifests)
    await reconcileKeys(made, NOW + 900)
    expect(made.store.manifests).toEqual(before)
    expect(made.keys.private.size).toBe(2)
  })

  it('publishes no key that fails its self-test, and continues there at the next run', async () => {
    const made = rotation()
    const failing = {
      ...made,
      signer: { activeKey: made.keys.activeKey, sign: () => Promise.reject(new Error('not yet allowed')) },
    }
    await expect(reconcileKeys(failing, NOW)).rejects.toThrow('not yet allowed')
    expect(await made.store.read('RS256')).toMatchObject({ keys: [], pending: { since: NOW } })
    // Another refusal must not lead to another key.
    await expect(reconcileKeys(failing, NOW + 20)).rejects.toThrow('not yet allowed')
    expect(made.keys.private.size).toBe(1)
    await reconcileKeys(made, NOW + 900)
    expect((await made.store.read('RS256'))?.keys.map(({ state }) => state)).toEqual(['active'])
    expect(made.keys.private.size).toBe(2)
  })

  it('converges to one active key when two runs overlap', async () => {
    const made = rotation()
    await Promise.all([reconcileKeys(made, NOW), reconcileKeys(made, NOW)])
    const manifest = await made.store.read('RS256')
    expect(manifest?.keys.map(({ state }) => state)).toEqual(['active'])
  })

  it('wants no second active key while there is one', () => {
    const key = {
      kid: 'a',
      keyArn: 'arn',
      algorithm: 'RS256',
      publicJwk: { kty: 'RSA' },
      since: NOW,
    } as const
    const keys = [
      { ...key, state: 'active' },
      { ...key, kid: 'b', state: 'published' },
    ] as const
    expect(nextKeyStep({ ring: 'RS256', version: 1, pending: undefined, keys })).toBeUndefined()
  })
})

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
