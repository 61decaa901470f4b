import { inflateSync } from 'node:zlib'
import fc from 'fast-check'
import { compactVerify, importJWK } from 'jose'
import { beforeEach, describe, expect, it } from 'vitest'
import type { CompiledPolicy } from '../../functions/core/policy/compiled.ts'
import type { RevocationKey } from '../../functions/core/ports.ts'
import {
  encodeStatuses,
  STATUS_BLOCK_SIZE,
  STATUS_DELAYS,
  STATUS_EXPIRY_SECONDS,
  STATUS_LIST_SIZE,
  statusIndexOf,
} from '../../functions/core/status-list.ts'
import { statusListToken } from '../../functions/core/status-list-token.ts'
import {
  BROKER_ISSUER,
  createTestBroker,
  NOW,
  PAYMENTS,
  RECEIPTS,
  type TestBroker,
  testPolicy,
} from '../support/broker.ts'
import { decode } from '../support/tokens.ts'

let broker: TestBroker

beforeEach(async () => {
  broker = await createTestBroker(withStatusLists())
})

function withStatusLists(): CompiledPolicy {
  const policy = testPolicy()
  return {
    ...policy,
    targets: policy.targets.map((target) => ({ ...target, statusList: target.format === 'jwt' })),
  }
}

/** Reads a list as a resource server does, by the words of the specification: inflate, lowest bit first. */
function statusesIn(lst: string): readonly number[] {
  const bytes = [...inflateSync(Buffer.from(lst, 'base64url'))]
  return bytes.flatMap((byte) => [0, 1, 2, 3, 4, 5, 6, 7].map((bit) => Math.floor(byte / 2 ** bit) % 2))
}

const invalidIn = (lst: string) => statusesIn(lst).flatMap((status, index) => (status === 1 ? [index] : []))

async function issue(changes: Record<string, string> = {}, more = {}): Promise<string> {
  const subject_token = changes['subject_token'] ?? (await broker.subjectToken('pod'))
  const outcome = await broker.exchange({ ...changes, subject_token }, more)
  if ('refused' in outcome) throw new Error(`refused: ${outcome.refused.kind}`)
  return outcome.answer.access_token
}

const world = () => ({
  issuer: BROKER_ISSUER,
  entries: broker.statuses,
  revocations: broker.revocations,
  signer: broker.keys,
})

async function list(number = 0, now = NOW) {
  const token = await statusListToken(number, world(), now)
  return token === undefined ? undefined : decode(token)
}

async function invalid(now = NOW): Promise<readonly number[]> {
  const { status_list: said } = (await list(0, now))?.claims ?? {}
  return invalidIn((said as { lst: string }).lst)
}

function statusOf(token: string) {
  const { status } = decode(token).claims as { status: { status_list: { idx: number; uri: string } } }
  return status.status_list
}

describe('the encoding', () => {
  it('is that of the first example of the specification', () => {
    const invalid = [0, 3, 4, 5, 7, 8, 9, 13, 15]
    expect(encodeStatuses(invalid, 16)).toBe('eNrbuRgAAhcBXQ')
    expect(statusesIn('eNrbuRgAAhcBXQ')).toEqual([1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1])
  })

  it('is that of its test vector of 2^20 tokens with one bit each', () => {
    const lst = [
      'eNrt3AENwCAMAEGogklACtKQPg9LugC9k_ACvreiogEAAKkeCQAAAAAAAAAAAAAAAAAAAIBylgQAAAAAAAAAAAAAAAAAAAAA',
      'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAXG9IAAAAAAAAAPwsJAAAAAAAAAAAAAAAvhsSAAAAAAAAAAAA7KpLAAAAAAAAAAAA',
      'AAAAAAAAAJsLCQAAAAAAAAAAADjelAAAAAAAAAAAKjDMAQAAAACAZC8L2AEb',
    ].join('')
    const invalid = [0, 1993, 25460, 159495, 495669, 554353, 645645, 723232, 854545, 934534, 1000345]
    expect(invalidIn(lst)).toEqual(invalid)
    // Two compressors may differ in how they say it, not in what.
    const ours = inflateSync(Buffer.from(encodeStatuses(invalid, 2 ** 20), 'base64url'))
    expect(ours.equals(inflateSync(Buffer.from(lst, 'base64url')))).toBe(true)
  })

  it('comes back as it was, whatever is revoked', () => {
    const indices = fc.uniqueArray(fc.nat(STATUS_LIST_SIZE - 1), { maxLength: 200 })
    fc.assert(
      fc.property(indices, (invalid) => {
        const lst = encodeStatuses(invalid, STATUS_LIST_SIZE)
        expect(invalidIn(lst)).toEqual(invalid.toSorted((a, b) => a - b))
        expect(statusesIn(lst)).toHaveLength(STATUS_LIST_SIZE)
      }),
    )
  })

  it('has whole blocks of indices in each list, so that no block spans two', () => {
    expect(STATUS_LIST_SIZE % STATUS_BLOCK_SIZE).toBe(0)
    expect(STATUS_LIST_SIZE % 8).toBe(0)
    expect(statusIndexOf(STATUS_LIST_SIZE - 1)).toEqual({ list: 0, index: STATUS_LIST_SIZE - 1 })
    expect(statusIndexOf(STATUS_LIST_SIZE)).toEqual({ list: 1, index: 0 })
  })
})

describe('the time until a revocation is known', () => {
  it('is 60 s at most, along the whole chain of caches', () => {
    const { computed, answering, httpCache, resourceServer } = STATUS_DELAYS
    expect(computed + answering + httpCache + resourceServer).toBeLessThanOrEqual(60)
    expect(STATUS_EXPIRY_SECONDS).toBeLessThanOrEqual(60)
    // Or a list could expire while a cache that keeps to the rules still serves it.
    expect(computed + answering + httpCache + resourceServer).toBeLessThanOrEqual(STATUS_EXPIRY_SECONDS)
  })
})

describe('a token whose target has status lists', () => {
  it('says where its status is', async () => {
    expect(statusOf(await issue())).toEqual({ idx: 0, uri: `${BROKER_ISSUER}/status/0` })
    expect(statusOf(await issue())).toEqual({ idx: 1, uri: `${BROKER_ISSUER}/status/0` })
    broker.statusIndices.next = async () => ({ list: 7, index: 4095 })
    expect(statusOf(await issue())).toEqual({ idx: 4095, uri: `${BROKER_ISSUER}/status/7` })
  })

  it('costs no index, and says nothing, where the target has none', async () => {
    broker = await createTestBroker()
    broker.statusIndices.next = async () => {
      throw new Error('asked')
    }
    expect(decode(await issue()).claims).not.toHaveProperty('status')
    expect(broker.statuses.stored.size).toBe(0)
  })

  it('is released only if its entry is written', async () => {
    broker.statuses.write = async () => {
      throw new Error('down')
    }
    await expect(issue()).rejects.toThrow('down')
  })

  it('has its entry written while the record is, not after', async () => {
    const started: string[] = []
    const held = (name: string) => () => {
      started.push(name)
      return new Promise<never>(() => undefined)
    }
    Object.assign(broker.ledger, { record: held('record') })
    Object.assign(broker.revocations, { cutOffs: held('cutOffs') })
    Object.assign(broker.keys, { sign: held('sign') })
    Object.assign(broker.statuses, { write: held('write') })
    void issue()
    await expect.poll(() => started.length).toBe(4)
  })

  it('keeps its place when its request is retried, and gets its entry if that was lost', async () => {
    const subject_token = await broker.subjectToken('ci')
    const more = { idempotencyKey: ['0123456789abcdef'] }
    const first = await issue({ subject_token }, more)
    const entries = [...broker.statuses.stored]
    broker.statuses.stored.clear()
    const again = await issue({ subject_token }, more)
    expect(decode(again).claims).toEqual(decode(first).claims)
    expect([...broker.statuses.stored.values()]).toContainEqual(entries[0]?.[1])
  })

  it('never shares a place with another token', async () => {
    broker.statusIndices.next = async () => ({ list: 0, index: 3 })
    await issue()
    await expect(issue()).rejects.toThrow('one status index')
  })

  it('leaves an entry of ids, without any part of a token', async () => {
    const token = await issue()
    const kept = JSON.stringify([...broker.statuses.stored.values()])
    for (const part of token.split('.')) expect(kept).not.toContain(part)
  })
})

describe('a status list', () => {
  it('is a signed statement about the list of that URI, of now, for a short time', async () => {
    await issue()
    const token = (await statusListToken(0, world(), NOW)) ?? ''
    const key = await broker.keys.activeKey('RS256')
    await compactVerify(token, await importJWK(key.publicJwk as never, 'RS256'))
    expect(decode(token).header).toEqual({ alg: 'RS256', typ: 'statuslist+jwt', kid: key.kid })
    expect(decode(token).claims).toEqual({
      sub: `${BROKER_ISSUER}/status/0`,
      iat: NOW,
      exp: NOW + 60,
      ttl: 20,
      status_list: { bits: 1, lst: encodeStatuses([], 4096) },
    })
  })

  it('passes for no access token', async () => {
    await issue()
    const token = (await statusListToken(0, world(), NOW)) ?? ''
    const outcome = await broker.exchange({ subject_token: token, audience: RECEIPTS })
    expect('refused' in outcome && outcome.refused.kind).toBe('issuer_not_trusted')
  })

  it('does not exist before a token refers to it', async () => {
    expect(await list(0)).toBeUndefined()
    await issue()
    expect(await list(1)).toBeUndefined()
    expect(broker.keys.signatures).toBe(1)
  })

  it('forgets a token only when a revocation of it is forgotten too', async () => {
    const token = await issue()
    broker.revocations.stored.set(`lineage#${decode(token).claims['txn'] as string}`, NOW)
    const { exp } = decode(token).claims as { exp: number }
    expect(await invalid(exp + 119)).toEqual([0])
    expect(await list(0, exp + 120)).toBeUndefined()
  })

  it('is not signed by a key that is revoked', async () => {
    await issue()
    broker.revocations.stored.set(`key#${(await broker.keys.activeKey('RS256')).kid}`, 1)
    const forgotten: string[] = []
    Object.assign(broker.keys, { forget: (algorithm: string) => forgotten.push(algorithm) })
    await expect(list()).rejects.toThrow('signing key')
    // The next request finds the key that has taken over.
    expect(forgotten).toEqual(['RS256'])
  })

  it.each(['entries', 'revocations', 'signer'] as const)(
    'is no guess while %s cannot be asked',
    async (port) => {
      await issue()
      const down = async () => {
        throw new Error('down')
      }
      const broken = { ...world(), [port]: { activeKey: down, read: down, all: down } }
      await expect(statusListToken(0, broken as never, NOW)).rejects.toThrow('down')
    },
  )
})

/** Where the list reads all cut-offs, and where they are too many and it asks for those of its tokens. */
describe.each(['all cut-offs', 'those of its tokens'])('what a status list says, from %s', (from) => {
  beforeEach(() => {
    if (from === 'all cut-offs') return
    broker.revocations.all = async () => undefined
  })

  it.each(['token', 'lineage', 'subject', 'client', 'issuer', 'key'] as const)(
    'follows a revocation by %s to all descendants, and to nobody else',
    async (kind) => {
      const stranger = await issue({ subject_token: await broker.subjectToken('job') })
      const parent = await issue()
      const child = await issue({ subject_token: parent, audience: RECEIPTS })
      const sibling = await issue({ subject_token: await broker.subjectToken('pod', { sub: 'other' }) })
      const [one, two, three, four] = [stranger, parent, child, sibling].map((token) => statusOf(token).idx)
      expect(await invalid()).toEqual([])
      const { claims, header } = decode(parent)
      const ids = {
        token: (claims['lineage'] as string[])[0],
        lineage: claims['txn'],
        subject: claims['sub'],
        client: claims['client_id'],
        issuer: claims['idp'],
        key: header['kid'],
      }
      // Whatever signs from now on, it is not the key of that token.
      if (kind === 'key') await broker.keys.activate('RS256')
      broker.revocations.stored.set(`${kind}#${ids[kind] as string}` as RevocationKey, NOW)
      const reached = {
        token: [two, three],
        lineage: [two, three],
        subject: [two, three],
        client: [two, three],
        issuer: [two, three, four],
        key: [one, two, three, four],
      }
      expect(await invalid()).toEqual(reached[kind])
    },
  )

  it('is not signed by a revoked key that has signed none of its tokens', async () => {
    await issue()
    const { kid } = await broker.keys.activate('RS256')
    broker.revocations.stored.set(`key#${kid}`, NOW)
    await expect(list()).rejects.toThrow('signing key')
  })

  it('tells of a child that was revoked by its own id, and not of its parent', async () => {
    const parent = await issue()
    const child = await issue({ subject_token: parent, audience: RECEIPTS })
    const entry = [...broker.statuses.stored.values()].find(
      ({ status }) => status.index === statusOf(child).idx,
    )
    broker.revocations.stored.set(`token#${entry?.facts.tokenId}` as RevocationKey, NOW)
    expect(await invalid()).toEqual([statusOf(child).idx])
  })

  it('spares what was issued after the cut-off of a subject', async () => {
    const token = await issue()
    const { sub } = decode(token).claims
    broker.revocations.stored.set(`subject#${sub as string}`, NOW - 1)
    expect(await invalid()).toEqual([])
    broker.revocations.stored.set(`subject#${sub as string}`, NOW)
    expect(await invalid()).toEqual([0])
  })

  it('agrees with what an onward exchange says of each token, whatever is revoked', async () => {
    const roots = await Promise.all(['a', 'b', 'c'].map((sub) => broker.subjectToken('pod', { sub })))
    const tokens: string[] = []
    for (const subject_token of roots) tokens.push(await issue({ subject_token, audience: PAYMENTS }))
    const facts = [...broker.statuses.stored.values()].map((entry) => entry.facts)
    const keys = facts.flatMap((one): RevocationKey[] => [
      ...one.lineage.map((id): RevocationKey => `token#${id}`),
      `subject#${one.subject}`,
      `lineage#${one.txn}`,
    ])
    await fc.assert(
      fc.asyncProperty(fc.subarray(keys), async (revoked) => {
        broker.revocations.stored.clear()
        for (const key of revoked) broker.revocations.stored.set(key, NOW)
        const listed = await invalid()
        for (const token of tokens) {
          const outcome = await broker.exchange({ subject_token: token, audience: RECEIPTS })
          const isRefused = 'refused' in outcome && outcome.refused.kind === 'token_revoked'
          expect(listed.includes(statusOf(token).idx)).toBe(isRefused)
        }
      }),
      { numRuns: 30 },
    )
  })
})

describe('asking for the cut-offs of a list by key', () => {
  it('asks for every key once, 100 at a time', async () => {
    for (let made = 0; made < 120; made++)
      await issue({ subject_token: await broker.subjectToken('pod', { sub: `s-${made}` }) })
    const asked: (readonly RevocationKey[])[] = []
    broker.revocations.all = async () => undefined
    broker.revocations.cutOffs = async (keys) => {
      asked.push(keys)
      return new Map(keys.includes('subject#pod:s-77') ? [['subject#pod:s-77' as const, NOW]] : [])
    }
    expect(await invalid()).toEqual([77])
    expect(Math.max(...asked.map((keys) => keys.length))).toBe(100)
    const flat = asked.flat()
    expect(new Set(flat).size).toBe(flat.length)
    // Own id, parent's, lineage, subject and client for each; the issuer and the signing key for all.
    expect(flat).toHaveLength(5 * 120 + 2)
  })
})
