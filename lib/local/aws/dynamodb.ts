import { isDeepStrictEqual } from 'node:util'
import { AwsError, type JsonObject } from './aws-error.ts'
import type { Cloud } from './cloud.ts'
import type { OnDefect } from './defect.ts'
import {
  DynaliteEngine,
  type DynaliteOperation,
  type Item,
  isDynaliteOperation,
  storeKey,
  type TableRecord,
} from './dynalite-engine.ts'
import { dynamoDbAccess, tableName } from './dynamodb-access.ts'
import {
  type Change,
  growingSequence,
  type StreamRecord,
  streamRecord,
  streamViewOf,
} from './dynamodb-stream.ts'
import type { AccessRequest } from './iam.ts'
import { KeyLock } from './key-lock.ts'
import { type AwsService, asObject, objectAt, type ServiceCall, textAt } from './service.ts'
import { StaleReplica } from './stale-replica.ts'

/** A table, with the property names of CloudFormation. */
export interface TableDefinition {
  readonly TableName: string
  readonly KeySchema: readonly { readonly AttributeName: string; readonly KeyType: string }[]
  readonly AttributeDefinitions: readonly { readonly AttributeName: string; readonly AttributeType: string }[]
  readonly GlobalSecondaryIndexes?: readonly JsonObject[]
  readonly TimeToLiveSpecification?: { readonly AttributeName?: string; readonly Enabled: boolean }
  readonly StreamSpecification?: { readonly StreamViewType: string }
}

export type StreamListener = (record: StreamRecord) => void

type WriteOperation = 'PutItem' | 'UpdateItem' | 'DeleteItem'

const WRITES = new Set<string>(['PutItem', 'UpdateItem', 'DeleteItem'])
const READS = new Set<string>(['GetItem', 'BatchGetItem', 'Query', 'Scan'])
const ITEM_OPERATIONS = new Set<string>([...WRITES, ...READS, 'BatchWriteItem'])
const CORAL = 'com.amazon.coral.service#'
/** TTL leaves items alone that expired longer ago than this. */
const TTL_HORIZON_SECONDS = 5 * 365 * 24 * 60 * 60

/**
 * DynamoDB: dynalite behind, and in front what dynalite lacks: the item that failed a condition, streams, TTL, and
 * reads that are stale on purpose.
 */
export class DynamoDb implements AwsService {
  readonly unsigned = new Set<string>()
  readonly accessDenied = { type: `${CORAL}AccessDeniedException`, status: 400 }
  readonly unknownCaller = { type: `${CORAL}UnrecognizedClientException`, status: 400 }
  readonly #cloud: Cloud
  readonly #onDefect: OnDefect
  readonly #engine: DynaliteEngine
  readonly #tables: Map<string, TableRecord>
  readonly #locks = new KeyLock()
  readonly #listeners = new Map<string, Set<StreamListener>>()
  readonly #nextSequence: () => bigint
  #stale: StaleReplica | undefined

  private constructor(
    cloud: Cloud,
    onDefect: OnDefect,
    engine: DynaliteEngine,
    tables: readonly TableRecord[],
  ) {
    this.#cloud = cloud
    this.#onDefect = onDefect
    this.#engine = engine
    this.#tables = new Map(tables.map((table) => [table.TableName, table]))
    this.#nextSequence = growingSequence(cloud.clock)
  }

  /** Opens the tables kept in the folder, or an empty memory. */
  static async open(cloud: Cloud, onDefect: OnDefect, folder?: string): Promise<DynamoDb> {
    const engine = await DynaliteEngine.open(cloud, folder)
    const tables = await Promise.all((await engine.tableNames()).map((name) => engine.table(name)))
    const known = tables.filter((table) => table !== undefined)
    return new DynamoDb(cloud, onDefect, engine, known)
  }

  access(operation: string, input: JsonObject): readonly AccessRequest[] | undefined {
    const partitionKeyOf = (table: string) => this.#tables.get(table)?.KeySchema[0]?.AttributeName
    return dynamoDbAccess(this.#cloud, partitionKeyOf, operation, input)
  }

  async call({ operation, input, caller }: ServiceCall): Promise<JsonObject> {
    try {
      return await this.#dispatch(operation, input)
    } catch (error) {
      if (
        error instanceof AwsError &&
        error.code === 'ResourceNotFoundException' &&
        ITEM_OPERATIONS.has(operation)
      ) {
        const principal = caller?.principal.name
        this.#onDefect({ kind: 'table', principal, operation, table: missingTable(input, this.#tables) })
      }
      throw error
    }
  }

  /**
   * Makes the table, or takes over the one of that name in the data folder with its items. Throws if that one has
   * another key.
   */
  async createTable(definition: TableDefinition): Promise<void> {
    const { TimeToLiveSpecification, StreamSpecification, ...schema } = definition
    const { KeySchema, TableName } = schema
    const known = await this.#engine.table(TableName)
    if (known === undefined) await this.#engine.createTable({ BillingMode: 'PAY_PER_REQUEST', ...schema })
    else if (!isDeepStrictEqual(known.KeySchema, KeySchema)) {
      throw new Error(`table ${TableName} is kept with key ${JSON.stringify(known.KeySchema)}`)
    }
    const record = known ?? (await this.#engine.table(TableName))
    if (record === undefined) throw new Error(`table ${TableName} was not made`)
    const label = record['LatestStreamLabel'] ?? new Date(this.#cloud.clock()).toISOString().slice(0, -1)
    const enabled = TimeToLiveSpecification?.Enabled === true
    await this.#save({
      ...record,
      // A crash may have left it in CREATING.
      TableStatus: 'ACTIVE',
      LatestStreamLabel: label,
      StreamSpecification: StreamSpecification && { ...StreamSpecification, StreamEnabled: true },
      TimeToLiveAttribute: enabled ? TimeToLiveSpecification.AttributeName : undefined,
    })
    await this.#stale?.addTable(TableName)
  }

  /**
   * Calls the listener with every record of the table's stream, in order per item. Throws if the table has no stream.
   * Returns how to stop.
   */
  onStreamRecord(table: string, listener: StreamListener): () => void {
    const record = this.#tables.get(table)
    if (record === undefined || streamViewOf(record) === undefined) {
      throw new Error(`table ${table} has no stream`)
    }
    const listeners = this.#listeners.get(table) ?? new Set()
    this.#listeners.set(table, listeners.add(listener))
    return () => listeners.delete(listener)
  }

  /** Deletes what TTL would have deleted by `now`, epoch milliseconds. Returns how many items. */
  async sweepExpired(now: number = this.#cloud.clock()): Promise<number> {
    const swept = await Promise.all([...this.#tables.values()].map((table) => this.#sweep(table, now / 1000)))
    return swept.reduce((sum, count) => sum + count, 0)
  }

  /**
   * From now on, reads that do not ask for consistency see each item as it was before its latest write. `false` ends
   * it.
   */
  async serveStaleReads(stale: boolean): Promise<void> {
    const old = this.#stale
    this.#stale = stale ? await StaleReplica.of(this.#cloud, this.#engine) : undefined
    await old?.close()
  }

  /** Closes the store. */
  async close(): Promise<void> {
    await this.#stale?.close()
    await this.#engine.close()
  }

  #dispatch(operation: string, given: JsonObject): Promise<JsonObject> {
    const input = withTableName(given)
    if (isWrite(operation)) return this.#write(operation, input)
    if (operation === 'BatchWriteItem') return this.#batchWrite(input)
    if (READS.has(operation) && isDynaliteOperation(operation)) return this.#read(operation, input)
    if (operation === 'DescribeTimeToLive') return this.#describeTimeToLive(input)
    if (operation === 'UpdateTimeToLive') return this.#updateTimeToLive(input)
    if (operation === 'CreateTable') return this.#createTableByCall(input)
    if (isDynaliteOperation(operation)) return this.#administer(operation, input)
    throw new AwsError(`${CORAL}UnknownOperationException`, `DynamoDB ${operation} is not offered`)
  }

  /** `async`, so that a refused input rejects. */
  async #read(operation: DynaliteOperation, input: JsonObject): Promise<JsonObject> {
    const stale = this.#stale
    if (stale === undefined) return this.#engine.run(operation, input)
    return stale.read(operation, input)
  }

  async #write(operation: WriteOperation, input: JsonObject): Promise<JsonObject> {
    checkFailureReturn(input)
    const checked = this.#engine.check(operation, input)
    const table = this.#tables.get(textAt(checked, 'TableName') ?? '')
    const key = table && keyOf(table, operation, checked)
    if (table === undefined || key === undefined) return this.#engine.execute(operation, checked)
    return this.#locks.run([lockName(table, key)], async () => {
      try {
        return await this.#recorded(table, [key], () => this.#engine.execute(operation, checked))
      } catch (error) {
        throw await this.#withFailedItem(error, input, () => this.#engine.item(table, key))
      }
    })
  }

  async #batchWrite(input: JsonObject): Promise<JsonObject> {
    const checked = this.#engine.check('BatchWriteItem', input)
    const writes = Object.entries(objectAt(checked, 'RequestItems')).flatMap(([name, requests]) => {
      const table = this.#tables.get(name)
      return table === undefined ? [] : [{ table, keys: keysOfBatch(table, requests) }]
    })
    const locks = writes.flatMap(({ table, keys }) => keys.map((key) => lockName(table, key)))
    const execute = () => this.#engine.execute('BatchWriteItem', checked)
    return this.#locks.run([...new Set(locks)], () =>
      writes.reduce(
        (inner, { table, keys }) =>
          () =>
            this.#recorded(table, keys, inner),
        execute,
      )(),
    )
  }

  /** Runs the write and tells the stream and the stale replica what it changed. The keys must be locked. */
  async #recorded(
    table: TableRecord,
    keys: readonly string[],
    write: () => Promise<JsonObject>,
    byTtl = false,
  ): Promise<JsonObject> {
    const listeners = this.#listeners.get(table.TableName)
    if (this.#stale === undefined && (listeners === undefined || listeners.size === 0)) return write()
    const images = () => Promise.all(keys.map((key) => this.#engine.item(table, key)))
    const before = await images()
    const output = await write()
    const after = await images()
    for (const [index, image] of before.entries()) {
      await this.#stale?.apply(table, image, after[index])
      this.#emit(table, { before: image, after: after[index], byTtl })
    }
    return output
  }

  #emit(table: TableRecord, change: Change): void {
    if (isDeepStrictEqual(change.before, change.after)) return
    const record = streamRecord(this.#cloud, table, change, this.#nextSequence())
    for (const listener of this.#listeners.get(table.TableName) ?? []) {
      try {
        listener(record)
      } catch (error) {
        this.#onDefect({ kind: 'internal', operation: `stream of ${table.TableName}`, error })
      }
    }
  }

  /** Adds the item that failed the condition, which dynalite does not do. */
  async #withFailedItem(
    error: unknown,
    input: JsonObject,
    read: () => Promise<Item | undefined>,
  ): Promise<unknown> {
    const failed = error instanceof AwsError && error.code === 'ConditionalCheckFailedException'
    if (!failed || textAt(input, 'ReturnValuesOnConditionCheckFailure') !== 'ALL_OLD') return error
    const item = await read()
    return item === undefined ? error : new AwsError(error.type, error.message, { fields: { Item: item } })
  }

  async #sweep(table: TableRecord, nowSeconds: number): Promise<number> {
    const attribute = textAt(table, 'TimeToLiveAttribute')
    if (attribute === undefined) return 0
    const expired = (item: Item | undefined) => hasExpired(item?.[attribute], nowSeconds)
    let swept = 0
    for await (const item of this.#engine.items(table.TableName)) {
      if (expired(item) && (await this.#expire(table, item, expired))) swept += 1
    }
    return swept
  }

  /** Deletes the item, unless it was written meanwhile and lives on. */
  async #expire(
    table: TableRecord,
    item: Item,
    expired: (item: Item | undefined) => boolean,
  ): Promise<boolean> {
    const key = storeKey(table, { item })
    if (key === undefined) return false
    return this.#locks.run([lockName(table, key)], async () => {
      if (!expired(await this.#engine.item(table, key))) return false
      const Key = Object.fromEntries(table.KeySchema.map(({ AttributeName: name }) => [name, item[name]]))
      const remove = () => this.#engine.run('DeleteItem', { TableName: table.TableName, Key })
      await this.#recorded(table, [key], remove, true)
      return true
    })
  }

  async #administer(operation: DynaliteOperation, input: JsonObject): Promise<JsonObject> {
    const output = await this.#engine.run(operation, input)
    const name = textAt(input, 'TableName')
    if (operation === 'DeleteTable' && name !== undefined) this.#tables.delete(name)
    return output
  }

  async #createTableByCall(input: JsonObject): Promise<JsonObject> {
    const checked = this.#engine.check('CreateTable', input)
    const TableName = textAt(checked, 'TableName') ?? ''
    if (this.#tables.has(TableName)) return this.#engine.execute('CreateTable', checked)
    const stream = textAt(objectAt(input, 'StreamSpecification'), 'StreamViewType')
    const streams = stream === undefined ? {} : { StreamSpecification: { StreamViewType: stream } }
    const definition = { ...checked, ...streams }
    await this.createTable(definition as unknown as TableDefinition)
    const { Table } = await this.#engine.run('DescribeTable', { TableName })
    return { TableDescription: Table }
  }

  async #describeTimeToLive(input: JsonObject): Promise<JsonObject> {
    const AttributeName = textAt(this.#existing(input), 'TimeToLiveAttribute')
    const enabled = { TimeToLiveStatus: 'ENABLED', AttributeName }
    return { TimeToLiveDescription: AttributeName ? enabled : { TimeToLiveStatus: 'DISABLED' } }
  }

  async #updateTimeToLive(input: JsonObject): Promise<JsonObject> {
    const table = this.#existing(input)
    const specification = objectAt(input, 'TimeToLiveSpecification')
    const enable = specification['Enabled'] === true
    if (enable === (table['TimeToLiveAttribute'] !== undefined)) {
      const state = enable ? 'enabled' : 'disabled'
      throw new AwsError('com.amazon.coral.validate#ValidationException', `TimeToLive is already ${state}`)
    }
    await this.#save({ ...table, TimeToLiveAttribute: enable ? specification['AttributeName'] : undefined })
    return { TimeToLiveSpecification: specification }
  }

  #existing(input: JsonObject): TableRecord {
    const name = textAt(input, 'TableName') ?? ''
    const table = this.#tables.get(name)
    if (table !== undefined) return table
    const message = `Requested resource not found: Table: ${name} not found`
    throw new AwsError('com.amazonaws.dynamodb.v20120810#ResourceNotFoundException', message)
  }

  async #save(table: TableRecord): Promise<void> {
    await this.#engine.saveTable(table)
    this.#tables.set(table.TableName, table)
  }
}

function isWrite(operation: string): operation is WriteOperation {
  return WRITES.has(operation)
}

function lockName(table: TableRecord, key: string): string {
  return `${table.TableName}~${key}`
}

function keyOf(table: TableRecord, operation: WriteOperation, checked: JsonObject): string | undefined {
  return operation === 'PutItem'
    ? storeKey(table, { item: objectAt(checked, 'Item') })
    : storeKey(table, { key: objectAt(checked, 'Key') })
}

function keysOfBatch(table: TableRecord, requests: unknown): readonly string[] {
  const writes = Array.isArray(requests) ? requests.map(asObject) : []
  return writes
    .map(({ PutRequest, DeleteRequest }) =>
      PutRequest
        ? storeKey(table, { item: objectAt(asObject(PutRequest), 'Item') })
        : storeKey(table, { key: objectAt(asObject(DeleteRequest), 'Key') }),
    )
    .filter((key) => key !== undefined)
}

function hasExpired(value: unknown, nowSeconds: number): boolean {
  const expiresAt = Number(textAt(asObject(value), 'N') ?? Number.NaN)
  return expiresAt <= nowSeconds && expiresAt > nowSeconds - TTL_HORIZON_SECONDS
}

/** dynalite knows tables by name only; AWS takes their ARNs too. */
function withTableName(input: JsonObject): JsonObject {
  const given = textAt(input, 'TableName')
  return given?.startsWith('arn:') ? { ...input, TableName: tableName(given) } : input
}

function missingTable(input: JsonObject, tables: ReadonlyMap<string, unknown>): string {
  const names = [textAt(input, 'TableName') ?? [], Object.keys(objectAt(input, 'RequestItems'))].flat()
  return names.find((name) => !tables.has(tableName(name))) ?? names.join(', ')
}

/** dynalite does not know the parameter; AWS refuses any other value. */
function checkFailureReturn(input: JsonObject): void {
  const wanted = textAt(input, 'ReturnValuesOnConditionCheckFailure')
  if (wanted === undefined || wanted === 'ALL_OLD' || wanted === 'NONE') return
  throw new AwsError(
    'com.amazon.coral.validate#ValidationException',
    `1 validation error detected: Value '${wanted}' at 'returnValuesOnConditionCheckFailure' failed to satisfy constraint: Member must satisfy enum value set: [ALL_OLD, NONE]`,
  )
}
