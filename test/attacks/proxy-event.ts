/** Header names to one value or to each value that was sent. */
export type Headers = Readonly<Record<string, string | readonly string[]>>

/** What differs from one request to another. */
export interface EventParts {
  readonly method?: string
  readonly path?: string
  readonly headers?: Headers
  readonly body?: string | null
  readonly isBase64Encoded?: boolean
  readonly query?: Readonly<Record<string, string>>
  /** The client's, in PEM, as where it has to show one. */
  readonly certificate?: string
}

/** The event that an HTTP API with payload format 1.0 makes of `POST /token`, whole. */
export function tokenEvent(parts: EventParts, requestId: string): Record<string, unknown> {
  const { method = 'POST', path = '/token', headers = {}, body = null, isBase64Encoded = false } = parts
  const multiValueHeaders = Object.fromEntries(
    Object.entries({ ...DEFAULT_HEADERS, ...headers }).map(([name, value]) => [
      name,
      typeof value === 'string' ? [value] : [...value],
    ]),
  )
  const query = parts.query ?? null
  return {
    version: '1.0',
    resource: '/token',
    path,
    httpMethod: method,
    headers: Object.fromEntries(
      Object.entries(multiValueHeaders).map(([name, values]) => [name, values.at(-1) ?? '']),
    ),
    multiValueHeaders,
    queryStringParameters: query,
    multiValueQueryStringParameters:
      query && Object.fromEntries(Object.entries(query).map(([name, value]) => [name, [value]])),
    requestContext: {
      accountId: '111111111111',
      apiId: 'api1234567',
      authorizer: null,
      domainName: 'tokens.example.com',
      domainPrefix: 'tokens',
      extendedRequestId: requestId,
      httpMethod: method,
      identity: { sourceIp: '198.51.100.7', userAgent: 'test', clientCert: clientCertOf(parts.certificate) },
      path,
      protocol: 'HTTP/1.1',
      requestId,
      requestTime: '15/Jan/2027:08:00:00 +0000',
      requestTimeEpoch: 1_800_000_000_000,
      resourceId: 'ANY /token',
      resourcePath: '/token',
      stage: '$default',
    },
    pathParameters: null,
    stageVariables: null,
    body,
    isBase64Encoded,
  }
}

/** What beside the PEM is said of it is not read: here it names somebody else. */
function clientCertOf(clientCertPem: string | undefined): object | null {
  if (clientCertPem === undefined) return null
  const validity = { notBefore: 'May 28 12:30:02 2019 GMT', notAfter: 'Aug  5 09:36:04 2039 GMT' }
  return { clientCertPem, subjectDN: 'CN=victim', issuerDN: 'CN=ca', serialNumber: 'a1:b2', validity }
}

const DEFAULT_HEADERS: Headers = {
  'Content-Type': 'application/x-www-form-urlencoded',
  Host: 'tokens.example.com',
  'User-Agent': 'test',
  'X-Amzn-Trace-Id': 'Root=1-65a4e0c0-0123456789abcdef01234567',
  'X-Forwarded-For': '198.51.100.7',
  'X-Forwarded-Port': '443',
  'X-Forwarded-Proto': 'https',
  accept: '*/*',
}
