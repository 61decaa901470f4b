import { randomBytes } from 'node:crypto'
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { type LocalAws, startLocalAws as startOriginal } from '../../support/local-aws.ts'
import { REGION } from '../aws-wire.ts'

/** It is the engine that is tried, not how long a JVM on a busy machine may take. */
const REQUEST_MILLISECONDS = 30_000

/** Stands in for `test/support/local-aws.ts` in the contract tests: DynamoDB Local for the tables, the rest unchanged. */
export async function startLocalAws(tables: readonly string[] = []): Promise<LocalAws> {
  const original = await startOriginal()
  const endpoint = process.env['DYNAMODB_LOCAL_URL']
  if (endpoint === undefined) throw new Error('DYNAMODB_LOCAL_URL is not set')
  const dynamoDb = new DynamoDBClient({
    maxAttempts: 1,
    requestHandler: { requestTimeout: REQUEST_MILLISECONDS },
    endpoint,
    region: REGION,
    // DynamoDB Local keeps a database for each access key: no test file meets another's tables.
    credentials: { accessKeyId: randomBytes(10).toString('hex'), secretAccessKey: 'operator' },
  })
  for (const TableName of tables) {
    await dynamoDb.send(
      new CreateTableCommand({
        TableName,
        BillingMode: 'PAY_PER_REQUEST',
        KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
        AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
      }),
    )
  }
  return {
    ...original,
    dynamoDb,
    close: async () => {
      dynamoDb.destroy()
      await original.close()
    },
  }
}
