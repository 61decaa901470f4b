import {
  type Context,
  context,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api'
import type { StageTime } from './http/stage-clock.ts'
import type { TraceContext } from './http/trace-context.ts'

/** A request that is over, as a trace shows it: ids and names of ours, nothing that a client has written. */
export interface TracedRequest {
  readonly name: string
  readonly stages: readonly StageTime[]
  readonly trace: TraceContext | undefined
  readonly hasFailed: boolean
  readonly attributes: Readonly<Record<string, string>>
}

/**
 * Gives OpenTelemetry a span of the request and one of each stage, afterwards: what sampling has to know is known only then.
 * A client's flag decides, and a failure is sampled in any case. Without an SDK, which a deployment adds as a layer, it does nothing.
 */
export function traceRequest({ name, stages, trace: client, hasFailed, attributes }: TracedRequest): void {
  const [first] = stages
  const last = stages.at(-1)
  if (first === undefined || last === undefined) return
  const tracer = trace.getTracer('token-broker')
  const startTime = epochMs(first.fromMs)
  const options = { kind: SpanKind.SERVER, startTime, attributes: { ...attributes } }
  const span = tracer.startSpan(name, options, parentOf(client, hasFailed))
  if (!span.isRecording()) return
  const within = trace.setSpan(ROOT_CONTEXT, span)
  for (const { stage, fromMs, toMs } of stages)
    tracer.startSpan(stage, { startTime: epochMs(fromMs) }, within).end(epochMs(toMs))
  if (hasFailed) span.setStatus({ code: SpanStatusCode.ERROR })
  span.end(epochMs(last.toMs))
}

/** The span that the layer has begun for this invocation, or else the client's own. */
function parentOf(client: TraceContext | undefined, hasFailed: boolean): Context {
  const active = context.active()
  if (client === undefined || trace.getSpanContext(active) !== undefined) return active
  const { traceId, parentId: spanId, isSampled } = client
  const traceFlags = isSampled || hasFailed ? TraceFlags.SAMPLED : TraceFlags.NONE
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true })
}

function epochMs(sinceStartMs: number): number {
  return performance.timeOrigin + sinceStartMs
}
