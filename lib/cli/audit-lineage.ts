import { DynamoDbRevocationStore } from '../../functions/adapters/dynamodb-revocation-store.ts'
import { readBatch } from '../../functions/core/audit-chain.ts'
import type { RevocationKey } from '../../functions/core/ports.ts'
import { AuditSource } from './audit-source.ts'
import { type Command, CommandFailed, DEPLOYMENT_OPTIONS, UsageError } from './command.ts'
import type { Deployment } from './deployment.ts'
import { type LineageNode, LineageSearch, type Withheld } from './lineage.ts'
import { type Terminal, withProgress } from './terminal.ts'
import { timeOf } from './times.ts'

const DETAILS = `Reads the whole audit trail; revocations are read from their table as well, which is ahead of the trail. An AWS session is
found by its name too: what CloudTrail has at the end of userIdentity.arn.`

/** DynamoDB reads so many items in one call. */
const MOST_KEYS = 100

export const auditLineage: Command = {
  path: ['audit', 'lineage'],
  arguments: '<token id | jti | txn | session name>',
  summary: 'show what a token was made from, what was made from it, and what of it is revoked',
  details: DETAILS,
  example: 'npx token-broker audit lineage THxhCcbGTQ6pWQmvABh0xw --stage prod',
  options: DEPLOYMENT_OPTIONS,
  run: async (context) => {
    const { terminal, flag } = context
    const [wanted, ...more] = context.arguments
    if (wanted === undefined || more.length > 0)
      throw new UsageError('audit lineage takes one token id, jti, txn or session name')
    // An operator may paste a whole token, which would then be in a shell's history and nowhere in the trail.
    if (/^ey[\w-]*\.ey[\w-]*\.[\w-]+$/.test(wanted))
      throw new UsageError('that is a token: give its jti, which is one of its claims')
    const trees = await search(await context.deployment(), wanted, terminal)
    if (trees.length === 0)
      throw new CommandFailed(
        `the audit trail knows no ${wanted}`,
        'check the id; what was issued within the last minute may not be exported yet',
      )
    if (flag('json')) terminal.out(JSON.stringify(trees, null, 2))
    else for (const tree of trees) for (const line of lineageLines(tree, wanted, terminal)) terminal.out(line)
    return 0
  },
}

async function search(
  deployment: Deployment,
  wanted: string,
  terminal: Terminal,
): Promise<readonly LineageNode[]> {
  const source = new AuditSource(deployment)
  const found = new LineageSearch(wanted)
  let read = 0
  const gather = async () => {
    for await (const { bytes } of source.objects()) {
      read++
      for (const record of readBatch(bytes)?.records ?? []) found.add(record)
    }
  }
  try {
    await withProgress(terminal, () => `${read} objects read`, gather())
  } finally {
    source.close()
  }
  await addCutOffs(found, deployment)
  return found.trees()
}

/** Adds every cut-off that there is for the family. */
export async function addCutOffs(
  found: LineageSearch,
  { dynamoDb, tables }: Pick<Deployment, 'dynamoDb' | 'tables'>,
): Promise<void> {
  const store = new DynamoDbRevocationStore(dynamoDb, tables.revocations)
  const keys = [...new Set(found.keys())] as RevocationKey[]
  for (let from = 0; from < keys.length; from += MOST_KEYS) {
    const cutOffs = await store.cutOffs(keys.slice(from, from + MOST_KEYS))
    for (const [key, cutOff] of cutOffs) found.revoke(key, cutOff)
  }
}

/** A tree as lines of text. */
export function lineageLines(node: LineageNode, wanted: string, terminal: Terminal): readonly string[] {
  const children = node.children.flatMap((child, index) => {
    const isLast = index === node.children.length - 1
    const [first = '', ...rest] = lineageLines(child, wanted, terminal)
    return [`${isLast ? '└─' : '├─'} ${first}`, ...rest.map((line) => `${isLast ? '  ' : '│ '} ${line}`)]
  })
  return [describe(node, wanted, terminal), ...children]
}

function describe(node: LineageNode, wanted: string, terminal: Terminal): string {
  const { token, issued, revokedBy, withheld } = node
  const isWanted = [token, issued?.jti, issued?.session?.name].includes(wanted)
  const name = isWanted ? terminal.style('bold', token) : token
  const what =
    issued === undefined
      ? 'external token'
      : `${issued.target} for ${issued.client}${actorText(issued)}${sessionText(issued)}, by grant ${issued.grant}, ${timeOf(issued.issuedAt)} to ${timeOf(issued.expiresAt)}`
  const revoked = revokedBy.length === 0 ? '' : terminal.style('red', `  REVOKED by ${revokedBy.join(', ')}`)
  return `${name}  ${what}${withheld === undefined ? '' : withheldText(withheld, terminal)}${revoked}`
}

function actorText({ actor }: NonNullable<LineageNode['issued']>): string {
  return actor === undefined ? '' : `, with ${actor.name} acting (${actor.token})`
}

function sessionText({ session }: NonNullable<LineageNode['issued']>): string {
  return session === undefined ? '' : `, as session ${session.name} of ${session.role}`
}

function withheldText({ reason, butForRetry, repeatedAt }: Withheld, terminal: Terminal): string {
  const why = reason === 'fault' ? 'the request failed' : `refused as ${reason}`
  if (repeatedAt !== undefined)
    return terminal.style('yellow', `  RELEASED TO A RETRY at ${timeOf(repeatedAt)}: first ${why}`)
  const retry = butForRetry ? ', unless to the same request under its idempotency key' : ''
  return terminal.style('yellow', `  NOT RELEASED: ${why}${retry}`)
}
