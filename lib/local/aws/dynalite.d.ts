/** The parts of dynalite 4 that are used: its store, its checks and its actions, without its HTTP server. */
declare namespace Dynalite {
  type Json = Readonly<Record<string, unknown>>
  type Callback<Value> = (error: unknown, value?: Value) => void

  interface KeyElement {
    readonly AttributeName: string
    readonly KeyType: string
  }

  interface TableRecord extends Json {
    readonly TableName: string
    readonly TableStatus: string
    readonly KeySchema: readonly KeyElement[]
    readonly AttributeDefinitions: readonly {
      readonly AttributeName: string
      readonly AttributeType: string
    }[]
  }

  interface SubStore<Value> {
    get(key: string, callback: Callback<Value>): void
    put(key: string, value: Value, callback: Callback<void>): void
  }

  interface Store {
    readonly db: { close(callback: Callback<void>): void }
    readonly tableDb: SubStore<TableRecord> & { awsRegion: string; awsAccountId: string }
    getItemDb(table: string): SubStore<Json>
  }

  interface Database {
    create(options: {
      readonly path?: string
      readonly createTableMs: number
      readonly deleteTableMs: number
      readonly updateTableMs: number
    }): Store
    createKey(item: Json, table: TableRecord): string
    /** What is wrong, or nothing. */
    validateItem(item: Json, table: TableRecord): unknown
    validateKey(key: Json, table: TableRecord): unknown
    itemSize(item: Json): number
  }

  interface Checks {
    readonly types: Json
    readonly custom?: unknown
  }

  interface Validations {
    toLowerFirst(operation: string): string
    /** Throws what is wrong. Deletes what it does not know from the input. */
    checkTypes(input: Json, types: Json): Json
    checkValidations(input: Json, types: Json, custom: unknown, store: Store): void
  }

  type Action = (store: Store, input: Json, callback: Callback<Json>) => void
}
