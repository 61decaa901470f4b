import {
  DisableKeyCommand,
  type KMSClient,
  ListKeysCommand,
  ListResourceTagsCommand,
  ScheduleKeyDeletionCommand,
  type Tag,
} from '@aws-sdk/client-kms'
import { DELETION_WINDOW_DAYS } from '../core/key-times.ts'
import type { SigningKeyInventory, TaggedKey } from '../core/ports.ts'
import type { RingName } from '../core/types.ts'
import { KEY_TAGS, TOKEN_SIGNING } from '../key-tags.ts'
import { answerOf, isCausedBy } from './aws-client.ts'

/** KMS lists the keys of the whole account: what lies beyond this many is not looked at. */
const MAX_PAGES = 5
const KEYS_PER_PAGE = 1000
/** KMS reads tags 2,000 times a second for an account, and others want to as well. */
const TAG_READS_AT_ONCE = 5

const FOREIGN = new Set(['AccessDeniedException', 'NotFoundException'])
/** A key that waits for its deletion, or is deleted, can neither be disabled nor be deleted again. */
const ON_ITS_WAY_OUT = new Set(['KMSInvalidStateException', 'NotFoundException'])

/** Finds the stage's keys by their tags, and takes them out of use. */
export class KmsSigningKeyInventory implements SigningKeyInventory {
  private readonly client: KMSClient
  private readonly stage: string

  constructor(client: KMSClient, stage: string) {
    this.client = client
    this.stage = stage
  }

  async find(ring: RingName): Promise<readonly TaggedKey[]> {
    const found: TaggedKey[] = []
    const keyArns = await this.allKeys()
    while (keyArns.length > 0) {
      const batch = keyArns.splice(0, TAG_READS_AT_ONCE)
      const tagged = await Promise.all(batch.map((keyArn) => this.tagged(keyArn, ring)))
      found.push(...tagged.filter((key) => key !== undefined))
    }
    return found
  }

  async disable(keyArn: string): Promise<void> {
    await unlessGone(this.client.send(new DisableKeyCommand({ KeyId: keyArn })))
  }

  async scheduleDeletion(keyArn: string): Promise<void> {
    const command = new ScheduleKeyDeletionCommand({
      KeyId: keyArn,
      PendingWindowInDays: DELETION_WINDOW_DAYS,
    })
    await unlessGone(this.client.send(command))
  }

  private async allKeys(): Promise<string[]> {
    const keyArns: string[] = []
    let marker: string | undefined
    for (let page = 0; page < MAX_PAGES; page++) {
      const command = new ListKeysCommand({ Limit: KEYS_PER_PAGE, Marker: marker })
      const { Keys = [], NextMarker, Truncated } = await answerOf('kms', this.client.send(command))
      keyArns.push(...Keys.flatMap(({ KeyArn }) => KeyArn ?? []))
      if (Truncated !== true) break
      marker = NextMarker
    }
    return keyArns
  }

  /** The key, if its tags are those of the stage and ring. */
  private async tagged(keyArn: string, ring: RingName): Promise<TaggedKey | undefined> {
    const tags = await this.tagsOf(keyArn)
    const value = (name: string) => tags.find(({ TagKey }) => TagKey === name)?.TagValue
    const isOurs =
      value(KEY_TAGS.purpose) === TOKEN_SIGNING &&
      value(KEY_TAGS.stage) === this.stage &&
      value(KEY_TAGS.ring) === ring
    return isOurs ? { keyArn, reservation: value(KEY_TAGS.reservation) } : undefined
  }

  private async tagsOf(keyArn: string): Promise<readonly Tag[]> {
    try {
      const command = new ListResourceTagsCommand({ KeyId: keyArn })
      const { Tags = [] } = await answerOf('kms', this.client.send(command))
      return Tags
    } catch (error) {
      // A key policy may keep everybody else out: that key is none of ours. Others may be deleted meanwhile.
      if (isCausedBy(error, FOREIGN)) return []
      throw error
    }
  }
}

async function unlessGone(call: Promise<unknown>): Promise<void> {
  try {
    await answerOf('kms', call)
  } catch (error) {
    if (!isCausedBy(error, ON_ITS_WAY_OUT)) throw error
  }
}
