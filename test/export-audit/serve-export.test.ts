import { createPublicKey } from 'node:crypto'
import { flattenedVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import { objectKey } from '../../functions/core/audit-chain.ts'
import { readCheckpoint } from '../../functions/core/audit-checkpoint.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import { HEARTBEAT_SECONDS } from '../../functions/export-audit/export-audit.ts'
import { change, createTestExport, exchangeItem, logDelivery, NOW, TICK } from '../support/audit.ts'
import { MemoryAuditObjects } from '../support/fakes.ts'

const refused = (more: object = {}) => ({
  message: 'refused',
  audit: {
    event: 'exchange_refused',
    correlation_id: 'c',
    time: NOW,
    reason: 'key_unknown',
    detail: {},
    ...more,
  },
})
const names = (records: readonly { unmapped: { event: Readonly<Record<string, unknown>> } }[]) =>
  records.map(({ unmapped }) => unmapped.event['event'])

describe('the export of the exchanges table', () => {
  it('writes each record of an exchange, and answers that nothing failed', async () => {
    const { handle, records, measured } = createTestExport({})
    const items = [exchangeItem('a'), exchangeItem('b')]
    const answer = await handle({ Records: items.map((item) => change(item, undefined, NOW - 7)) })
    expect(answer).toEqual({ batchItemFailures: [] })
    const written = (await records()).map(({ unmapped }) => JSON.stringify(unmapped.event))
    expect(written).toEqual(items.map((item) => item['event']?.S))
    expect(measured).toEqual([{ exported: 2, lagSeconds: 7, lostClaims: [] }])
  })

  it('leaves out what is no exchange, and what TTL deletes', async () => {
    const { handle, records } = createTestExport({})
    const item = (pk: string) => ({ pk: { S: pk }, expires_at: { N: '1' } })
    const others = ['assertion#x', 'actor#x', 'dpop#x', 'reference#x'].map((pk) => change(item(pk)))
    const byTtl = {
      ...change(undefined, exchangeItem('a')),
      userIdentity: { type: 'Service', principalId: 'dynamodb.amazonaws.com' },
    }
    await handle({ Records: [...others, byTtl] })
    expect(await records()).toEqual([])
  })

  it('gives a record that is delivered twice the same id', async () => {
    const { handle, records } = createTestExport({})
    await handle({ Records: [change(exchangeItem('a'))] })
    await handle({ Records: [change(exchangeItem('a'))] })
    const ids = (await records()).map(({ metadata }) => metadata.uid)
    expect(ids).toHaveLength(2)
    expect(new Set(ids).size).toBe(1)
  })

  it('marks a write over a record that still counted, but not one over a record that had expired', async () => {
    const { handle, records, measured } = createTestExport({})
    const before = exchangeItem('a')
    const forged = exchangeItem('a', { event: { subject: 'github:somebody-else' } })
    const later = exchangeItem('a', { attempt: 'second', at: NOW + 10_000 })
    await handle({
      Records: [change(before), change(forged, before), change(later, before), change(before, before)],
    })
    const [first, overwriting, reused, touched] = await records()
    expect(overwriting?.unmapped.overwrote).toBe(first?.metadata.uid)
    expect(overwriting?.severity_id).toBe(4)
    expect(measured).toMatchObject([{ lostClaims: [first?.metadata.uid] }])
    expect(reused?.unmapped).not.toHaveProperty('overwrote')
    expect(touched?.unmapped).not.toHaveProperty('overwrote')
  })

  it('exports a record that was repaired as what it is, marked, and as no write over another', async () => {
    const { handle, records } = createTestExport({})
    const lost = exchangeItem('a')
    const repaired = { ...lost, repaired: { N: '1' } }
    await handle({ Records: [change(repaired, lost), change({ ...lost, repaired: { N: '2' } }, repaired)] })
    const [first, again] = await records()
    expect(JSON.stringify(first?.unmapped.event)).toBe(lost['event']?.S)
    expect(first?.unmapped).toMatchObject({ repaired: 1 })
    expect(first?.unmapped).not.toHaveProperty('overwrote')
    expect(again?.metadata.uid).toBe(first?.metadata.uid)
    await handle({ Records: [change(lost)] })
    const exportedThen = (await records()).at(-1)
    expect(exportedThen?.metadata.uid).toBe(first?.metadata.uid)
    expect(exportedThen?.unmapped).not.toHaveProperty('repaired')
  })

  it('records a deletion that TTL did not make', async () => {
    const { handle, records, measured } = createTestExport({})
    const item = exchangeItem('a')
    await handle({ Records: [change(item), change(undefined, item)] })
    const [written, deleted] = await records()
    expect(deleted?.unmapped.event).toEqual({ event: 'record_deleted', record: written?.metadata.uid })
    expect(measured).toMatchObject([{ lostClaims: [written?.metadata.uid] }])
  })

  it.each([
    ['an event that is no JSON', { event: { S: '{"canary-secret' } }],
    ['no event', { event: { N: '1' } }],
    ['a key that no token id is', { pk: { S: 'strange' } }],
    ['no attempt', { attempt: {} }],
    ['no time', { recorded_at: { S: 'x' } }],
  ])('keeps the digest of a record with %s, among its good neighbours', async (_, changes) => {
    const { handle, records, measured, unreadable } = createTestExport({})
    const poison = change({ ...exchangeItem('b'), ...changes })
    const answer = await handle({ Records: [change(exchangeItem('a')), poison, change(exchangeItem('c'))] })
    expect(answer).toEqual({ batchItemFailures: [] })
    const written = await records()
    expect(names(written)).toEqual(['exchange_granted', 'record_unreadable', 'exchange_granted'])
    expect(JSON.stringify(written)).not.toContain('canary-secret')
    expect(measured[0]).toMatchObject({ exported: 2 })
    expect(unreadable).toEqual([1])
  })

  it('has the whole batch delivered again while the bucket is down, and loses nothing', async () => {
    const objects = new MemoryAuditObjects()
    const put = objects.put.bind(objects)
    objects.put = () => Promise.reject(new DependencyUnavailable('s3', 's3: SlowDown'))
    const { handle, records, measured, faults } = createTestExport({ objects })
    const Records = [change(exchangeItem('a'), undefined, NOW - 90), change(exchangeItem('b'))]
    const first = Records[0]?.dynamodb?.SequenceNumber
    expect(await handle({ Records })).toEqual({ batchItemFailures: [{ itemIdentifier: first }] })
    expect(measured).toEqual([{ exported: 0, lagSeconds: 90, lostClaims: [] }])
    expect(faults).toHaveLength(1)
    objects.put = put
    await handle({ Records })
    expect(await records()).toHaveLength(2)
  })
})

describe('the export of the logs', () => {
  it('writes refusals and revocations, with what they said', async () => {
    const { handle, records } = createTestExport({})
    const revocation = {
      event: 'revocation',
      time: NOW,
      author: 'arn:op',
      kind: 'token',
      keys: ['token#x'],
      reason: 'lost',
    }
    await handle(logDelivery([refused(), { audit: revocation }]))
    const [refusal, revoked] = await records()
    expect(refusal).toMatchObject({ class_uid: 3002, status_id: 2, status_code: 'key_unknown' })
    expect(revoked).toMatchObject({
      class_uid: 3004,
      entity: { type: 'token', uid: 'token#x' },
      comment: 'lost',
    })
  })

  it('keeps a line that it cannot read as a digest', async () => {
    const { handle, records } = createTestExport({})
    await handle(logDelivery(['{"audit": canary-secret', { audit: 'canary-secret' }, refused()]))
    const written = await records()
    expect(names(written)).toEqual(['record_unreadable', 'record_unreadable', 'exchange_refused'])
    expect(JSON.stringify(written)).not.toContain('canary-secret')
  })

  it('keeps events that nobody has mapped', async () => {
    const { handle, records } = createTestExport({})
    await handle(logDelivery([{ audit: { event: 'constructor', time: NOW } }]))
    expect((await records())[0]).toMatchObject({ class_uid: 0, activity_name: 'constructor', type_uid: 99 })
  })

  it('writes nothing when CloudWatch only asks whether anybody is there', async () => {
    const { handle, records } = createTestExport({})
    await handle(logDelivery([refused()], 'CONTROL_MESSAGE'))
    expect(await records()).toEqual([])
  })

  it('throws while the bucket is down, so that Lambda delivers again', async () => {
    const objects = new MemoryAuditObjects()
    objects.put = () => Promise.reject(new DependencyUnavailable('s3', 's3: SlowDown'))
    const { handle, faults } = createTestExport({ objects })
    await expect(handle(logDelivery([refused()]))).rejects.toThrow('audit export: s3: SlowDown')
    expect(faults).toHaveLength(1)
  })
})

describe('L06 a flood of refusals', () => {
  it('is kept as ten of a kind and a number, and what is no refusal is kept whole', async () => {
    const { handle, records } = createTestExport({})
    const flood = Array.from({ length: 1000 }, (_, index) =>
      refused({ correlation_id: `c${index}`, time: NOW + index, detail: { audience_sha256: `d${index}` } }),
    )
    const revocations = Array.from({ length: 30 }, () => ({ audit: { event: 'revocation', time: NOW } }))
    const known = refused({ subject: 'github:x', reason: 'token_replayed' })
    await handle(logDelivery([...flood, ...revocations, known]))
    const written = await records()
    expect(names(written).filter((name) => name === 'revocation')).toHaveLength(30)
    const alike = written.filter(({ status_code: reason }) => reason === 'key_unknown')
    expect(alike).toHaveLength(11)
    expect(alike.at(-1)).toMatchObject({ count: 990, unmapped: { event: { until: NOW + 999 } } })
    expect(written.filter(({ status_code: reason }) => reason === 'token_replayed')).toHaveLength(1)
  })

  it('gives the same entries for the same lines, so that a repeated delivery is recognised', async () => {
    const { handle, records } = createTestExport({})
    const lines = Array.from({ length: 50 }, () => refused())
    await handle(logDelivery(lines))
    await handle(logDelivery(lines))
    const ids = (await records()).map(({ metadata }) => metadata.uid)
    expect(new Set(ids).size * 2).toBe(ids.length)
  })
})

describe('checkpoints', () => {
  it('say where the chain ends, signed so that any JOSE library verifies it', async () => {
    const objects = new MemoryAuditObjects()
    const { handle, signer, world } = createTestExport({ objects })
    await handle({ Records: [change(exchangeItem('a')), change(exchangeItem('b'))] })
    await handle(TICK)
    const read = readCheckpoint((await objects.get(objectKey('checkpoints', 1))) ?? Buffer.alloc(0))
    expect(read?.checkpoint).toMatchObject({ ...(await world.records.end()), number: 1, time: NOW })
    const { protectedHeader } = await flattenedVerify(
      read?.signed as never,
      createPublicKey(signer.privateKey),
    )
    expect(protectedHeader).toEqual({ alg: 'ES256', typ: 'audit-checkpoint+json', kid: signer.keyId })
  })

  it('are written when there is news, and once an hour without any', async () => {
    let now = NOW
    const objects = new MemoryAuditObjects()
    const { handle } = createTestExport({ objects, now: () => now })
    const count = () => [...objects.objects.keys()].filter((key) => key.startsWith('checkpoints/')).length
    await handle(TICK)
    await handle(TICK)
    expect(count()).toBe(1)
    await handle({ Records: [change(exchangeItem('a'))] })
    await handle(TICK)
    expect(count()).toBe(2)
    now += HEARTBEAT_SECONDS - 1
    await handle(TICK)
    expect(count()).toBe(2)
    now += 1
    await handle(TICK)
    expect(count()).toBe(3)
  })

  it('cover what a crash left beyond the hint', async () => {
    const objects = new MemoryAuditObjects()
    const { handle, hints, restarted } = createTestExport({ objects })
    hints.advance = () => Promise.reject(new Error('crash'))
    await handle({ Records: [change(exchangeItem('a'))] })
    await restarted().handle(TICK)
    const read = readCheckpoint((await objects.get(objectKey('checkpoints', 1))) ?? Buffer.alloc(0))
    expect(read?.checkpoint.seq).toBe(1)
  })
})

it('an event of no known kind is a fault', async () => {
  await expect(createTestExport({}).handle({ something: 'else' })).rejects.toThrow(TypeError)
})

it('every event has what OCSF demands of it', async () => {
  const { handle, records } = createTestExport({})
  await handle({ Records: [change(exchangeItem('a')), change({ ...exchangeItem('b'), event: { S: '' } })] })
  await handle(logDelivery([refused(), { audit: { event: 'revocation', time: NOW, author: 'x' } }]))
  const written = await records()
  expect(written).toHaveLength(4)
  for (const event of written) {
    expect(event.type_uid).toBe(event.class_uid * 100 + event.activity_id)
    expect(event.category_uid).toBe(Math.floor(event.class_uid / 1000))
    expect(event.time).toBeGreaterThan(1_000_000_000_000)
    expect(event.severity_id).toBeGreaterThan(0)
    expect(event.metadata).toMatchObject({ version: '1.3.0', product: { name: 'token-broker' } })
    if (event.class_uid === 3002) {
      expect(event['user']).toHaveProperty('uid')
      expect(event['service']).toHaveProperty('name')
    }
    if (event.class_uid === 3004) expect(event['entity']).toHaveProperty('uid')
  }
})
