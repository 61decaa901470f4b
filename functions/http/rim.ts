import { randomUUID } from 'node:crypto'
import middy from '@middy/core'
import { DependencyUnavailable } from '../core/fault.ts'
import { LIMITS } from '../core/limits.ts'
import type { RequestOutcome, Telemetry } from '../telemetry.ts'
import { faultAnswer, type HttpAnswer } from './answer.ts'
import { type HttpRequest, readProxyEvent } from './event.ts'

/** Left for the answer itself when Lambda's own deadline is nearer than ours. */
const RESERVE_MS = 250

export interface Served {
  readonly outcome: RequestOutcome
  readonly answer: HttpAnswer
}

export interface RequestContext {
  /** By it the audit trail finds what the answer withholds. */
  readonly correlationId: string
  /** Epoch seconds. */
  readonly now: number
}

/** What an endpoint does with a request. It returns refusals as answers and throws faults. */
export type Serve = (request: HttpRequest, context: RequestContext) => Promise<Served>

/** The part of Lambda's context that the rim reads. */
interface LambdaContext {
  getRemainingTimeInMillis?(): number
}

/** What the rim makes of the event before the endpoint sees it. */
interface Arrival {
  readonly request: HttpRequest
  readonly context: RequestContext
  readonly startedAtMs: number
}

type RimRequest = middy.Request<Arrival, Served>

/**
 * The rim that every HTTP function shares: correlation id, total deadline, faults to answers, one measurement. Any event
 * whatever gets an answer.
 */
export function httpHandler(
  serve: Serve,
  telemetry: Telemetry,
): (event: unknown, context: LambdaContext) => Promise<HttpAnswer> {
  const finish = (request: RimRequest, { outcome, answer }: Served) => {
    const { context, startedAtMs } = request.event
    const { correlationId } = context
    telemetry.measure({ outcome, correlationId, durationMs: performance.now() - startedAtMs })
    const headers = { ...answer.headers, 'x-correlation-id': correlationId }
    Object.assign(request, { response: { ...answer, headers } })
  }
  const rim = {
    before: (request: RimRequest) => {
      request.event = arrivalOf(request.event)
    },
    after: (request: RimRequest) => {
      if (request.response !== null) finish(request, request.response)
    },
    onError: (request: RimRequest) => {
      telemetry.failed(request.error, request.event.context.correlationId)
      finish(request, { outcome: 'failed', answer: faultAnswer(request.error, Math.random()) })
    },
  }
  const handler = middy<Arrival, Served>()
    .use(rim)
    .handler(({ request, context }, lambda: LambdaContext) =>
      withinDeadline(serve(request, context), lambda.getRemainingTimeInMillis?.()),
    )
  // Between `before` and `after` the event is an arrival and the result what was served; outside, what Lambda knows.
  return handler as unknown as (event: unknown, context: LambdaContext) => Promise<HttpAnswer>
}

const CORRELATION_ID = /^[\w=-]{1,128}$/

function arrivalOf(event: unknown): Arrival {
  const request = readProxyEvent(event)
  const { requestId } = request
  const correlationId = requestId !== undefined && CORRELATION_ID.test(requestId) ? requestId : randomUUID()
  const context = { correlationId, now: Math.floor(Date.now() / 1000) }
  return { request, context, startedAtMs: performance.now() }
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
