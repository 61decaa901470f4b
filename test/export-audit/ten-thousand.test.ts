import { createPublicKey } from 'node:crypto'
import {
  type AttributeValue,
  type DynamoDBClient,
  ScanCommand,
  type ScanCommandOutput,
} from '@aws-sdk/client-dynamodb'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { DynamoDbChainHints } from '../../functions/adapters/dynamodb-chain-hints.ts'
import { DynamoDbExchangeLedger } from '../../functions/adapters/dynamodb-exchange-ledger.ts'
import { DynamoDbOneTimeLedger } from '../../functions/adapters/dynamodb-one-time-ledger.ts'
import { DynamoDbReferenceTokens } from '../../functions/adapters/dynamodb-reference-tokens.ts'
import { S3AuditObjects } from '../../functions/adapters/s3-audit-objects.ts'
import { objectKey, readBatch } from '../../functions/core/audit-chain.ts'
import { readRecord, type StreamImage, type StreamRecord } from '../../functions/core/audit-entry.ts'
import type { OcsfEvent } from '../../functions/core/audit-ocsf.ts'
import { digestOf, tokenIdOf } from '../../functions/core/token-id.ts'
import { type StoredObject, verifyAudit } from '../../lib/cli/audit-verification.ts'
import { seededRandom } from '../../lib/local/aws/random.ts'
import { createTestExport, logDelivery, type TestExport, TICK } from '../support/audit.ts'
import {
  BROKER_ISSUER,
  createTestBroker,
  LEDGER,
  NOW,
  PAYMENTS,
  REPORTS,
  type TestBroker,
} from '../support/broker.ts'
import { assertionParameters } from '../support/clients.ts'
import { createEndpoints, type TestEndpoints, worldOf } from '../support/endpoints.ts'
import { inProcessDynamoDb } from '../support/in-process-dynamodb.ts'
import { type LocalAws, startLocalAws } from '../support/local-aws.ts'

/*
 * Real here: the HTTP rim and the exchange with its refusals, the adapters that write the exchanges table, the local
 * DynamoDB and its stream, the exporter, the adapters of bucket and hints over the AWS SDK and HTTP, the local S3, the
 * verification. Not real: the keys of KMS (signatures are, by keys in memory), Lambda's deliveries (the loops below), the
 * checkpoint key, and time, which stands still for the exchanges.
 */

const EXCHANGES = 10_000
const ROUND = 250
const FAULTS = ['error', 'reset', 'drop-after-apply', 'throttle'] as const

let aws: LocalAws
beforeAll(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: NOW * 1000 })
  aws = await startLocalAws(['audit'])
  const objectLock = { mode: 'COMPLIANCE', days: 400 } as const
  await aws.endpoint.s3.createBucket({ name: 'trail', objectLock, denied: [] })
})
afterAll(async () => {
  vi.useRealTimers()
  await aws.close()
})

/** Lambda's part: delivers an event again until the function says that nothing of it failed. */
async function deliver(exporter: TestExport, event: unknown): Promise<number> {
  for (let deliveries = 1; ; deliveries++) {
    const failed = await exporter.handle(event).then(
      (answer) => (answer?.batchItemFailures ?? []).length > 0,
      () => true,
    )
    if (!failed) return deliveries
  }
}

/** Ids of the tokens that the answers carried. */
class Released {
  readonly ids: string[] = []
  readonly #references: DynamoDbReferenceTokens

  constructor(references: DynamoDbReferenceTokens) {
    this.#references = references
  }

  async add(token: string): Promise<void> {
    const claims = token.startsWith('rt_')
      ? ((await this.#references.find(digestOf(token))) ?? {})
      : decodeJwt(token)
    const { jti } = claims
    if (typeof jti !== 'string') throw new Error('a token without jti')
    this.ids.push(tokenIdOf({ kind: 'token', issuer: BROKER_ISSUER, jti, signingInput: '' }))
  }
}

/** Sends rounds of requests of every kind, some of them refused before and some after their record was written. */
async function requests(broker: TestBroker) {
  const pods = await Promise.all(Array.from({ length: 8 }, () => broker.subjectToken('pod')))
  return async (endpoints: TestEndpoints, number: number): Promise<readonly string[]> => {
    const [single, shared, desk, assertion] = await Promise.all([
      broker.subjectToken('ci'),
      broker.subjectToken('job'),
      broker.subjectToken('desk'),
      broker.assertion('checkout'),
    ])
    const pod = pods[number % pods.length] ?? ''
    const forms = [
      { subject_token: single, audience: LEDGER },
      // A replay.
      { subject_token: single, audience: LEDGER },
      // Once per target.
      { subject_token: shared, audience: LEDGER },
      { subject_token: shared, audience: PAYMENTS },
      { subject_token: desk, audience: LEDGER, ...assertionParameters(assertion) },
      { subject_token: pod, audience: REPORTS },
      { subject_token: pod, audience: 'https://nobody.example.com' },
      ...Array.from({ length: ROUND - 5 }, () => ({ subject_token: pod, audience: LEDGER })),
    ]
    const answers = await Promise.all(forms.map((form) => endpoints.token({ form: { ...FORM, ...form } })))
    return answers.flatMap(({ json }) =>
      typeof json['access_token'] === 'string' ? [json['access_token']] : [],
    )
  }
}
const FORM = {
  grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
  subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
}

it('10,000 exchanges are all in the trail, however often S3, the hint and the exporter fail', async () => {
  const random = seededRandom(7)
  let now = NOW
  const stream: StreamRecord[] = []
  const dynamoDb = await inProcessDynamoDb(
    ['exchanges'],
    async () => undefined,
    (record) => {
      stream.push(record as unknown as StreamRecord)
    },
  )
  const broker = await createTestBroker()
  const references = new DynamoDbReferenceTokens(dynamoDb, 'exchanges')
  const endpoints = createEndpoints(broker, {
    ...worldOf(broker),
    ledger: new DynamoDbExchangeLedger(dynamoDb, 'exchanges'),
    oneTime: new DynamoDbOneTimeLedger(dynamoDb, 'exchanges'),
    references,
  } as unknown as ReturnType<typeof worldOf>)
  const released = new Released(references)
  const send = await requests(broker)
  const objects = new S3AuditObjects(aws.s3, 'trail')
  const hints = new DynamoDbChainHints(aws.dynamoDb, 'audit')
  let exporter = createTestExport({ objects, hints, now: () => now })
  let [deliveries, batches] = [0, 0]
  while (released.ids.length < EXCHANGES) {
    for (const token of await send(endpoints, batches)) await released.add(token)
    const kind = FAULTS[Math.floor(random() * FAULTS.length)] ?? 'reset'
    const fault = kind === 'error' ? { kind, code: 'InternalError' } : { kind }
    const operation = ['s3:PutObject', 's3:GetObject', 'dynamodb:UpdateItem'][Math.floor(random() * 3)] ?? ''
    if (random() < 0.5) aws.endpoint.faults.set({ ...fault, operation, times: 1 + Math.floor(random() * 3) })
    // A new environment knows nothing of what the last one wrote.
    if (random() < 0.3) exporter = exporter.restarted()
    const Records = stream.splice(0)
    const lines = endpoints.said.audit.splice(0).map((audit) => ({ audit }))
    // Log lines, and another shard's batch, at the same moment.
    const counts = await Promise.all([
      deliver(exporter, { Records }),
      deliver(exporter, logDelivery(lines, 'DATA_MESSAGE', `round-${batches}`)),
      random() < 0.2 ? deliver(exporter.restarted(), { Records: Records.slice(0, 3) }) : 0,
    ])
    deliveries += counts[0]
    batches++
    now += 30
    await exporter.handle(TICK).catch(() => undefined)
  }
  aws.endpoint.faults.clear()
  await exporter.handle(TICK)
  expect(endpoints.said.failed).toEqual([])
  expect(deliveries).toBeGreaterThan(batches)
  const report = await verifyAudit(
    { objects: stored(), recorded: recorded(dynamoDb), hints: await furthest() },
    {
      publicKey: createPublicKey(exporter.signer.privateKey).export({ format: 'der', type: 'spki' }),
      now: now + 1200,
    },
  )
  expect(report.findings).toEqual([])
  expect(report.compared).toBe(EXCHANGES)
  expect(new Set(released.ids).size).toBe(EXCHANGES)
  const exported = new Map((await exporter.records()).map((record) => [record.metadata.uid, record]))
  const granted = eventsNamed(exported, 'exchange_granted')
  expect(granted).toHaveLength(EXCHANGES)
  expect(new Set(granted.map(({ unmapped }) => unmapped.event['token']))).toEqual(new Set(released.ids))
  const refusals = eventsNamed(exported, 'exchange_refused').map(({ status_code: reason }) => reason)
  expect(refusals.filter((reason) => reason === 'token_replayed')).toHaveLength(batches)
  expect(refusals.filter((reason) => reason === 'audience_not_in_policy')).toHaveLength(batches)
  expect(exported.size).toBe(EXCHANGES + 2 * batches)

  async function* stored(): AsyncGenerator<StoredObject> {
    for (const chain of ['checkpoints', 'audit'] as const)
      for (let seq = 1; ; seq++) {
        const key = objectKey(chain, seq)
        const bytes = await objects.get(key)
        if (bytes === undefined) break
        if (chain === 'audit') expect(readBatch(bytes)?.seq).toBe(seq)
        yield { key, bytes, laterVersions: 0, isHidden: false }
      }
  }
  async function furthest() {
    const [audit, checkpoints] = await Promise.all([hints.read('audit'), hints.read('checkpoints')])
    return { audit, checkpoints }
  }
})

async function* recorded(dynamoDb: DynamoDBClient) {
  let ExclusiveStartKey: Record<string, AttributeValue> | undefined
  do {
    const scan = new ScanCommand({ TableName: 'exchanges', ExclusiveStartKey })
    const { Items = [], LastEvaluatedKey }: ScanCommandOutput = await dynamoDb.send(scan)
    for (const item of Items) {
      const record = readRecord(item as unknown as StreamImage)
      if (record !== undefined) yield record
    }
    ExclusiveStartKey = LastEvaluatedKey
  } while (ExclusiveStartKey !== undefined)
}

function eventsNamed(exported: ReadonlyMap<string, OcsfEvent>, name: string): readonly OcsfEvent[] {
  return [...exported.values()].filter(({ unmapped }) => unmapped.event['event'] === name)
}
