import { createHash } from 'node:crypto'
import type { OcsfEvent } from './audit-ocsf.ts'

/*
 * The audit trail is a chain of objects: each has a number, and names the digest of the one before it. A second, much
 * shorter chain of signed checkpoints says how long the first one was, and what its last object was, at a time.
 */

/** Which of the two chains. */
export type ChainName = 'audit' | 'checkpoints'

/** The last object of a chain. */
export interface Link {
  /** 0 before the first. */
  readonly seq: number
  /** Base64url SHA-256 of its bytes. */
  readonly hash: string
  /** Records in the chain up to here. */
  readonly total: number
}

/** What the first object names as the one before it. */
export const GENESIS: Link = { seq: 0, hash: 'A'.repeat(43), total: 0 }

/** One object of the audit chain. */
export interface AuditBatch {
  readonly format: 1
  readonly seq: number
  readonly previous: string
  readonly total: number
  /** Epoch seconds at which it was written. */
  readonly time: number
  /** Random, one per attempt to write: by it a writer whose answer was lost recognises its own object. */
  readonly writer: string
  readonly records: readonly OcsfEvent[]
}

const DIGITS = 12
const KEY = /^(audit|checkpoints)\/(\d{12})\.json$/
const HASH = /^[\w-]{43}$/

/** The key of an object: its number with leading zeros, so that lists are in order. */
export function objectKey(chain: ChainName, seq: number): string {
  return `${chain}/${String(seq).padStart(DIGITS, '0')}.json`
}

/** The number in an object's key, or `undefined` if it is no key of this chain. */
export function seqOfKey(chain: ChainName, key: string): number | undefined {
  const [, name, digits] = KEY.exec(key) ?? []
  return name === chain ? Number(digits) : undefined
}

/** Base64url SHA-256. */
export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64url')
}

/** The next object after `head`. */
export function batchBytes(head: Link, batch: Pick<AuditBatch, 'time' | 'writer' | 'records'>): Uint8Array {
  const { time, writer, records } = batch
  const total = head.total + records.length
  const content: AuditBatch = {
    format: 1,
    seq: head.seq + 1,
    previous: head.hash,
    total,
    time,
    writer,
    records,
  }
  return Buffer.from(`${JSON.stringify(content)}\n`)
}

/** Reads an object of the audit chain, or `undefined` if it has not that form. The records are not looked into. */
export function readBatch(bytes: Uint8Array): AuditBatch | undefined {
  const value = parsed(bytes)
  if (value === undefined || value['format'] !== 1) return undefined
  const { seq, previous, total, time, writer, records } = value
  const isBatch =
    isCount(seq) &&
    isCount(total) &&
    isCount(time) &&
    typeof previous === 'string' &&
    HASH.test(previous) &&
    typeof writer === 'string' &&
    Array.isArray(records)
  return isBatch ? (value as unknown as AuditBatch) : undefined
}

/** Whether a record has what every event of the trail has. */
export function isRecord(value: unknown): value is OcsfEvent {
  if (!isObject(value) || !isObject(value['metadata']) || !isObject(value['unmapped'])) return false
  return (
    typeof value['metadata']['uid'] === 'string' &&
    isCount(value['time']) &&
    isCount(value['class_uid']) &&
    value['type_uid'] === value['class_uid'] * 100 + 99 &&
    isObject(value['unmapped']['event'])
  )
}

/** The object as the next one will name it. Throws RangeError if it is no object of the audit chain. */
export function auditLinkOf(bytes: Uint8Array): Link {
  const batch = readBatch(bytes)
  if (batch === undefined) throw new RangeError('this is no object of the audit chain')
  return { seq: batch.seq, hash: hashOf(bytes), total: batch.total }
}

/** A JSON object, or `undefined`. */
export function parsed(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
