import type { ServerResponse } from 'node:http'
import type { AwsError, JsonObject } from './aws-error.ts'
import type { RestOutput } from './s3.ts'
import { s3Xml } from './s3-xml.ts'

/** The services whose answers are a status, headers and whatever body. */
const SPEAK_REST = new Set(['s3', 'lambda'])
const JSON_TYPES: Readonly<Record<string, string>> = {
  cloudtrail: 'application/x-amz-json-1.1',
  dynamodb: 'application/x-amz-json-1.0',
  kms: 'application/x-amz-json-1.1',
  sqs: 'application/x-amz-json-1.0',
  lambda: 'application/json',
}
/** The services that speak XML, by the namespace of their answers. */
const XML_NAMESPACES: Readonly<Record<string, string>> = {
  sts: 'https://sts.amazonaws.com/doc/2011-06-15/',
  cloudformation: 'http://cloudformation.amazonaws.com/doc/2010-05-15/',
}

/** What every answer carries. */
export interface AnswerFrame {
  readonly service: string
  readonly operation: string
  readonly requestId: string
  /** Epoch milliseconds of the cloud's clock: SDKs measure their skew by the `Date` header. */
  readonly now: number
}

/** Sends a result in the service's protocol. */
export function sendOutput(response: ServerResponse, frame: AnswerFrame, output: JsonObject): void {
  if (SPEAK_REST.has(frame.service)) sendRest(response, frame, output as RestOutput)
  else send(response, frame, 200, speaksXml(frame) ? xmlOutput(frame, output) : JSON.stringify(output))
}

/** Sends an error in the service's protocol. */
export function sendError(response: ServerResponse, frame: AnswerFrame, error: AwsError): void {
  const { type, code, message, status, fields } = error
  if (frame.service === 's3') {
    sendRest(response, frame, restError(frame, error))
    return
  }
  const inXml = speaksXml(frame)
  if (!inXml) response.setHeader('x-amzn-errortype', code)
  send(
    response,
    frame,
    status,
    inXml ? xmlError(frame, error) : JSON.stringify({ __type: type, message, ...fields }),
  )
}

function sendRest(response: ServerResponse, frame: AnswerFrame, { status, headers, body }: RestOutput): void {
  response.writeHead(status, {
    ...headers,
    'x-amz-request-id': frame.requestId,
    date: new Date(frame.now).toUTCString(),
  })
  response.end(body)
}

/** To HEAD there is no body, and so no code: SDKs make one of the status. */
function restError({ operation, requestId }: AnswerFrame, { code, message, status }: AwsError): RestOutput {
  const body = operation.startsWith('Head')
    ? ''
    : s3Xml('Error', { Code: code, Message: message, RequestId: requestId })
  return { status, headers: { 'content-type': 'application/xml' }, body }
}

function send(response: ServerResponse, frame: AnswerFrame, status: number, body: string): void {
  response.writeHead(status, {
    'content-type': JSON_TYPES[frame.service] ?? 'text/xml',
    'content-length': Buffer.byteLength(body),
    'x-amzn-requestid': frame.requestId,
    date: new Date(frame.now).toUTCString(),
  })
  response.end(body)
}

function speaksXml({ service }: AnswerFrame): boolean {
  return service in XML_NAMESPACES
}

function xmlOutput({ service, operation, requestId }: AnswerFrame, output: JsonObject): string {
  return (
    `<${operation}Response xmlns="${XML_NAMESPACES[service]}"><${operation}Result>${toXml(output)}</${operation}Result>` +
    `<ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata></${operation}Response>`
  )
}

function xmlError({ service, requestId }: AnswerFrame, { code, message, status }: AwsError): string {
  const details = toXml({ Type: status < 500 ? 'Sender' : 'Receiver', Code: code, Message: message })
  return (
    `<ErrorResponse xmlns="${XML_NAMESPACES[service]}"><Error>${details}</Error>` +
    `<RequestId>${requestId}</RequestId></ErrorResponse>`
  )
}

function toXml(output: JsonObject): string {
  return Object.entries(output)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `<${name}>${xmlValue(value)}</${name}>`)
    .join('')
}

function xmlValue(value: unknown): string {
  if (Array.isArray(value)) return value.map((member) => `<member>${xmlValue(member)}</member>`).join('')
  if (typeof value === 'object' && value !== null) return toXml({ ...value })
  return String(value).replace(/[<>&"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
