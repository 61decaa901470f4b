import { type AttributeValue, GetItemCommand, paginateScan } from '@aws-sdk/client-dynamodb'
import {
  GetObjectCommand,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  S3Client,
} from '@aws-sdk/client-s3'
import { type ChainName, objectKey } from '../../functions/core/audit-chain.ts'
import { type RecordedExchange, readRecord, type StreamImage } from '../../functions/core/audit-entry.ts'
import type { StoredObject } from './audit-verification.ts'
import type { Deployment } from './deployment.ts'

const CHAINS: readonly ChainName[] = ['audit', 'checkpoints']
/** Objects that are read at the same time. */
const AT_ONCE = 16

interface Listed {
  readonly key: string
  readonly versionId: string
  readonly laterVersions: number
  readonly isHidden: boolean
}

/** The audit trail of a deployment, read as the operator. */
export class AuditSource {
  readonly #deployment: Deployment
  readonly #s3: S3Client
  readonly #bucket: string

  constructor(deployment: Deployment) {
    this.#deployment = deployment
    this.#s3 = new S3Client(deployment.awsConfig)
    this.#bucket = deployment.output('AuditBucket')
  }

  /**
   * The objects of both chains, each in the order of its keys; of the audit chain from object `since` on. Checkpoints first:
   * what they name is there then, however fast the chain grows meanwhile.
   */
  async *objects(since = 1): AsyncGenerator<StoredObject> {
    for (const chain of CHAINS.toReversed()) {
      // The one before is needed too: the first that is checked names its digest.
      const after = chain === 'audit' && since > 2 ? objectKey(chain, since - 2) : undefined
      yield* this.#readAll(this.#list(`${chain}/`, after))
    }
  }

  /** The records of exchanges that the table holds. */
  async *recorded(): AsyncGenerator<RecordedExchange> {
    const { dynamoDb, tables } = this.#deployment
    const scan = { TableName: tables.exchanges, ConsistentRead: true }
    for await (const { Items = [] } of paginateScan({ client: dynamoDb }, scan)) {
      for (const item of Items) {
        const record = readRecord(imageOf(item))
        // What cannot be read was exported as unreadable, and is reported there.
        if (record !== undefined) yield record
      }
    }
  }

  /** How far the table says that the chains go. */
  async hints(): Promise<Readonly<Record<ChainName, number>>> {
    const [audit = 0, checkpoints = 0] = await Promise.all(CHAINS.map((chain) => this.#hint(chain)))
    return { audit, checkpoints }
  }

  async #hint(chain: ChainName): Promise<number> {
    const Key = { pk: { S: `head#${chain}` } }
    const get = new GetItemCommand({
      TableName: this.#deployment.output('AuditTable'),
      Key,
      ConsistentRead: true,
    })
    const { Item } = await this.#deployment.dynamoDb.send(get)
    return Number(Item?.['seq']?.N ?? 0)
  }

  async *#readAll(listed: AsyncIterable<Listed>): AsyncGenerator<StoredObject> {
    const underWay: Promise<StoredObject>[] = []
    for await (const one of listed) {
      underWay.push(this.#read(one))
      if (underWay.length === AT_ONCE) yield (await underWay.shift()) as StoredObject
    }
    for (const reading of underWay) yield await reading
  }

  async #read({ key, versionId, laterVersions, isHidden }: Listed): Promise<StoredObject> {
    const get = new GetObjectCommand({ Bucket: this.#bucket, Key: key, VersionId: versionId })
    const { Body, ObjectLockRetainUntilDate: until } = await this.#s3.send(get)
    const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array()
    return { key, bytes, laterVersions, isHidden, isLocked: until !== undefined }
  }

  /** Every key once, with its oldest version: a page may end between two versions of a key. */
  async *#list(prefix: string, after: string | undefined): AsyncGenerator<Listed> {
    let waiting: Listed | undefined
    for await (const one of this.#versions(prefix, after)) {
      if (waiting?.key === one.key) {
        waiting = joined(waiting, one)
        continue
      }
      if (waiting !== undefined) yield waiting
      waiting = one
    }
    if (waiting !== undefined) yield waiting
  }

  async *#versions(prefix: string, after: string | undefined): AsyncGenerator<Listed> {
    let KeyMarker = after
    let VersionIdMarker: string | undefined
    for (;;) {
      const page: ListObjectVersionsCommandOutput = await this.#s3.send(
        new ListObjectVersionsCommand({ Bucket: this.#bucket, Prefix: prefix, KeyMarker, VersionIdMarker }),
      )
      yield* listedIn(page)
      if (page.IsTruncated !== true) return
      KeyMarker = page.NextKeyMarker
      VersionIdMarker = page.NextVersionIdMarker
    }
  }

  /** Ends the connections. */
  close(): void {
    this.#s3.destroy()
  }
}

/** The versions of a page by key, newest first, as S3 lists them. A key of which only markers are left has no version. */
function listedIn({ Versions = [], DeleteMarkers = [] }: ListObjectVersionsCommandOutput): readonly Listed[] {
  const byKey = new Map<string, Listed>()
  for (const { Key: key = '', VersionId: versionId = '' } of Versions) {
    const known = byKey.get(key)
    byKey.set(key, {
      key,
      versionId,
      laterVersions: known === undefined ? 0 : known.laterVersions + 1,
      isHidden: false,
    })
  }
  for (const { Key: key = '' } of DeleteMarkers) {
    const known = byKey.get(key)
    if (known !== undefined) byKey.set(key, { ...known, isHidden: true })
  }
  return [...byKey.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
}

function joined(newer: Listed, older: Listed): Listed {
  const laterVersions = newer.laterVersions + 1 + older.laterVersions
  return { ...older, laterVersions, isHidden: newer.isHidden || older.isHidden }
}

/** The item with texts and numbers only, as the stream's reader wants it. */
function imageOf(item: Readonly<Record<string, AttributeValue>>): StreamImage {
  const image: Record<string, StreamImage[string]> = {}
  for (const [name, { S, N }] of Object.entries(item)) {
    if (S !== undefined) image[name] = { S }
    else if (N !== undefined) image[name] = { N }
  }
  return image
}
