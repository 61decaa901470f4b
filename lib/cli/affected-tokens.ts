import { type DynamoDBClient, paginateScan } from '@aws-sdk/client-dynamodb'
import type { GrantedEvent } from '../../functions/core/audit-event.ts'
import type { RevocationKey } from '../../functions/core/ports.ts'

/** What may be revoked, as the command line names it. */
export type RevocationKind = 'token' | 'upstream-token' | 'subject' | 'client' | 'issuer' | 'lineage' | 'key'

/** An issued token that has not expired. */
export type IssuedToken = Pick<
  GrantedEvent,
  | 'token'
  | 'subject'
  | 'client_id'
  | 'issuer'
  | 'target'
  | 'txn'
  | 'kid'
  | 'lineage'
  | 'expires_at'
  | 'actor_issuer'
  | 'lineage_actors'
>

const NAMES: Readonly<Record<RevocationKind, (token: IssuedToken, id: string) => boolean>> = {
  token: (token, id) => token.token === id || comesFrom(token, id),
  'upstream-token': comesFrom,
  subject: (token, id) => token.subject === id || isOfActor(token, `subject#${id}`),
  client: (token, id) => token.client_id === id || isOfActor(token, `client#${id}`),
  issuer: ({ issuer, actor_issuer: actor }, id) => issuer === id || actor === id,
  lineage: (token, id) => token.txn === id || isOfActor(token, `lineage#${id}`),
  key: (token, id) => token.kid === id || isOfActor(token, `key#${id}`),
}

function comesFrom(token: IssuedToken, id: string): boolean {
  return ancestorsOf(token).includes(id)
}

function ancestorsOf({ lineage, lineage_actors: keys = [] }: IssuedToken): readonly string[] {
  const ofActors = keys.filter((key) => key.startsWith('token#')).map((key) => key.slice('token#'.length))
  return [...lineage, ...ofActors]
}

/** Whether an actor of the token can be revoked by that. */
function isOfActor({ lineage_actors: keys = [] }: IssuedToken, key: RevocationKey): boolean {
  return keys.includes(key)
}

/** The tokens that the revocation names, and every descendant of one: a lineage lists all ancestors, those of actors too. */
export function affectedTokens(
  tokens: readonly IssuedToken[],
  kind: RevocationKind,
  id: string,
): readonly IssuedToken[] {
  const named = new Set<string>(tokens.filter((token) => NAMES[kind](token, id)).map(({ token }) => token))
  return tokens.filter(
    (token) => named.has(token.token) || ancestorsOf(token).some((each) => named.has(each)),
  )
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
