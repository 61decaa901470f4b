import { failedEvent, refusedEvent } from '../core/audit-event.ts'
import type { ExchangeDependencies, ExchangeOutcome } from '../core/exchange.ts'
import { DependencyUnavailable, NeverInvoked } from '../core/fault.ts'
import { type Refusal, refuse } from '../core/refusal.ts'
import { AWS_CREDENTIALS_TYPE } from '../core/token-request.ts'
import { type HttpAnswer, jsonAnswer } from '../http/answer.ts'
import type { HttpRequest } from '../http/event.ts'
import { type FormParameters, readForm } from '../http/form.ts'
import { type RequestContext, type Serve, type Served, servedRefusal } from '../http/rim.ts'
import type { Telemetry } from '../telemetry.ts'
import { performExchange } from './perform-exchange.ts'

/** Has the function that may start sessions of AWS roles serve an event, whole and unchanged. */
export type HandOver = (event: unknown) => Promise<unknown>

/** `POST /token`: RFC 8693. What asks for AWS credentials goes to `handOver`, where there is one. */
export function serveToken(
  world: ExchangeDependencies,
  log: Pick<Telemetry, 'refused' | 'repeated'>,
  handOver?: HandOver,
): Serve {
  return async (request, context) => {
    const form = formOf(request)
    if ('refused' in form) return loggedRefusal(form.refused, { context, world, log })
    if (handOver !== undefined && asksForCredentials(form)) {
      // The other function's record, if it gets so far: it would not know that its answer was not passed on.
      const known = isRepeatable(request) ? { withheld_but_for_retry: true as const } : {}
      context.recording(failedEvent(known, { ...context, policy: world.policy.digest }))
      return handedOver(
        await handOver(request.event).catch((fault: unknown) => {
          // A flood that Lambda throttles must not fill the trail, which keeps every such event.
          if (fault instanceof NeverInvoked) context.accounted()
          throw fault
        }),
      )
    }
    const input = {
      parameters: form,
      authorization: request.header('authorization'),
      certificate: request.clientCertificate,
      dpop: request.header('dpop'),
      idempotencyKey: request.header('idempotency-key'),
    }
    return servedToken(await performExchange(input, context, { world, log }))
  }
}

function formOf(request: HttpRequest) {
  return request.method === 'POST' ? readForm(request) : refuse({ kind: 'method_not_allowed', allow: 'POST' })
}

/** The refusal of a request that did not even reach the exchange. */
export function loggedRefusal(
  refusal: Refusal,
  {
    context,
    world,
    log,
  }: {
    readonly context: RequestContext
    readonly world: Pick<ExchangeDependencies, 'policy'>
    readonly log: Pick<Telemetry, 'refused'>
  },
): Served {
  log.refused(refusedEvent(refusal, {}, { ...context, policy: world.policy.digest }))
  return servedRefusal(refusal)
}

function servedToken(outcome: ExchangeOutcome): Served {
  if ('refused' in outcome) return servedRefusal(outcome.refused)
  const measured = outcome.repeated === undefined ? { TokensIssued: 1 } : {}
  return { outcome: 'succeeded', answer: grantedAnswer(outcome), measured, known: outcome.known }
}

function grantedAnswer({
  answer,
  nextNonce,
}: Extract<ExchangeOutcome, { readonly answer: object }>): HttpAnswer {
  return jsonAnswer(200, answer, nextNonce === undefined ? {} : { 'dpop-nonce': nextNonce })
}

function isRepeatable(request: HttpRequest): boolean {
  return request.header('idempotency-key').length > 0
}

function asksForCredentials(form: FormParameters): boolean {
  return form.some(([name, value]) => name === 'requested_token_type' && value === AWS_CREDENTIALS_TYPE)
}

/** The other function has counted the request. What is no answer of ours is not passed on. */
function handedOver(result: unknown): Served {
  if (isAnswer(result)) return { outcome: 'handed_over', answer: result }
  throw new DependencyUnavailable('aws-credentials', 'aws-credentials: not an answer')
}

function isAnswer(result: unknown): result is HttpAnswer {
  if (typeof result !== 'object' || result === null) return false
  const { statusCode, headers, body } = result as Partial<Record<keyof HttpAnswer, unknown>>
  return (
    Number.isSafeInteger(statusCode) &&
    typeof headers === 'object' &&
    headers !== null &&
    typeof body === 'string'
  )
}
