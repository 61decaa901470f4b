import { createHash, randomUUID } from 'node:crypto'
import { BatchGetItemCommand, DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb'
import { KMSClient, SignCommand } from '@aws-sdk/client-kms'
import { AWS_CLIENT } from '../../functions/adapters/aws-client.ts'

/** What to compare an exchange with: the same SDK calls, fired together, with nothing around them. */

const dynamoDb = new DynamoDBClient(AWS_CLIENT)
const kms = new KMSClient(AWS_CLIENT)
const digest = createHash('sha256').update('benchmark').digest()

interface Event {
  readonly exchanges: string
  readonly revocations: string
  /** @default - KMS is not called, as with delegated keys */
  readonly keyArn?: string
}

export async function handler({ exchanges, revocations, keyArn }: Event): Promise<void> {
  const text = (length: number) => ({ S: randomUUID().repeat(28).slice(0, length) })
  await Promise.all([
    dynamoDb.send(
      new PutItemCommand({
        TableName: exchanges,
        // As long as the record of an exchange.
        Item: { pk: text(22), attempt: text(22), expires_at: { N: '9999999999' }, event: text(900) },
        ConditionExpression: 'attribute_not_exists(pk) OR expires_at < :now',
        ExpressionAttributeValues: { ':now': { N: '1' } },
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      }),
    ),
    dynamoDb.send(
      new BatchGetItemCommand({
        RequestItems: {
          [revocations]: {
            Keys: Array.from({ length: 6 }, () => ({ pk: text(40) })),
            ConsistentRead: true,
            ProjectionExpression: 'pk, cut_off',
          },
        },
      }),
    ),
    keyArn !== undefined &&
      kms.send(
        new SignCommand({
          KeyId: keyArn,
          Message: digest,
          MessageType: 'DIGEST',
          SigningAlgorithm: 'RSASSA_PKCS1_V1_5_SHA_256',
        }),
      ),
  ])
}
