import type { JsonObject } from './aws-error.ts'
import { arnOf, type Cloud } from './cloud.ts'
import type { AccessRequest } from './iam.ts'
import { asObject, objectAt, objectsAt, textAt, textsAt } from './service.ts'

/** The name of a table's partition key, or `undefined` if there is no such table. */
export type PartitionKeyOf = (table: string) => string | undefined

const ON_TABLE = new Set([
  'CreateTable',
  'DeleteItem',
  'DeleteTable',
  'DescribeTable',
  'DescribeTimeToLive',
  'GetItem',
  'PutItem',
  'Query',
  'Scan',
  'UpdateItem',
  'UpdateTable',
  'UpdateTimeToLive',
])
const ON_TABLES = new Set(['BatchGetItem', 'BatchWriteItem'])
const ON_ARN = new Set(['ListTagsOfResource', 'TagResource', 'UntagResource'])

const EXPRESSIONS = [
  'ConditionExpression',
  'FilterExpression',
  'KeyConditionExpression',
  'ProjectionExpression',
  'UpdateExpression',
]
/** A name that is not part of a nested path, not a `:value` and not a function. */
const NAME = /(?<![\w.:#])(#?\w+)(?!\w|\s*\()/g
const KEYWORD = /^(?:and|or|not|in|between|set|remove|add|delete|\d+)$/i

/** What a DynamoDB call needs: its action on each of its tables. `undefined`: no such operation. */
export function dynamoDbAccess(
  cloud: Cloud,
  partitionKeyOf: PartitionKeyOf,
  operation: string,
  input: JsonObject,
): readonly AccessRequest[] | undefined {
  const action = `dynamodb:${operation}`
  if (ON_TABLE.has(operation)) return [tableAccess(cloud, partitionKeyOf, action, input)]
  if (ON_TABLES.has(operation)) {
    return Object.entries(objectAt(input, 'RequestItems')).map(([TableName, request]) =>
      tableAccess(cloud, partitionKeyOf, action, { ...batchInput(request), TableName }),
    )
  }
  if (ON_ARN.has(operation)) return [{ action, resource: textAt(input, 'ResourceArn') ?? '', context: {} }]
  return operation === 'ListTables' ? [{ action, resource: '*', context: {} }] : undefined
}

/** The name of a table that may be given as an ARN. */
export function tableName(nameOrArn: string): string {
  return nameOrArn.startsWith('arn:') ? nameOrArn.slice(nameOrArn.lastIndexOf('/') + 1) : nameOrArn
}

function tableAccess(
  cloud: Cloud,
  partitionKeyOf: PartitionKeyOf,
  action: string,
  input: JsonObject,
): AccessRequest {
  const name = tableName(textAt(input, 'TableName') ?? '')
  const index = textAt(input, 'IndexName')
  const resource = arnOf(cloud, 'dynamodb', `table/${name}${index === undefined ? '' : `/index/${index}`}`)
  const partitionKey = partitionKeyOf(name)
  const leadingKeys = partitionKey === undefined ? [] : leadingKeysOf(input, partitionKey)
  const attributes = attributesOf(input)
  const context = {
    'dynamodb:LeadingKeys': leadingKeys.length > 0 ? leadingKeys : undefined,
    'dynamodb:Attributes': attributes.length > 0 ? attributes : undefined,
    'dynamodb:Select': textAt(input, 'Select'),
    'dynamodb:ReturnValues': textAt(input, 'ReturnValues'),
  }
  return { action, resource, context }
}

/** The requests of one table in a batch, with all of their keys and items. */
function batchInput(request: unknown): JsonObject {
  if (!Array.isArray(request)) return asObject(request)
  const writes = request.map(asObject)
  const keys = writes.flatMap((write) => [
    objectAt(objectAt(write, 'PutRequest'), 'Item'),
    objectAt(objectAt(write, 'DeleteRequest'), 'Key'),
  ])
  return { Keys: keys }
}

function leadingKeysOf(input: JsonObject, partitionKey: string): readonly string[] {
  const items = [objectAt(input, 'Item'), objectAt(input, 'Key'), ...objectsAt(input, 'Keys')]
  const values = items.map((item) => item[partitionKey])
  return [...values, queriedKey(input, partitionKey)].flatMap((value) =>
    Object.values(asObject(value)).map(String),
  )
}

/** The value that a Query asks for: `pk = :value`, with `pk` perhaps behind a `#name`. */
function queriedKey(input: JsonObject, partitionKey: string): unknown {
  const names = objectAt(input, 'ExpressionAttributeNames')
  const expression = textAt(input, 'KeyConditionExpression') ?? ''
  for (const [, name = '', value = ''] of expression.matchAll(/(#?\w+)\s*=\s*(:\w+)/g)) {
    if ((names[name] ?? name) === partitionKey) return objectAt(input, 'ExpressionAttributeValues')[value]
  }
  return undefined
}

function attributesOf(input: JsonObject): readonly string[] {
  const names = objectAt(input, 'ExpressionAttributeNames')
  const inExpressions = EXPRESSIONS.flatMap((member) => [...(textAt(input, member) ?? '').matchAll(NAME)])
    .map(([, name = '']) => name)
    .filter((name) => !KEYWORD.test(name))
    .map((name) => textAt(names, name) ?? name)
  const inObjects = [
    ...['Item', 'Key', 'Expected', 'AttributeUpdates'].map((member) => objectAt(input, member)),
    ...objectsAt(input, 'Keys'),
  ].flatMap(Object.keys)
  return [...new Set([...inExpressions, ...inObjects, ...textsAt(input, 'AttributesToGet')])]
}
