import { randomUUID } from 'node:crypto'
import { arnOf, type Cloud } from './cloud.ts'
import { type Item, itemSize, type TableRecord } from './dynalite-engine.ts'
import { asObject, textAt } from './service.ts'

export type StreamViewType = 'KEYS_ONLY' | 'NEW_IMAGE' | 'OLD_IMAGE' | 'NEW_AND_OLD_IMAGES'

/** A record as Lambda's event source mapping delivers it. */
export interface StreamRecord {
  readonly eventID: string
  readonly eventName: 'INSERT' | 'MODIFY' | 'REMOVE'
  readonly eventVersion: '1.1'
  readonly eventSource: 'aws:dynamodb'
  readonly awsRegion: string
  readonly eventSourceARN: string
  /** Set where TTL deleted the item. */
  readonly userIdentity?: { readonly type: 'Service'; readonly principalId: 'dynamodb.amazonaws.com' }
  readonly dynamodb: {
    /** Epoch seconds. */
    readonly ApproximateCreationDateTime: number
    readonly Keys: Item
    readonly NewImage?: Item
    readonly OldImage?: Item
    /** Grows with every record; decimal, always 21 digits. */
    readonly SequenceNumber: string
    readonly SizeBytes: number
    readonly StreamViewType: StreamViewType
  }
}

/** What a write did to one item. */
export interface Change {
  readonly before: Item | undefined
  readonly after: Item | undefined
  readonly byTtl: boolean
}

const VIEW_TYPES: readonly string[] = ['KEYS_ONLY', 'NEW_IMAGE', 'OLD_IMAGE', 'NEW_AND_OLD_IMAGES']
const TTL_IDENTITY = { type: 'Service', principalId: 'dynamodb.amazonaws.com' } as const

/** The view type of the table's stream, or `undefined` if the table has none. Throws for an unknown one. */
export function streamViewOf(table: TableRecord): StreamViewType | undefined {
  const view = textAt(asObject(table['StreamSpecification']), 'StreamViewType')
  if (view === undefined) return undefined
  if (!VIEW_TYPES.includes(view)) throw new Error(`unknown StreamViewType "${view}"`)
  return view as StreamViewType
}

/** The record of a change. */
export function streamRecord(
  cloud: Cloud,
  table: TableRecord,
  change: Change,
  sequence: bigint,
): StreamRecord {
  const { before, after, byTtl } = change
  const view = streamViewOf(table) ?? 'KEYS_ONLY'
  const withNew = view === 'NEW_IMAGE' || view === 'NEW_AND_OLD_IMAGES'
  const withOld = view === 'OLD_IMAGE' || view === 'NEW_AND_OLD_IMAGES'
  const images = {
    ...(withNew && after !== undefined ? { NewImage: after } : {}),
    ...(withOld && before !== undefined ? { OldImage: before } : {}),
  }
  const Keys = keysOf(table, after ?? before ?? {})
  return {
    eventID: randomUUID().replaceAll('-', ''),
    eventName: before === undefined ? 'INSERT' : after === undefined ? 'REMOVE' : 'MODIFY',
    eventVersion: '1.1',
    eventSource: 'aws:dynamodb',
    awsRegion: cloud.region,
    eventSourceARN: streamArn(cloud, table),
    ...(byTtl ? { userIdentity: TTL_IDENTITY } : {}),
    dynamodb: {
      ApproximateCreationDateTime: Math.floor(cloud.clock() / 1000),
      Keys,
      ...images,
      SequenceNumber: String(sequence).padStart(21, '0'),
      SizeBytes: [Keys, ...Object.values(images)].reduce((sum, image) => sum + itemSize(image), 0),
      StreamViewType: view,
    },
  }
}

/** The ARN of the table's stream. Its label is the time of the table's making. */
export function streamArn(cloud: Cloud, table: TableRecord): string {
  return arnOf(cloud, 'dynamodb', `table/${table.TableName}/stream/${String(table['LatestStreamLabel'])}`)
}

/** Numbers that grow with every call, also from one run on the same data to the next. */
export function growingSequence(clock: () => number): () => bigint {
  let last = 0n
  return () => {
    const byClock = BigInt(Math.floor(clock())) * 1_000_000n
    last = byClock > last ? byClock : last + 1n
    return last
  }
}

function keysOf(table: TableRecord, item: Item): Item {
  return Object.fromEntries(table.KeySchema.map(({ AttributeName: name }) => [name, item[name]]))
}
