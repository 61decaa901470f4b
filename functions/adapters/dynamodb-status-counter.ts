import { type DynamoDBClient, UpdateItemCommand } from '@aws-sdk/client-dynamodb'
import { DependencyUnavailable } from '../core/fault.ts'
import { STATUS_BLOCK_SIZE } from '../core/status-list.ts'
import { answerOf } from './aws-client.ts'

/** The item `counter` of the `status` table: how many status indices were ever leased. */
export class DynamoDbStatusCounter {
  private readonly client: DynamoDBClient
  private readonly table: string

  constructor(client: DynamoDBClient, table: string) {
    this.client = client
    this.table = table
  }

  /**
   * The first number of a block that nobody else has or gets. One whose answer was lost is skipped for ever. Throws
   * {@link DependencyUnavailable}.
   */
  async leaseBlock(): Promise<number> {
    const update = new UpdateItemCommand({
      TableName: this.table,
      Key: { pk: { S: 'counter' }, idx: { N: '0' } },
      UpdateExpression: 'ADD leased :block',
      ExpressionAttributeValues: { ':block': { N: String(STATUS_BLOCK_SIZE) } },
      ReturnValues: 'UPDATED_NEW',
    })
    const { Attributes } = await answerOf('dynamodb', this.client.send(update))
    const leased = Number(Attributes?.['leased']?.N)
    if (!Number.isSafeInteger(leased) || leased < STATUS_BLOCK_SIZE)
      throw new DependencyUnavailable('dynamodb', 'the answer says nothing about the counter')
    return leased - STATUS_BLOCK_SIZE
  }
}
