import { type DynamoDBClient, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb'
import type { KeyManifest } from '../core/key-lifecycle.ts'
import type { KeyManifestStore } from '../core/ports.ts'
import type { RingName } from '../core/types.ts'
import { answerOf } from './aws-client.ts'
import { failUnlessCondition } from './condition-failed.ts'

/** The `signing-keys` table: one item per ring, replaced as a whole by version. */
export class DynamoDbKeyManifests implements KeyManifestStore {
  private readonly client: DynamoDBClient
  private readonly table: string

  constructor(client: DynamoDBClient, table: string) {
    this.client = client
    this.table = table
  }

  async read(ring: RingName): Promise<KeyManifest | undefined> {
    const get = new GetItemCommand({
      TableName: this.table,
      Key: { pk: { S: keyOf(ring) } },
      ConsistentRead: true,
    })
    const { Item } = await answerOf('dynamodb', this.client.send(get))
    if (Item === undefined) return undefined
    const { pending, keys } = JSON.parse(Item['manifest']?.S ?? '{}') as Pick<KeyManifest, 'pending' | 'keys'>
    return { ring, version: Number(Item['version']?.N), pending, keys }
  }

  async save(manifest: KeyManifest): Promise<'saved' | 'conflict'> {
    const put = this.client.send(
      new PutItemCommand({
        TableName: this.table,
        Item: {
          pk: { S: keyOf(manifest.ring) },
          version: { N: String(manifest.version) },
          manifest: { S: JSON.stringify({ pending: manifest.pending, keys: manifest.keys }) },
        },
        ConditionExpression: manifest.version === 1 ? 'attribute_not_exists(pk)' : 'version = :previous',
        ...(manifest.version > 1 && {
          ExpressionAttributeValues: { ':previous': { N: String(manifest.version - 1) } },
        }),
      }),
    )
    return answerOf(
      'dynamodb',
      put.then(() => 'saved' as const, conflictOr),
    )
  }
}

function conflictOr(error: unknown): 'conflict' {
  failUnlessCondition(error)
  return 'conflict'
}

function keyOf(ring: RingName): string {
  return `ring#${ring}`
}
