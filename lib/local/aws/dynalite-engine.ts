import { mkdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'
import { AwsError, type JsonObject } from './aws-error.ts'
import type { Cloud } from './cloud.ts'
import { asObject, asText, objectsAt } from './service.ts'

const OPERATIONS = [
  'BatchGetItem',
  'BatchWriteItem',
  'CreateTable',
  'DeleteItem',
  'DeleteTable',
  'DescribeTable',
  'GetItem',
  'ListTables',
  'ListTagsOfResource',
  'PutItem',
  'Query',
  'Scan',
  'TagResource',
  'UntagResource',
  'UpdateItem',
  'UpdateTable',
] as const

export type DynaliteOperation = (typeof OPERATIONS)[number]
export type TableRecord = Dynalite.TableRecord
export type Item = JsonObject

const require = createRequire(import.meta.url)
const database: Dynalite.Database = require('dynalite/db/index.js')
const validations: Dynalite.Validations = require('dynalite/validations/index.js')
const operations: ReadonlyMap<
  string,
  { readonly checks: Dynalite.Checks; readonly action: Dynalite.Action }
> = new Map(
  OPERATIONS.map((operation) => {
    const file = `${validations.toLowerFirst(operation)}.js`
    const checks: Dynalite.Checks = require(`dynalite/validations/${file}`)
    const action: Dynalite.Action = require(`dynalite/actions/${file}`)
    return [operation, { checks, action }]
  }),
)

/** Whether dynalite knows the operation. */
export function isDynaliteOperation(operation: string): operation is DynaliteOperation {
  return operations.has(operation)
}

/**
 * dynalite in this process: its store and actions without its HTTP server, which would cost each call a second hop and
 * a second parse.
 */
export class DynaliteEngine {
  readonly #store: Dynalite.Store

  private constructor(cloud: Cloud, folder: string | undefined) {
    const immediate = { createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 }
    this.#store = database.create(folder === undefined ? immediate : { ...immediate, path: folder })
    this.#store.tableDb.awsRegion = cloud.region
    this.#store.tableDb.awsAccountId = cloud.account
  }

  /** Keeps its tables in memory, or in LevelDB in the folder. Throws if another process has the folder open. */
  static async open(cloud: Cloud, folder?: string): Promise<DynaliteEngine> {
    if (folder !== undefined) await mkdir(folder, { recursive: true, mode: 0o700 })
    const engine = new DynaliteEngine(cloud, folder)
    // dynalite opens its store in the background, and a scan of one that does not open ends the process.
    await engine.table('none').catch((cause: unknown) => {
      throw new Error(`cannot open the tables in ${folder}: another process may use them`, { cause })
    })
    return engine
  }

  /** Checks the input and gives it in the form that {@link execute} takes. Throws {@link AwsError}. */
  check(operation: DynaliteOperation, input: JsonObject): JsonObject {
    const checks = operations.get(operation)?.checks
    if (checks === undefined) throw new Error(`dynalite has no ${operation}`)
    try {
      const checked = validations.checkTypes({ ...input }, checks.types)
      validations.checkValidations(checked, checks.types, checks.custom, this.#store)
      return checked
    } catch (error) {
      throw asAwsError(error)
    }
  }

  /** Carries out what {@link check} gave. Throws {@link AwsError}. */
  async execute(operation: DynaliteOperation, checked: JsonObject): Promise<JsonObject> {
    const action = operations.get(operation)?.action
    if (action === undefined) throw new Error(`dynalite has no ${operation}`)
    return asObject(await called((callback) => action(this.#store, checked, callback)))
  }

  /** {@link check} and {@link execute}. */
  async run(operation: DynaliteOperation, input: JsonObject): Promise<JsonObject> {
    return this.execute(operation, this.check(operation, input))
  }

  /** The item, without the checks of GetItem. */
  item(table: TableRecord, storeKey: string): Promise<Item | undefined> {
    return called((callback) => this.#store.getItemDb(table.TableName).get(storeKey, callback))
  }

  /** The table's record, whatever its status. */
  table(name: string): Promise<TableRecord | undefined> {
    return called((callback) => this.#store.tableDb.get(name, callback))
  }

  /** Replaces the table's record. */
  async saveTable(record: TableRecord): Promise<void> {
    await called<void>((callback) => this.#store.tableDb.put(record.TableName, record, callback))
  }

  /** Makes the table, and waits until dynalite says that it is active. */
  async createTable(input: JsonObject): Promise<void> {
    await this.run('CreateTable', input)
    const name = String(input['TableName'])
    while ((await this.table(name))?.TableStatus !== 'ACTIVE') await sleep(1)
  }

  /** The names of all tables. */
  async tableNames(): Promise<readonly string[]> {
    const { TableNames } = await this.run('ListTables', {})
    return Array.isArray(TableNames) ? TableNames.map(String) : []
  }

  /** Every item of the table, page by page. */
  async *items(TableName: string): AsyncGenerator<Item> {
    let page: JsonObject = {}
    do {
      const { LastEvaluatedKey: ExclusiveStartKey } = page
      page = await this.run('Scan', { TableName, ...(ExclusiveStartKey ? { ExclusiveStartKey } : {}) })
      yield* objectsAt(page, 'Items')
    } while (page['LastEvaluatedKey'])
  }

  /** Closes the store when what is under way is done. */
  async close(): Promise<void> {
    await called<void>((callback) => this.#store.db.close(callback))
  }
}

/** The name of a key in the store, or `undefined` for a key that dynalite is going to refuse. */
export function storeKey(
  table: TableRecord,
  input: { readonly item?: Item; readonly key?: Item },
): string | undefined {
  const wrong =
    input.item === undefined
      ? database.validateKey(input.key ?? {}, table)
      : database.validateItem(input.item, table)
  return wrong ? undefined : database.createKey(input.item ?? input.key ?? {}, table)
}

/** The size by DynamoDB's rules, in bytes. */
export function itemSize(item: Item): number {
  return database.itemSize(item)
}

function called<Value>(call: (callback: Dynalite.Callback<Value>) => void): Promise<Value | undefined> {
  return new Promise((resolve, reject) => {
    call((error, value) => (error ? reject(asAwsError(error)) : resolve(value)))
  })
}

/** dynalite's errors carry the body that its server would send. */
function asAwsError(error: unknown): unknown {
  const { statusCode, body } = asObject(error)
  if (typeof statusCode !== 'number') return error
  const { __type, message, Message, ...fields } = asObject(body)
  return new AwsError(asText(__type), asText(message ?? Message ?? ''), { status: statusCode, fields })
}
