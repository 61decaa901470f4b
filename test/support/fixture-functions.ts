import { DynamoDBClient, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb'
import type {
  APIGatewayProxyEvent,
  APIGatewayProxyResult,
  CloudFormationCustomResourceEvent,
  Context,
  DynamoDBBatchResponse,
  DynamoDBStreamEvent,
} from 'aws-lambda'

// One bundle for every function of the fixture: each handler does one thing that a test can ask for.

const dynamodb = new DynamoDBClient({ maxAttempts: 1 })
if (process.env['REFUSE_TO_START'] !== undefined) throw new Error('environment variable GREETING is not set')

const MEETING = 3
const waiting: (() => void)[] = []

/** Ends when so many invocations are here at the same time. */
async function meet(): Promise<void> {
  await new Promise<void>((resolve) => {
    waiting.push(resolve)
    if (waiting.length === MEETING) for (const go of waiting.splice(0)) go()
  })
}

/** Answers as the header `x-behave` asks, or echoes the event. */
export async function echo(event: APIGatewayProxyEvent, context: Context): Promise<APIGatewayProxyResult> {
  switch (event.headers['x-behave'] ?? '') {
    case 'throw':
      throw new Error('the fixture was told to throw')
    case 'exit':
      process.exit(3)
      break
    case 'hang':
      log(JSON.stringify({ message: 'hanging' }))
      await new Promise((resolve) => setTimeout(resolve, 60_000))
      break
    case 'slow':
      await new Promise((resolve) => setTimeout(resolve, 300))
      break
    case 'meet':
      await meet()
      break
    case 'cookies':
      return {
        statusCode: 201,
        headers: { 'x-single': 'one' },
        multiValueHeaders: { 'set-cookie': ['a=1', 'b=2'] },
        body: Buffer.from('binary').toString('base64'),
        isBase64Encoded: true,
      }
    case 'malformed':
      return { body: 'no status' } as APIGatewayProxyResult
  }
  log(JSON.stringify({ message: 'echo' }))
  const remainingMilliseconds = context.getRemainingTimeInMillis()
  const { functionName, awsRequestId } = context
  const body = {
    event,
    environment: process.env,
    pid: process.pid,
    functionName,
    awsRequestId,
    remainingMilliseconds,
  }
  return { statusCode: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
}

/** Writes an item, named by the body. */
export async function write(event: APIGatewayProxyEvent): Promise<APIGatewayProxyResult> {
  await put(event.body ?? '', { note: { S: 'written' } })
  return { statusCode: 204, body: '' }
}

/** Reads a table that its role may only write. */
export async function trespass(): Promise<APIGatewayProxyResult> {
  await dynamodb.send(new GetItemCommand({ TableName: variable('ITEMS_TABLE'), Key: { pk: { S: 'x' } } }))
  return { statusCode: 204, body: '' }
}

/** Writes one item per batch with the keys it got; fails the record `poison` alone. */
export async function consume(event: DynamoDBStreamEvent): Promise<DynamoDBBatchResponse> {
  const records = event.Records.map((record) => ({
    key: record.dynamodb?.NewImage?.['pk']?.S ?? '',
    itemIdentifier: record.dynamodb?.SequenceNumber ?? '',
  }))
  const poisoned = records.findIndex((record) => record.key.startsWith('poison'))
  const good = poisoned === -1 ? records : records.slice(0, poisoned)
  log(JSON.stringify({ consumed: good.map((record) => record.key) }))
  const failed = records[poisoned]
  return { batchItemFailures: failed === undefined ? [] : [{ itemIdentifier: failed.itemIdentifier }] }
}

/** A schedule's target: writes what it was given. */
export async function tick(event: Record<string, unknown>): Promise<void> {
  log(JSON.stringify({ ticked: event }))
}

/** A custom resource that writes one item, or fails if its property says so. */
export async function provision(event: CloudFormationCustomResourceEvent): Promise<void> {
  const reason: unknown = event.ResourceProperties['FailWith']
  const failed = typeof reason === 'string' && reason !== ''
  if (!failed)
    await put(`provisioned:${String(event.ResourceProperties['Name'])}`, { url: { S: variable('API_URL') } })
  await fetch(event.ResponseURL, {
    method: 'PUT',
    body: JSON.stringify({
      Status: failed ? 'FAILED' : 'SUCCESS',
      Reason: failed ? reason : undefined,
      PhysicalResourceId: 'provisioned',
      StackId: event.StackId,
      RequestId: event.RequestId,
      LogicalResourceId: event.LogicalResourceId,
      Data: { Answer: 42 },
    }),
  })
}

async function put(pk: string, attributes: Record<string, { S: string }>): Promise<void> {
  const expires = { N: String(Math.floor(Date.now() / 1000) + 3600) }
  await dynamodb.send(
    new PutItemCommand({
      TableName: variable('ITEMS_TABLE'),
      Item: { pk: { S: pk }, expires_at: expires, ...attributes },
    }),
  )
}

function variable(name: string): string {
  const value = process.env[name]
  if (!value) throw new Error(`environment variable ${name} is not set`)
  return value
}

function log(line: string): void {
  process.stdout.write(`${line}\n`)
}
