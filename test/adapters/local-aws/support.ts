import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { KMSClient } from '@aws-sdk/client-kms'
import { S3Client } from '@aws-sdk/client-s3'
import { STSClient } from '@aws-sdk/client-sts'
import { onTestFinished } from 'vitest'
import type { AwsCall } from '../../../lib/local/aws/call-handling.ts'
import type { Defect } from '../../../lib/local/aws/defect.ts'
import {
  type AwsEndpoint,
  type AwsEndpointOptions,
  startAwsEndpoint,
} from '../../../lib/local/aws/endpoint.ts'
import type { PolicyStatement } from '../../../lib/local/aws/iam.ts'

export const REGION = 'eu-west-1'
export const ACCOUNT = '111111111111'
export const OPERATOR_KEY = 'AKIAOPERATOR'

/** An endpoint with what it reported, and clients of the operator. */
export interface Rig {
  readonly endpoint: AwsEndpoint
  readonly defects: Defect[]
  readonly calls: AwsCall[]
  readonly dynamodb: DynamoDBClient
  readonly kms: KMSClient
  readonly s3: S3Client
  readonly sts: STSClient
}

/** Starts an endpoint for the running test. */
export async function startRig(options: Partial<AwsEndpointOptions> = {}): Promise<Rig> {
  const defects: Defect[] = []
  const calls: AwsCall[] = []
  const endpoint = await startAwsEndpoint({
    region: REGION,
    principals: new Map([[OPERATOR_KEY, { name: 'operator' }]]),
    onDefect: (defect) => defects.push(defect),
    onCall: (call) => calls.push(call),
    ...options,
  })
  onTestFinished(() => endpoint.close())
  return { endpoint, defects, calls, ...clientsOf(endpoint, OPERATOR_KEY) }
}

/** Clients that sign with an access key, and never repeat a call. */
export function clientsOf(
  endpoint: AwsEndpoint,
  accessKeyId: string,
  { sessionToken = '', secretAccessKey = 'secret' } = {},
) {
  const config = {
    region: REGION,
    endpoint: endpoint.url,
    maxAttempts: 1,
    credentials: { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) },
  }
  return {
    dynamodb: new DynamoDBClient(config),
    kms: new KMSClient(config),
    s3: new S3Client(config),
    sts: new STSClient(config),
  }
}

/** Clients of a function whose role has these statements. */
export function clientsWith(rig: Rig, name: string, ...statements: readonly PolicyStatement[]) {
  rig.endpoint.registerPrincipal(`AKIA${name}`, {
    name,
    roleArn: `arn:aws:iam::${ACCOUNT}:role/path/${name}-role`,
    policies: [{ Version: '2012-10-17', Statement: statements }],
  })
  return clientsOf(rig.endpoint, `AKIA${name}`)
}

/** A table with the partition key `pk`. */
export function table(TableName: string) {
  return {
    TableName,
    KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
    AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
  }
}

/** The error with which a call failed. Throws if it did not. */
export async function failureOf(call: Promise<unknown>): Promise<Error> {
  try {
    await call
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('the call did not fail')
}
