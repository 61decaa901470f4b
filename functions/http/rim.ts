import { randomUUID } from 'node:crypto'
import middy from '@middy/core'
import type { FailedEvent, KnownFacts } from '../core/audit-event.ts'
import { DependencyUnavailable } from '../core/fault.ts'
import { LIMITS } from '../core/limits.ts'
import type { RecordListener, Stage, StageListener } from '../core/ports.ts'
import type { Refusal } from '../core/refusal.ts'
import type { RequestMeasurements, RequestOutcome, Telemetry } from '../telemetry.ts'
import { faultAnswer, type HttpAnswer, refusalAnswer } from './answer.ts'
import { type HttpRequest, readProxyEvent } from './event.ts'
import { StageClock, type StageTime } from './stage-clock.ts'
import { readTraceparent, type TraceContext, traceparentOf } from './trace-context.ts'

/** Left for the answer itself when Lambda's own deadline is nearer than ours. */
const RESERVE_MS = 250

export interface Served {
  readonly outcome: RequestOutcome
  readonly answer: HttpAnswer
  /** What else is known of this request, by the metric's name. */
  readonly measured?: RequestMeasurements
  /** Whose request it was, as far as policy names it. */
  readonly known?: KnownFacts
  /** Why it was refused, where a refusal says so. */
  readonly refusal?: Refusal
}

/** The answer to a refusal, which metrics count by its kind. */
export function servedRefusal(refusal: Refusal): Served {
  return { outcome: 'refused', answer: refusalAnswer(refusal), refusal }
}

export interface RequestContext extends RecordListener, Partial<StageListener> {
  /** By it the audit trail finds what the answer withholds. */
  readonly correlationId: string
  /** The trace that the client's `traceparent` names, 32 hex digits. */
  readonly traceId: string | undefined
  /** Epoch seconds. */
  readonly now: number
  /** Since the request's arrival. */
  elapsedMs(): number
  /** Whether it is too late: what is served now reaches nobody. */
  isAnswered(): boolean
}

/** What an endpoint does with a request. It returns refusals as answers and throws faults. */
export type Serve = (request: HttpRequest, context: RequestContext) => Promise<Served>

/** The part of Lambda's context that the rim reads. */
interface LambdaContext {
  getRemainingTimeInMillis?(): number
}

type RimRequest = middy.Request<Arrival, Served>

/**
 * The rim that every HTTP function shares: correlation id, total deadline, faults to answers, one measurement. Any event
 * whatever gets an answer. What a request had recorded when it failed, of whatever, the audit trail hears not to be released.
 */
export function httpHandler(
  serve: Serve,
  telemetry: Pick<Telemetry, 'measure' | 'failed' | 'refused'>,
): (event: unknown, context: LambdaContext) => Promise<HttpAnswer> {
  const finish = (request: RimRequest, { answer, ...served }: Served, fault?: unknown) => {
    const arrival = arrivalIn(request)
    const { correlationId, trace } = arrival
    const times = { durationMs: arrival.elapsedMs(), stages: arrival.stageTimes() }
    telemetry.measure({ ...served, ...times, correlationId, trace, fault })
    const carried = trace && { traceparent: traceparentOf(trace) }
    const headers = { ...answer.headers, 'x-correlation-id': correlationId, ...carried }
    Object.assign(request, { response: { ...answer, headers } })
  }
  const rim = {
    before: (request: RimRequest) => {
      request.event = new Arrival(request.event)
    },
    after: (request: RimRequest) => {
      if (request.response !== null) finish(request, request.response)
    },
    onError: (request: RimRequest) => {
      const { error: fault } = request
      const arrival = arrivalIn(request)
      const { correlationId, traceId } = arrival
      telemetry.failed(fault, correlationId, traceId)
      const unreleased = arrival.answeredByFault()
      if (unreleased !== undefined) telemetry.refused(unreleased)
      finish(request, { outcome: 'failed', answer: faultAnswer(fault, Math.random()) }, fault)
    },
  }
  const handler = middy<Arrival, Served>()
    .use(rim)
    .handler((arrival, lambda: LambdaContext) =>
      withinDeadline(serve(arrival.request, arrival), lambda.getRemainingTimeInMillis?.()),
    )
  // Between `before` and `after` the event is an arrival and the result what was served; outside, what Lambda knows.
  return handler as unknown as (event: unknown, context: LambdaContext) => Promise<HttpAnswer>
}

const CORRELATION_ID = /^[\w=-]{1,128}$/
/** What the rim makes of the event before the endpoint sees it. */
class Arrival implements RequestContext {
  private readonly startedAtMs = performance.now()
  private readonly stages = new StageClock(this.startedAtMs)
  private unreleased: FailedEvent | undefined
  private answered = false
  readonly now = Math.floor(Date.now() / 1000)
  readonly request: HttpRequest
  readonly correlationId: string
  readonly trace: TraceContext | undefined
  readonly traceId: string | undefined

  constructor(event: unknown) {
    this.request = readProxyEvent(event)
    const { requestId } = this.request
    this.correlationId = requestId !== undefined && CORRELATION_ID.test(requestId) ? requestId : randomUUID()
    this.trace = readTraceparent(this.request.header('traceparent'))
    this.traceId = this.trace?.traceId
  }

  enter(stage: Stage): void {
    this.stages.enter(stage)
  }

  recording(failed: FailedEvent): void {
    if (this.answered) throw new DependencyUnavailable('deadline', 'answered already')
    this.unreleased = failed
  }

  accounted(): void {
    this.unreleased = undefined
  }

  isAnswered(): boolean {
    return this.answered
  }

  /** Ends the request; what the audit trail has to be told of it. */
  answeredByFault(): FailedEvent | undefined {
    this.answered = true
    return this.unreleased
  }

  stageTimes(): readonly StageTime[] {
    return this.stages.until(performance.now())
  }

  elapsedMs(): number {
    return performance.now() - this.startedAtMs
  }
}

/** The arrival that `before` made; had that thrown, an answer and its measurement would still be due. */
function arrivalIn(request: RimRequest): Arrival {
  return request.event instanceof Arrival ? request.event : new Arrival(undefined)
}

/** Waits for `serving`, but not beyond the deadline: what comes later is dropped, never released. */
async function withinDeadline<T>(serving: Promise<T>, remainingMs = Number.POSITIVE_INFINITY): Promise<T> {
  const deadlineMs = Math.max(0, Math.min(LIMITS.deadlineMilliseconds, remainingMs - RESERVE_MS))
  let timer: NodeJS.Timeout | undefined
  const expiry = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DependencyUnavailable('deadline', 'out of time')), deadlineMs)
  })
  try {
    return await Promise.race([serving, expiry])
  } finally {
    clearTimeout(timer)
  }
}
