import type { IncomingHttpHeaders } from 'node:http'
import type { SignedRequest } from '../sigv4.ts'
import { AwsError, type JsonObject } from './aws-error.ts'
import { readLambdaRequest } from './lambda.ts'
import { readQueryInput } from './query-input.ts'
import { type RestRequest, readS3Request } from './s3-request.ts'

/** What this cloud offers, as in IAM action names. */
const SERVICES = ['cloudformation', 'cloudtrail', 'dynamodb', 'kms', 'lambda', 's3', 'sqs', 'sts']

/** One call, before it is known who makes it. */
export interface AwsRequest {
  /** As in IAM action names, one of {@link SERVICES}. */
  readonly service: string
  readonly operation: string
  readonly input: JsonObject
  readonly accessKeyId: string | undefined
  readonly sessionToken: string | undefined
  /** What the signature covers, and the Region that it is for. */
  readonly signed: SignedRequest & { readonly region: string }
  /** The request id of the invocation that calls, where a function does. */
  readonly invocation: string | undefined
}

const SERVICE_BY_TARGET: Readonly<Record<string, string>> = {
  DynamoDB_20120810: 'dynamodb',
  TrentService: 'kms',
  AmazonSQS: 'sqs',
  'com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101': 'cloudtrail',
  CloudTrail_20131101: 'cloudtrail',
}

/** Versions of APIs in the query protocol, which name the service where no host name does. */
const SERVICE_BY_VERSION: Readonly<Record<string, string>> = {
  '2011-06-15': 'sts',
  '2010-05-15': 'cloudformation',
}

/** `Credential=<access key id>/<date>/<region>/<service>/aws4_request` of SigV4. */
const CREDENTIAL = /Credential=([^/,\s]+)\/(?:[^/,\s]+\/([^/,\s]+)\/([^/,\s]+))?/

/** Whose access key signs a call, also one that cannot be read. */
export function accessKeyIdOf({ authorization = '' }: IncomingHttpHeaders): string | undefined {
  return CREDENTIAL.exec(authorization)?.[1]
}

/** Reads a call of the JSON, the query or one of the REST protocols. Throws {@link AwsError} if it is none of them. */
export function readAwsRequest(request: RestRequest): AwsRequest {
  const { method, url, headers, body } = request
  const [, accessKeyId, region = '', signedFor] = CREDENTIAL.exec(headers.authorization ?? '') ?? []
  const token = headers['x-amz-security-token']
  const sessionToken = typeof token === 'string' ? token : undefined
  const target = headers['x-amz-target']
  const rawHeaders = Object.entries(headers).flatMap(([name, value]) => [name, String(value)])
  const signed = { method, url, rawHeaders, body, region }
  const invocation = invocationOf(headers['x-amzn-trace-id'])
  const who = { accessKeyId, sessionToken, signed, invocation }
  if (signedFor === 'lambda') return { service: 'lambda', ...readLambdaRequest(request), ...who }
  if (signedFor === 's3') return { service: 's3', ...readS3Request(request), ...who }
  const called = typeof target === 'string' ? readJson(target, body) : readQuery(headers, body)
  return { ...called, ...who }
}

/** The local runtime makes the trace id of the request id (`lambda-runtime.mjs`). */
const TRACE_ID = /^Root=1-([0-9a-f]{8})-([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12});/

function invocationOf(traceId: string | readonly string[] | undefined): string | undefined {
  const digits = typeof traceId === 'string' ? TRACE_ID.exec(traceId) : null
  return digits?.slice(1).join('-')
}

type CalledOperation = Pick<AwsRequest, 'service' | 'operation' | 'input'>

function readJson(target: string, body: Buffer): CalledOperation {
  const dot = target.lastIndexOf('.')
  const service = SERVICE_BY_TARGET[target.slice(0, dot)]
  if (service === undefined) throw unknownOperation(target)
  return { service, operation: target.slice(dot + 1), input: parseObject(body) }
}

function readQuery(headers: IncomingHttpHeaders, body: Buffer): CalledOperation {
  const form = headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true
  const { Action: operation, Version: version, ...input } = form ? readQueryInput(body.toString()) : {}
  if (typeof operation !== 'string') throw unknownOperation('none')
  const service = SERVICE_BY_VERSION[String(version)]
  if (service === undefined) throw unknownOperation(`${operation} of version ${String(version)}`)
  return { service, operation, input }
}

function parseObject(body: Buffer): JsonObject {
  try {
    const value: unknown = JSON.parse(body.toString())
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    // Answered below, like any other body that is not an object.
  }
  throw new AwsError('com.amazon.coral.service#SerializationException', 'the body is not a JSON object')
}

function unknownOperation(target: string): AwsError {
  const message = `unknown operation: ${target}; the local cloud has ${SERVICES.join(', ')} and no other service`
  return new AwsError('com.amazon.coral.service#UnknownOperationException', message)
}
