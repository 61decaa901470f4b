import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import type { APIGatewayProxyEvent } from 'aws-lambda'
import type { CallerIdentity } from './iam-authorizer.ts'

/** A request that a route of the API has been found for. */
export interface RoutedRequest {
  readonly message: IncomingMessage
  readonly body: Buffer
  readonly requestId: string
  readonly apiId: string
  readonly account: string
  readonly routeKey: string
  readonly pathParameters: Readonly<Record<string, string>>
  /** Epoch milliseconds. */
  readonly now: number
  /** Who has signed it, where the route asks for that. */
  readonly identity: CallerIdentity | 'anybody'
}

/** API Gateway hands these on as text and everything else, forms included, as base64. */
const TEXT_TYPES = /^(text\/|application\/(json|javascript|xml)\b)/i

/** The Lambda proxy event, payload format 1.0, as API Gateway's HTTP API makes it of a request. */
export function proxyEvent(request: RoutedRequest): APIGatewayProxyEvent & { readonly version: '1.0' } {
  const { message, body, routeKey, pathParameters } = request
  const url = new URL(message.url ?? '/', 'http://local')
  const path = pathOf(message)
  const text = body.length > 0 && TEXT_TYPES.test(message.headers['content-type'] ?? 'text/plain')
  const multiValueHeaders = requestHeaders(message)
  const multiValueQuery = grouped([...url.searchParams])
  const resource = routeKey === '$default' ? '$default' : (routeKey.split(' ')[1] ?? '')
  return {
    version: '1.0',
    resource,
    path,
    httpMethod: message.method ?? 'GET',
    headers: lastOfEach(multiValueHeaders),
    multiValueHeaders,
    queryStringParameters: orNull(lastOfEach(multiValueQuery)),
    multiValueQueryStringParameters: orNull(multiValueQuery),
    requestContext: requestContext(request, path, resource),
    pathParameters: orNull(pathParameters),
    stageVariables: null,
    body: body.length === 0 ? null : body.toString(text ? 'utf8' : 'base64'),
    isBase64Encoded: body.length > 0 && !text,
  }
}

/** The path as the client sent it, without the query: still percent-encoded, nothing normalised. */
export function pathOf(message: IncomingMessage): string {
  return (message.url ?? '/').split('?', 1)[0] || '/'
}

/** Headers that belong to the connection and stop at the gateway. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  'te',
  'trailer',
  'expect',
])

function requestHeaders(message: IncomingMessage): Record<string, string[]> {
  const { rawHeaders, socket } = message
  const pairs = rawHeaders.flatMap((name, index): [string, string][] =>
    index % 2 === 0 ? [[name, rawHeaders[index + 1] ?? '']] : [],
  )
  const sent = pairs.filter(([name]) => !HOP_BY_HOP.has(name.toLowerCase()) && !/^x-forwarded-/i.test(name))
  const forwardedFor = pairs.filter(([name]) => /^x-forwarded-for$/i.test(name)).map(([, value]) => value)
  return grouped([
    ...sent,
    ['X-Forwarded-For', [...forwardedFor, sourceIp(message)].join(', ')],
    ['X-Forwarded-Port', String(socket.localPort ?? '')],
    ['X-Forwarded-Proto', socket instanceof TLSSocket ? 'https' : 'http'],
  ])
}

function requestContext(
  { message, requestId, apiId, account, routeKey, now, identity }: RoutedRequest,
  path: string,
  resource: string,
): APIGatewayProxyEvent['requestContext'] {
  const domainName = message.headers.host?.split(':')[0] ?? ''
  return {
    accountId: account,
    apiId,
    authorizer: null,
    domainName,
    domainPrefix: domainName.split('.')[0] ?? '',
    extendedRequestId: requestId,
    httpMethod: message.method ?? 'GET',
    identity: {
      ...NO_IDENTITY,
      ...(identity !== 'anybody' && identity),
      clientCert: clientCertificate(message),
      sourceIp: sourceIp(message),
      userAgent: message.headers['user-agent'] ?? '',
    },
    path,
    protocol: `HTTP/${message.httpVersion}`,
    requestId,
    requestTime: commonLogTime(now),
    requestTimeEpoch: now,
    resourceId: routeKey,
    resourcePath: resource,
    stage: '$default',
  }
}

/** What API Gateway tells of the certificate by which a client holds the connection, where it asks for one. */
function clientCertificate({
  socket,
}: IncomingMessage): APIGatewayProxyEvent['requestContext']['identity']['clientCert'] {
  const x509 = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined
  if (x509 === undefined) return null
  const nameOf = (lines: string) => lines.split('\n').toReversed().join(',')
  return {
    clientCertPem: x509.toString(),
    serialNumber: x509.serialNumber.toLowerCase().replace(/..(?!$)/g, '$&:'),
    subjectDN: nameOf(x509.subject),
    issuerDN: nameOf(x509.issuer),
    validity: { notBefore: x509.validFrom, notAfter: x509.validTo },
  }
}

const NO_IDENTITY = {
  accessKey: null,
  accountId: null,
  apiKey: null,
  apiKeyId: null,
  caller: null,
  cognitoAuthenticationProvider: null,
  cognitoAuthenticationType: null,
  cognitoIdentityId: null,
  cognitoIdentityPoolId: null,
  principalOrgId: null,
  user: null,
  userArn: null,
}

function sourceIp(message: IncomingMessage): string {
  return message.socket.remoteAddress?.replace(/^::ffff:/, '') ?? ''
}

/** For example `12/Mar/2020:19:03:58 +0000`. */
function commonLogTime(now: number): string {
  const [, day, month, year, time] = new Date(now).toUTCString().split(' ')
  return `${day}/${month}/${year}:${time} +0000`
}

/** Values by name, in their order; names that differ only in case are one, spelled as they came first. */
function grouped(pairs: readonly (readonly [string, string])[]): Record<string, string[]> {
  const groups = new Map<string, { readonly name: string; readonly values: string[] }>()
  for (const [name, value] of pairs) {
    const group = groups.get(name.toLowerCase()) ?? { name, values: [] }
    group.values.push(value)
    groups.set(name.toLowerCase(), group)
  }
  return Object.fromEntries([...groups.values()].map(({ name, values }) => [name, values]))
}

function lastOfEach(values: Readonly<Record<string, readonly string[]>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, all]) => [name, all.at(-1) ?? '']))
}

function orNull<T extends object>(value: T): T | null {
  return Object.keys(value).length === 0 ? null : value
}
