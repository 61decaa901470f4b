import { type DynamoDBClient, paginateScan } from '@aws-sdk/client-dynamodb'
import type { GrantedEvent } from '../../functions/core/audit-event.ts'

/** What may be revoked, as the command line names it. */
export type RevocationKind = 'token' | 'upstream-token' | 'subject' | 'client' | 'issuer' | 'lineage' | 'key'

/** An issued token that has not expired. */
export type IssuedToken = Pick<
  GrantedEvent,
  'token' | 'subject' | 'client_id' | 'issuer' | 'target' | 'txn' | 'kid' | 'lineage' | 'expires_at'
>

const NAMES: Readonly<Record<RevocationKind, (token: IssuedToken, id: string) => boolean>> = {
  token: ({ token, lineage }, id) => token === id || includes(lineage, id),
  'upstream-token': ({ lineage }, id) => includes(lineage, id),
  subject: ({ subject }, id) => subject === id,
  client: (token, id) => token.client_id === id,
  issuer: ({ issuer }, id) => issuer === id,
  lineage: ({ txn }, id) => txn === id,
  key: ({ kid }, id) => kid === id,
}

function includes(lineage: readonly string[], id: string): boolean {
  return lineage.includes(id)
}

/** The tokens that the revocation names, and every descendant of one: a lineage lists all ancestors. */
export function affectedTokens(
  tokens: readonly IssuedToken[],
  kind: RevocationKind,
  id: string,
): readonly IssuedToken[] {
  const named = new Set(tokens.filter((token) => NAMES[kind](token, id)).map(({ token }) => token))
  return tokens.filter(({ token, lineage }) => named.has(token) || lineage.some((each) => named.has(each)))
}

/** Every unexpired token in the table of exchanges, by reading all of it. `now` in epoch seconds. */
export async function readIssuedTokens(
  client: DynamoDBClient,
  { table, now, onRead }: { readonly table: string; readonly now: number; onRead(records: number): void },
): Promise<readonly IssuedToken[]> {
  const tokens: IssuedToken[] = []
  let records = 0
  const pages = paginateScan(
    { client },
    {
      TableName: table,
      FilterExpression: 'token_expires_at > :now',
      ProjectionExpression: '#event',
      ExpressionAttributeNames: { '#event': 'event' },
      ExpressionAttributeValues: { ':now': { N: String(now) } },
    },
  )
  for await (const { Items = [], ScannedCount = 0 } of pages) {
    records += ScannedCount
    onRead(records)
    for (const { event } of Items) if (event?.S !== undefined) tokens.push(JSON.parse(event.S) as IssuedToken)
  }
  return tokens
}
