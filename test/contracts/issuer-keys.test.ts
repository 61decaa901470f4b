import { compactVerify } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { BrokerIssuerKeys } from '../../functions/adapters/broker-issuer-keys.ts'
import { CachedKeyManifests } from '../../functions/adapters/cached-key-manifests.ts'
import { FetchedIssuerKeys } from '../../functions/adapters/fetched-issuer-keys.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import type { KeyState, ManifestKey } from '../../functions/core/key-lifecycle.ts'
import { BROKER, type TrustedIssuer } from '../../functions/core/policy/compiled.ts'
import type { ClientKeys, IssuerKeys, KeyHolder } from '../../functions/core/ports.ts'
import type { PublicJwk } from '../../functions/core/types.ts'
import { MemoryIssuerKeys, MemoryKeyManifests, MemoryKeys } from '../support/fakes.ts'
import { createTestIssuer, type TestIssuer } from '../support/tokens.ts'

const issuerOf = (id: string): TrustedIssuer =>
  ({ id, issuer: `https://${id}.example.com`, keys: { kind: 'discovery' } }) as unknown as TrustedIssuer

let known: TestIssuer
let other: TestIssuer

beforeAll(async () => {
  known = await createTestIssuer('https://known.example.com')
  other = await createTestIssuer('https://other.example.com')
})

function inMemory(): IssuerKeys {
  const keys = new MemoryIssuerKeys()
  for (const { issuer, publicKey } of [known, other]) keys.keys.set(issuer, new Map([['key-1', publicKey]]))
  return keys
}

function fetched(): ClientKeys {
  return new FetchedIssuerKeys(
    async (url) => {
      const served = [known, other].find(({ issuer }) => url.startsWith(issuer))
      if (served === undefined) throw new Error('down')
      if (url.endsWith('/jwks')) return { keys: [served.jwk] }
      return { issuer: served.issuer, jwks_uri: `${served.issuer}/jwks` }
    },
    () => 1_800_000_000,
  )
}

describe.each<[string, () => ClientKeys]>([
  [
    'in memory',
    () => {
      const keys = new MemoryIssuerKeys()
      for (const { issuer, jwk } of [known, other]) keys.published.set(issuer, [jwk as PublicJwk])
      return keys
    },
  ],
  ['fetched', fetched],
])('keys of clients %s', (_name, create) => {
  const isKnown = ({ n }: PublicJwk) => n === (known.jwk as PublicJwk).n

  it('are found by what they are, and only with whoever publishes them', async () => {
    expect(await create().findKey(issuerOf('known'), isKnown)).toMatchObject({ kid: 'key-1' })
    expect(await create().findKey(issuerOf('other'), isKnown)).toBeUndefined()
  })

  it('are a fault where they cannot be asked for', async () => {
    await expect(create().findKey(issuerOf('down'), isKnown)).rejects.toThrow(DependencyUnavailable)
  })
})

it('fetched keys are asked for again when none is the one that is looked for, but not again and again', async () => {
  let keys: readonly unknown[] = [other.jwk]
  let now = 1_800_000_000
  let fetches = 0
  const client: KeyHolder = {
    id: 'c',
    issuer: 'client#c',
    keys: { kind: 'jwks_uri', uri: 'https://c.example/jwks' },
  }
  const fetching = new FetchedIssuerKeys(
    async () => {
      fetches++
      return { keys }
    },
    () => now,
  )
  const find = () => fetching.findKey(client, ({ n }) => n === (known.jwk as PublicJwk).n)
  expect([await find(), await find(), fetches]).toEqual([undefined, undefined, 1])
  keys = [known.jwk]
  now += 31
  expect([await find(), fetches]).toEqual([expect.objectContaining({ kid: 'key-1' }), 2])
})

describe.each<[string, () => IssuerKeys]>([
  ['in memory', inMemory],
  ['fetched', fetched],
  [
    'fetched, beside our own',
    () => new BrokerIssuerKeys(new CachedKeyManifests(new MemoryKeyManifests(), Date.now), fetched()),
  ],
])('issuer keys %s', (_name, create) => {
  it('verify what their issuer signed, and not what another signed under the same kid', async () => {
    const keys = create()
    const find = async (id: string) => (await keys.find(issuerOf(id), 'key-1', 'RS256')) as never
    const token = await known.sign({ sub: 'x' })
    await expect(compactVerify(token, await find('known'))).resolves.toBeDefined()
    await expect(compactVerify(token, await find('other'))).rejects.toThrow('signature')
  })

  it('have nothing under a kid that the issuer does not publish', async () => {
    expect(await create().find(issuerOf('known'), 'key-2', 'RS256')).toBeUndefined()
  })

  it("are never a client's, nor a client's keys theirs, whatever the client is called", async () => {
    const keys = create()
    await keys.find(issuerOf('known'), 'key-1', 'RS256')
    const holder = (id: string): KeyHolder => ({
      id: `client#${id}`,
      issuer: `client#${id}`,
      keys: { kind: 'inline', keys: [] },
    })
    for (const id of ['known', 'https://known.example.com', 'broker'])
      expect(await keys.find(holder(id), 'key-1', 'RS256').catch(() => undefined), id).toBeUndefined()
  })

  it('are a fault where the issuer cannot be asked', async () => {
    await expect(create().find(issuerOf('unreachable'), 'key-1', 'RS256')).rejects.toThrow(
      DependencyUnavailable,
    )
  })
})

describe('our own keys', () => {
  async function keysInState(state: KeyState): Promise<{ keys: IssuerKeys; key: ManifestKey }> {
    const key = { ...(await new MemoryKeys().activate('ES256')), state }
    const store = new MemoryKeyManifests()
    await store.save({ ring: 'ES256', version: 1, pending: undefined, keys: [key] })
    return { keys: new BrokerIssuerKeys(new CachedKeyManifests(store, Date.now), inMemory()), key }
  }
  const broker = { ...issuerOf('known'), id: BROKER }

  it.each(['published', 'active', 'retired'] as const)('verify while they are %s', async (state) => {
    const { keys, key } = await keysInState(state)
    expect(await keys.find(broker, key.kid, 'ES256')).toBeDefined()
  })

  it.each(['disabled', 'deleted'] as const)('do not verify once they are %s', async (state) => {
    const { keys, key } = await keysInState(state)
    expect(await keys.find(broker, key.kid, 'ES256')).toBeUndefined()
  })

  it('are not taken for those of another algorithm', async () => {
    const { keys, key } = await keysInState('active')
    expect(await keys.find(broker, key.kid, 'RS256')).toBeUndefined()
  })
})
