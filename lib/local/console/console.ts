import type { IncomingMessage, ServerResponse } from 'node:http'
import type { CompiledPolicy } from '../../../functions/core/policy/compiled.ts'
import { indexPolicy } from '../../../functions/core/policy/decide.ts'
import { PROBE_KEYS_PATH } from '../../../functions/core/policy/probe.ts'
import type { AwsCall } from '../aws/call-handling.ts'
import type { LocalCloud } from '../cloud.ts'
import { type ApiRequest, readBody } from '../http-api.ts'
import { pathOf } from '../proxy-event.ts'
import { type Answer, ENDPOINTS, type Endpoint, type EndpointWorld } from './endpoints.ts'
import { InjectedFaults } from './faults.ts'
import { Feed } from './feed.ts'
import { refuseRequest } from './guard.ts'
import { Monitoring } from './monitoring.ts'
import { eventOfRecord, Observations } from './observations.ts'
import { Operator } from './operator.ts'
import { pageFiles } from './page-files.ts'
import type { LoadedPolicy } from './presented.ts'
import { summaryOf } from './trail.ts'

/** Where the local broker serves its console. */
export const CONSOLE_PATH = '/console'

const MOST_BODY_BYTES = 64 * 1024

/** No inline script, nothing from or to anywhere but the broker, in nobody's frame; and nothing is kept. */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
} as const

/** What the broker was synthesized to. */
export interface ConsoleOptions {
  readonly policy: CompiledPolicy
  /** What `policy lint` says. */
  readonly warnings: readonly string[]
  /** Read when the dashboards are first looked at. */
  readonly assemblyFolder: string
}

/** The console of a local broker: it watches the cloud from outside, and serves one page about it. */
export class Console {
  readonly #policy: LoadedPolicy
  readonly #warnings: readonly string[]
  readonly #feed = new Feed()
  readonly #feedWithProbe = new Feed()
  readonly #monitoring: Monitoring
  readonly #observations: Observations
  #cloud: LocalCloud | undefined

  constructor({ policy, warnings, assemblyFolder }: ConsoleOptions) {
    this.#policy = { policy, index: indexPolicy(policy) }
    this.#warnings = warnings
    this.#monitoring = new Monitoring(assemblyFolder)
    this.#observations = new Observations({
      ...this.#policy,
      brokerIssuer: () => this.#cloud?.url ?? '',
      onComplete: (id, observation) => {
        const summary = summaryOf(id, observation)
        if (summary === undefined || !isOfInterest(summary.path)) return
        this.#feedWithProbe.add(summary)
        if (observation.isOfProbe !== true) this.#feed.add(summary)
      },
    })
  }

  /** What the cloud has to tell the console: its listeners, for the options of the cloud. */
  readonly listeners = {
    onCall: (call: AwsCall): void => this.#observations.addCall(call),
    onLog: (_functionName: string, line: string): void => {
      this.#observations.addLine(line)
      this.#monitoring.addLine(line)
    },
    onRequest: (request: ApiRequest): void => this.#observations.addRequest(request),
  }

  /** Serves the page at the cloud's address from now on, and returns its URL. */
  serve(cloud: LocalCloud): string {
    this.#cloud = cloud
    for (const tableName of new Set(cloud.plan.eventSources.map((source) => source.tableName))) {
      cloud.aws.dynamodb.onStreamRecord(tableName, (record) => {
        const event = eventOfRecord(record)
        if (event !== undefined) this.#observations.addEvent(event)
      })
    }
    const world: EndpointWorld = {
      cloud,
      operator: new Operator(cloud),
      policy: this.#policy,
      warnings: this.#warnings,
      observations: this.#observations,
      feed: this.#feed,
      feedWithProbe: this.#feedWithProbe,
      monitoring: this.#monitoring,
      faults: new InjectedFaults(cloud),
    }
    // Compiled before it is asked for. A failure is told to whoever asks.
    void pageFiles().catch(() => {})
    cloud.mount(CONSOLE_PATH, (request, response) => answer(request, response, world))
    return `${cloud.url}${CONSOLE_PATH}`
  }
}

const DOCUMENTS = ['/.well-known/', '/health', '/status/', PROBE_KEYS_PATH]

/** Documents and health are asked for all the time, and decide nothing. */
function isOfInterest(path: string): boolean {
  return !DOCUMENTS.some((prefix) => path.startsWith(prefix))
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  world: EndpointWorld,
): Promise<void> {
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
  const path = pathOf(request).slice(CONSOLE_PATH.length)
  const found = endpointFor(path)
  const method = found?.endpoint.method ?? 'GET'
  const refusal = refuseRequest(request, { method, isPage: path === '' })
  if (refusal !== undefined) {
    const { status, message, allow } = refusal
    if (allow !== undefined) response.setHeader('allow', allow)
    return send(response, { status, body: { error: message } })
  }
  if (found === undefined) return sendFile(response, path)
  const { endpoint, id } = found
  if (endpoint.method === 'GET') return finish(response, await endpoint.answer({ id, response }, world))
  const body = await readJson(request)
  if (body === undefined)
    return send(response, { status: 400, body: { error: 'the body is not JSON, or too large' } })
  return finish(response, await endpoint.answer({ id, response, body }, world))
}

/** The endpoint at a path, and the one id that a path may end with. */
function endpointFor(path: string): { readonly endpoint: Endpoint; readonly id: string } | undefined {
  const [, , name = '', id = '', ...more] = path.split('/')
  if (!path.startsWith('/api/') || more.length > 0) return undefined
  const key = id === '' ? name : `${name}/{id}`
  const endpoint = Object.hasOwn(ENDPOINTS, key) ? ENDPOINTS[key] : undefined
  return endpoint && { endpoint, id }
}

async function sendFile(response: ServerResponse, path: string): Promise<void> {
  const file = (await pageFiles()).get(path)
  if (file === undefined) return send(response, { status: 404, body: { error: 'not found' } })
  response.writeHead(200, { 'content-type': file.type })
  response.end(response.req.method === 'HEAD' ? undefined : file.content)
}

function finish(response: ServerResponse, answered: Answer | undefined): void {
  // `undefined`: the endpoint answers by itself, as the live list does.
  if (answered !== undefined) send(response, answered)
}

function send(response: ServerResponse, { status, body }: Answer): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(response.req.method === 'HEAD' ? undefined : JSON.stringify(body))
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const body = await readBody(request, MOST_BODY_BYTES)
  try {
    return JSON.parse(body?.toString() ?? '')
  } catch {
    return undefined
  }
}
