import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { isForLoopback, isFromAnotherSite, LOOPBACK_ONLY, NO_OTHER_SITES } from '../other-sites.ts'
import { type AnswerFrame, sendError, sendOutput } from './answer.ts'
import { AwsError, type JsonObject } from './aws-error.ts'
import type { Cloud } from './cloud.ts'
import type { OnDefect } from './defect.ts'
import { type Faults, flipBit, type Silence, type Strike } from './faults.ts'
import type { Gatekeeper } from './gatekeeper.ts'
import { type AwsRequest, accessKeyIdOf, readAwsRequest } from './request.ts'
import type { AwsService } from './service.ts'

const MOST_BODY_BYTES = 16 * 1024 * 1024

/** One call, after it ended. */
export interface AwsCall {
  /** The principal's name, or `undefined` for an unsigned call or an unknown access key. */
  readonly principal: string | undefined
  /** The request id of the invocation that made it, where a function did. */
  readonly invocation: string | undefined
  readonly service: string
  readonly operation: string
  /** The ARN it was about; the first, if there were several. */
  readonly resource: string | undefined
  /** `ok`, the code of the error, or the kind of fault that left the caller without an answer. */
  readonly outcome: string
  /** Epoch milliseconds of this machine, with fractions: not the cloud's clock, which may stand still. */
  readonly startedAt: number
  readonly endedAt: number
}

interface Parts {
  readonly cloud: Cloud
  readonly services: ReadonlyMap<string, AwsService>
  readonly gatekeeper: Gatekeeper
  readonly faults: Faults
  readonly onDefect: OnDefect
  readonly onCall: ((call: AwsCall) => void) | undefined
}

/** What a call came to: an output, an error, or a connection that breaks. */
interface Outcome {
  readonly output?: JsonObject
  readonly error?: AwsError
  readonly silent?: Silence
  readonly resource?: string | undefined
}

/** Takes calls from the listener through faults, permissions and the service to the answer. */
export class CallHandling {
  readonly #parts: Parts
  readonly #stopping = new AbortController()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Ends the delays of calls under way. */
  stop(): void {
    this.#stopping.abort()
  }

  /** Answers one request, and reports it. Never rejects. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const startedAt = now()
    const frame = { service: '', operation: '', requestId: randomUUID(), now: this.#parts.cloud.clock() }
    const stranger = refuseOtherSites(request)
    if (stranger !== undefined) return sendError(response, frame, stranger)
    try {
      const { method = '', url = '', headers } = request
      const called = readAwsRequest({ method, url, headers, body: await readBody(request) })
      const outcome = await this.#outcome(called, frame.requestId)
      answer(response, { ...frame, service: called.service, operation: called.operation }, outcome)
      this.#report(called, outcome, startedAt)
    } catch (error) {
      if (!(error instanceof AwsError)) response.destroy(error instanceof Error ? error : undefined)
      else this.#refuseUnread(request, response, frame, error)
    }
  }

  /** A call that is not even readable: most likely of a service that this cloud does not have. */
  #refuseUnread(
    request: IncomingMessage,
    response: ServerResponse,
    frame: AnswerFrame,
    error: AwsError,
  ): void {
    const operation = `${request.method} ${request.url}`
    const principal = this.#parts.gatekeeper.nameOf(accessKeyIdOf(request.headers))
    this.#parts.onDefect({ kind: 'operation', principal, operation, reason: error.message })
    sendError(response, frame, error)
  }

  async #outcome(called: AwsRequest, requestId: string): Promise<Outcome> {
    const { service, operation } = called
    const strike = this.#parts.faults.strike(service, operation)
    if (strike.delayMilliseconds > 0 && !(await this.#delay(strike.delayMilliseconds)))
      return { silent: 'reset' }
    const { end } = strike
    if (end === 'reset' || end === 'hang') return { silent: end }
    if (end instanceof AwsError) return { error: end }
    const outcome = await this.#carryOut(called, strike, requestId)
    return end === undefined ? outcome : { ...outcome, silent: end }
  }

  async #carryOut(called: AwsRequest, strike: Strike, requestId: string): Promise<Outcome> {
    const { operation, input } = called
    const service = this.#parts.services.get(called.service)
    if (service === undefined) throw new Error(`no service ${called.service}`)
    const { gatekeeper } = this.#parts
    let resource: string | undefined
    try {
      const caller = gatekeeper.identify(service, called)
      const needed = gatekeeper.needs(service, called, caller)
      resource = needed[0]?.resource
      gatekeeper.require(service, caller, needed)
      const output = await service.call({ operation, input, caller, requestId })
      return { output: garbled(output, strike), resource }
    } catch (error) {
      return { error: this.#asAwsError(error, called), resource }
    }
  }

  #asAwsError(error: unknown, { service, operation }: AwsRequest): AwsError {
    if (error instanceof AwsError) return error
    this.#parts.onDefect({ kind: 'internal', operation: `${service}:${operation}`, error })
    return new AwsError('InternalFailure', 'the local cloud failed', { status: 500 })
  }

  #report(called: AwsRequest, outcome: Outcome, startedAt: number): void {
    this.#parts.onCall?.({
      principal: this.#parts.gatekeeper.nameOf(called.accessKeyId),
      invocation: called.invocation,
      service: called.service,
      operation: called.operation,
      resource: outcome.resource,
      outcome: outcome.silent ?? outcome.error?.code ?? 'ok',
      startedAt,
      endedAt: now(),
    })
  }

  /** `false` if the endpoint closed meanwhile. */
  async #delay(milliseconds: number): Promise<boolean> {
    try {
      await sleep(milliseconds, undefined, { signal: this.#stopping.signal })
      return true
    } catch {
      return false
    }
  }
}

/** No page has any business here. The operator's access key is no secret, so it is not what keeps one out. */
function refuseOtherSites(request: IncomingMessage): AwsError | undefined {
  const isLocal = isForLoopback(request)
  if (isLocal && !isFromAnotherSite(request)) return undefined
  const message = isLocal ? NO_OTHER_SITES : LOOPBACK_ONLY
  return new AwsError('AccessDeniedException', message, { status: 403 })
}

function answer(response: ServerResponse, frame: AnswerFrame, outcome: Outcome): void {
  // A hanging call keeps its connection until one side closes it.
  if (outcome.silent === 'hang' || outcome.silent === 'hang-after-apply') return
  if (outcome.silent !== undefined) response.destroy()
  else if (outcome.error !== undefined) sendError(response, frame, outcome.error)
  else sendOutput(response, frame, outcome.output ?? {})
}

function garbled(output: JsonObject, { garble }: Strike): JsonObject {
  const { Signature } = output
  if (garble === undefined || typeof Signature !== 'string') return output
  return { ...output, Signature: flipBit(Signature, garble) }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > MOST_BODY_BYTES)
      throw new AwsError('RequestEntityTooLarge', 'the body is too large', { status: 413 })
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function now(): number {
  return performance.timeOrigin + performance.now()
}
