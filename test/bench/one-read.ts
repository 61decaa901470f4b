import { randomUUID } from 'node:crypto'
import { BatchGetItemCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { AWS_CLIENT } from '../../functions/adapters/aws-client.ts'

/** What to compare an introspection with: the same read of cut-offs, with nothing around it. */

const dynamoDb = new DynamoDBClient(AWS_CLIENT)

interface Event {
  readonly revocations: string
}

export async function handler({ revocations }: Event): Promise<void> {
  const pk = () => ({ S: randomUUID().repeat(2).slice(0, 40) })
  await dynamoDb.send(
    new BatchGetItemCommand({
      RequestItems: {
        [revocations]: {
          Keys: Array.from({ length: 7 }, () => ({ pk: pk() })),
          ConsistentRead: true,
          ProjectionExpression: 'pk, cut_off',
        },
      },
    }),
  )
}
