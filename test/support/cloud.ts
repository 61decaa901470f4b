import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { KMSClient } from '@aws-sdk/client-kms'
import { inject } from 'vitest'
import { type LocalCloud, type LocalCloudOptions, startLocalCloud } from '../../lib/local/cloud.ts'
import type { CloudDefect } from '../../lib/local/cloud-defect.ts'
import type { SignRequest } from '../../lib/local/demo-issuer.ts'
import { outboundIssuers, policyAccounts } from '../../lib/local/policy-accounts.ts'

export const PAYMENTS = 'https://payments.example.com'
export const LEDGER = 'https://ledger.example.com'
export const RECEIPTS = 'https://receipts.example.com'
export const REPORTS = 'https://reports.example.com'
const GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange'
const TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:'
const OPERATOR = { accessKeyId: 'AKIAOPERATOR00000000', secretAccessKey: 'operator' }

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Record<string, string>
}

/** A running broker, and what a test does with it over HTTP. */
export interface TestCloud {
  readonly cloud: LocalCloud
  readonly url: string
  readonly defects: CloudDefect[]
  /** Every line that a function has printed. */
  readonly lines: string[]
  readonly dynamoDb: DynamoDBClient
  readonly kms: KMSClient
  /** The name of the table made from this construct id. */
  table(constructId: string): string
  sign(request: SignRequest): Promise<string>
  exchange(
    subjectToken: string,
    changes?: Record<string, string>,
    headers?: Record<string, string>,
  ): Promise<Answer>
  close(): Promise<void>
}

/** Starts the demo deployment on loopback, from the assembly that the run synthesized. */
export async function startTestCloud(options: Partial<LocalCloudOptions> = {}): Promise<TestCloud> {
  const defects: CloudDefect[] = []
  const lines: string[] = []
  const cloud = await startLocalCloud({
    assemblyFolder: inject('assemblyFolder'),
    issuers: inject('policy').issuers,
    // The probe would mix with what is tested, and counted, at the end of each minute.
    schedules: false,
    accountTemplates: (facts) => policyAccounts(inject('policy'), facts),
    outboundIssuers: outboundIssuers(inject('policy')),
    onDefect: (defect) => void defects.push(defect),
    onLog: (_name, line) => void lines.push(line),
    ...options,
  })
  cloud.aws.registerPrincipal(OPERATOR.accessKeyId, {
    name: 'operator',
    roleArn: 'arn:aws:iam::111111111111:role/operator',
    policies: undefined,
  })
  const client = { endpoint: cloud.aws.url, region: 'eu-west-1', credentials: OPERATOR }
  const dynamoDb = new DynamoDBClient(client)
  const kms = new KMSClient(client)
  return {
    cloud,
    url: cloud.url,
    defects,
    lines,
    dynamoDb,
    kms,
    table: (constructId) => {
      const found = cloud.plan.tables.find(({ name }) => name.includes(constructId))
      if (found === undefined) throw new Error(`no table ${constructId}`)
      return found.name
    },
    sign: async (request) => {
      const response = await fetch(`${cloud.url}/demo-issuer/sign`, {
        method: 'POST',
        body: JSON.stringify(request),
      })
      return ((await response.json()) as { token: string }).token
    },
    exchange: (subjectToken, changes = {}, headers = {}) =>
      postForm(`${cloud.url}/token`, exchangeForm(subjectToken, changes), headers),
    close: async () => {
      dynamoDb.destroy()
      kms.destroy()
      await cloud.close()
    },
  }
}

export function exchangeForm(
  subjectToken: string,
  changes: Record<string, string> = {},
): Record<string, string> {
  return {
    grant_type: GRANT,
    subject_token: subjectToken,
    subject_token_type: `${TOKEN_TYPE}jwt`,
    ...changes,
  }
}

export async function postForm(
  url: string,
  form: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(url, { method: 'POST', body: new URLSearchParams(form), headers })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text === '' ? {} : JSON.parse(text) }
}
