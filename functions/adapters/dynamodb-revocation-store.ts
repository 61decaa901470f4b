import {
  type AttributeValue,
  BatchGetItemCommand,
  type BatchGetItemCommandOutput,
  type DynamoDBClient,
  type KeysAndAttributes,
} from '@aws-sdk/client-dynamodb'
import { DependencyUnavailable } from '../core/fault.ts'
import type { RevocationKey, RevocationStore } from '../core/ports.ts'
import { answerOf } from './aws-client.ts'

const MAX_READS = 3

/** The `revocations` table, read in one strongly consistent batch. */
export class DynamoDbRevocationStore implements RevocationStore {
  private readonly client: DynamoDBClient
  private readonly table: string

  constructor(client: DynamoDBClient, table: string) {
    this.client = client
    this.table = table
  }

  async cutOffs(keys: readonly RevocationKey[]): Promise<ReadonlyMap<RevocationKey, number>> {
    const found = new Map<RevocationKey, number>()
    let wanted: KeysAndAttributes | undefined = {
      Keys: [...new Set(keys)].map((key) => ({ pk: { S: key } })),
      ConsistentRead: true,
      ProjectionExpression: 'pk, cut_off',
    }
    for (let reads = 0; wanted !== undefined; reads++) {
      // DynamoDB may answer a part. A part is no answer: what was left out could be the revocation.
      if (reads === MAX_READS)
        throw new DependencyUnavailable('dynamodb', 'revocations were read only in part')
      const answer: BatchGetItemCommandOutput = await answerOf('dynamodb', this.read(wanted))
      const items = answer.Responses?.[this.table]
      wanted = answer.UnprocessedKeys?.[this.table]
      if (items === undefined && wanted === undefined)
        throw new DependencyUnavailable('dynamodb', 'the answer says nothing about revocations')
      for (const item of items ?? []) found.set(keyOf(item), cutOffOf(item))
    }
    return found
  }

  private read(wanted: KeysAndAttributes) {
    return this.client.send(new BatchGetItemCommand({ RequestItems: { [this.table]: wanted } }))
  }
}

function keyOf(item: Record<string, AttributeValue>): RevocationKey {
  return item['pk']?.S as RevocationKey
}

/** Epoch seconds. An item that says no time revokes everything. */
function cutOffOf(item: Record<string, AttributeValue>): number {
  return item['cut_off']?.N === undefined ? Number.POSITIVE_INFINITY : Number(item['cut_off'].N)
}
