import {
  type AttributeValue,
  BatchGetItemCommand,
  type BatchGetItemCommandOutput,
  type DynamoDBClient,
  type KeysAndAttributes,
  ScanCommand,
  type ScanCommandOutput,
} from '@aws-sdk/client-dynamodb'
import { DependencyUnavailable } from '../core/fault.ts'
import type { AllRevocations, RevocationKey, RevocationStore } from '../core/ports.ts'
import { answerOf } from './aws-client.ts'

const MAX_READS = 3
/** Of 1 MB, about 4,000 cut-offs each: a request has the time to read so many one after the other. */
const MAX_PAGES = 4

/** The `revocations` table, read with strong consistency: some of it in one batch, or all. */
export class DynamoDbRevocationStore implements RevocationStore, AllRevocations {
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

  async all(): Promise<ReadonlyMap<RevocationKey, number> | undefined> {
    const found = new Map<RevocationKey, number>()
    let next: Record<string, AttributeValue> | undefined
    for (let page = 0; page < MAX_PAGES; page++) {
      const answer: ScanCommandOutput = await answerOf('dynamodb', this.scan(next))
      if (answer.Items === undefined)
        throw new DependencyUnavailable('dynamodb', 'the answer says nothing about revocations')
      for (const item of answer.Items) found.set(keyOf(item), cutOffOf(item))
      next = answer.LastEvaluatedKey
      if (next === undefined) return found
    }
    return undefined
  }

  private scan(from: Record<string, AttributeValue> | undefined) {
    return this.client.send(
      new ScanCommand({
        TableName: this.table,
        ConsistentRead: true,
        ProjectionExpression: 'pk, cut_off',
        ...(from !== undefined && { ExclusiveStartKey: from }),
      }),
    )
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
