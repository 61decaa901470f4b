import { GenerateMacCommand, type KMSClient } from '@aws-sdk/client-kms'
import { DependencyUnavailable } from '../core/fault.ts'
import { LIMITS } from '../core/limits.ts'
import type { DpopNonces } from '../core/ports.ts'
import { answerOf } from './aws-client.ts'

const ALGORITHM = 'HMAC_SHA_256'
/** 192 bits, without padding. */
const NONCE_CHARACTERS = 32

/**
 * A nonce for each slot of time: the MAC of the slot's number by a KMS key that does nothing else. Every environment arrives
 * at the same one without having heard of any other, keeps nothing secret, and asks KMS once per slot; nobody else can know the
 * nonce of a slot before it is handed out. In the second half of a slot the next one is asked for, beside the request.
 */
export class KmsDpopNonces implements DpopNonces {
  private readonly client: KMSClient
  private readonly keyArn: string
  /** Keeps what is made here apart from what the same key could be asked for elsewhere. */
  private readonly label: string
  private readonly known = new Map<number, Promise<string>>()

  constructor(client: KMSClient, keyArn: string, issuer: string) {
    this.client = client
    this.keyArn = keyArn
    this.label = JSON.stringify(['token-broker dpop nonce', issuer])
  }

  async at(now: number): Promise<readonly [current: string, ...others: string[]]> {
    const slot = slotAt(now)
    const ahead = slotAt(now + LIMITS.clockSkewSeconds)
    const others = ahead === slot ? [slot - 1] : [slot - 1, ahead]
    const next = slotAt(now + LIMITS.dpopNonceSeconds / 2)
    for (const old of this.known.keys()) if (old < slot - 1) this.known.delete(old)
    // What fails here is asked for again when it is needed.
    if (next !== slot) this.nonceOf(next).catch(() => undefined)
    const [current, ...accepted] = await Promise.all([
      this.nonceOf(slot),
      ...others.map((one) => this.nonceOf(one)),
    ])
    return [current, ...accepted]
  }

  private nonceOf(slot: number): Promise<string> {
    const known = this.known.get(slot)
    if (known !== undefined) return known
    const made = this.make(slot)
    this.known.set(slot, made)
    made.catch(() => {
      if (this.known.get(slot) === made) this.known.delete(slot)
    })
    return made
  }

  private async make(slot: number): Promise<string> {
    const command = new GenerateMacCommand({
      KeyId: this.keyArn,
      MacAlgorithm: ALGORITHM,
      Message: Buffer.from(`${this.label}\n${slot}`),
    })
    const { Mac } = await answerOf('kms', this.client.send(command))
    if (Mac === undefined || Mac.length !== 32)
      throw new DependencyUnavailable('kms', 'GenerateMac answered without a MAC')
    return Buffer.from(Mac).toString('base64url').slice(0, NONCE_CHARACTERS)
  }
}

function slotAt(now: number): number {
  return Math.floor(now / LIMITS.dpopNonceSeconds)
}
