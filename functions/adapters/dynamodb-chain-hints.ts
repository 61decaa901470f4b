import { type DynamoDBClient, GetItemCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb'
import type { ChainName } from '../core/audit-chain.ts'
import type { ChainHints } from '../core/ports.ts'
import { answerOf } from './aws-client.ts'
import { failUnlessCondition } from './condition-failed.ts'

/** The `audit` table: one item per chain, `head#<chain>`. */
export class DynamoDbChainHints implements ChainHints {
  private readonly client: DynamoDBClient
  private readonly table: string

  constructor(client: DynamoDBClient, table: string) {
    this.client = client
    this.table = table
  }

  async read(chain: ChainName): Promise<number> {
    const get = new GetItemCommand({ TableName: this.table, Key: keyOf(chain) })
    const { Item } = await answerOf('dynamodb', this.client.send(get))
    return Number(Item?.['seq']?.N ?? 0)
  }

  async advance(chain: ChainName, seq: number): Promise<void> {
    const update = this.client.send(
      new UpdateItemCommand({
        TableName: this.table,
        Key: keyOf(chain),
        UpdateExpression: 'SET seq = :seq',
        ConditionExpression: 'attribute_not_exists(pk) OR seq < :seq',
        ExpressionAttributeValues: { ':seq': { N: String(seq) } },
      }),
    )
    await answerOf(
      'dynamodb',
      update.then(() => undefined, failUnlessCondition),
    )
  }
}

function keyOf(chain: ChainName) {
  return { pk: { S: `head#${chain}` } }
}
