import { isDeepStrictEqual } from 'node:util'
import type { JsonObject } from './aws-error.ts'
import type { Cloud } from './cloud.ts'
import { DynaliteEngine, type DynaliteOperation, type Item, type TableRecord } from './dynalite-engine.ts'
import { asObject, objectAt, objectsAt } from './service.ts'

/** A copy of the tables in which every item is one write behind: what an eventually consistent read may see. */
export class StaleReplica {
  readonly #primary: DynaliteEngine
  readonly #copy: DynaliteEngine

  private constructor(primary: DynaliteEngine, copy: DynaliteEngine) {
    this.#primary = primary
    this.#copy = copy
  }

  /** Copies the tables with their items as they are now. */
  static async of(cloud: Cloud, primary: DynaliteEngine): Promise<StaleReplica> {
    const replica = new StaleReplica(primary, await DynaliteEngine.open(cloud))
    for (const name of await primary.tableNames()) await replica.addTable(name)
    return replica
  }

  /** Copies one table. */
  async addTable(name: string): Promise<void> {
    const record = await this.#primary.table(name)
    if (record === undefined) return
    if ((await this.#copy.table(name)) === undefined) await this.#copy.createTable(asDefinition(record))
    for await (const item of this.#primary.items(name)) await this.#put(name, item)
  }

  /** Brings the item to what it was before the write. A write that changed nothing changes nothing here. */
  async apply(table: TableRecord, before: Item | undefined, after: Item | undefined): Promise<void> {
    if (isDeepStrictEqual(before, after)) return
    if (before !== undefined) return this.#put(table.TableName, before)
    const Key = Object.fromEntries(table.KeySchema.map(({ AttributeName: name }) => [name, after?.[name]]))
    await this.#copy.run('DeleteItem', { TableName: table.TableName, Key })
  }

  /** Reads consistently from the primary where that was asked for, else from here. */
  async read(operation: DynaliteOperation, input: JsonObject): Promise<JsonObject> {
    if (operation !== 'BatchGetItem') return this.#engineFor(input).run(operation, input)
    const answers = await Promise.all(
      Object.entries(objectAt(input, 'RequestItems')).map(([table, request]) =>
        this.#engineFor(asObject(request)).run(operation, { ...input, RequestItems: { [table]: request } }),
      ),
    )
    return {
      ...answers[0],
      Responses: Object.assign({}, ...answers.map((answer) => objectAt(answer, 'Responses'))),
      UnprocessedKeys: Object.assign({}, ...answers.map((answer) => objectAt(answer, 'UnprocessedKeys'))),
    }
  }

  /** Drops the copy. */
  async close(): Promise<void> {
    await this.#copy.close()
  }

  #engineFor(request: JsonObject): DynaliteEngine {
    return request['ConsistentRead'] === true ? this.#primary : this.#copy
  }

  async #put(TableName: string, Item: Item): Promise<void> {
    await this.#copy.run('PutItem', { TableName, Item })
  }
}

function asDefinition(record: TableRecord): JsonObject {
  const { TableName, KeySchema, AttributeDefinitions } = record
  const indexes = objectsAt(record, 'GlobalSecondaryIndexes').map(
    ({ IndexName, KeySchema: key, Projection }) => ({
      IndexName,
      KeySchema: key,
      Projection,
    }),
  )
  return {
    TableName,
    KeySchema,
    AttributeDefinitions,
    BillingMode: 'PAY_PER_REQUEST',
    ...(indexes.length > 0 ? { GlobalSecondaryIndexes: indexes } : {}),
  }
}
