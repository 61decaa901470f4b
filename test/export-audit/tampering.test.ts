import { createPublicKey } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type AuditBatch,
  auditLinkOf,
  batchBytes,
  GENESIS,
  hashOf,
  objectKey,
  readBatch,
} from '../../functions/core/audit-chain.ts'
import {
  type Checkpoint,
  checkpointBytes,
  checkpointParts,
  checkpointSigningInput,
  readCheckpoint,
} from '../../functions/core/audit-checkpoint.ts'
import { readRecord, type StreamImage } from '../../functions/core/audit-entry.ts'
import { type AuditReport, type StoredObject, verifyAudit } from '../../lib/cli/audit-verification.ts'
import { change, createTestExport, exchangeItem, NOW, type TestExport, TICK } from '../support/audit.ts'
import { MemoryAuditObjects, MemoryCheckpointSigner } from '../support/fakes.ts'

const OBJECTS = 8
const LAST = objectKey('audit', OBJECTS)
/** A day after: everything is old enough to be compared. */
const LATER = NOW + 600

let trail: ReadonlyMap<string, Uint8Array>
let items: readonly StreamImage[]
let exporter: TestExport

/** Eight objects of three records, with a checkpoint after every second one. */
beforeAll(async () => {
  const objects = new MemoryAuditObjects()
  exporter = createTestExport({ objects })
  const written: StreamImage[] = []
  for (let seq = 1; seq <= OBJECTS; seq++) {
    const batch = ['a', 'b', 'c'].map((name) => exchangeItem(`${name}${seq}`))
    written.push(...batch)
    await exporter.handle({ Records: batch.map((item) => change(item)) })
    if (seq % 2 === 0) await exporter.handle(TICK)
  }
  trail = objects.objects
  items = written
})

type Stored = Map<string, Uint8Array>

interface Tampered {
  readonly objects?: (objects: Stored) => Promise<void> | void
  readonly items?: readonly StreamImage[]
  readonly more?: (object: StoredObject) => Partial<StoredObject>
  readonly hints?: { readonly audit: number; readonly checkpoints: number }
  readonly now?: number
  readonly since?: number
}

async function verified(tampered: Tampered = {}): Promise<AuditReport> {
  const objects: Stored = new Map(trail)
  await tampered.objects?.(objects)
  const stored = async function* (): AsyncGenerator<StoredObject> {
    for (const key of [...objects.keys()].sort()) {
      const object = {
        key,
        bytes: objects.get(key) ?? Buffer.alloc(0),
        laterVersions: 0,
        isHidden: false,
        isLocked: true,
      }
      yield { ...object, ...tampered.more?.(object) }
    }
  }
  const recorded = async function* () {
    for (const item of tampered.items ?? items) {
      const record = readRecord(item)
      if (record !== undefined) yield record
    }
  }
  const publicKey = createPublicKey(exporter.signer.privateKey).export({ format: 'der', type: 'spki' })
  return verifyAudit(
    { objects: stored(), recorded: recorded(), hints: tampered.hints ?? { audit: OBJECTS, checkpoints: 4 } },
    {
      publicKey,
      now: tampered.now ?? LATER,
      lagAllowance: 0,
      ...(tampered.since !== undefined && { since: tampered.since }),
    },
  )
}

const problems = async (tampered: Tampered) =>
  (await verified(tampered)).findings.map(({ problem, where }) => `${problem} ${where}`)

function batchOf(objects: Stored, seq: number): AuditBatch {
  const batch = readBatch(objects.get(objectKey('audit', seq)) ?? Buffer.alloc(0))
  if (batch === undefined) throw new Error(`no object ${seq}`)
  return batch
}

const write = (objects: Stored, seq: number, batch: unknown) =>
  objects.set(objectKey('audit', seq), Buffer.from(`${JSON.stringify(batch)}\n`))

/** Changes who got the tokens: what an attacker would want. */
function edited(batch: AuditBatch): AuditBatch {
  const text = JSON.stringify(batch).replaceAll('octo/pay', 'octo/xxx')
  return JSON.parse(text) as AuditBatch
}

/** The table's key of a record in the third object. */
const keyOfRecord = (index: number) => items[6 + index]?.['pk']?.S ?? ''

/** Makes every object from `seq` on name its predecessor as it is now. */
function rechain(objects: Stored, seq: number): void {
  for (let next = seq; objects.has(objectKey('audit', next)); next++) {
    const before = objects.get(objectKey('audit', next - 1))
    const head = before === undefined ? GENESIS : auditLinkOf(before)
    objects.set(objectKey('audit', next), batchBytes(head, batchOf(objects, next)))
  }
}

async function resign(
  objects: Stored,
  number: number,
  changes: Partial<Checkpoint>,
  signer: MemoryCheckpointSigner,
) {
  const key = objectKey('checkpoints', number)
  const read = readCheckpoint(objects.get(key) ?? Buffer.alloc(0))
  if (read === undefined) throw new Error('no checkpoint')
  const parts = checkpointParts({ ...read.checkpoint, ...changes }, signer.keyId)
  const signature = Buffer.from(await signer.sign(checkpointSigningInput(parts))).toString('base64url')
  objects.set(key, checkpointBytes({ ...parts, signature }))
}

describe('a trail that nobody touched', () => {
  it('verifies, with every record of the table', async () => {
    expect(await verified()).toEqual({
      findings: [],
      objects: 12,
      records: 24,
      events: 24,
      duplicates: 0,
      checkpoints: 4,
      signedUntil: NOW,
      compared: 24,
      missing: [],
    })
  })

  it('verifies from an object on, without reading what is before', async () => {
    const report = await verified({ since: 5, items: [] })
    expect(report).toMatchObject({ findings: [], records: 12 })
  })
})

describe('tampering is found:', () => {
  it('a record that was edited', async () => {
    const tamper = (objects: Stored) => void write(objects, 3, edited(batchOf(objects, 3)))
    expect(await problems({ objects: tamper })).toEqual([
      'hash_wrong audit/000000000004.json',
      ...batchOf(new Map(trail), 3).records.map((_, index) => `table_record_differs ${keyOfRecord(index)}`),
    ])
  })

  it('a record that was edited, with every digest after it made to fit', async () => {
    const tamper = (objects: Stored) => {
      write(objects, 3, edited(batchOf(objects, 3)))
      rechain(objects, 4)
    }
    expect(await problems({ objects: tamper, items: [] })).toEqual([
      'checkpoint_contradicted checkpoints/ 2',
      'checkpoint_contradicted checkpoints/ 3',
      'checkpoint_contradicted checkpoints/ 4',
    ])
  })

  it('an object that was dropped', async () => {
    const tamper = (objects: Stored) => void objects.delete(objectKey('audit', 3))
    expect(await problems({ objects: tamper, items: [] })).toEqual(['object_missing audit/'])
  })

  it('an object that was dropped, with those after it moved up', async () => {
    const tamper = (objects: Stored) => {
      for (let seq = 3; seq < OBJECTS; seq++) write(objects, seq, { ...batchOf(objects, seq + 1), seq })
      objects.delete(LAST)
      rechain(objects, 3)
    }
    const found = await problems({ objects: tamper, items: [] })
    expect(found).toContain('chain_cut audit/')
    expect(found).toContain('checkpoint_contradicted checkpoints/ 2')
  })

  it('the last objects cut off', async () => {
    const tamper = (objects: Stored) => {
      for (const seq of [7, 8]) objects.delete(objectKey('audit', seq))
    }
    const unwitnessed = { audit: 0, checkpoints: 0 }
    expect(await problems({ objects: tamper, items: [], hints: unwitnessed })).toEqual(['chain_cut audit/'])
  })

  it('the last objects cut off, with the checkpoints that knew them', async () => {
    const tamper = (objects: Stored) => {
      for (const seq of [7, 8]) objects.delete(objectKey('audit', seq))
      objects.delete(objectKey('checkpoints', 4))
    }
    expect(await problems({ objects: tamper, items: [] })).toEqual([
      'chain_cut audit/',
      'chain_cut checkpoints/',
    ])
    const found = await problems({ objects: tamper, hints: { audit: 0, checkpoints: 0 } })
    expect(found.filter((one) => one.startsWith('table_record_missing'))).toHaveLength(6)
  })

  it('two objects swapped', async () => {
    const tamper = (objects: Stored) => {
      const [three, five] = [3, 5].map((seq) => objects.get(objectKey('audit', seq)) ?? Buffer.alloc(0))
      objects.set(objectKey('audit', 3), five ?? Buffer.alloc(0))
      objects.set(objectKey('audit', 5), three ?? Buffer.alloc(0))
    }
    const found = await problems({ objects: tamper })
    expect(found).toContain('number_wrong audit/000000000003.json')
    expect(found).toContain('number_wrong audit/000000000005.json')
  })

  it('records in another order', async () => {
    const tamper = (objects: Stored) => {
      const batch = batchOf(objects, 3)
      write(objects, 3, { ...batch, records: batch.records.toReversed() })
    }
    expect(await problems({ objects: tamper })).toEqual(['hash_wrong audit/000000000004.json'])
  })

  it('a record taken out of an object', async () => {
    const tamper = (objects: Stored) => {
      const batch = batchOf(objects, 3)
      write(objects, 3, { ...batch, records: batch.records.slice(1) })
    }
    const found = await problems({ objects: tamper })
    expect(found).toContain('total_wrong audit/000000000003.json')
    expect(found).toContain('hash_wrong audit/000000000004.json')
    expect(found.some((one) => one.startsWith('table_record_missing'))).toBe(true)
  })

  it('a forged object at the end', async () => {
    const tamper = (objects: Stored) => {
      const forged = { ...batchOf(objects, 3), seq: OBJECTS + 1 }
      write(objects, OBJECTS + 1, forged)
    }
    expect(await problems({ objects: tamper })).toEqual([
      'hash_wrong audit/000000000009.json',
      'total_wrong audit/000000000009.json',
    ])
  })

  it('an object again under a new number', async () => {
    const tamper = (objects: Stored) =>
      void objects.set(objectKey('audit', 9), objects.get(LAST) ?? Buffer.alloc(0))
    expect(await problems({ objects: tamper })).toContain('number_wrong audit/000000000009.json')
  })

  it('an object that is truncated', async () => {
    const tamper = (objects: Stored) =>
      void objects.set(
        objectKey('audit', 3),
        (objects.get(objectKey('audit', 3)) ?? Buffer.alloc(0)).subarray(0, 400),
      )
    const found = await problems({ objects: tamper, items: [] })
    expect(found).toContain('object_malformed audit/000000000003.json')
    expect(found).toContain('hash_wrong audit/000000000004.json')
  })

  it('a record that is no event', async () => {
    const tamper = (objects: Stored) => {
      const batch = batchOf(objects, OBJECTS)
      write(objects, OBJECTS, { ...batch, records: [{}, ...batch.records.slice(1)] })
    }
    expect(await problems({ objects: tamper, items: [] })).toContain(`record_malformed ${LAST}#0`)
  })

  it('a checkpoint that somebody else signed', async () => {
    const tamper = (objects: Stored) => resign(objects, 4, {}, new MemoryCheckpointSigner())
    expect(await problems({ objects: tamper })).toEqual(['signature_wrong checkpoints/000000000004.json'])
  })

  it('a checkpoint that was altered', async () => {
    const tamper = (objects: Stored) => {
      const key = objectKey('checkpoints', 2)
      const read = readCheckpoint(objects.get(key) ?? Buffer.alloc(0))
      const payload = Buffer.from(JSON.stringify({ ...read?.checkpoint, seq: 3 })).toString('base64url')
      objects.set(
        key,
        checkpointBytes({ ...(read?.signed as never as Parameters<typeof checkpointBytes>[0]), payload }),
      )
    }
    const found = await problems({ objects: tamper })
    expect(found).toContain('signature_wrong checkpoints/000000000002.json')
    expect(found).toContain('checkpoint_chain_broken checkpoints/000000000003.json')
  })

  it('a checkpoint that the key itself has signed, of a chain that never was', async () => {
    const tamper = (objects: Stored) =>
      resign(objects, 4, { hash: hashOf(Buffer.from('x')) }, exporter.signer)
    expect(await problems({ objects: tamper })).toEqual(['checkpoint_contradicted checkpoints/ 4'])
    const counted = (objects: Stored) => resign(objects, 4, { total: 5 }, exporter.signer)
    expect(await problems({ objects: counted })).toEqual(['checkpoint_contradicted checkpoints/ 4'])
  })

  it('a checkpoint with a number that is not its own', async () => {
    const tamper = (objects: Stored) => resign(objects, 4, { number: 7 }, exporter.signer)
    expect(await problems({ objects: tamper })).toEqual([
      'checkpoint_chain_broken checkpoints/000000000004.json',
    ])
  })

  it('a checkpoint that was removed', async () => {
    const tamper = (objects: Stored) => void objects.delete(objectKey('checkpoints', 2))
    expect(await problems({ objects: tamper })).toEqual(['checkpoint_missing checkpoints/'])
  })

  it('a checkpoint that is no JWS', async () => {
    const tamper = (objects: Stored) => void objects.set(objectKey('checkpoints', 4), Buffer.from('{}'))
    expect(await problems({ objects: tamper })).toEqual([
      'checkpoint_malformed checkpoints/000000000004.json',
    ])
  })

  it('a schedule that was stopped', async () => {
    expect(await problems({ now: NOW + 3 * 3600 })).toEqual(['checkpoint_stale checkpoints/'])
    const tamper = (objects: Stored) => {
      for (const number of [1, 2, 3, 4]) objects.delete(objectKey('checkpoints', number))
    }
    const without = { objects: tamper, hints: { audit: OBJECTS, checkpoints: 0 } }
    expect(await problems({ ...without, now: NOW + 3 * 3600 })).toEqual(['checkpoint_stale checkpoints/'])
    // A trail that has just begun has none yet.
    expect(await problems(without)).toEqual([])
  })

  it('a record of the table that was altered', async () => {
    const [first, ...rest] = items
    const event = { S: (first?.['event']?.S ?? '').replace('octo/pay', 'octo/xxx') }
    const altered = { ...first, event }
    expect(await problems({ items: [altered, ...rest] })).toEqual([
      `table_record_differs ${first?.['pk']?.S ?? ''}`,
    ])
  })

  it('a record that was never exported', async () => {
    const forged = exchangeItem('forged')
    expect(await problems({ items: [...items, forged] })).toEqual([
      `table_record_missing ${forged['pk']?.S ?? ''}`,
    ])
  })

  it('but a record that is too young to be exported yet is none', async () => {
    const young = { items: [exchangeItem('young')], now: NOW - 1 }
    expect(await verified(young)).toMatchObject({ findings: [], compared: 0, missing: [] })
  })

  it('an object with a second version, one that is hidden, and one that is not locked', async () => {
    const at = (key: string, changes: Partial<StoredObject>): Tampered => ({
      more: (object) => (object.key === key ? changes : {}),
    })
    expect(await problems(at(LAST, { laterVersions: 1 }))).toEqual([`object_replaced ${LAST}`])
    expect(await problems(at(LAST, { isHidden: true }))).toEqual([`object_hidden ${LAST}`])
    expect(await problems(at(LAST, { isLocked: false }))).toEqual([`object_unlocked ${LAST}`])
  })

  it('an object that is none of either chain', async () => {
    const tamper = (objects: Stored) => void objects.set('audit/notes.txt', Buffer.from('x'))
    expect(await problems({ objects: tamper })).toEqual(['strange_object audit/notes.txt'])
  })
})

describe('what the exporter saw is reported too:', () => {
  it('a record that was overwritten, deleted, or not readable', async () => {
    const objects = new MemoryAuditObjects()
    const { handle } = createTestExport({ objects, signer: exporter.signer })
    const item = exchangeItem('a')
    const forged = exchangeItem('a', { event: { subject: 'x' } })
    await handle({
      Records: [
        change(item),
        change(forged, item),
        change(undefined, item),
        change({ ...item, event: { S: '' } }),
      ],
    })
    await handle(TICK)
    const replace = (stored: Stored) => {
      stored.clear()
      for (const [key, bytes] of objects.objects) stored.set(key, bytes)
    }
    expect(await problems({ objects: replace, items: [], hints: { audit: 1, checkpoints: 1 } })).toEqual([
      'table_record_overwritten audit/000000000001.json#1',
      'table_record_deleted audit/000000000001.json#2',
      'record_unreadable audit/000000000001.json#3',
    ])
    // What was exported first is what counts.
    const edited = { objects: replace, items: [forged], hints: { audit: 1, checkpoints: 1 } }
    expect(await problems(edited)).toContain(`table_record_differs ${forged['pk']?.S ?? ''}`)
  })
})
