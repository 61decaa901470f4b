/** Requests to AWS endpoints as bytes on the wire: no SDK, which would refuse or repair what is to be tried. */

export const REGION = 'eu-west-1'
export const ACCOUNT = '111111111111'
/** Letters and digits only: DynamoDB Local takes no other access key. */
export const ACCESS_KEY = 'AKIAOPERATOR00000000'
export const CREDENTIALS = { accessKeyId: ACCESS_KEY, secretAccessKey: 'operator' } as const

const TARGETS = { dynamodb: 'DynamoDB_20120810', kms: 'TrentService', sqs: 'AmazonSQS' } as const
const CONTENT_TYPES = {
  dynamodb: 'application/x-amz-json-1.0',
  kms: 'application/x-amz-json-1.1',
  sqs: 'application/x-amz-json-1.0',
} as const
const STS_VERSION = '2011-06-15'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }
export type JsonObject = { readonly [name: string]: Json }

/** What an endpoint answered. */
export interface WireAnswer {
  readonly status: number
  /** Code of the error, without namespace; `undefined` for a success. */
  readonly code: string | undefined
  readonly message: string | undefined
  readonly body: JsonObject
}

/** Sends one JSON request. */
export async function callJson(
  url: string,
  service: keyof typeof TARGETS,
  operation: string,
  input: JsonObject | string,
): Promise<WireAnswer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      ...authorization(service),
      'content-type': CONTENT_TYPES[service],
      'x-amz-target': `${TARGETS[service]}.${operation}`,
    },
    body: typeof input === 'string' ? input : JSON.stringify(input),
  })
  const text = await response.text()
  const body = readObject(text)
  if (response.ok) return { status: response.status, code: undefined, message: undefined, body }
  return { status: response.status, code: codeOf(body), message: messageOf(body), body }
}

/** Sends one STS request. Of the XML only the error is read. */
export async function callSts(url: string, input: Readonly<Record<string, string>>): Promise<WireAnswer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...authorization('sts'), 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ Version: STS_VERSION, ...input }).toString(),
  })
  const text = await response.text()
  const element = (name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1]
  const found = ['AccessKeyId', 'Arn', 'Account', 'SourceIdentity', 'Provider', 'Audience']
    .map((name) => [name, element(name)] as const)
    .filter((entry): entry is readonly [string, string] => entry[1] !== undefined)
  const body = Object.fromEntries(found)
  if (response.ok) return { status: response.status, code: undefined, message: undefined, body }
  return { status: response.status, code: element('Code') ?? '', message: element('Message'), body: {} }
}

/** What S3 answered. */
export interface S3Answer {
  readonly status: number
  /** Code of the error; `undefined` for a success. */
  readonly code: string | undefined
  readonly headers: Headers
  readonly text: string
}

/** Sends one S3 request, bucket and key in the path. */
export async function callS3(
  url: string,
  method: string,
  headers: Readonly<Record<string, string>>,
  body?: string,
): Promise<S3Answer> {
  const response = await fetch(url, {
    method,
    headers: { ...authorization('s3'), ...headers },
    ...(body !== undefined && { body }),
  })
  const text = await response.text()
  const code = response.ok ? undefined : (/<Code>([^<]*)</.exec(text)?.[1] ?? '')
  return { status: response.status, code, headers: response.headers, text }
}

/** The headers of a signed request. Nobody here checks the signature: who calls is read from the credential. */
export function authorization(service: string): Record<string, string> {
  const now = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const scope = `${now.slice(0, 8)}/${REGION}/${service}/aws4_request`
  const signature = '0'.repeat(64)
  return {
    'x-amz-date': now,
    authorization: `AWS4-HMAC-SHA256 Credential=${ACCESS_KEY}/${scope}, SignedHeaders=host;x-amz-date;x-amz-target, Signature=${signature}`,
  }
}

function readObject(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}
  } catch {
    return {}
  }
}

function codeOf(body: JsonObject): string {
  const type = body['__type'] ?? body['code']
  return typeof type === 'string' ? type.replace(/^.*#/, '').replace(/:.*$/, '') : ''
}

function messageOf(body: JsonObject): string | undefined {
  const message = body['message'] ?? body['Message']
  return typeof message === 'string' ? message : undefined
}
