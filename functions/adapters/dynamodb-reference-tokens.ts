import { type DynamoDBClient, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb'
import { DependencyUnavailable } from '../core/fault.ts'
import type { ReferenceTokens, StoredReference } from '../core/ports.ts'
import { parseStrictObject } from '../core/strict-json.ts'
import type { JsonObject } from '../core/types.ts'
import { answerOf } from './aws-client.ts'
import { itemInTheWay } from './condition-failed.ts'

/** The items `reference#<hash of handle>` of the `exchanges` table. */
export class DynamoDbReferenceTokens implements ReferenceTokens {
  private readonly client: DynamoDBClient
  private readonly table: string

  constructor(client: DynamoDBClient, table: string) {
    this.client = client
    this.table = table
  }

  async store({ handleHash, claims, expiresAt }: StoredReference): Promise<void> {
    const text = JSON.stringify(claims)
    const put = this.client.send(
      new PutItemCommand({
        TableName: this.table,
        Item: {
          pk: { S: keyOf(handleHash) },
          claims: { S: text },
          expires_at: { N: String(expiresAt) },
        },
        ConditionExpression: 'attribute_not_exists(pk)',
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      }),
    )
    const existing = await answerOf(
      'dynamodb',
      put.then(() => undefined, itemInTheWay),
    )
    // The SDK repeats a write whose answer was lost: then the item that stands in the way is our own.
    if (existing !== undefined && existing['claims']?.S !== text)
      throw new Error('two reference tokens have one handle: the source of randomness is broken')
  }

  async find(handleHash: string): Promise<JsonObject | undefined> {
    const get = new GetItemCommand({
      TableName: this.table,
      Key: { pk: { S: keyOf(handleHash) } },
      ConsistentRead: true,
    })
    const { Item: found } = await answerOf('dynamodb', this.client.send(get))
    if (found === undefined) return undefined
    const claims = parseStrictObject(found['claims']?.S ?? '')
    // Whatever answered, these are not the claims of that handle.
    if (claims === undefined || found['pk']?.S !== keyOf(handleHash))
      throw new DependencyUnavailable('dynamodb', 'the answer says nothing about the reference token')
    return claims
  }
}

function keyOf(handleHash: string): string {
  return `reference#${handleHash}`
}
