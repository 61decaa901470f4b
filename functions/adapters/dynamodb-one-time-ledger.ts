import { type DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb'
import { OTHER_ITEMS } from '../core/exchange-items.ts'
import type { OneTimeLedger, SpentCredential } from '../core/ports.ts'
import { answerOf } from './aws-client.ts'
import { itemInTheWay } from './condition-failed.ts'

/**
 * The `exchanges` table again, for what may be used once: items `<kind>#<id>`, prefixes that no token id has. They are no
 * exchanges: what reads the table's stream for exchanges must pass over them.
 */
export class DynamoDbOneTimeLedger implements OneTimeLedger {
  private readonly client: DynamoDBClient
  private readonly table: string

  constructor(client: DynamoDBClient, table: string) {
    this.client = client
    this.table = table
  }

  async claim({ kind, id, attempt, spentAt, expiresAt }: SpentCredential): Promise<'claimed' | 'replayed'> {
    const put = this.client.send(
      new PutItemCommand({
        TableName: this.table,
        Item: {
          pk: { S: `${OTHER_ITEMS[kind]}${id}` },
          attempt: { S: attempt },
          recorded_at: { N: String(spentAt) },
          expires_at: { N: String(expiresAt) },
        },
        // Expiry is checked here: deletion by TTL may lag by days.
        ConditionExpression: 'attribute_not_exists(pk) OR expires_at < :now',
        ExpressionAttributeValues: { ':now': { N: String(spentAt) } },
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      }),
    )
    const claimedBy = await answerOf(
      'dynamodb',
      put.then(
        () => attempt,
        (error: unknown) => itemInTheWay(error)['attempt']?.S,
      ),
    )
    // The SDK repeats a write whose answer was lost: then the item that stands in the way is our own.
    return claimedBy === attempt ? 'claimed' : 'replayed'
  }
}
