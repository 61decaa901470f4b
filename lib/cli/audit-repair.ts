import { ConditionalCheckFailedException, UpdateItemCommand } from '@aws-sdk/client-dynamodb'
import { REPAIRED, type RecordedExchange } from '../../functions/core/audit-entry.ts'
import { verifyDeployed } from './audit-verify.ts'
import { type Command, DEPLOYMENT_OPTIONS, PLAN_OPTIONS } from './command.ts'
import { confirmPlan } from './confirm.ts'
import type { Deployment } from './deployment.ts'
import { type Terminal, withProgress } from './terminal.ts'
import { timeOf } from './times.ts'

/** Records that are written at the same time. */
const AT_ONCE = 16
const MOST_SHOWN = 20

export const auditRepair: Command = {
  path: ['audit', 'repair'],
  summary: 'export again the records of exchanges that the audit trail lacks',
  details:
    'For when the export was down for longer than the stream holds a record (24 hours): the exchanges table holds it for 48.\n' +
    'Verifies the trail first. Each record that the table holds and the trail lacks is counted up in an attribute of its own, so that\n' +
    'the stream carries it to the export once more; what it says is not touched, and the trail marks it as repaired.\n' +
    'Nothing in the bucket is changed. May be repeated.',
  example: 'npx token-broker audit repair --stage prod',
  options: {
    ...DEPLOYMENT_OPTIONS,
    ...PLAN_OPTIONS,
    'public-key': {
      type: 'string',
      value: 'FILE',
      description: 'the checkpoint key in PEM, kept by the auditor, instead of what KMS says it is',
    },
  },
  run: async (context) => {
    const { terminal, flag } = context
    const deployment = await context.deployment()
    const { missing, findings } = await verifyDeployed(deployment, context)
    const others = findings.length - missing.length
    if (missing.length > 0)
      await confirmPlan(
        context,
        planLines(missing, others, deployment),
        `Export them again in ${deployment.stage}?`,
      )
    const changed = await carryAgain(missing, deployment, terminal)
    if (flag('json'))
      terminal.out(
        JSON.stringify(
          {
            missing: missing.length,
            carried_again: missing.length - changed.length,
            changed,
            other_findings: others,
          },
          null,
          2,
        ),
      )
    else for (const line of resultLines(missing.length, changed, others)) terminal.out(line)
    return changed.length === 0 ? 0 : 1
  },
}

function planLines(
  missing: readonly RecordedExchange[],
  others: number,
  { tables }: Deployment,
): readonly string[] {
  const times = missing.map(({ recordedAt }) => recordedAt)
  const first = times.reduce((least, time) => Math.min(least, time))
  const last = times.reduce((most, time) => Math.max(most, time))
  const more = missing.length - MOST_SHOWN
  return [
    `${missing.length} records of ${tables.exchanges} are not in the trail, of ${timeOf(first)} to ${timeOf(last)}:`,
    ...missing.slice(0, MOST_SHOWN).map(({ key }) => `  ${key}`),
    ...(more > 0 ? [`  and ${more} more: npx token-broker audit verify --json`] : []),
    'Each is carried to the export once more, as the table has it now. Was the export not down at these times? Then somebody',
    'may have put them there: look into CloudTrail first.',
    ...(others > 0 ? [`${others} OTHER FINDINGS of audit verify are not mended by this.`] : []),
  ]
}

function resultLines(missing: number, changed: readonly string[], others: number): readonly string[] {
  const rest = others === 0 ? '' : ` ${others} other findings remain: npx token-broker audit verify`
  if (missing === 0) return [`The trail has every record of the table.${rest}`]
  return [
    ...changed.map((key) => `${key} was changed or deleted meanwhile, and was left alone`),
    `${missing - changed.length} of ${missing} records are on their way. In a minute: npx token-broker audit verify.${rest}`,
  ]
}

/** Has the stream carry the records again. Returns the keys of those that are not any more what was read. */
async function carryAgain(
  records: readonly RecordedExchange[],
  { dynamoDb, tables }: Deployment,
  terminal: Terminal,
): Promise<readonly string[]> {
  const changed: string[] = []
  let done = 0
  const carry = async (record: RecordedExchange) => {
    try {
      await dynamoDb.send(countUp(record, tables.exchanges))
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error
      changed.push(record.key)
    }
    done++
  }
  const all = async () => {
    for (let from = 0; from < records.length; from += AT_ONCE)
      await Promise.all(records.slice(from, from + AT_ONCE).map(carry))
  }
  await withProgress(terminal, () => `${done} of ${records.length} records carried again`, all())
  return changed
}

/** Only while it is the record that was read: what has changed since is in the stream already, and says so itself. */
function countUp({ key, attempt, text, recordedAt }: RecordedExchange, table: string): UpdateItemCommand {
  return new UpdateItemCommand({
    TableName: table,
    Key: { pk: { S: key } },
    UpdateExpression: 'ADD #repaired :one',
    ConditionExpression: 'attempt = :attempt AND #event = :event AND recorded_at = :at',
    ExpressionAttributeNames: { '#repaired': REPAIRED, '#event': 'event' },
    ExpressionAttributeValues: {
      ':one': { N: '1' },
      ':attempt': { S: attempt },
      ':event': { S: text },
      ':at': { N: String(recordedAt) },
    },
  })
}
