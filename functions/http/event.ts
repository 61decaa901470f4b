import { readCertificate } from '../core/client-certificate.ts'
import { LIMITS } from '../core/limits.ts'
import type { PresentedCertificate } from '../core/possession.ts'

/** The bytes that were sent, or why they were not even looked at. */
export type RequestBody = Uint8Array | 'too_large' | 'not_base64'

/** A request as API Gateway delivers it (payload format 1.0), read once. */
export interface HttpRequest {
  /** The event as it came. */
  readonly event: unknown
  readonly method: string
  readonly path: string
  /** Every value that was sent under a header name, in lower case. Repeated headers stay apart. */
  header(name: string): readonly string[]
  readonly hasQuery: boolean
  readonly body: RequestBody
  /** API Gateway's id of the request: it is in its access log too. */
  readonly requestId: string | undefined
  /** The ARN of who has signed the request, where the route asks for IAM authorization: API Gateway alone writes it. */
  readonly callerArn: string | undefined
  /** By which the client holds the connection, where that is mutual TLS: API Gateway alone says it, and no header. */
  readonly clientCertificate: PresentedCertificate
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/
/** More characters than a body within its limit can have: what is longer is neither matched nor decoded. */
const MAX_CHARACTERS = 4 * Math.ceil(LIMITS.bodyBytes / 3)

/** Reads any value as a proxy event. Total: what is missing or of another type reads as absent. */
export function readProxyEvent(event: unknown): HttpRequest {
  const { httpMethod, path, multiValueHeaders, headers, body, isBase64Encoded, ...rest } = objectOf(event)
  const query = {
    ...objectOf(rest['queryStringParameters']),
    ...objectOf(rest['multiValueQueryStringParameters']),
  }
  const context = objectOf(rest['requestContext'])
  const { requestId } = context
  const values = headerValues(objectOf(headers), objectOf(multiValueHeaders))
  return {
    event,
    method: typeof httpMethod === 'string' ? httpMethod : '',
    path: typeof path === 'string' ? path : '',
    header: (name) => values.get(name) ?? [],
    hasQuery: Object.keys(query).length > 0,
    body: bodyOf(typeof body === 'string' ? body : '', isBase64Encoded === true),
    requestId: typeof requestId === 'string' ? requestId : undefined,
    callerArn: callerArnIn(context),
    clientCertificate: clientCertificateIn(context),
  }
}

/** Format 1.0 has a place for it in `identity`; where an HTTP API were to fill in that of format 2.0, it is as good. */
function callerArnIn(context: Record<string, unknown>): string | undefined {
  const places = [objectOf(context['identity']), objectOf(objectOf(context['authorizer'])['iam'])]
  return places.map(({ userArn }) => userArn).find((arn) => typeof arn === 'string' && arn !== '') as
    | string
    | undefined
}

/** API Gateway has verified it against the truststore of the domain, and that the client has its private key. */
function clientCertificateIn(context: Record<string, unknown>): PresentedCertificate {
  const { clientCert } = objectOf(context['identity'])
  if (clientCert === undefined || clientCert === null) return undefined
  const { clientCertPem } = objectOf(clientCert)
  return (typeof clientCertPem === 'string' && readCertificate(clientCertPem)) || 'unreadable'
}

function headerValues(
  single: Record<string, unknown>,
  multiple: Record<string, unknown>,
): ReadonlyMap<string, readonly string[]> {
  const values = new Map<string, readonly string[]>()
  for (const [name, value] of Object.entries(single))
    if (typeof value === 'string') values.set(name.toLowerCase(), [value])
  for (const [name, value] of Object.entries(multiple))
    if (Array.isArray(value))
      values.set(
        name.toLowerCase(),
        value.filter((one) => typeof one === 'string'),
      )
  return values
}

function bodyOf(body: string, isBase64: boolean): RequestBody {
  if (body.length > MAX_CHARACTERS) return 'too_large'
  if (isBase64 && (body.length % 4 !== 0 || !BASE64.test(body))) return 'not_base64'
  const bytes = Buffer.from(body, isBase64 ? 'base64' : 'utf8')
  return bytes.byteLength > LIMITS.bodyBytes ? 'too_large' : bytes
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}
