import type { AuditEvent } from '../../../functions/core/audit-event.ts'
import { explainExchange } from '../../../functions/core/explain.ts'
import type { ClientId, JsonObject } from '../../../functions/core/types.ts'
import { candidateText, refusalText } from '../../cli/refusal-text.ts'
import type { AwsCall } from '../aws/call-handling.ts'
import type { Observation } from './observations.ts'
import { type LoadedPolicy, withoutTokens } from './presented.ts'
import type { CallTiming, RequestSummary, RequestTrail } from './wire.ts'

/** Metrics of a request that are not shown beside it: its outcome, its token and its time say the same. */
const SAID_ELSEWHERE = new Set(['Failed', 'Fast', 'TokensIssued'])

/** One line about a request; `undefined` for what is no business of the live list. */
export function summaryOf(id: string, observation: Observation): RequestSummary | undefined {
  const { request, audit } = observation
  if (request === undefined) return undefined
  const { method, path, status, startedAt, endedAt } = request
  return {
    id,
    at: Math.round(startedAt),
    durationMs: endedAt - startedAt,
    method,
    path: withoutTokens(path),
    status,
    outcome: status >= 500 ? 'failed' : status >= 400 || isRefused(audit) ? 'refused' : 'answered',
    ...factsOf(observation),
  }
}

function isRefused(audit: AuditEvent | undefined): boolean {
  return audit !== undefined && 'reason' in audit && audit.event !== 'revocation'
}

/** Who asked for what; where no event has been seen, as far as its token says. */
function factsOf({ audit, issued }: Observation): Partial<RequestSummary> {
  const { sub, grant } = issued ?? {}
  const facts: Readonly<Record<string, unknown>> = { subject: sub, grant, ...audit }
  const names = ['issuer', 'subject', 'target', 'grant', 'reason'] as const
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = facts[name]
      return typeof value === 'string' ? [[name, withoutTokens(value)]] : []
    }),
  )
}

/** How a request was decided; `undefined` if it is not (or no longer) known. */
export function trailOf(
  id: string,
  observation: Observation,
  { policy, brokerIssuer }: { readonly policy: LoadedPolicy; readonly brokerIssuer: string },
): RequestTrail | undefined {
  const summary = summaryOf(id, observation)
  if (summary === undefined) return undefined
  const { presented, audit, measurement, issued } = observation
  return {
    ...summary,
    ...(presented?.claims !== undefined && { claims: presented.claims }),
    ...(presented?.unread !== undefined && { unread: presented.unread }),
    ...explained(observation, policy, brokerIssuer),
    ...(audit !== undefined && 'detail' in audit && { detail: withoutTokens(audit.detail as JsonObject) }),
    ...partiesOf(audit),
    ...resultsOf(observation),
    calls: timingsOf(observation),
    measured: measuredIn(measurement),
    ...(typeof measurement?.['dependency'] === 'string' && { dependency: measurement['dependency'] }),
    ...(audit?.event === 'exchange_granted' && {
      token: { id: audit.token, txn: audit.txn, format: audit.format },
    }),
    ...(issued !== undefined && { issued }),
  }
}

/** Who else is in the exchange, and what its result is tied to, as the audit event has it. */
function partiesOf(audit: AuditEvent | undefined): Pick<RequestTrail, 'actor' | 'binding' | 'session'> {
  if (audit === undefined || audit.event === 'revocation') return {}
  const { actor, actor_issuer: issuer } = audit
  const { cnf, aws_session: session } = audit.event === 'exchange_granted' ? audit : {}
  return {
    ...(actor !== undefined && {
      actor: { issuer: withoutTokens(issuer ?? ''), subject: withoutTokens(actor) },
    }),
    ...(cnf !== undefined && { binding: withoutTokens({ ...cnf }) }),
    ...(session !== undefined && {
      session: { role: session.role_arn, name: withoutTokens(session.session_name) },
    }),
  }
}

/** What `policy explain` says to the same claims: the decision is not made again, it is put into words. */
function explained(
  { presented, audit, request }: Observation,
  { index }: LoadedPolicy,
  brokerIssuer: string,
): Pick<RequestTrail, 'candidates' | 'why' | 'change'> {
  if (presented?.claims === undefined || request === undefined) return { candidates: [] }
  const { claims } = presented
  const id = audit !== undefined && 'client_id' in audit ? audit.client_id : undefined
  const clientId = id !== undefined && index.clients.has(id) ? (id as ClientId) : undefined
  const now = Math.floor(request.startedAt / 1000)
  const explanation = explainExchange(index, { ...presented, claims, clientId }, { now, brokerIssuer })
  const candidates = explanation.candidates.map((candidate) => ({
    grant: candidate.grant,
    mismatch: candidate.mismatch && (withoutTokens(candidate.mismatch as never) as typeof candidate.mismatch),
    text: withoutTokens(candidateText(candidate)),
  }))
  const reason = audit !== undefined && 'detail' in audit ? audit.reason : undefined
  if (explanation.outcome === 'granted' || explanation.refusal.kind !== reason) return { candidates }
  const { why, change } = refusalText({ explanation, claims, policy: index })
  return { candidates, why: withoutTokens(why), change: withoutTokens(change) }
}

/** What the record and the cut-offs said, seen by the calls and the reason. */
function resultsOf({ calls, audit }: Observation): Pick<RequestTrail, 'replay' | 'revocation'> {
  const reason = audit !== undefined && 'detail' in audit ? audit.reason : undefined
  const put = calls.find(({ operation, resource }) => operation === 'PutItem' && isExchanges(resource))
  const read = calls.find(({ operation }) => operation === 'BatchGetItem')
  return { replay: replayText(put, reason), revocation: revocationText(read, audit, reason) }
}

function replayText(put: AwsCall | undefined, reason: string | undefined): string {
  if (put === undefined) return 'not reached'
  if (put.outcome === 'ok') return 'recorded: this use is the first'
  if (put.outcome !== 'ConditionalCheckFailedException') return `the record failed: ${put.outcome}`
  return reason === 'token_replayed' ? 'replayed: used before' : 'the same request again: the same token'
}

function revocationText(
  read: AwsCall | undefined,
  audit: AuditEvent | undefined,
  reason: string | undefined,
): string {
  if (read === undefined) return 'not reached'
  if (read.outcome !== 'ok') return `the cut-offs could not be read: ${read.outcome}`
  if (reason !== 'token_revoked' || audit === undefined || !('detail' in audit)) return 'nothing is revoked'
  return `revoked by a cut-off of the ${String(audit.detail['by'])}`
}

function isExchanges(resource: string | undefined): boolean {
  return /\/[^/]*exchanges[^/]*$/i.test(resource ?? '')
}

function timingsOf({ calls, request }: Observation): readonly CallTiming[] {
  const origin = request?.startedAt ?? 0
  return calls
    .map(({ service, operation, resource, outcome, startedAt, endedAt }) => ({
      name: `${service}:${operation}`,
      resource: resource?.split(/[/:]/).at(-1),
      outcome,
      startMs: startedAt - origin,
      endMs: endedAt - origin,
    }))
    .toSorted((a, b) => a.startMs - b.startMs)
}

/** The metrics, and how long each stage took, which the function prints as text: no metric is made of that. */
function measuredIn(measurement: JsonObject = {}): Readonly<Record<string, number>> {
  const numbers = Object.entries(measurement).flatMap(([name, value]) => {
    if (typeof value === 'number') return SAID_ELSEWHERE.has(name) ? [] : [[name, value]]
    return name.endsWith('_ms') ? [[name, Number(value)]] : []
  })
  return Object.fromEntries(numbers) as Readonly<Record<string, number>>
}
