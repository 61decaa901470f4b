import { describe, expect, it } from 'vitest'
import { batchBytes, GENESIS, isRecord, objectKey, readBatch } from '../../functions/core/audit-chain.ts'
import {
  CHECKPOINT_TYPE,
  checkpointAfter,
  checkpointBytes,
  checkpointParts,
  readCheckpoint,
} from '../../functions/core/audit-checkpoint.ts'
import { type AuditEntry, entryOfChange, entryOfLogLine } from '../../functions/core/audit-entry.ts'
import { ocsfEventOf } from '../../functions/core/audit-ocsf.ts'
import { ALIKE_REFUSALS, boundRefusals } from '../../functions/core/audit-sampling.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import { change, createTestExport, exchangeItem, logDelivery, NOW, tokenId } from '../support/audit.ts'
import { MemoryAuditObjects } from '../support/fakes.ts'

const line = (audit: object, id = 'line', group = '/exchange') =>
  entryOfLogLine(group, { id, timestamp: (NOW + 5) * 1000, message: JSON.stringify({ audit }) })
const unreadable = (id: string) => entryOfLogLine('/exchange', { id, timestamp: NOW * 1000, message: '{' })

describe('the id of an event', () => {
  it('is another for another attempt, key, log group, line, unreadable line and deletion', () => {
    const item = exchangeItem('a')
    const entries = [
      entryOfChange(change(item)),
      entryOfChange(change(exchangeItem('a', { attempt: 'second' }))),
      entryOfChange(change({ ...item, pk: { S: tokenId('other') } })),
      entryOfChange(change({ ...item, event: {} })),
      entryOfChange(change({ ...item, event: {} })),
      entryOfChange(change(undefined, item)),
      entryOfChange(change(undefined, item)),
      line({ event: 'x' }),
      line({ event: 'x' }, 'other'),
      line({ event: 'x' }, 'line', '/revoke'),
      unreadable('line'),
      unreadable('other'),
    ]
    expect(new Set(entries.map((entry) => entry?.id)).size).toBe(entries.length)
  })
})

describe('a write over a record', () => {
  const before = exchangeItem('a')
  const overwrote = (after: Parameters<typeof change>[0]) => entryOfChange(change(after, before))?.overwrote

  it('counts in the last second in which the record counts, and not after', () => {
    expect(overwrote(exchangeItem('a', { attempt: 'second', at: NOW + 400 }))).toBeDefined()
    expect(overwrote(exchangeItem('a', { attempt: 'second', at: NOW + 401 }))).toBeUndefined()
  })

  it('counts by another attempt with the same event too', () => {
    expect(overwrote({ ...before, attempt: { S: 'second' } })).toBeDefined()
  })
})

it('a record without the time until which it counts is unreadable', () => {
  const { replay_until: _, ...item } = exchangeItem('a')
  expect(entryOfChange(change(item))?.event['event']).toBe('record_unreadable')
})

describe('in OCSF', () => {
  const product = { name: 'token-broker', vendor_name: 'token-broker' }
  const oauth = { auth_protocol_id: 6, auth_protocol: 'OAUTH 2.0', is_remote: true }
  const ocsf = (entry: AuditEntry | undefined) => {
    if (entry === undefined) throw new Error('no entry')
    const { unmapped, metadata, ...event } = ocsfEventOf(entry)
    expect(unmapped.event).toEqual(entry.event)
    expect(metadata).toMatchObject({ version: '1.3.0', uid: entry.id, product })
    return { ...event, log: metadata.log_name, correlation: metadata.correlation_uid }
  }

  it('a grant is an authentication that succeeded, of whom, by whom, for what and until when', () => {
    expect(ocsf(entryOfChange(change(exchangeItem('a', { event: { client_id: 'checkout' } }))))).toEqual({
      class_uid: 3002,
      class_name: 'Authentication',
      category_uid: 3,
      activity_id: 99,
      activity_name: 'Token Exchange',
      type_uid: 300_299,
      time: NOW * 1000,
      severity_id: 1,
      status_id: 1,
      status_detail: 'authorised',
      ...oauth,
      user: { uid: 'github:repo:octo/pay', type_id: 99, type: 'Workload', domain: 'github' },
      service: { name: 'payments-api' },
      actor: { user: { uid: 'checkout' } },
      session: { uid: tokenId('a'), issuer: 'github', expiration_time: (NOW + 300) * 1000 },
      log: 'exchanges',
      correlation: 'correlation-a',
    })
  })

  it('a session of an AWS role is one that was authorised, for what role', () => {
    const aws_session = { role_arn: 'arn:aws:iam::111122223333:role/deploy', session_name: 'ci-7' }
    const granted = ocsf(entryOfChange(change(exchangeItem('a', { event: { aws_session } }))))
    expect(granted).toMatchObject({
      class_uid: 3003,
      class_name: 'Authorize Session',
      category_uid: 3,
      type_uid: 300_399,
      status_id: 1,
      user: { uid: 'github:repo:octo/pay' },
      privileges: ['arn:aws:iam::111122223333:role/deploy'],
      session: { uid: tokenId('a'), uid_alt: 'ci-7', expiration_time: (NOW + 300) * 1000 },
    })
    expect(granted).not.toHaveProperty('auth_protocol_id')
  })

  it('whoever acts for the user is the actor, and the client is how', () => {
    const event = { client_id: 'checkout', actor: 'cluster:worker', actor_issuer: 'cluster' }
    expect(ocsf(entryOfChange(change(exchangeItem('a', { event }))))).toMatchObject({
      user: { uid: 'github:repo:octo/pay' },
      actor: { user: { uid: 'cluster:worker' }, app_name: 'checkout' },
    })
  })

  it.each([
    ['exchange_refused', 'Token Exchange'],
    ['exchange_failed', 'Token Exchange'],
    ['introspection_refused', 'Token Introspection'],
    ['revocation_refused', 'Token Revocation'],
  ])('%s is an authentication that failed, and why', (event, activity) => {
    expect(ocsf(line({ event, time: NOW, reason: 'key_unknown', correlation_id: 'c' }))).toEqual({
      class_uid: 3002,
      class_name: 'Authentication',
      category_uid: 3,
      activity_id: 99,
      activity_name: activity,
      type_uid: 300_299,
      time: NOW * 1000,
      severity_id: 2,
      status_id: 2,
      status_code: 'key_unknown',
      ...oauth,
      user: { uid: 'unknown', type_id: 99, type: 'Workload' },
      service: { name: 'unknown' },
      log: 'log',
      correlation: 'c',
    })
  })

  it('what was released once more is an authentication of its own, of the same token', () => {
    const event = {
      event: 'exchange_repeated',
      time: NOW,
      token: tokenId('a'),
      subject: 'github:x',
      target: 'api',
    }
    expect(ocsf(line(event))).toMatchObject({
      class_uid: 3002,
      activity_name: 'Token Exchange',
      severity_id: 1,
      status_id: 1,
      status_detail: 'released to a retry',
      user: { uid: 'github:x' },
      service: { name: 'api' },
      session: { uid: tokenId('a') },
    })
  })

  it('a revocation is by somebody, of something, for a reason', () => {
    const event = {
      event: 'revocation',
      time: NOW,
      author: 'arn',
      kind: 'key',
      keys: ['key#k'],
      reason: 'lost',
    }
    expect(ocsf(line(event))).toMatchObject({
      class_uid: 3004,
      category_uid: 3,
      severity_id: 2,
      status_id: 1,
      actor: { user: { uid: 'arn' } },
      entity: { type: 'key', uid: 'key#k' },
      comment: 'lost',
    })
  })

  it('what somebody has meddled with is severe, and of what is unknown nothing is claimed', () => {
    const severe = [
      entryOfChange(change(undefined, exchangeItem('a'))),
      entryOfChange(change({ ...exchangeItem('a'), event: {} })),
      unreadable('line'),
    ].map(ocsf)
    expect(severe.map((event) => event.severity_id)).toEqual([4, 4, 4])
    expect(severe.map(({ class_uid }) => class_uid)).toEqual([0, 0, 0])
    expect(severe.map(({ log }) => log)).toEqual(['exchanges', 'exchanges', 'log'])
    expect(ocsf(line({ event: 'toString' }))).toMatchObject({ class_uid: 0, time: (NOW + 5) * 1000 })
  })
})

describe('refusals are alike only by', () => {
  const refusals = (facts: object, count: number) =>
    Array.from({ length: count }, (_, index) => line({ event: 'exchange_refused', ...facts }, `${index}`))

  it.each(['event', 'reason', 'issuer', 'subject', 'client_id', 'target', 'grant'])('%s too', (fact) => {
    const other = fact === 'event' ? { event: 'introspection_refused' } : { [fact]: 'other' }
    const both = [...refusals({}, ALIKE_REFUSALS), ...refusals(other, ALIKE_REFUSALS)]
    expect(boundRefusals(both)).toHaveLength(2 * ALIKE_REFUSALS)
  })

  it('and one beyond ten is no crowd; a summary has no facts but these', () => {
    expect(boundRefusals(refusals({}, ALIKE_REFUSALS + 1)).every(({ count }) => count === undefined)).toBe(
      true,
    )
    const facts = { reason: 'x', detail: { audience_sha256: 'd' }, correlation_id: 'c' }
    const summary = boundRefusals(refusals(facts, ALIKE_REFUSALS + 2)).at(-1)
    expect(summary?.count).toBe(2)
    expect(summary?.event).toEqual({ event: 'exchange_refused', reason: 'x', until: NOW + 5 })
  })
})

describe('what has not the form is not taken for', () => {
  const entry = entryOfChange(change(exchangeItem('a')))
  const good = ocsfEventOf(entry as AuditEntry)

  it.each([
    ['uid', { metadata: {} }],
    ['type', { type_uid: 1 }],
    ['time', { time: 'now' }],
    ['event', { unmapped: {} }],
  ])('a record: no %s', (_, changes) => {
    expect(isRecord(good)).toBe(true)
    expect(isRecord({ ...good, ...changes })).toBe(false)
  })

  it.each([{ format: 2 }, { previous: 'x' }, { seq: -1 }, { total: '1' }, { time: 1.5 }, { records: {} }])(
    'an object: %j',
    (changes) => {
      const batch = { time: NOW, writer: 'w', records: [] }
      const value = JSON.parse(new TextDecoder().decode(batchBytes(GENESIS, batch))) as object
      expect(readBatch(Buffer.from(JSON.stringify(value)))).toBeDefined()
      expect(readBatch(Buffer.from(JSON.stringify({ ...value, ...changes })))).toBeUndefined()
    },
  )

  it.each([
    [{ alg: 'none' }, {}],
    [{ typ: 'at+jwt' }, {}],
    [{}, { seq: '1' }],
    [{}, { total: -1 }],
    [{}, { number: 0.5 }],
    [{}, { hash: 1 }],
    [{}, { format: 2 }],
  ])('a checkpoint: %j %j', (header, payload) => {
    const checkpoint = checkpointAfter(GENESIS, { ...GENESIS, seq: 1 }, NOW)
    const parts = checkpointParts({ ...checkpoint, ...(payload as object) }, 'kid')
    const all = { alg: 'ES256', typ: CHECKPOINT_TYPE, kid: 'kid', ...header }
    const protectedHeader = Buffer.from(JSON.stringify(all)).toString('base64url')
    expect(
      readCheckpoint(checkpointBytes({ ...checkpointParts(checkpoint, 'k'), signature: 's' })),
    ).toBeDefined()
    const bytes = checkpointBytes({ ...parts, protected: protectedHeader, signature: 's' })
    expect(readCheckpoint(bytes)).toBeUndefined()
  })
})

describe('the export', () => {
  it('writes no object of nothing', async () => {
    const objects = new MemoryAuditObjects()
    const { handle } = createTestExport({ objects })
    await handle({ Records: [] })
    expect(objects.objects.size).toBe(0)
  })

  it('reports unreadable lines, and measures no lag below zero', async () => {
    const { handle, measured, unreadable } = createTestExport({})
    await handle(logDelivery(['{']))
    await handle({ Records: [change(exchangeItem('a'), undefined, NOW + 3)] })
    expect(unreadable).toEqual([1])
    expect(measured).toEqual([{ exported: 1, lagSeconds: 0, lostClaims: [] }])
  })

  it('throws no cause: Lambda would print it whole', async () => {
    const objects = new MemoryAuditObjects()
    objects.put = () => Promise.reject(new DependencyUnavailable('s3', 's3: SlowDown', { cause: 'secret' }))
    const thrown: unknown = await createTestExport({ objects })
      .handle(logDelivery([{ audit: { event: 'x' } }]))
      .catch((error: unknown) => error)
    expect(thrown).toBeInstanceOf(Error)
    expect((thrown as Error).cause).toBeUndefined()
  })

  it('remembers where its chain ends: the next object costs no read', async () => {
    const objects = new MemoryAuditObjects()
    const { handle } = createTestExport({ objects })
    await handle({ Records: [change(exchangeItem('a'))] })
    objects.get = () => Promise.reject(new Error('read'))
    await handle({ Records: [change(exchangeItem('b'))] })
    expect([...objects.objects.keys()]).toEqual([objectKey('audit', 1), objectKey('audit', 2)])
  })
})
