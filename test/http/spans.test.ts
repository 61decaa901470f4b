import {
  type Context,
  type Span,
  type SpanContext,
  type SpanOptions,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type TracedRequest, traceRequest } from '../../functions/spans.ts'
import { createTelemetry } from '../../functions/telemetry.ts'
import { COUNTING, emfLinesIn } from '../support/emf.ts'
import { printedBy } from '../support/printed.ts'

interface Recorded {
  readonly name: string
  readonly options: SpanOptions
  readonly parent: SpanContext | undefined
  status?: SpanStatusCode
  end?: number
}

let recorded: Recorded[]
let isRecording: boolean

/** What an SDK would be told, without one. */
function recordingTracer(): Tracer {
  const startSpan = (name: string, options: SpanOptions, parent: Context): Span => {
    const span: Recorded = { name, options, parent: trace.getSpanContext(parent) }
    recorded.push(span)
    const spanId = `${recorded.length}`.padStart(16, '0')
    const traceId = span.parent?.traceId ?? 'f'.repeat(32)
    const made = {
      spanContext: () => ({ traceId, spanId, traceFlags: 1 }),
      isRecording: () => isRecording,
      setStatus: ({ code }: { code: SpanStatusCode }) => {
        span.status = code
        return made
      },
      end: (time: number) => {
        span.end = time
      },
    }
    return made as unknown as Span
  }
  return { startSpan } as unknown as Tracer
}

beforeEach(() => {
  recorded = []
  isRecording = true
  trace.setGlobalTracerProvider({ getTracer: recordingTracer })
})
afterEach(() => trace.disable())

const CLIENT = { traceId: 'a'.repeat(32), parentId: 'b'.repeat(16), isSampled: false }
const REQUEST: TracedRequest = {
  name: 'token',
  stages: [
    { stage: 'parse', fromMs: 10, toMs: 11 },
    { stage: 'verify', fromMs: 11, toMs: 14 },
    { stage: 'policy', fromMs: 14, toMs: 15 },
    { stage: 'mint', fromMs: 15, toMs: 30 },
  ],
  trace: CLIENT,
  hasFailed: false,
  attributes: { outcome: 'succeeded' },
}

describe('the spans of a request', () => {
  it('are one for it, within the client’s, and one for each stage', () => {
    traceRequest(REQUEST)
    const [request, ...stages] = recorded
    expect(request).toMatchObject({
      name: 'token',
      options: { attributes: { outcome: 'succeeded' }, startTime: performance.timeOrigin + 10 },
      parent: { traceId: CLIENT.traceId, spanId: CLIENT.parentId, traceFlags: 0, isRemote: true },
      end: performance.timeOrigin + 30,
    })
    expect(stages.map(({ name }) => name)).toEqual(['parse', 'verify', 'policy', 'mint'])
    for (const { parent } of stages)
      expect(parent).toMatchObject({ traceId: CLIENT.traceId, spanId: '1'.padStart(16, '0') })
    expect(stages.at(-1)).toMatchObject({
      options: { startTime: performance.timeOrigin + 15 },
      end: performance.timeOrigin + 30,
    })
  })

  it.each([
    [{ isSampled: true }, false, 1],
    [{ isSampled: false }, false, 0],
    [{ isSampled: false }, true, 1],
  ])('are sampled where the client wants it (%j), or it failed (%s): %d', (flag, hasFailed, traceFlags) => {
    traceRequest({ ...REQUEST, trace: { ...CLIENT, ...flag }, hasFailed })
    expect(recorded[0]?.parent?.traceFlags).toBe(traceFlags)
    expect(recorded[0]?.status).toBe(hasFailed ? SpanStatusCode.ERROR : undefined)
  })

  it('are a trace of their own where the client has none', () => {
    traceRequest({ ...REQUEST, trace: undefined })
    expect(recorded[0]?.parent).toBeUndefined()
  })

  it('cost no answer where the layer that records them fails', async () => {
    const startSpan = () => {
      throw new TypeError('a defect of the layer')
    }
    trace.disable()
    trace.setGlobalTracerProvider({ getTracer: () => ({ startSpan }) as unknown as Tracer })
    const telemetry = createTelemetry('token', COUNTING)
    const { printed } = await printedBy(async () =>
      telemetry.measure({
        outcome: 'succeeded',
        durationMs: 20,
        correlationId: 'request-1',
        stages: REQUEST.stages,
      }),
    )
    expect(emfLinesIn(printed)).toHaveLength(1)
    expect(printed).toContain('"not traced"')
    expect(printed).not.toContain('a defect of the layer')
  })

  it('cost nothing more where nobody records', () => {
    isRecording = false
    traceRequest(REQUEST)
    expect(recorded).toHaveLength(1)
    trace.disable()
    expect(() => traceRequest(REQUEST)).not.toThrow()
  })
})
