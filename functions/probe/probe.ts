import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import { PROBE, PROBE_SUBJECT, probeUrls } from '../core/policy/probe.ts'
import type { BrokerAnswer, SendToBroker } from '../core/ports.ts'
import { wireErrorFor } from '../core/refusal.ts'
import { TOKEN_EXCHANGE_GRANT } from '../core/token-request.ts'
import type { JsonObject } from '../core/types.ts'
import { clientAssertion, forged, type ProbeIdentity, subjectToken } from './probe-tokens.ts'

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:'
/** Further from now than any clock skew that is accepted. */
const LONG_AGO_SECONDS = 600
const INACTIVE = '{"active":false}'
const { status: REFUSED, error, description } = wireErrorFor({ kind: 'token_replayed' })

export interface Probe extends ProbeIdentity {
  readonly send: SendToBroker
}

/** `accepted`: what must be refused was not. `skipped`: what it needs was not there. */
export type CheckOutcome = 'passed' | 'failed' | 'accepted' | 'skipped'

export interface CheckResult {
  readonly check: CheckName
  readonly outcome: CheckOutcome
  /** The answer that was not the right one, by what the broker's log knows it by. */
  readonly status?: number
  readonly correlationId?: string | undefined
  /** Why there was no answer. */
  readonly fault?: unknown
}

/** What one run has got so far. */
interface Run {
  readonly probe: Probe
  readonly deadline: AbortSignal
  presented?: string
  issued?: string
  onward?: string
  isRevoked?: boolean
}

interface Verdict {
  readonly outcome: CheckOutcome
  readonly answer?: BrokerAnswer
}

const SKIPPED: Verdict = { outcome: 'skipped' }

/**
 * The checks of a run, in their order. The names are those of metrics, logs and runbooks. All refusals are alike, so that a
 * check that must be refused proves something only beside one that must not, and differs from it in one thing.
 */
const CHECKS = {
  exchange: async (run: Run) => {
    const presented = await subjectToken(run.probe)
    const answer = await exchange(run, presented)
    const token = tokenIn(answer)
    if (token !== undefined) Object.assign(run, { presented, issued: token })
    return { outcome: token === undefined ? 'failed' : 'passed', answer }
  },
  verify: async (run: Run) => {
    if (run.issued === undefined) return SKIPPED
    const answer = await run.probe.send({ path: '/.well-known/jwks.json' }, run.deadline)
    return { outcome: (await verifies(run.issued, answer, run.probe)) ? 'passed' : 'failed', answer }
  },
  introspect: (run: Run) => active(run, run.issued),
  onward: async (run: Run) => {
    if (run.issued === undefined) return SKIPPED
    const answer = await exchange(run, run.issued, 'access_token')
    const token = tokenIn(answer)
    if (token !== undefined) run.onward = token
    return { outcome: token === undefined ? 'failed' : 'passed', answer }
  },
  'onward-introspect': (run: Run) => active(run, run.onward),
  'onward-again': async (run: Run) => {
    if (run.onward === undefined || run.issued === undefined) return SKIPPED
    const answer = await exchange(run, run.issued, 'access_token')
    return { outcome: tokenIn(answer) === undefined ? 'failed' : 'passed', answer }
  },
  replay: async (run: Run) =>
    run.presented === undefined ? SKIPPED : refusalOf(await exchange(run, run.presented)),
  'wrong-audience': (run: Run) => refused(run, { aud: `${run.probe.issuer}/somebody-else` }),
  expired: (run: Run) => {
    const then = run.probe.now() - LONG_AGO_SECONDS
    return refused(run, { iat: then, nbf: then, exp: then + 60 })
  },
  'unknown-issuer': (run: Run) => refused(run, { iss: `${probeUrls(run.probe.issuer).issuer}/unknown` }),
  revoke: async (run: Run) => {
    if (run.issued === undefined) return SKIPPED
    const answer = await run.probe.send(
      { path: '/revoke', form: { token: run.issued, ...(await authentication(run.probe)) } },
      run.deadline,
    )
    run.isRevoked = answer.status === 200
    return { outcome: run.isRevoked ? 'passed' : 'failed', answer }
  },
  'revoked-introspect': (run: Run) => inactive(run, run.issued),
  'revoked-descendant': (run: Run) => inactive(run, run.onward),
  'revoked-exchange': async (run: Run) =>
    run.issued === undefined || run.isRevoked !== true
      ? SKIPPED
      : refusalOf(await exchange(run, run.issued, 'access_token')),
  forged: async (run: Run) => refusalOf(await exchange(run, forged(await subjectToken(run.probe)))),
} as const satisfies Record<string, (run: Run) => Promise<Verdict>>

export type CheckName = keyof typeof CHECKS

/** Runs all checks, one after the other. Never throws: what goes wrong is the outcome of a check. */
export async function runProbe(probe: Probe, deadline: AbortSignal): Promise<readonly CheckResult[]> {
  const run: Run = { probe, deadline }
  const results: CheckResult[] = []
  for (const check of Object.keys(CHECKS) as CheckName[]) results.push(await resultOf(check, run))
  return results
}

async function resultOf(check: CheckName, run: Run): Promise<CheckResult> {
  try {
    const { outcome, answer }: Verdict = await CHECKS[check](run)
    if (outcome === 'passed' || answer === undefined) return { check, outcome }
    return { check, outcome, status: answer.status, correlationId: answer.correlationId }
  } catch (fault) {
    return { check, outcome: 'failed', fault }
  }
}

function exchange(
  { probe, deadline }: Run,
  token: string,
  type: 'jwt' | 'access_token' = 'jwt',
): Promise<BrokerAnswer> {
  const form = {
    grant_type: TOKEN_EXCHANGE_GRANT,
    subject_token: token,
    subject_token_type: `${TOKEN_TYPE}${type}`,
    audience: probeUrls(probe.issuer).audience,
  }
  return probe.send({ path: '/token', form }, deadline)
}

async function introspect({ probe, deadline }: Run, token: string): Promise<BrokerAnswer> {
  const form = { token, ...(await authentication(probe)) }
  return probe.send({ path: '/introspect', form }, deadline)
}

async function authentication(identity: ProbeIdentity): Promise<Record<string, string>> {
  return { client_assertion_type: ASSERTION_TYPE, client_assertion: await clientAssertion(identity) }
}

function tokenIn({ status, body }: BrokerAnswer): string | undefined {
  const { access_token: token } = body
  return status === 200 && typeof token === 'string' ? token : undefined
}

/** As a resource server does it, with the keys that the broker publishes. */
async function verifies(
  token: string,
  { status, body }: BrokerAnswer,
  { issuer, now }: ProbeIdentity,
): Promise<boolean> {
  if (status !== 200) return false
  try {
    await jwtVerify(token, createLocalJWKSet(body as unknown as JSONWebKeySet), {
      issuer,
      audience: probeUrls(issuer).audience,
      subject: `${PROBE}:${PROBE_SUBJECT}`,
      typ: 'at+jwt',
      currentDate: new Date(now() * 1000),
      clockTolerance: 30,
      requiredClaims: ['exp', 'iat', 'jti', 'client_id'],
    })
    return true
  } catch {
    return false
  }
}

/** A token that differs from a good one in what `changes` says. */
async function refused(run: Run, changes: JsonObject): Promise<Verdict> {
  return refusalOf(await exchange(run, await subjectToken(run.probe, changes)))
}

/**
 * The one answer to every unacceptable token, to the letter. Another one is not a refusal of the token: the broker could not
 * decide, or did not read so far.
 */
function refusalOf(answer: BrokerAnswer): Verdict {
  const { status, body } = answer
  if (status === 200) return { outcome: 'accepted', answer }
  const isRefused =
    status === REFUSED && JSON.stringify(body) === JSON.stringify({ error, error_description: description })
  return { outcome: isRefused ? 'passed' : 'failed', answer }
}

async function active(run: Run, token: string | undefined): Promise<Verdict> {
  if (token === undefined) return SKIPPED
  const answer = await introspect(run, token)
  return { outcome: answer.status === 200 && answer.body['active'] === true ? 'passed' : 'failed', answer }
}

async function inactive(run: Run, token: string | undefined): Promise<Verdict> {
  if (token === undefined || run.isRevoked !== true) return SKIPPED
  const answer = await introspect(run, token)
  if (answer.body['active'] === true) return { outcome: 'accepted', answer }
  const isInactive = answer.status === 200 && JSON.stringify(answer.body) === INACTIVE
  return { outcome: isInactive ? 'passed' : 'failed', answer }
}
