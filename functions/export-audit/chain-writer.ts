import { type ChainName, GENESIS, type Link, objectKey } from '../core/audit-chain.ts'
import { AuditChainFault } from '../core/fault.ts'
import type { AuditObjects, ChainHints } from '../core/ports.ts'

/** While others write, or a lost hint is made up for, so many objects are read on in one go. */
const MOST_READ_ON = 2000
/** After so many of them the hint is moved, so that the next run starts there. */
const HINT_EVERY = 50

export interface Chain {
  readonly name: ChainName
  /** What the next object will name. Throws RangeError for what is no object of the chain. */
  readonly linkOf: (bytes: Uint8Array) => Link
  readonly objects: AuditObjects
  readonly hints: ChainHints
}

/**
 * Appends to a chain. Writers take turns by S3's conditional write alone: of those that want the same number one gets it,
 * and the others read that object and want the next. Where the chain ends is remembered; the hint in the table only says
 * where to look from, and what a crash left it behind is read again.
 */
export class ChainWriter {
  private readonly chain: Chain
  private head: Link | undefined

  constructor(chain: Chain) {
    this.chain = chain
  }

  /** Writes the object that `make` gives for the chain's end. Throws if it cannot be known whether it was written. */
  async append(make: (head: Link) => Promise<Uint8Array> | Uint8Array): Promise<Link> {
    const { name, linkOf, objects, hints } = this.chain
    let head = this.head ?? (await this.end())
    for (let read = 0; read < MOST_READ_ON; read++) {
      const key = objectKey(name, head.seq + 1)
      const bytes = await make(head)
      const outcome = await objects.put(key, bytes)
      const standing = outcome === 'written' ? bytes : await this.standing(key)
      head = nextLink(head, linkOf(standing))
      // The write was repeated because its answer was lost: then what stands there is our own.
      if (outcome === 'written' || Buffer.from(standing).equals(bytes)) return this.ended(head)
      if (read % HINT_EVERY === HINT_EVERY - 1) await hints.advance(name, head.seq)
    }
    throw new AuditChainFault(`${name}: found no end from object ${head.seq - MOST_READ_ON} on`)
  }

  /** The last object of the chain. */
  async end(): Promise<Link> {
    const { name, linkOf, objects, hints } = this.chain
    let head = this.head ?? (await this.hinted())
    for (let read = 0; read < MOST_READ_ON; read++) {
      const next = await objects.get(objectKey(name, head.seq + 1))
      if (next === undefined) return head
      head = nextLink(head, linkOf(next))
      this.head = head
      if (read % HINT_EVERY === HINT_EVERY - 1) await hints.advance(name, head.seq)
    }
    throw new AuditChainFault(`${name}: found no end from object ${head.seq - MOST_READ_ON} on`)
  }

  private async hinted(): Promise<Link> {
    const seq = await this.chain.hints.read(this.chain.name)
    return seq === 0 ? GENESIS : this.chain.linkOf(await this.standing(objectKey(this.chain.name, seq)))
  }

  private async standing(key: string): Promise<Uint8Array> {
    const bytes = await this.chain.objects.get(key)
    if (bytes === undefined) throw new AuditChainFault(`${key} must be there and is not`)
    return bytes
  }

  private async ended(head: Link): Promise<Link> {
    this.head = head
    // The object stands: to fail now would have its records written twice. Without the hint, the next writer reads on.
    await this.chain.hints.advance(this.chain.name, head.seq).catch(() => undefined)
    return head
  }
}

/** A number that its key does not have would lead the chain astray. */
function nextLink(head: Link, next: Link): Link {
  if (next.seq !== head.seq + 1)
    throw new AuditChainFault(`object ${head.seq + 1} says that it is number ${next.seq}`)
  return next
}
