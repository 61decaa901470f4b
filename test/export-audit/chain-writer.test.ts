import { describe, expect, it } from 'vitest'
import {
  auditLinkOf,
  batchBytes,
  GENESIS,
  hashOf,
  objectKey,
  readBatch,
} from '../../functions/core/audit-chain.ts'
import type { AuditObjects } from '../../functions/core/ports.ts'
import { ChainWriter } from '../../functions/export-audit/chain-writer.ts'
import { MemoryAuditObjects, MemoryChainHints } from '../support/fakes.ts'

function chainOf(objects: AuditObjects = new MemoryAuditObjects(), hints = new MemoryChainHints()) {
  const writer = () => new ChainWriter({ name: 'audit', linkOf: auditLinkOf, objects, hints })
  const append = (chain: ChainWriter, name: string) =>
    chain.append((head) => batchBytes(head, { time: 0, writer: name, records: [] }))
  return { objects, hints, writer, append }
}

async function writers(objects: AuditObjects): Promise<readonly string[]> {
  const names: string[] = []
  let previous = GENESIS.hash
  for (let seq = 1; ; seq++) {
    const bytes = await objects.get(objectKey('audit', seq))
    if (bytes === undefined) return names
    const batch = readBatch(bytes)
    expect(batch).toMatchObject({ seq, previous })
    previous = hashOf(bytes)
    names.push(batch?.writer ?? '')
  }
}

describe('the writer of a chain', () => {
  it('names each object’s predecessor by its digest, and the first one’s by a constant', async () => {
    const { objects, writer, append } = chainOf()
    const chain = writer()
    for (const name of ['a', 'b', 'c']) await append(chain, name)
    expect(await writers(objects)).toEqual(['a', 'b', 'c'])
  })

  it('takes turns with any number of others: every object is there once, in one chain', async () => {
    const { objects, writer, append } = chainOf()
    const names = Array.from({ length: 30 }, (_, index) => `w${index}`)
    await Promise.all(names.map((name) => append(writer(), name)))
    expect([...(await writers(objects))].sort()).toEqual([...names].sort())
  })

  it('goes on where a crash left the hint behind', async () => {
    const { objects, hints, writer, append } = chainOf()
    const chain = writer()
    for (const name of ['a', 'b', 'c']) await append(chain, name)
    hints.hints.set('audit', 1)
    await append(writer(), 'd')
    expect(await writers(objects)).toEqual(['a', 'b', 'c', 'd'])
    expect(hints.hints.get('audit')).toBe(4)
  })

  it('goes on without any hint, and writes one on the way', async () => {
    const { objects, hints, writer, append } = chainOf()
    const chain = writer()
    for (let count = 0; count < 120; count++) await append(chain, String(count))
    hints.hints.clear()
    const advanced: number[] = []
    const advance = hints.advance.bind(hints)
    hints.advance = async (name, seq) => {
      advanced.push(seq)
      await advance(name, seq)
    }
    await append(writer(), 'last')
    expect(await writers(objects)).toHaveLength(121)
    expect(advanced).toEqual([50, 100, 121])
  })

  it('keeps what it wrote when the hint cannot be moved', async () => {
    const { objects, hints, writer, append } = chainOf()
    hints.advance = () => Promise.reject(new Error('down'))
    const chain = writer()
    await append(chain, 'a')
    await append(chain, 'b')
    expect(await writers(objects)).toEqual(['a', 'b'])
  })

  it('recognises its own object when the write was repeated because its answer was lost', async () => {
    const memory = new MemoryAuditObjects()
    const lossy: AuditObjects = {
      get: (key) => memory.get(key),
      put: async (key, bytes) => {
        await memory.put(key, bytes)
        return 'exists'
      },
    }
    const { writer, append } = chainOf(lossy)
    const chain = writer()
    await append(chain, 'a')
    await append(chain, 'b')
    expect(await writers(memory)).toEqual(['a', 'b'])
  })

  it('writes nothing after an object that is missing, or is none of the chain', async () => {
    const missing = chainOf()
    missing.hints.hints.set('audit', 7)
    await expect(missing.append(missing.writer(), 'a')).rejects.toThrow(
      'audit/000000000007.json must be there',
    )
    const strange = chainOf()
    await strange.objects.put(objectKey('audit', 1), Buffer.from('{}'))
    await expect(strange.append(strange.writer(), 'a')).rejects.toThrow(RangeError)
    const misnumbered = chainOf()
    const wrong = batchBytes({ ...GENESIS, seq: 5 }, { time: 0, writer: 'x', records: [] })
    await misnumbered.objects.put(objectKey('audit', 1), wrong)
    await expect(misnumbered.append(misnumbered.writer(), 'a')).rejects.toThrow('says that it is number 6')
  })
})
