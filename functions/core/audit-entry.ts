import { createHash } from 'node:crypto'
import { OTHER_ITEMS } from './exchange-items.ts'

/** Where an entry of the audit trail was read. */
export type AuditSource = 'exchanges' | 'log'

/** One event on its way into the audit trail. */
export interface AuditEntry {
  /** The same for the same event, however often it is delivered: by it a repetition is recognised. */
  readonly id: string
  readonly source: AuditSource
  /** Epoch milliseconds. */
  readonly time: number
  /** As it was written: ids, digests and reasons, never a token. */
  readonly event: Readonly<Record<string, unknown>>
  /** Set where the write replaced a record that still counted: the id of that one's event. */
  readonly overwrote?: string
  /** How many events this one stands for, if more than itself. */
  readonly count?: number
  /** How often an operator had the table's stream carry the record again, if ever. */
  readonly repaired?: number
}

/** A DynamoDB item as a stream carries it. */
export type StreamImage = Readonly<Record<string, { readonly S?: string; readonly N?: string }>>

/** A record of the exchanges table's stream, as far as it is read. */
export interface StreamRecord {
  readonly eventName?: string | undefined
  /** Set where TTL deleted the item. */
  readonly userIdentity?: { readonly principalId?: string } | undefined
  readonly dynamodb?:
    | {
        readonly SequenceNumber?: string | undefined
        /** Epoch seconds. */
        readonly ApproximateCreationDateTime?: number | undefined
        readonly NewImage?: StreamImage | undefined
        readonly OldImage?: StreamImage | undefined
      }
    | undefined
}

/** A line that CloudWatch Logs delivers. */
export interface LogEvent {
  readonly id: string
  /** Epoch milliseconds. */
  readonly timestamp: number
  readonly message: string
}

const PASSED_OVER = Object.values(OTHER_ITEMS)
/**
 * An attribute of a record that counts how often it was repaired. To add to it changes the item, so that the stream carries
 * it again, and changes nothing of what it says.
 */
export const REPAIRED = 'repaired'
const RECORD_KEY = /^[\w-]{22}(?:#.+)?$/s

/** What could not be read. Its content is not repeated, whatever it is: a digest tells whether a suspected one was it. */
export const UNREADABLE = 'record_unreadable'
/** Somebody took a record away that still counted; TTL does not. */
export const DELETED = 'record_deleted'

/** What the table's change says, or `undefined` if it is about no exchange. Never throws: what is unreadable is an entry too. */
export function entryOfChange(record: StreamRecord): AuditEntry | undefined {
  const { eventName, userIdentity, dynamodb = {} } = record
  const { NewImage: after, OldImage: before } = dynamodb
  const key = (after ?? before)?.['pk']?.S
  if (key !== undefined && PASSED_OVER.some((prefix) => key.startsWith(prefix))) return undefined
  if (after === undefined && userIdentity?.principalId === 'dynamodb.amazonaws.com') return undefined
  const time = (dynamodb.ApproximateCreationDateTime ?? 0) * 1000
  const old = before && readRecord(before)
  if (eventName === 'REMOVE' && old !== undefined)
    return changeEntry([DELETED, dynamodb.SequenceNumber], time, { event: DELETED, record: old.id })
  const read = after && readRecord(after)
  if (read === undefined)
    return unreadable(['stream', dynamodb.SequenceNumber], time, JSON.stringify(dynamodb))
  const isOverwritten = old !== undefined && differs(old, read) && old.replayUntil >= read.recordedAt
  const { id, event, repaired } = read
  return {
    id,
    source: 'exchanges',
    time: read.recordedAt * 1000,
    event,
    ...(isOverwritten && { overwrote: old.id }),
    ...(repaired !== undefined && { repaired }),
  }
}

/** An item of the exchanges table, as the audit trail sees it. */
export interface RecordedExchange {
  readonly id: string
  readonly key: string
  readonly attempt: string
  /** The event as the item has it. */
  readonly text: string
  readonly event: Readonly<Record<string, unknown>>
  /** Epoch seconds. */
  readonly recordedAt: number
  readonly replayUntil: number
  /** See {@link AuditEntry.repaired}. */
  readonly repaired?: number
}

/** Reads an item, or `undefined` if it is no whole record of an exchange. */
export function readRecord(image: StreamImage): RecordedExchange | undefined {
  const key = image['pk']?.S
  const attempt = image['attempt']?.S
  const text = image['event']?.S
  const event = parsedObject(text)
  const recordedAt = Number(image['recorded_at']?.N)
  const replayUntil = Number(image['replay_until']?.N)
  const isWhole =
    key !== undefined &&
    RECORD_KEY.test(key) &&
    attempt !== undefined &&
    text !== undefined &&
    typeof event?.['event'] === 'string' &&
    Number.isSafeInteger(recordedAt) &&
    Number.isSafeInteger(replayUntil)
  if (!isWhole) return undefined
  const id = entryId(['exchange', key, attempt])
  const repaired = Number(image[REPAIRED]?.N)
  return {
    id,
    key,
    attempt,
    text,
    event,
    recordedAt,
    replayUntil,
    ...(Number.isSafeInteger(repaired) && { repaired }),
  }
}

/** The event in a line of a function's log. Never throws: a line that matched but cannot be read is an entry too. */
export function entryOfLogLine(logGroup: string, { id, timestamp, message }: LogEvent): AuditEntry {
  const event = parsedObject(message)?.['audit']
  if (!isObject(event) || typeof event['event'] !== 'string')
    return unreadable(['line', logGroup, id], timestamp, message)
  const seconds = event['time']
  return {
    id: entryId(['log', logGroup, id]),
    source: 'log',
    time: typeof seconds === 'number' ? seconds * 1000 : timestamp,
    event,
  }
}

function unreadable(name: readonly unknown[], time: number, content: string): AuditEntry {
  const event = { event: UNREADABLE, content_sha256: sha256(content), bytes: Buffer.byteLength(content) }
  const source = name[0] === 'line' ? 'log' : 'exchanges'
  return { id: entryId(name), source, time, event }
}

function changeEntry(name: readonly unknown[], time: number, event: AuditEntry['event']): AuditEntry {
  return { id: entryId(name), source: 'exchanges', time, event }
}

function differs(a: RecordedExchange, b: RecordedExchange): boolean {
  return a.id !== b.id || JSON.stringify(a.event) !== JSON.stringify(b.event)
}

function entryId(name: readonly unknown[]): string {
  return sha256(JSON.stringify(name)).slice(0, 22)
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

function parsedObject(text: string | undefined): Readonly<Record<string, unknown>> | undefined {
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
