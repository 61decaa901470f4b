import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { CreateKeyCommand, KMSClient, ScheduleKeyDeletionCommand } from '@aws-sdk/client-kms'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { AWS_CLIENT } from '../../functions/adapters/aws-client.ts'
import { DynamoDbKeyManifests } from '../../functions/adapters/dynamodb-key-manifests.ts'
import { KmsSigningKeyFactory } from '../../functions/adapters/kms-signing-key-factory.ts'
import { KmsSigningKeyInventory } from '../../functions/adapters/kms-signing-key-inventory.ts'
import { keyTimesFor } from '../../functions/core/key-times.ts'
import { reconcileKeys } from '../../functions/rotate-keys/reconcile.ts'
import { readAssembly } from '../../lib/local/assembly.ts'
import type { Defect } from '../../lib/local/aws/defect.ts'
import type { TableDefinition } from '../../lib/local/aws/dynamodb.ts'
import { type AwsEndpoint, startAwsEndpoint } from '../../lib/local/aws/endpoint.ts'
import { planCloud } from '../../lib/local/plan/plan-cloud.ts'
import { resolveStacks } from '../../lib/local/resolved-stacks.ts'

const DAY = 24 * 60 * 60
const REGION = 'eu-west-1'

let aws: AwsEndpoint
let kms: KMSClient
let operator: KMSClient
let dynamoDb: DynamoDBClient
let table = ''
let stage = ''
let now = 1_800_000_000
const defects: Defect[] = []

/** AWS with a clock of our own, and one caller: the rotation, with the role that the template gives it. */
beforeAll(async () => {
  const deployment = { account: '111111111111', region: REGION, apiEndpoint: 'http://127.0.0.1' }
  const plan = planCloud(resolveStacks(readAssembly(inject('assemblyFolder')), deployment))
  const rotateKeys = plan.functions.find(({ logicalId }) => logicalId.startsWith('RotateKeys'))
  if (rotateKeys === undefined) throw new Error('no rotate-keys function')
  stage = rotateKeys.environment['BROKER_STAGE'] ?? ''
  table = rotateKeys.environment['SIGNING_KEYS_TABLE'] ?? ''
  aws = await startAwsEndpoint({
    region: REGION,
    clock: () => now * 1000,
    onDefect: (defect) => void defects.push(defect),
  })
  for (const { definition } of plan.tables)
    await aws.dynamodb.createTable(definition as unknown as TableDefinition)
  const { name, roleArn, policies } = rotateKeys
  aws.registerPrincipal('ASIAROTATEKEYS', { name, roleArn, policies })
  aws.registerPrincipal('AKIAOPERATOR', { name: 'operator' })
  const clientOf = (accessKeyId: string) => ({
    ...AWS_CLIENT,
    endpoint: aws.url,
    region: REGION,
    credentials: { accessKeyId, secretAccessKey: 'secret' },
  })
  kms = new KMSClient(clientOf('ASIAROTATEKEYS'))
  dynamoDb = new DynamoDBClient(clientOf('ASIAROTATEKEYS'))
  operator = new KMSClient(clientOf('AKIAOPERATOR'))
})
afterAll(async () => {
  for (const client of [kms, dynamoDb, operator]) client.destroy()
  await aws.close()
})

async function reconcile(): Promise<readonly unknown[]> {
  let ids = 0
  const reports = await reconcileKeys({
    store: new DynamoDbKeyManifests(dynamoDb, table),
    factory: new KmsSigningKeyFactory(kms, stage),
    inventory: new KmsSigningKeyInventory(kms, stage),
    times: keyTimesFor({ rotationSeconds: 30 * DAY, verifierCacheSeconds: 7200 }),
    now: () => now,
    randomId: () => `reservation-${now}-${++ids}`,
  })
  return reports.flatMap(({ faults }) => faults)
}

describe('the role of the key rotation', () => {
  it('is enough for the whole life of a key, and for nothing more', async () => {
    for (const day of [0, 30, 30.5, 38, 70]) {
      now = 1_800_000_000 + day * DAY
      // Again, as its schedule does, where this machine has taken over a second for an RSA key.
      await expect.poll(reconcile, { message: `day ${day}` }).toEqual([])
    }
    const unused = aws.unusedPermissions().filter(({ action }) => !/^(logs|xray):/.test(action))
    expect(unused).toEqual([])
    expect(defects).toEqual([])
  })

  it('cannot touch a key that is not tagged as its own, nor delete one of its own sooner than in 30 days', async () => {
    const foreign = await operator.send(
      new CreateKeyCommand({
        KeySpec: 'ECC_NIST_P256',
        KeyUsage: 'SIGN_VERIFY',
        Tags: [
          { TagKey: 'token-broker:purpose', TagValue: 'token-signing' },
          { TagKey: 'token-broker:stage', TagValue: 'another' },
        ],
      }),
    )
    const keyArn = foreign.KeyMetadata?.Arn ?? ''
    const inventory = new KmsSigningKeyInventory(kms, stage)
    await expect(inventory.disable(keyArn)).rejects.toThrow('AccessDenied')
    await expect(inventory.scheduleDeletion(keyArn)).rejects.toThrow('AccessDenied')
    const own = await new KmsSigningKeyFactory(kms, stage).create('ES256', 'r')
    const soon = new ScheduleKeyDeletionCommand({ KeyId: own, PendingWindowInDays: 29 })
    await expect(kms.send(soon)).rejects.toThrow('not authorized')
    await inventory.scheduleDeletion(own)
  })
})
