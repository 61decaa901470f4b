import { refusedEvent } from '../core/audit-event.ts'
import {
  INTROSPECTION_JWT,
  type IntrospectionDependencies,
  type IntrospectionOutcome,
  introspect,
} from '../core/introspection.ts'
import { type Refusal, refuse } from '../core/refusal.ts'
import { jsonAnswer, textAnswer } from '../http/answer.ts'
import type { HttpRequest } from '../http/event.ts'
import { readForm } from '../http/form.ts'
import { type RequestContext, type Serve, servedRefusal } from '../http/rim.ts'
import type { Telemetry } from '../telemetry.ts'

/** `POST /introspect`: RFC 7662, and RFC 9701 for a client that accepts a signed answer. */
export function serveIntrospection(world: IntrospectionDependencies, log: Pick<Telemetry, 'refused'>): Serve {
  return async (request, context) => {
    const outcome = await outcomeOf(request, context, world)
    if (outcome.event !== undefined) log.refused(outcome.event)
    if ('refused' in outcome) return servedRefusal(outcome.refused)
    const { answer } = outcome
    return {
      outcome: 'succeeded',
      answer:
        typeof answer === 'string' ? textAnswer(200, INTROSPECTION_JWT, answer) : jsonAnswer(200, answer),
    }
  }
}

async function outcomeOf(
  request: HttpRequest,
  context: RequestContext,
  world: IntrospectionDependencies,
): Promise<IntrospectionOutcome> {
  const refused = (refusal: Refusal) => ({
    ...refuse(refusal),
    event: {
      ...refusedEvent(refusal, {}, { ...context, policy: world.policy.digest }),
      event: 'introspection_refused' as const,
    },
  })
  if (request.method !== 'POST') return refused({ kind: 'method_not_allowed', allow: 'POST' })
  const parameters = readForm(request)
  if ('refused' in parameters) return refused(parameters.refused)
  const authorization = request.header('authorization')
  const certificate = request.clientCertificate
  return introspect({ parameters, authorization, certificate, wantsJwt: wantsJwt(request) }, context, world)
}

/** RFC 9701 §4: whether the type is among those that the client accepts, by its own name and not by a wildcard. */
function wantsJwt(request: HttpRequest): boolean {
  const ranges = request.header('accept').flatMap((value) => value.toLowerCase().split(','))
  return ranges.some((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim())
    return type === INTROSPECTION_JWT && !parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter))
  })
}
