import { refusedEvent } from '../core/audit-event.ts'
import { type ExchangeDependencies, type ExchangeOutcome, exchange } from '../core/exchange.ts'
import { type Refusal, refuse } from '../core/refusal.ts'
import { jsonAnswer, refusalAnswer } from '../http/answer.ts'
import type { HttpRequest } from '../http/event.ts'
import { readForm } from '../http/form.ts'
import type { RequestContext, Serve } from '../http/rim.ts'
import type { Telemetry } from '../telemetry.ts'

/** `POST /token`: RFC 8693. */
export function serveToken(world: ExchangeDependencies, log: Pick<Telemetry, 'refused'>): Serve {
  return async (request, context) => {
    const outcome = await outcomeOf(request, context, world)
    if ('answer' in outcome) {
      const measured = { TokensIssued: outcome.isNew ? 1 : 0, RetiredKeySignatures: 0 }
      return { outcome: 'succeeded', answer: jsonAnswer(200, outcome.answer), measured }
    }
    log.refused(outcome.event)
    const answer = refusalAnswer(outcome.refused)
    return {
      outcome: 'refused',
      answer,
      ...(isReplay(outcome.refused) && { measured: { ReplayRefusals: 1 } }),
    }
  }
}

/** Somebody has presented again what may be used once: a client that retries without a key, or a thief. */
function isReplay(refusal: Refusal): boolean {
  if (refusal.kind === 'client_authentication_failed') return refusal.failure === 'assertion_replayed'
  return refusal.kind === 'token_replayed'
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
    dpop: request.header('dpop'),
    idempotencyKey: request.header('idempotency-key'),
  }
  return exchange(input, context, world)
}
