import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { IamAuthorizer } from './iam-authorizer.ts'
import { isForLoopback, LOOPBACK_ONLY } from './other-sites.ts'
import type { ApiPlan, RoutePlan } from './plan/cloud-plan.ts'
import { pathOf, proxyEvent, type RoutedRequest } from './proxy-event.ts'

/** Limits of API Gateway HTTP APIs, not of the broker. */
const BODY_BYTES = 10 * 1024 * 1024
const HEADER_BYTES = 10_240

/** Longer than clients keep idle connections, so that it is never this side that closes one under a request. */
const KEEP_ALIVE_MILLISECONDS = 120_000

/** Answers requests below a prefix, beside the API. */
export type Mount = (request: IncomingMessage, response: ServerResponse) => Promise<void>

/** A request to a route of the API, after it was answered. It holds whatever the client sent and got, tokens included. */
export interface ApiRequest {
  readonly requestId: string
  readonly functionName: string
  readonly method: string
  readonly path: string
  readonly body: Buffer
  readonly status: number
  readonly answer: Buffer
  /** Epoch milliseconds of this machine, with fractions. */
  readonly startedAt: number
  readonly endedAt: number
}

/** The name of the API at which clients show certificates: keys and certificates in PEM. */
export interface MutualTlsOptions {
  readonly key: string
  readonly cert: string
  /** The truststore: whose signatures on clients' certificates are accepted. */
  readonly ca: string
}

export interface HttpApiOptions {
  /** 0 picks a free port. */
  readonly port: number
  readonly account: string
  readonly clock: () => number
  readonly invoke: (functionName: string, event: unknown, requestId: string) => Promise<unknown>
  /** Decides about callers of routes with AWS_IAM authorization. @default - forbids them all */
  readonly authorize?: IamAuthorizer
  /** @default - nobody is asked for a certificate */
  readonly mutualTls?: MutualTlsOptions
  /** Told of every request to a route after it was answered. */
  readonly onRequest?: ((request: ApiRequest) => void) | undefined
}

/** API Gateway's HTTP API on loopback. It listens at once, so that its address is known, and answers 503 until it has routes. */
export class HttpApi {
  readonly #options: HttpApiOptions
  readonly #server: Server
  readonly #tlsServer: Server | undefined
  readonly #mounts = new Map<string, Mount>()
  #api: ApiPlan | undefined

  private constructor(options: HttpApiOptions) {
    this.#options = options
    const answer = (request: IncomingMessage, response: ServerResponse) => {
      this.#answer(request, response).catch((error: unknown) => {
        // The client went away in the middle of its request, or a mount failed.
        if (!response.headersSent)
          sendMessage(response, 500, error instanceof Error ? error.message : 'failed')
      })
    }
    const { mutualTls } = options
    this.#server = createServer({ maxHeaderSize: HEADER_BYTES }, answer)
    this.#tlsServer =
      mutualTls &&
      createTlsServer({ ...mutualTls, ...ONLY_WITH_CERTIFICATE, maxHeaderSize: HEADER_BYTES }, answer)
  }

  /** Listens on loopback. Throws what `listen` throws, for example EADDRINUSE. */
  static async listen(options: HttpApiOptions): Promise<HttpApi> {
    const api = new HttpApi(options)
    await listening(api.#server, options.port)
    if (api.#tlsServer !== undefined) await listening(api.#tlsServer, 0)
    return api
  }

  /** Without a slash at the end. */
  get url(): string {
    return `http://127.0.0.1:${portOf(this.#server)}`
  }

  /** The same where clients show certificates, if there is such a name. */
  get mutualTlsUrl(): string | undefined {
    return this.#tlsServer && `https://127.0.0.1:${portOf(this.#tlsServer)}`
  }

  /** Answers the API's routes from now on. */
  serve(api: ApiPlan): void {
    this.#api = api
  }

  /** Gives requests below `prefix`, such as `/tools/`, to `mount` instead of to the API. */
  mount(prefix: string, mount: Mount): void {
    this.#mounts.set(prefix, mount)
  }

  /** Stops listening and drops connections. */
  async close(): Promise<void> {
    await Promise.all([this.#server, this.#tlsServer].map(closed))
  }

  async #answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!isForLoopback(message)) return void sendMessage(response, 403, LOOPBACK_ONLY)
    const path = pathOf(message)
    const mounted = [...this.#mounts].find(([prefix]) => path.startsWith(prefix))
    if (mounted !== undefined) return mounted[1](message, response)
    if (this.#api === undefined) return sendStarting(response)
    const match = matchRoute(this.#api.routes, message.method ?? 'GET', path)
    if (match === undefined) return void sendMessage(response, 404, 'Not Found')
    const body = await readBody(message, BODY_BYTES)
    if (body === undefined) return void sendMessage(response, 413, 'Request Entity Too Large')
    const { account, clock, authorize = () => undefined } = this.#options
    const { pathParameters, route } = match
    const { method = 'GET', url = '/', rawHeaders } = message
    const identity: RoutedRequest['identity'] | undefined =
      route.authorization === 'NONE'
        ? 'anybody'
        : authorize({ method, url, rawHeaders, body }, { apiId: this.#api.id, path })
    if (identity === undefined) return void sendMessage(response, 403, 'Forbidden')
    const requestId = randomUUID()
    const startedAt = performance.timeOrigin + performance.now()
    const { routeKey, functionName } = route
    const facts = {
      account,
      apiId: this.#api.id,
      now: clock(),
      requestId,
      routeKey,
      pathParameters,
      identity,
    }
    const { status, answer } = await this.#integrate(route, proxyEvent({ message, body, ...facts }), response)
    const endedAt = performance.timeOrigin + performance.now()
    const answered = { requestId, functionName, method, path, body, status, answer, startedAt, endedAt }
    this.#options.onRequest?.(answered)
  }

  async #integrate(
    route: RoutePlan,
    event: { readonly requestContext: { readonly requestId: string } },
    response: ServerResponse,
  ): Promise<Pick<ApiRequest, 'status' | 'answer'>> {
    const { requestId } = event.requestContext
    response.setHeader('apigw-requestid', requestId)
    const invocation = this.#options.invoke(route.functionName, event, requestId).then(
      (result) => ({ result: proxyResult(result) }),
      () => ({ result: undefined }),
    )
    const outcome = await withDeadline(invocation, route.timeoutMilliseconds)
    if (outcome === 'late') return sendMessage(response, 503, 'Service Unavailable')
    if (outcome.result === undefined) return sendMessage(response, 500, 'Internal Server Error')
    const { statusCode, headers, body } = outcome.result
    for (const [name, values] of headers)
      response.setHeader(name, values.length === 1 ? (values[0] ?? '') : values)
    if (body.length > 0 && !response.hasHeader('content-type'))
      response.setHeader('content-type', 'text/plain;charset=utf-8')
    response.writeHead(statusCode)
    response.end(response.req.method === 'HEAD' ? undefined : body)
    return { status: statusCode, answer: body }
  }
}

/** API Gateway's TLS_1_2 policy with mutual TLS: whom the truststore does not stand for never reaches a function. */
const ONLY_WITH_CERTIFICATE = { requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.2' } as const

async function listening(server: Server, port: number): Promise<void> {
  server.keepAliveTimeout = KEEP_ALIVE_MILLISECONDS
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve())
  })
}

async function closed(server: Server | undefined): Promise<void> {
  if (server === undefined) return
  const whenClosed = new Promise((resolve) => server.close(resolve))
  server.closeAllConnections()
  await whenClosed
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

interface RouteMatch {
  readonly route: RoutePlan
  readonly pathParameters: Readonly<Record<string, string>>
}

/** The most specific route: a literal segment before `{name}` before `{name+}`, a method before ANY, `$default` last. */
export function matchRoute(
  routes: readonly RoutePlan[],
  method: string,
  path: string,
): RouteMatch | undefined {
  const matches = routes.flatMap((route) => {
    const [routeMethod = '', template = ''] = route.routeKey.split(' ')
    if (route.routeKey === '$default') return [{ route, pathParameters: {}, rank: '9' }]
    if (routeMethod !== 'ANY' && routeMethod !== method) return []
    const pathParameters = matchPath(template, path)
    return pathParameters === undefined
      ? []
      : [{ route, pathParameters, rank: rankOf(template, routeMethod) }]
  })
  return matches.sort((a, b) => (a.rank < b.rank ? -1 : 1))[0]
}

function rankOf(template: string, method: string): string {
  const segments = template
    .split('/')
    .map((segment) => (segment.endsWith('+}') ? '2' : segment.startsWith('{') ? '1' : '0'))
  return `${segments.join('')}${method === 'ANY' ? 1 : 0}`
}

function matchPath(template: string, path: string): Readonly<Record<string, string>> | undefined {
  const wanted = template.split('/')
  const actual = path.split('/')
  const greedy = template.endsWith('+}')
  if (greedy ? actual.length < wanted.length : actual.length !== wanted.length) return undefined
  const parameters: [string, string][] = []
  for (const [index, segment] of wanted.entries()) {
    const name = /^\{(\w+)\+?\}$/.exec(segment)?.[1]
    const value = segment.endsWith('+}') ? actual.slice(index).join('/') : (actual[index] ?? '')
    if (name === undefined ? segment !== value : value === '') return undefined
    if (name !== undefined) parameters.push([name, decoded(value)])
  }
  return Object.fromEntries(parameters)
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

interface ProxyResult {
  readonly statusCode: number
  readonly headers: readonly (readonly [string, readonly string[]])[]
  readonly body: Buffer
}

/** A function's answer in format 1.0, or `undefined` if it is malformed, for which API Gateway answers 500. */
function proxyResult(value: unknown): ProxyResult | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { statusCode, headers, multiValueHeaders, body, isBase64Encoded } = value as Readonly<
    Record<string, unknown>
  >
  if (typeof statusCode !== 'number' || !Number.isInteger(statusCode) || statusCode < 200 || statusCode > 599)
    return undefined
  if (body !== undefined && body !== null && typeof body !== 'string') return undefined
  const merged = new Map<string, readonly string[]>()
  for (const [name, single] of Object.entries(headers ?? {})) merged.set(name.toLowerCase(), [String(single)])
  for (const [name, values] of Object.entries(multiValueHeaders ?? {})) {
    if (Array.isArray(values)) merged.set(name.toLowerCase(), values.map(String))
  }
  merged.delete('content-length')
  return {
    statusCode,
    headers: [...merged],
    body: Buffer.from(body ?? '', isBase64Encoded === true ? 'base64' : 'utf8'),
  }
}

/** The whole body, or `undefined` once it is longer than `limit`. The rest is read and dropped, so that the client sees the answer. */
export async function readBody(message: IncomingMessage, limit: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of message as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes <= limit) chunks.push(chunk)
  }
  return bytes <= limit ? Buffer.concat(chunks) : undefined
}

function sendMessage(
  response: ServerResponse,
  status: number,
  message: string,
): Pick<ApiRequest, 'status' | 'answer'> {
  const answer = Buffer.from(JSON.stringify({ message }))
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(answer)
  return { status, answer }
}

/** A browser that was too early asks again by itself. */
function sendStarting(response: ServerResponse): void {
  response.setHeader('retry-after', '1')
  response.setHeader('refresh', '1')
  sendMessage(response, 503, 'the broker is starting')
}

async function withDeadline<T>(work: Promise<T>, milliseconds: number): Promise<T | 'late'> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), milliseconds)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}
