import {
  type DynamoDBClient,
  PutItemCommand,
  QueryCommand,
  type QueryCommandOutput,
} from '@aws-sdk/client-dynamodb'
import { DependencyUnavailable } from '../core/fault.ts'
import type { StatusEntries, StatusEntry } from '../core/ports.ts'
import type { StatusFacts } from '../core/status-list.ts'
import { answerOf } from './aws-client.ts'
import { type Item, itemInTheWay } from './condition-failed.ts'

/** Of 1 MB: a full list of tokens with long lineages has about six. */
const MAX_PAGES = 16

/** The items `list#<number>` of the `status` table: one for each token that a status list tells about. */
export class DynamoDbStatusEntries implements StatusEntries {
  private readonly client: DynamoDBClient
  private readonly table: string

  constructor(client: DynamoDBClient, table: string) {
    this.client = client
    this.table = table
  }

  async write({ status, facts, expiresAt }: StatusEntry): Promise<void> {
    const text = JSON.stringify(facts)
    const put = this.client.send(
      new PutItemCommand({
        TableName: this.table,
        Item: {
          pk: { S: keyOf(status.list) },
          idx: { N: String(status.index) },
          facts: { S: text },
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
    // The same token again: a write that the SDK repeated, or a request that the client did.
    if (existing !== undefined && tokenIn(existing) !== facts.tokenId)
      throw new Error('two tokens have one status index: the counter of indices went backwards')
  }

  async read(list: number, now: number): Promise<readonly StatusEntry[]> {
    const entries: StatusEntry[] = []
    let next: Item | undefined
    for (let page = 0; page < MAX_PAGES; page++) {
      const answer: QueryCommandOutput = await answerOf(
        'dynamodb',
        this.client.send(this.query(list, now, next)),
      )
      if (answer.Items === undefined)
        throw new DependencyUnavailable('dynamodb', 'the answer says nothing about the status list')
      entries.push(...answer.Items.map((item) => entryOf(list, item)))
      next = answer.LastEvaluatedKey
      if (next === undefined) return entries
    }
    // A part of the list would call revoked tokens valid.
    throw new DependencyUnavailable('dynamodb', 'the status list was read only in part')
  }

  private query(list: number, now: number, from: Item | undefined): QueryCommand {
    return new QueryCommand({
      TableName: this.table,
      ConsistentRead: true,
      KeyConditionExpression: 'pk = :list',
      // Deletion by TTL may lag by days.
      FilterExpression: 'expires_at > :now',
      ExpressionAttributeValues: { ':list': { S: keyOf(list) }, ':now': { N: String(now) } },
      ...(from !== undefined && { ExclusiveStartKey: from }),
    })
  }
}

function tokenIn(item: Item): string | undefined {
  return (JSON.parse(item['facts']?.S ?? '{}') as Partial<StatusFacts>).tokenId
}

function entryOf(list: number, item: Item): StatusEntry {
  return {
    status: { list, index: Number(item['idx']?.N) },
    // An entry of a broker that knew no actors has no such member.
    facts: { actorKeys: [], ...(JSON.parse(item['facts']?.S ?? '') as Omit<StatusFacts, 'actorKeys'>) },
    expiresAt: Number(item['expires_at']?.N),
  }
}

function keyOf(list: number): string {
  return `list#${list}`
}
