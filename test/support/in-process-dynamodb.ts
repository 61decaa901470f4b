import { ConditionalCheckFailedException, type DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { AwsError, type JsonObject } from '../../lib/local/aws/aws-error.ts'
import { DynamoDb, type StreamListener } from '../../lib/local/aws/dynamodb.ts'

/**
 * The local DynamoDB without HTTP in between, for tests that call it tens of thousands of times. `pause` is awaited before
 * a call takes effect, and again before it is answered. With `onChange`, the tables have streams, and it gets every record.
 */
export async function inProcessDynamoDb(
  tables: readonly string[],
  pause: () => Promise<unknown>,
  onChange?: StreamListener,
): Promise<DynamoDBClient> {
  const cloud = { region: 'eu-west-1', account: '111111111111', clock: Date.now }
  const dynamoDb = await DynamoDb.open(cloud, () => undefined)
  for (const TableName of tables) {
    const KeySchema = [{ AttributeName: 'pk', KeyType: 'HASH' }]
    const AttributeDefinitions = [{ AttributeName: 'pk', AttributeType: 'S' }]
    const stream = onChange && { StreamSpecification: { StreamViewType: 'NEW_AND_OLD_IMAGES' } }
    await dynamoDb.createTable({ TableName, KeySchema, AttributeDefinitions, ...stream })
    if (onChange !== undefined) dynamoDb.onStreamRecord(TableName, onChange)
  }
  const send = async (command: {
    readonly input: object
    readonly constructor: { readonly name: string }
  }) => {
    const operation = command.constructor.name.replace(/Command$/, '')
    await pause()
    try {
      return await dynamoDb.call({
        operation,
        input: command.input as JsonObject,
        caller: undefined,
        requestId: 'in-process',
      })
    } catch (error) {
      throw error instanceof AwsError ? asSdkError(error) : error
    } finally {
      await pause()
    }
  }
  return { send } as unknown as DynamoDBClient
}

/** As the SDK throws it. */
function asSdkError({ code, message, fields }: AwsError): Error {
  if (code === 'ConditionalCheckFailedException')
    return new ConditionalCheckFailedException({ message, $metadata: {}, ...fields })
  return Object.assign(new Error(message), { name: code })
}
