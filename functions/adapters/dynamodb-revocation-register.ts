import { type AttributeValue, type DynamoDBClient, UpdateItemCommand } from '@aws-sdk/client-dynamodb'
import type { Revocation, RevocationRegister } from '../core/ports.ts'
import { answerOf } from './aws-client.ts'
import { failUnlessCondition } from './condition-failed.ts'

/**
 * The `revocations` table, written. A cut-off only ever grows: an item is created, or replaced by a later cut-off, and
 * nobody is allowed to delete one. Deletion by TTL un-revokes nothing that lives: `expires_at` is set only for a token
 * whose `exp` we have verified, to a moment after that `exp`, and a descendant never outlives its ancestor. Cut-offs by
 * subject, client, issuer, lineage and key have none and stay for ever.
 */
export class DynamoDbRevocationRegister implements RevocationRegister {
  private readonly client: DynamoDBClient
  private readonly table: string

  constructor(client: DynamoDBClient, table: string) {
    this.client = client
    this.table = table
  }

  async revoke(revocations: readonly Revocation[]): Promise<void> {
    await Promise.all(revocations.map((revocation) => this.grow(revocation)))
  }

  private async grow({ key, cutOff, reason, author, at, expiresAt }: Revocation): Promise<void> {
    const values: Record<string, AttributeValue> = {
      ':cutOff': { N: String(cutOff) },
      ':reason': { S: reason },
      ':author': { S: author },
      ':at': { N: String(at) },
      ...(expiresAt !== undefined && { ':expiresAt': { N: String(expiresAt) } }),
    }
    const set = 'SET cut_off = :cutOff, reason = :reason, author = :author, revoked_at = :at'
    const update = this.client.send(
      new UpdateItemCommand({
        TableName: this.table,
        Key: { pk: { S: key } },
        UpdateExpression:
          expiresAt === undefined ? `${set} REMOVE expires_at` : `${set}, expires_at = :expiresAt`,
        // Not `attribute_not_exists(cut_off)`: an item without one revokes everything, and a cut-off would shrink it.
        ConditionExpression: 'attribute_not_exists(pk) OR cut_off < :cutOff',
        ExpressionAttributeValues: values,
      }),
    )
    // The condition fails against a cut-off at least as late, our own repeated write among them: then it is done already.
    await answerOf(
      'dynamodb',
      update.then(() => undefined, failUnlessCondition),
    )
  }
}
