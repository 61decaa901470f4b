/** The trace that a client's request is part of (W3C Trace Context §3.2). */
export interface TraceContext {
  /** 32 hex digits. */
  readonly traceId: string
  /** The client's own span, 16 hex digits. */
  readonly parentId: string
  /** Whether the client records the trace. */
  readonly isSampled: boolean
}

/** Version, trace id, parent id, flags. Version ff is forbidden; a later one may only add to the end. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/
const NO_ID = /^0+$/
const SAMPLED = 1

/** Reads the header's values. A malformed or repeated header is no trace (W3C Trace Context §4.3). */
export function readTraceparent([traceparent, ...others]: readonly string[]): TraceContext | undefined {
  const [, traceId = '', parentId = '', flags = ''] = TRACEPARENT.exec(traceparent ?? '') ?? []
  if (others.length > 0 || traceId === '' || NO_ID.test(traceId) || NO_ID.test(parentId)) return undefined
  return { traceId, parentId, isSampled: (Number.parseInt(flags, 16) & SAMPLED) === SAMPLED }
}

/** The header by which the answer says what trace the request was part of. */
export function traceparentOf({ traceId, parentId, isSampled }: TraceContext): string {
  return `00-${traceId}-${parentId}-${isSampled ? '01' : '00'}`
}
