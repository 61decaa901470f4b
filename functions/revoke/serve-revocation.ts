import { type RefusedEvent, refusedEvent } from '../core/audit-event.ts'
import {
  type OperatorRevocationDependencies,
  type OperatorRevocationOutcome,
  revokeByOperator,
} from '../core/operator-revocation.ts'
import { type Refusal, type Refused, refuse } from '../core/refusal.ts'
import { type RevocationDependencies, type RevocationOutcome, revokeToken } from '../core/token-revocation.ts'
import { emptyAnswer, jsonAnswer } from '../http/answer.ts'
import type { HttpRequest } from '../http/event.ts'
import { readForm } from '../http/form.ts'
import { readJson } from '../http/json.ts'
import { type RequestContext, type Serve, type Served, servedRefusal } from '../http/rim.ts'
import type { Telemetry } from '../telemetry.ts'

type Log = Pick<Telemetry, 'refused' | 'recorded'>

/** `POST /revoke`: RFC 7009. The answer is empty, and the same for a token that there was nothing to revoke of. */
export function serveRevocation(world: RevocationDependencies, log: Log): Serve {
  return async (request, context) => {
    const outcome = await revocationOf(request, context, world)
    if ('revoked' in outcome) {
      log.recorded(outcome.revoked)
      return written(emptyAnswer(200), context)
    }
    if ('ignored' in outcome) {
      log.refused(outcome.ignored)
      return { outcome: 'succeeded', answer: emptyAnswer(200) }
    }
    log.refused(outcome.event)
    return servedRefusal(outcome.refused)
  }
}

/** `POST /admin/revocations`: an operator, whom the gateway has authenticated, revokes by any of the kinds. */
export function serveOperatorRevocation(world: OperatorRevocationDependencies, log: Log): Serve {
  return async (request, context) => {
    const outcome = await operatorRevocationOf(request, context, world)
    if ('answer' in outcome) {
      log.recorded(outcome.event)
      return written(jsonAnswer(200, outcome.answer), context)
    }
    log.refused(outcome.event)
    return servedRefusal(outcome.refused)
  }
}

/** By now the cut-off is durable: this is how long it took. */
function written(answer: Served['answer'], context: RequestContext): Served {
  return { outcome: 'succeeded', answer, measured: { RevocationLatency: context.elapsedMs() } }
}

async function revocationOf(
  request: HttpRequest,
  context: RequestContext,
  world: RevocationDependencies,
): Promise<RevocationOutcome> {
  if (request.method !== 'POST') return refused({ kind: 'method_not_allowed', allow: 'POST' }, context, world)
  const parameters = readForm(request)
  if ('refused' in parameters) return refused(parameters.refused, context, world)
  const authorization = request.header('authorization')
  return revokeToken({ parameters, authorization, certificate: request.clientCertificate }, context, world)
}

async function operatorRevocationOf(
  request: HttpRequest,
  context: RequestContext,
  world: OperatorRevocationDependencies,
): Promise<OperatorRevocationOutcome> {
  const author = request.callerArn
  // Before anything else: without the gateway's authorization this endpoint is open to everybody.
  if (author === undefined) return refused({ kind: 'operator_unknown' }, context, world)
  if (request.method !== 'POST') return refused({ kind: 'method_not_allowed', allow: 'POST' }, context, world)
  const body = readJson(request)
  if ('refused' in body) return refused(body.refused, context, world)
  return revokeByOperator({ author, body: body.json }, context, world)
}

function refused(
  refusal: Refusal,
  context: RequestContext,
  { policy }: Pick<RevocationDependencies, 'policy'>,
): Refused & { readonly event: RefusedEvent } {
  const event = refusedEvent(refusal, {}, { ...context, policy: policy.digest })
  return { ...refuse(refusal), event: { ...event, event: 'revocation_refused' } }
}
