import { type DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb'
import { LIMITS } from '../core/limits.ts'
import type { ExchangeLedger, ExchangeRecord, IssuedIdentity, RecordOutcome } from '../core/ports.ts'
import type { TokenId } from '../core/types.ts'
import { answerOf } from './aws-client.ts'
import { type Item, itemInTheWay } from './condition-failed.ts'

/** Twice as long as the stream holds it. */
const KEPT_SECONDS = 48 * 3600

/** The `exchanges` table: one conditional Put is replay check, ledger entry and audit event at once. */
export class DynamoDbExchangeLedger implements ExchangeLedger {
  private readonly client: DynamoDBClient
  private readonly table: string

  constructor(client: DynamoDBClient, table: string) {
    this.client = client
    this.table = table
  }

  async record(exchange: ExchangeRecord): Promise<RecordOutcome> {
    const put = this.client.send(
      new PutItemCommand({
        TableName: this.table,
        Item: itemOf(exchange),
        // Expiry is checked here: deletion by TTL may lag by days.
        ConditionExpression: 'attribute_not_exists(pk) OR replay_until < :now',
        ExpressionAttributeValues: { ':now': { N: String(exchange.recordedAt) } },
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      }),
    )
    const existing = await answerOf(
      'dynamodb',
      put.then(() => undefined, itemInTheWay),
    )
    return existing === undefined ? { kind: 'recorded' } : outcomeAgainst(existing, exchange)
  }
}

function outcomeAgainst(existing: Item, exchange: ExchangeRecord): RecordOutcome {
  // The SDK repeats a write whose answer was lost: then the item that stands in the way is our own.
  if (existing['attempt']?.S === exchange.attempt) return { kind: 'recorded' }
  const age = exchange.recordedAt - Number(existing['recorded_at']?.N)
  const isSameRequest =
    exchange.fingerprint !== undefined && existing['fingerprint']?.S === exchange.fingerprint
  return isSameRequest && age <= LIMITS.idempotencySeconds
    ? { kind: 'same_request', issued: issuedIn(existing) }
    : { kind: 'replayed' }
}

function itemOf(exchange: ExchangeRecord): Item {
  const { issued } = exchange
  return {
    pk: { S: exchange.key },
    attempt: { S: exchange.attempt },
    ...(exchange.fingerprint !== undefined && { fingerprint: { S: exchange.fingerprint } }),
    token: { S: issued.id },
    jti: { S: issued.jti },
    issued_at: { N: String(issued.issuedAt) },
    token_expires_at: { N: String(issued.expiresAt) },
    ...(issued.status && {
      status_list: { N: String(issued.status.list) },
      status_index: { N: String(issued.status.index) },
    }),
    recorded_at: { N: String(exchange.recordedAt) },
    replay_until: { N: String(exchange.expiresAt) },
    // TTL: the record stays while an audit export that is down could still need it.
    expires_at: { N: String(Math.max(exchange.expiresAt, exchange.recordedAt + KEPT_SECONDS)) },
    event: { S: JSON.stringify(exchange.event) },
  }
}

function issuedIn(item: Item): IssuedIdentity {
  return {
    id: item['token']?.S as TokenId,
    jti: item['jti']?.S ?? '',
    issuedAt: Number(item['issued_at']?.N),
    expiresAt: Number(item['token_expires_at']?.N),
    ...(item['status_list'] !== undefined && {
      status: { list: Number(item['status_list'].N), index: Number(item['status_index']?.N) },
    }),
  }
}
