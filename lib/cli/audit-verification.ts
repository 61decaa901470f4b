import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import {
  type AuditBatch,
  type ChainName,
  GENESIS,
  hashOf,
  isRecord,
  type Link,
  readBatch,
  seqOfKey,
} from '../../functions/core/audit-chain.ts'
import {
  type Checkpoint,
  checkpointSigningInput,
  readCheckpoint,
} from '../../functions/core/audit-checkpoint.ts'
import { DELETED, type RecordedExchange, UNREADABLE } from '../../functions/core/audit-entry.ts'
import type { OcsfEvent } from '../../functions/core/audit-ocsf.ts'

/** What can be wrong with an audit trail. */
export type AuditProblem =
  | 'strange_object'
  | 'object_missing'
  | 'object_replaced'
  | 'object_hidden'
  | 'object_unlocked'
  | 'object_malformed'
  | 'number_wrong'
  | 'hash_wrong'
  | 'total_wrong'
  | 'record_malformed'
  | 'checkpoint_missing'
  | 'checkpoint_malformed'
  | 'checkpoint_chain_broken'
  | 'signature_wrong'
  | 'checkpoint_contradicted'
  | 'chain_cut'
  | 'checkpoint_stale'
  | 'table_record_missing'
  | 'table_record_differs'
  | 'table_record_overwritten'
  | 'table_record_deleted'
  | 'record_unreadable'

export interface AuditFinding {
  readonly problem: AuditProblem
  /** The object's key, or the record's. */
  readonly where: string
  readonly detail: string
}

/** One object, in its oldest version: that is the one which was written when there was none. */
export interface StoredObject {
  readonly key: string
  readonly bytes: Uint8Array
  /** Versions that came later; the exporter never writes one. */
  readonly laterVersions: number
  /** Whether a delete marker hides it. */
  readonly isHidden: boolean
  /** `undefined`: not asked for. */
  readonly isLocked?: boolean | undefined
}

export interface AuditTrailSource {
  /** All objects of both chains, each chain in the order of its keys. */
  readonly objects: AsyncIterable<StoredObject>
  /** The records that the exchanges table holds, `undefined` without access to it. */
  readonly recorded?: AsyncIterable<RecordedExchange> | undefined
  /** How far the table says that the chains go. A second witness beside the bucket. */
  readonly hints?: Readonly<Record<ChainName, number>> | undefined
}

export interface VerificationOptions {
  /** SubjectPublicKeyInfo in DER, or PEM. */
  readonly publicKey: Uint8Array | string
  /** The first object that is looked at; its predecessor is taken on trust. @default 1 */
  readonly since?: number
  /** Epoch seconds. */
  readonly now: number
  /** So old, in seconds, must a record of the table be to count as missing. @default 900 */
  readonly lagAllowance?: number
  readonly onObject?: (count: number) => void
}

export interface AuditReport {
  readonly findings: readonly AuditFinding[]
  readonly objects: number
  readonly records: number
  /** Records by different ids: a delivery that was repeated adds none. */
  readonly events: number
  readonly duplicates: number
  readonly checkpoints: number
  /** Of the last checkpoint, epoch seconds. What came later is chained, but not signed yet. */
  readonly signedUntil: number | undefined
  readonly compared: number
  /** Records of the table that the trail lacks. */
  readonly missing: readonly RecordedExchange[]
}

/** Longer than the hourly heartbeat and a late schedule. */
const STALE_SECONDS = 3600 + 900
const LAG_ALLOWANCE_SECONDS = 900

/** Checks a whole audit trail: nothing edited, dropped, added, reordered or cut off. Reads each object once. */
export async function verifyAudit(
  source: AuditTrailSource,
  options: VerificationOptions,
): Promise<AuditReport> {
  const check = new Verification(options)
  for await (const object of source.objects) check.object(object)
  check.end(source.hints)
  if (source.recorded !== undefined) for await (const recorded of source.recorded) check.recorded(recorded)
  return check.report()
}

class Verification {
  readonly #findings: AuditFinding[] = []
  readonly #options: VerificationOptions
  readonly #publicKey: KeyObject
  readonly #since: number
  /** Link of each object by number, as it should be named by the next one. */
  readonly #links = new Map<number, Link>()
  readonly #checkpoints: Checkpoint[] = []
  /** Digest of the event, by its id. */
  readonly #events = new Map<string, string>()
  #last: Record<ChainName, Link | undefined> = { audit: undefined, checkpoints: undefined }
  #objects = 0
  /** When the first object was written, epoch seconds. */
  #firstAt = Number.POSITIVE_INFINITY
  #records = 0
  #compared = 0
  readonly #missing: RecordedExchange[] = []

  constructor(options: VerificationOptions) {
    this.#options = options
    const { publicKey } = options
    this.#publicKey =
      typeof publicKey === 'string'
        ? createPublicKey(publicKey)
        : createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' })
    this.#since = options.since ?? 1
  }

  object(object: StoredObject): void {
    const { key, laterVersions, isHidden, isLocked } = object
    this.#objects++
    this.#options.onObject?.(this.#objects)
    if (laterVersions > 0)
      this.#find('object_replaced', key, `${laterVersions} later versions: the oldest one is checked`)
    if (isHidden) this.#find('object_hidden', key, 'a delete marker hides it')
    if (isLocked === false) this.#find('object_unlocked', key, 'it has no retention: it can be deleted')
    const batch = seqOfKey('audit', key)
    const checkpoint = seqOfKey('checkpoints', key)
    if (batch !== undefined) this.#batch(batch, object)
    else if (checkpoint !== undefined) this.#checkpoint(checkpoint, object)
    else this.#find('strange_object', key, 'its key belongs to neither chain')
  }

  /** When all objects have been seen. */
  end(hints: AuditTrailSource['hints']): void {
    for (const checkpoint of this.#checkpoints) this.#compareCheckpoint(checkpoint)
    if (hints !== undefined) {
      this.#cut('audit', hints.audit, 'the table knows of')
      this.#cut('checkpoints', hints.checkpoints, 'the table knows of')
    }
    const last = this.#checkpoints.at(-1)
    // A trail that has just begun has none yet.
    const age = this.#options.now - (last?.time ?? this.#firstAt)
    if (age > STALE_SECONDS) {
      const detail = last === undefined ? 'there is none' : `the last one is ${age} s old`
      this.#find('checkpoint_stale', `checkpoints/`, `${detail}; one is due every hour`)
    }
  }

  recorded(record: RecordedExchange): void {
    const { id, key, event, recordedAt } = record
    const { now, lagAllowance = LAG_ALLOWANCE_SECONDS } = this.#options
    if (recordedAt > now - lagAllowance) return
    this.#compared++
    const exported = this.#events.get(id)
    if (exported === undefined) {
      this.#missing.push(record)
      this.#find('table_record_missing', key, 'the table holds it, and the trail does not')
    } else if (exported !== digestOf(event))
      this.#find('table_record_differs', key, 'the table says something else than the trail')
  }

  report(): AuditReport {
    return {
      findings: this.#findings,
      objects: this.#objects,
      records: this.#records,
      events: this.#events.size,
      duplicates: this.#records - this.#events.size,
      checkpoints: this.#checkpoints.length,
      signedUntil: this.#checkpoints.at(-1)?.time,
      compared: this.#compared,
      missing: this.#missing,
    }
  }

  #batch(seq: number, { key, bytes }: StoredObject): void {
    if (seq < this.#since - 1) return
    const batch = readBatch(bytes)
    const before = this.#last.audit
    if (batch === undefined) {
      this.#find('object_malformed', key, 'it is no object of the audit chain')
      this.#follow('audit', seq, { seq, hash: hashOf(bytes), total: before?.total ?? 0 })
      return
    }
    this.#firstAt = Math.min(this.#firstAt, batch.time)
    const isFirst = seq === this.#since - 1
    this.#gap('audit', seq)
    if (batch.seq !== seq) this.#find('number_wrong', key, `it says that it is number ${batch.seq}`)
    const expected = before ?? (seq === 1 ? GENESIS : undefined)
    if (!isFirst && expected?.seq === seq - 1) this.#link(key, batch, expected)
    this.#follow('audit', seq, { seq, hash: hashOf(bytes), total: batch.total })
    if (!isFirst)
      for (const [index, record] of batch.records.entries()) this.#record(`${key}#${index}`, record)
  }

  #link(key: string, batch: AuditBatch, expected: Link): void {
    if (batch.previous !== expected.hash)
      this.#find('hash_wrong', key, `object ${expected.seq} has not the digest that this one names`)
    if (batch.total !== expected.total + batch.records.length)
      this.#find(
        'total_wrong',
        key,
        `it counts ${batch.total} records up to here, found ${expected.total + batch.records.length}`,
      )
  }

  #record(where: string, record: OcsfEvent): void {
    this.#records++
    if (!isRecord(record)) {
      this.#find('record_malformed', where, 'it is no event of this trail')
      return
    }
    const { uid } = record.metadata
    const { event, overwrote } = record.unmapped
    if (!this.#events.has(uid)) this.#events.set(uid, digestOf(event))
    if (overwrote !== undefined)
      this.#find(
        'table_record_overwritten',
        where,
        `it replaced ${overwrote} in the table while that one counted`,
      )
    if (event['event'] === DELETED)
      this.#find('table_record_deleted', where, `${String(event['record'])} was deleted from the table`)
    if (event['event'] === UNREADABLE)
      this.#find('record_unreadable', where, 'the exporter could not read it')
  }

  #checkpoint(number: number, { key, bytes }: StoredObject): void {
    const before = this.#last.checkpoints
    const read = readCheckpoint(bytes)
    this.#gap('checkpoints', number)
    this.#follow('checkpoints', number, { seq: number, hash: hashOf(bytes), total: 0 })
    if (read === undefined) {
      this.#find('checkpoint_malformed', key, 'it is no checkpoint')
      return
    }
    const { signed, checkpoint } = read
    const input = Buffer.from(checkpointSigningInput(signed))
    const signature = Buffer.from(signed.signature, 'base64url')
    if (!verify('sha256', input, { key: this.#publicKey, dsaEncoding: 'ieee-p1363' }, signature)) {
      this.#find('signature_wrong', key, 'it is not signed by the checkpoint key')
      return
    }
    const expected = before ?? GENESIS
    if (
      checkpoint.number !== number ||
      (expected.seq === number - 1 && checkpoint.previous !== expected.hash)
    )
      this.#find('checkpoint_chain_broken', key, 'it does not follow the checkpoint before it')
    this.#checkpoints.push(checkpoint)
  }

  #compareCheckpoint({ number, seq, hash, total }: Checkpoint): void {
    if (seq === 0 || seq < this.#since - 1) return
    const where = `checkpoints/ ${number}`
    const link = this.#links.get(seq)
    if (link === undefined) this.#cut('audit', seq, `checkpoint ${number} has signed`)
    else if (link.hash !== hash)
      this.#find('checkpoint_contradicted', where, `object ${seq} is not the one that was signed`)
    else if (link.total !== total)
      this.#find('checkpoint_contradicted', where, `${total} records were signed up to object ${seq}`)
  }

  /** Numbers between the last object and this one. Only what comes before something is found here. */
  #gap(chain: ChainName, seq: number): void {
    const first = chain === 'audit' ? Math.max(0, this.#since - 2) : 0
    const from = (this.#last[chain]?.seq ?? first) + 1
    if (seq <= from) return
    const problem = chain === 'audit' ? 'object_missing' : 'checkpoint_missing'
    this.#find(
      problem,
      `${chain}/`,
      from === seq - 1 ? `${from} is missing` : `${from} to ${seq - 1} are missing`,
    )
  }

  #cut(chain: ChainName, known: number, who: string): void {
    const last = this.#last[chain]?.seq ?? 0
    if (known <= last) return
    const where = `${chain}/`
    const isKnown = this.#findings.some((one) => one.problem === 'chain_cut' && one.where === where)
    if (!isKnown) this.#find('chain_cut', where, `it ends at ${last}, and ${who} ${known}`)
  }

  #follow(chain: ChainName, seq: number, link: Link): void {
    this.#last = { ...this.#last, [chain]: link }
    if (chain === 'audit') this.#links.set(seq, link)
  }

  #find(problem: AuditProblem, where: string, detail: string): void {
    this.#findings.push({ problem, where, detail })
  }
}

function digestOf(event: object): string {
  return createHash('sha256').update(JSON.stringify(event)).digest('base64url')
}
