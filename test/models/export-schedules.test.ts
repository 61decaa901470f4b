import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GENESIS, hashOf, objectKey, readBatch } from '../../functions/core/audit-chain.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import { change, createTestExport, exchangeItem, tokenId } from '../support/audit.ts'
import { MemoryAuditObjects, MemoryChainHints } from '../support/fakes.ts'

/*
 * The deployed exporter, in every order in which the calls of two of them can take effect and be answered, with writes
 * that are refused, lost after they took effect, or late, and with environments that forget: what the model of the outbox
 * says of the design, said of the code (invariants I7, I21).
 */

const RUNS = 400
const SHARDS = [
  ['first', 'second', 'third'],
  ['other', 'another'],
]
type Fault = 'none' | 'refused' | 'unanswered' | 'late'

/** Stores whose calls the scheduler lets through, the puts with these faults. */
function scheduledStores(scheduler: fc.Scheduler, faults: Fault[]) {
  const objects = new MemoryAuditObjects()
  const hints = new MemoryChainHints()
  const wait = (name: string) => scheduler.schedule(Promise.resolve(), name)
  const slowly =
    <Args extends unknown[], T>(name: string, call: (...args: Args) => Promise<T>) =>
    async (...args: Args): Promise<T> => {
      await wait(`${name} arrives`)
      const result = await call(...args)
      await wait(`${name} is answered`)
      return result
    }
  const put = slowly('put', objects.put.bind(objects))
  const slow = {
    get: slowly('get', objects.get.bind(objects)),
    put: async (key: string, bytes: Uint8Array) => {
      const fault = faults.pop() ?? 'none'
      if (fault === 'none') return put(key, bytes)
      if (fault === 'late') void put(key, bytes)
      if (fault === 'unanswered') await put(key, bytes)
      await wait('put fails')
      throw new DependencyUnavailable('s3', fault)
    },
  }
  const slowHints = {
    read: slowly('hint read', hints.read.bind(hints)),
    advance: slowly('hint', hints.advance.bind(hints)),
  }
  return { objects, slow, slowHints }
}

/** Follows the chain from its beginning; every object must be in it. */
function readChain({ objects }: MemoryAuditObjects): string {
  let previous = GENESIS.hash
  const texts: string[] = []
  for (let seq = 1; seq <= objects.size; seq++) {
    const bytes = objects.get(objectKey('audit', seq)) ?? new Uint8Array()
    expect(readBatch(bytes)).toMatchObject({ seq, previous })
    previous = hashOf(bytes)
    texts.push(new TextDecoder().decode(bytes))
  }
  return texts.join('')
}

describe('two exporters, whatever order their calls take effect and are answered in', () => {
  it('bring every record into one chain without gap or fork', async () => {
    const faults = fc.array(fc.constantFrom<Fault>('none', 'refused', 'unanswered', 'late'), { maxLength: 6 })
    const property = fc.asyncProperty(fc.scheduler(), faults, fc.boolean(), async (s, planned, forgets) => {
      const { objects, slow, slowHints } = scheduledStores(s, [...planned])
      const exportShard = async (names: readonly string[]) => {
        let exporter = createTestExport({ objects: slow, hints: slowHints })
        for (const name of names) {
          const Records = [change(exchangeItem(name))]
          // As a stream does it: again, until nothing of the batch has failed.
          while ((await exporter.handle({ Records }))?.batchItemFailures.length !== 0)
            if (forgets) exporter = exporter.restarted()
        }
      }
      await s.waitFor(Promise.all(SHARDS.map(exportShard)))
      await s.waitIdle()
      const trail = readChain(objects)
      for (const name of SHARDS.flat()) expect(trail).toContain(tokenId(name))
    })
    await fc.assert(property, { numRuns: RUNS })
  })
})
