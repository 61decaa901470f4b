import type { StatusIndex, StatusIndices } from '../core/ports.ts'
import { STATUS_BLOCK_SIZE, statusIndexOf } from '../core/status-list.ts'

/** With fewer left than this the next block is leased, beside the request that is being served. */
const RENEW_BELOW = STATUS_BLOCK_SIZE / 4
/** A lease that takes longer than any call can: Lambda froze the environment in the middle of it. */
const LOST_AFTER_MS = 5000

/** Numbers that nobody else has: from the first, as many as a block has. */
interface Block {
  next: number
  readonly end: number
}

interface Leasing {
  readonly startedAt: number
  readonly done: Promise<void>
}

/** Status indices, leased in blocks and kept ahead of need: only an environment's first token waits for a lease. */
export class LeasedStatusIndices implements StatusIndices {
  private readonly leaseBlock: () => Promise<number>
  private readonly nowMs: () => number
  private blocks: readonly Block[] = []
  private leasing: Leasing | undefined

  /** `leaseBlock` gives the first number of a block that is nobody else's. */
  constructor(leaseBlock: () => Promise<number>, nowMs: () => number) {
    this.leaseBlock = leaseBlock
    this.nowMs = nowMs
  }

  async next(): Promise<StatusIndex> {
    let number = this.take()
    while (number === undefined) {
      await this.lease()
      number = this.take()
    }
    // What fails here is tried again by the next request, and waited for once nothing is left.
    if (this.left() < RENEW_BELOW) this.lease().catch(() => undefined)
    return statusIndexOf(number)
  }

  private take(): number | undefined {
    this.blocks = this.blocks.filter(({ next, end }) => next < end)
    const [block] = this.blocks
    return block && block.next++
  }

  private left(): number {
    return this.blocks.reduce((sum, { next, end }) => sum + end - next, 0)
  }

  private lease(): Promise<void> {
    const underWay = this.leasing
    if (underWay !== undefined && this.nowMs() - underWay.startedAt < LOST_AFTER_MS) return underWay.done
    const leasing: Leasing = { startedAt: this.nowMs(), done: this.addBlock() }
    this.leasing = leasing
    const settle = () => {
      if (this.leasing === leasing) this.leasing = undefined
    }
    leasing.done.then(settle, settle)
    return leasing.done
  }

  private async addBlock(): Promise<void> {
    const first = await this.leaseBlock()
    this.blocks = [...this.blocks, { next: first, end: first + STATUS_BLOCK_SIZE }]
  }
}
