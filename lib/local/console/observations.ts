import type { AuditEvent, GrantedEvent } from '../../../functions/core/audit-event.ts'
import { preparseJwt } from '../../../functions/core/jwt-preparse.ts'
import type { JsonObject } from '../../../functions/core/types.ts'
import type { AwsCall } from '../aws/call-handling.ts'
import type { ApiRequest } from '../http-api.ts'
import { isOfProbe, type LoadedPolicy, type Presented, readPresented, withoutTokens } from './presented.ts'

/** A request without what the client sent and got. */
export type AnsweredRequest = Omit<ApiRequest, 'body' | 'answer'>

/** Everything that was seen of one request. */
export interface Observation {
  request?: AnsweredRequest
  presented?: Presented
  /** Whether the probe has sent it. */
  isOfProbe?: boolean
  /** The claims of the token in the answer. */
  issued?: JsonObject
  audit?: AuditEvent
  /** The function's own measurement: a line of the embedded metric format. */
  measurement?: JsonObject
  readonly calls: AwsCall[]
}

export interface ObservationsOptions extends LoadedPolicy {
  /** Asked when the first request is there: until then nobody knows the port. */
  readonly brokerIssuer: () => string
  /** Told of each request once, when it is answered and its function has reported. */
  readonly onComplete: (id: string, observation: Observation) => void
}

/** Requests that are remembered. What is older is in the audit trail. */
const MOST_OBSERVATIONS = 600
const MOST_CALLS = 60
/** Events of which the lineage of a token is made. */
const MOST_LINEAGE_EVENTS = 2000
/** A function that died reports nothing. */
const PATIENCE_MILLISECONDS = 1000

/**
 * Puts together by correlation id what the local cloud sees of each request from outside: the request, the function's log
 * lines, its calls to AWS, and the record of the exchange. Tokens are read here and dropped.
 */
export class Observations {
  readonly #options: ObservationsOptions
  readonly #byId = new Map<string, Observation>()
  readonly #completed = new WeakSet<Observation>()
  /** By what each is about: a token that was granted or released once more, or a request of which nothing was released. */
  readonly #lineage = new Map<string, AuditEvent>()

  constructor(options: ObservationsOptions) {
    this.#options = options
  }

  get(id: string): Observation | undefined {
    return this.#byId.get(id)
  }

  /** The exchanges of this run, oldest first, and what was withheld of them. */
  lineageEvents(): readonly AuditEvent[] {
    return [...this.#lineage.values()]
  }

  /** A call to AWS that ended. */
  addCall(call: AwsCall): void {
    if (call.invocation === undefined) return
    const { calls } = this.#of(call.invocation)
    if (calls.length < MOST_CALLS) calls.push(call)
  }

  /** A line that a function has printed: its measurement, or an audit event. */
  addLine(line: string): void {
    const entry = parse(line)
    const { correlation_id: id, _aws: metrics, audit } = entry ?? {}
    if (typeof id === 'string' && metrics !== undefined) {
      const observation = this.#of(id)
      observation.measurement = entry as JsonObject
      this.#settle(id, observation)
    } else if (isObject(audit)) {
      this.addEvent(audit as unknown as AuditEvent)
    }
  }

  /** An audit event, from the log or from a record. What was refused, or failed, after the record was written is what counts. */
  addEvent(event: AuditEvent): void {
    if (typeof event.correlation_id !== 'string') return
    if (event.event === 'exchange_granted') keep(this.#lineage, event.token, event, MOST_LINEAGE_EVENTS)
    if (event.event === 'exchange_failed' || 'withheld' in event)
      keep(this.#lineage, `withheld ${event.correlation_id}`, event, MOST_LINEAGE_EVENTS)
    if (event.event === 'exchange_repeated')
      keep(this.#lineage, `repeated ${event.token}`, event, MOST_LINEAGE_EVENTS)
    const observation = this.#of(event.correlation_id)
    if (observation.audit === undefined || event.event !== 'exchange_granted') observation.audit = event
  }

  /** A request that was answered. */
  addRequest({ body, answer, ...request }: ApiRequest): void {
    const observation = this.#of(request.requestId)
    observation.request = request
    observation.isOfProbe = isOfProbe(body, this.#options.brokerIssuer())
    if (request.path === '/token') {
      observation.presented = readPresented(body, this.#options, this.#options.brokerIssuer())
      const issued = issuedIn(answer)
      if (issued !== undefined) observation.issued = issued
    }
    this.#settle(request.requestId, observation)
    if (observation.measurement === undefined)
      setTimeout(() => this.#complete(request.requestId, observation), PATIENCE_MILLISECONDS).unref()
  }

  #settle(id: string, observation: Observation): void {
    if (observation.request !== undefined && observation.measurement !== undefined)
      this.#complete(id, observation)
  }

  #complete(id: string, observation: Observation): void {
    if (this.#completed.has(observation)) return
    this.#completed.add(observation)
    this.#options.onComplete(id, observation)
  }

  #of(id: string): Observation {
    const known = this.#byId.get(id)
    if (known !== undefined) return known
    const fresh: Observation = { calls: [] }
    keep(this.#byId, id, fresh, MOST_OBSERVATIONS)
    return fresh
  }
}

/** Adds to a map of at most so many: the oldest goes. */
function keep<T>(map: Map<string, T>, key: string, value: T, most: number): void {
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > most && oldest !== undefined) map.delete(oldest)
}

/** The claims of the access token in an answer, if it is a JWT. */
function issuedIn(answer: Buffer): JsonObject | undefined {
  const { access_token: token } = parse(answer.toString()) ?? {}
  const jwt = typeof token === 'string' ? preparseJwt(token) : 'no_token'
  return typeof jwt === 'string' ? undefined : withoutTokens(jwt.claims)
}

/** The audit event in a record of the table of exchanges, as its stream hands it on. */
export function eventOfRecord(record: { readonly dynamodb: object }): GrantedEvent | undefined {
  const { NewImage: image } = record.dynamodb as {
    readonly NewImage?: Readonly<Record<string, { readonly S?: string }>>
  }
  return parse(image?.['event']?.S ?? '') as unknown as GrantedEvent | undefined
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  if (!text.startsWith('{')) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
