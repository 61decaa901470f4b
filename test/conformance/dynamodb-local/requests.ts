import type { Json, JsonObject } from '../aws-wire.ts'

/** One request of the differential run; they are sent in order, to one table with the key `pk`. */
export interface DynamoDbRequest {
  readonly name: string
  readonly operation: string
  readonly input: JsonObject | string
}

type Item = Readonly<Record<string, Json>>

/** The table that the requests are about. */
export const TABLE_NAME = 'differential'
const TableName = TABLE_NAME
const NOW = 1_800_000_000
const IF_ABSENT_OR_EXPIRED = 'attribute_not_exists(pk) OR expires_at < :now'

const text = (value: string) => ({ S: value })
const number = (value: number | string) => ({ N: String(value) })

function put(name: string, Item: Item, more: JsonObject = {}): DynamoDbRequest {
  return { name, operation: 'PutItem', input: { TableName, Item, ...more } }
}

function get(name: string, Key: Item, more: JsonObject = {}): DynamoDbRequest {
  return { name, operation: 'GetItem', input: { TableName, Key, ConsistentRead: true, ...more } }
}

function batchGet(name: string, request: JsonObject): DynamoDbRequest {
  return { name, operation: 'BatchGetItem', input: { RequestItems: { [TableName]: request } } }
}

function update(name: string, Key: Item, more: JsonObject): DynamoDbRequest {
  return { name, operation: 'UpdateItem', input: { TableName, Key, ...more } }
}

/** The ledger's conditional Put. */
function claim(
  name: string,
  pk: string,
  now: number,
  expiresAt: number,
  more: JsonObject = {},
): DynamoDbRequest {
  return put(
    name,
    { pk: text(pk), attempt: text(name), recorded_at: number(now), expires_at: number(expiresAt) },
    {
      ConditionExpression: IF_ABSENT_OR_EXPIRED,
      ExpressionAttributeValues: { ':now': number(now) },
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      ...more,
    },
  )
}

/** The manifest's compare-and-set. */
function save(name: string, version: number, more: JsonObject): DynamoDbRequest {
  return put(name, { pk: text('ring#RS256'), version: number(version), manifest: text('{}') }, more)
}

const LEDGER: readonly DynamoDbRequest[] = [
  claim('claims a key', 'a', NOW, NOW + 10),
  claim('refuses the second claim and returns the first', 'a', NOW, NOW + 10),
  claim('refuses in the last second', 'a', NOW + 10, NOW + 20),
  claim('claims what expired a second ago', 'a', NOW + 11, NOW + 30),
  claim('refuses again, and returns the newer item', 'a', NOW + 11, NOW + 30),
  claim('refuses without the old item when it is not asked for', 'a', NOW, NOW + 1, {
    ReturnValuesOnConditionCheckFailure: 'NONE',
  }),
  put('stores a claim without an expiry', { pk: text('no-expiry') }),
  claim('never takes a claim without an expiry for expired', 'no-expiry', NOW, NOW + 1),
  put('stores an expiry that is text', { pk: text('text-expiry'), expires_at: text('0') }),
  claim('does not compare text with a number', 'text-expiry', NOW, NOW + 1),
  put('returns the item that it replaces', { pk: text('a'), b: { BOOL: true } }, { ReturnValues: 'ALL_OLD' }),
  put('returns nothing where nothing was replaced', { pk: text('new') }, { ReturnValues: 'ALL_OLD' }),
  put('refuses ALL_NEW for a put', { pk: text('x') }, { ReturnValues: 'ALL_NEW' }),
  claim('refuses an unknown ReturnValuesOnConditionCheckFailure', 'x', NOW, NOW, {
    ReturnValuesOnConditionCheckFailure: 'ALL_NEW',
  }),
]

const MANIFEST: readonly DynamoDbRequest[] = [
  save('refuses version 2 of a manifest that is not there', 2, {
    ConditionExpression: 'version = :previous',
    ExpressionAttributeValues: { ':previous': number(1) },
  }),
  save('saves version 1', 1, { ConditionExpression: 'attribute_not_exists(pk)' }),
  save('refuses version 1 again', 1, { ConditionExpression: 'attribute_not_exists(pk)' }),
  save('saves version 2 after version 1', 2, {
    ConditionExpression: 'version = :previous',
    ExpressionAttributeValues: { ':previous': number(1) },
  }),
  save('refuses version 2 after version 1 once more', 2, {
    ConditionExpression: 'version = :previous',
    ExpressionAttributeValues: { ':previous': number('1.0') },
  }),
  save('compares numbers, not their text', 3, {
    ConditionExpression: 'version = :previous',
    ExpressionAttributeValues: { ':previous': number('2.00') },
  }),
  get('reads the manifest', { pk: text('ring#RS256') }),
]

const READS: readonly DynamoDbRequest[] = [
  get('reads nothing where nothing is', { pk: text('none') }),
  get('reads one attribute', { pk: text('ring#RS256') }, { ProjectionExpression: 'version' }),
  get('reads without consistency', { pk: text('ring#RS256') }, { ConsistentRead: false }),
  get(
    'reads a reserved word by its placeholder',
    { pk: text('a') },
    {
      ProjectionExpression: '#b',
      ExpressionAttributeNames: { '#b': 'b' },
    },
  ),
  get('refuses a reserved word', { pk: text('a') }, { ProjectionExpression: 'status' }),
  get('refuses an empty projection', { pk: text('a') }, { ProjectionExpression: '' }),
  get(
    'refuses a placeholder that is not used',
    { pk: text('a') },
    {
      ProjectionExpression: 'b',
      ExpressionAttributeNames: { '#c': 'c' },
    },
  ),
  get('refuses the wrong key', { id: text('a') }),
  get('refuses a key of the wrong type', { pk: number(1) }),
  get('refuses a second key attribute', { pk: text('a'), sk: text('a') }),
  get('refuses an empty key', { pk: text('') }),
  get('refuses a table that is not there', { pk: text('a') }, { TableName: 'no-table' }),
  get(
    'reads by the ARN of the table',
    { pk: text('none') },
    {
      TableName: 'arn:aws:dynamodb:eu-west-1:111111111111:table/differential',
    },
  ),
  put('stores a cut-off', { pk: text('token#1'), cut_off: number(1000) }),
  put('stores a revocation without a time', { pk: text('issuer#odd') }),
  batchGet('reads a batch', {
    Keys: [{ pk: text('token#1') }, { pk: text('token#none') }],
    ConsistentRead: true,
    ProjectionExpression: 'pk, cut_off',
  }),
  batchGet('reads an item without the projected attribute', {
    Keys: [{ pk: text('issuer#odd') }],
    ConsistentRead: true,
    ProjectionExpression: 'pk, cut_off',
  }),
  batchGet('reads a batch in which nothing is found', { Keys: [{ pk: text('token#none') }] }),
  batchGet('refuses a key twice', { Keys: [{ pk: text('token#1') }, { pk: text('token#1') }] }),
  batchGet('refuses an empty batch', { Keys: [] }),
  batchGet('refuses 101 keys', { Keys: Array.from({ length: 101 }, (_, i) => ({ pk: text(`k${i}`) })) }),
  batchGet('refuses a wrong key in a batch', { Keys: [{ id: text('a') }] }),
  batchGet('refuses a key of the wrong type in a batch', { Keys: [{ pk: number(1) }] }),
  { name: 'refuses a batch of no table', operation: 'BatchGetItem', input: { RequestItems: {} } },
  {
    name: 'refuses a batch of a table that is not there',
    operation: 'BatchGetItem',
    input: { RequestItems: { 'no-table': { Keys: [{ pk: text('a') }] } } },
  },
]

const TYPES: readonly DynamoDbRequest[] = [
  put('refuses an item without its key', { a: text('x') }),
  put('refuses an item with an empty key', { pk: text('') }),
  put('refuses an item with a key of the wrong type', { pk: number(1) }),
  put('refuses an attribute of two types', { pk: text('x'), a: { S: 'x', N: '1' } }),
  put('refuses an attribute of no type', { pk: text('x'), a: {} }),
  put('refuses an attribute of an unknown type', { pk: text('x'), a: { X: 'x' } }),
  put('refuses a number that is none', { pk: text('x'), a: number('one') }),
  put('refuses an empty number', { pk: text('x'), a: number('') }),
  put('refuses a number of 39 digits', { pk: text('x'), a: number('1'.repeat(39)) }),
  put('refuses a number too great', { pk: text('x'), a: number('1e126') }),
  put('refuses a JSON number', { pk: text('x'), a: { N: 1 } }),
  put('refuses an empty set', { pk: text('x'), a: { SS: [] } }),
  put('refuses a set with a value twice', { pk: text('x'), a: { SS: ['a', 'a'] } }),
  put('refuses a NULL that is false', { pk: text('x'), a: { NULL: false } }),
  put('stores each type', {
    pk: text('types'),
    s: text(''),
    n: number('1.50'),
    b: { B: 'AAE=' },
    t: { BOOL: false },
    z: { NULL: true },
    l: { L: [text('x'), number(2)] },
    m: { M: { k: text('v') } },
  }),
  get('reads each type back, numbers in shortest form', { pk: text('types') }),
  put('refuses an item above 400 KB', { pk: text('x'), a: text('x'.repeat(409_600)) }),
  put('refuses a key above 2048 bytes', { pk: text('x'.repeat(2049)) }),
]

const CONDITIONS: readonly DynamoDbRequest[] = [
  put('refuses a condition that does not parse', { pk: text('x') }, { ConditionExpression: 'pk = ' }),
  put('refuses an empty condition', { pk: text('x') }, { ConditionExpression: '' }),
  put('refuses a value that is not given', { pk: text('x') }, { ConditionExpression: 'pk = :v' }),
  put(
    'refuses a value that is not used',
    { pk: text('x') },
    {
      ConditionExpression: 'attribute_not_exists(pk)',
      ExpressionAttributeValues: { ':v': text('x') },
    },
  ),
  put(
    'refuses values without an expression',
    { pk: text('x') },
    {
      ExpressionAttributeValues: { ':v': text('x') },
    },
  ),
  put(
    'refuses a value without a colon',
    { pk: text('x') },
    {
      ConditionExpression: 'pk = :v',
      ExpressionAttributeValues: { v: text('x') },
    },
  ),
  put('refuses an unknown function', { pk: text('x') }, { ConditionExpression: 'is_absent(pk)' }),
  put(
    'writes under a nested condition',
    { pk: text('a'), n: number(1) },
    {
      ConditionExpression: '(attribute_exists(pk) AND NOT n > :one) OR attribute_not_exists(pk)',
      ExpressionAttributeValues: { ':one': number(1) },
    },
  ),
  update(
    'adds under a condition',
    { pk: text('counter') },
    {
      UpdateExpression: 'ADD n :one',
      ConditionExpression: 'attribute_not_exists(n) OR n < :two',
      ExpressionAttributeValues: { ':one': number(1), ':two': number(2) },
      ReturnValues: 'ALL_NEW',
    },
  ),
  update(
    'sets and returns what it updated',
    { pk: text('counter') },
    {
      UpdateExpression: 'SET n = n + :one, s = if_not_exists(s, :s)',
      ExpressionAttributeValues: { ':one': number(1), ':s': text('x') },
      ReturnValues: 'UPDATED_NEW',
    },
  ),
  update(
    'refuses an update whose condition fails, and returns the item',
    { pk: text('counter') },
    {
      UpdateExpression: 'ADD n :one',
      ConditionExpression: 'n < :one',
      ExpressionAttributeValues: { ':one': number(1) },
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
    },
  ),
  update(
    'refuses to change the key',
    { pk: text('counter') },
    {
      UpdateExpression: 'SET pk = :v',
      ExpressionAttributeValues: { ':v': text('x') },
    },
  ),
  {
    name: 'deletes and returns the item',
    operation: 'DeleteItem',
    input: { TableName, Key: { pk: text('counter') }, ReturnValues: 'ALL_OLD' },
  },
  {
    name: 'deletes what is not there',
    operation: 'DeleteItem',
    input: { TableName, Key: { pk: text('counter') }, ReturnValues: 'ALL_OLD' },
  },
  { name: 'refuses a body that is not JSON', operation: 'PutItem', input: '{"TableName":' },
  { name: 'refuses an empty input', operation: 'PutItem', input: {} },
  { name: 'refuses an operation that is not there', operation: 'PutThing', input: {} },
]

export const REQUESTS: readonly DynamoDbRequest[] = [
  ...LEDGER,
  ...MANIFEST,
  ...READS,
  ...TYPES,
  ...CONDITIONS,
]
