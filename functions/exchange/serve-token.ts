import { refusedEvent } from '../core/audit-event.ts'
import { type ExchangeDependencies, type ExchangeOutcome, exchange } from '../core/exchange.ts'
import { type Refusal, refuse } from '../core/refusal.ts'
import { type HttpAnswer, jsonAnswer } from '../http/answer.ts'
import type { HttpRequest } from '../http/event.ts'
import { readForm } from '../http/form.ts'
import { type RequestContext, type Serve, servedRefusal } from '../http/rim.ts'
import type { Telemetry } from '../telemetry.ts'

/** `POST /token`: RFC 8693. */
export function serveToken(world: ExchangeDependencies, log: Pick<Telemetry, 'refused'>): Serve {
  return async (request, context) => {
    const outcome = await outcomeOf(request, context, world)
    if ('answer' in outcome) {
      const measured = outcome.isNew ? { TokensIssued: 1 } : {}
      return { outcome: 'succeeded', answer: grantedAnswer(outcome), measured }
    }
    log.refused(outcome.event)
    return servedRefusal(outcome.refused)
  }
}

function grantedAnswer({
  answer,
  nextNonce,
}: Extract<ExchangeOutcome, { readonly answer: object }>): HttpAnswer {
  return jsonAnswer(200, answer, nextNonce === undefined ? {} : { 'dpop-nonce': nextNonce })
}

async function outcomeOf(
  request: HttpRequest,
  context: RequestContext,
  world: ExchangeDependencies,
): Promise<ExchangeOutcome> {
  const refused = (refusal: Refusal) => ({
    ...refuse(refusal),
    event: refusedEvent(refusal, {}, { ...context, policy: world.policy.digest }),
  })
  if (request.method !== 'POST') return refused({ kind: 'method_not_allowed', allow: 'POST' })
  const form = readForm(request)
  if ('refused' in form) return refused(form.refused)
  const input = {
    parameters: form,
    authorization: request.header('authorization'),
    certificate: request.clientCertificate,
    dpop: request.header('dpop'),
    idempotencyKey: request.header('idempotency-key'),
  }
  return exchange(input, context, world)
}
