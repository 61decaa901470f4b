import type { RequestContext } from '../../functions/http/rim.ts'

/** What the rim tells an endpoint of a request that is not over. `now` in epoch seconds. */
export function requestContext(now: number): RequestContext {
  return {
    now,
    correlationId: 'c',
    traceId: undefined,
    elapsedMs: () => 0,
    recording: () => undefined,
    accounted: () => undefined,
    isAnswered: () => false,
  }
}
