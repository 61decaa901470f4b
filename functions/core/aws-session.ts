import { LIMITS } from './limits.ts'
import { AWS_RULES, isSessionTag, POLICY_VALUE } from './policy/aws-rules.ts'
import type { AwsTarget, Template } from './policy/compiled.ts'
import { claimText, renderTemplate } from './policy/render-claims.ts'
import { renderSessionPolicy } from './policy/session-policy.ts'
import { sessionNameOf } from './session-name.ts'
import type { ValidatedSubject } from './subject-token.ts'
import type { Brand, JsonObject } from './types.ts'

/** All that STS is asked for. Every value fits its grammar; only {@link sessionFor} makes one. */
export type AwsSession = Brand<
  {
    readonly roleArn: string
    readonly sessionName: string
    readonly tags: Readonly<Record<string, string>>
    readonly transitiveTags: readonly string[]
    readonly sourceIdentity: string | undefined
    /** A session policy as JSON; `undefined` where the whole role is meant. */
    readonly policy: string | undefined
    readonly externalId: string | undefined
    readonly durationSeconds: number
    /** From then on the session policy allows nothing, epoch seconds; `undefined` where the session ends in time by itself. */
    readonly deadline: number | undefined
  },
  'AwsSession'
>

/** Policy grants the role, but not with these claims, or not for so little time. */
export type SessionRefusal =
  /** A claim is missing, or AWS, or the place where it would stand, does not allow it. `part` is the target's key. */
  | { readonly kind: 'session_value_not_acceptable'; readonly part: string }
  /** AWS gives no session that is so short, and a longer one would outlive the subject token. */
  | { readonly kind: 'subject_ends_too_soon'; readonly secondsLeft: number }

/** STS is called at most that long after the moment that a session is counted from, and its clock counts from the call. */
const CALL_SECONDS = LIMITS.deadlineMilliseconds / 1000

/**
 * The session that a subject gets of a role, with its claims inserted: it ends by `expiresAt`, that of the token which ends
 * first. Times in epoch seconds.
 */
export function sessionFor(
  target: AwsTarget,
  subject: Pick<ValidatedSubject, 'subject' | 'claims' | 'expiresAt'>,
  now: number,
): AwsSession | SessionRefusal {
  const { claims } = subject
  const time = timeOf(target, subject.expiresAt, now)
  if ('kind' in time) return time
  const tags = Object.entries(target.sessionTags).map(([key, value]) => [key, renderTemplate(value, claims)])
  const unfit = tags.find(([key = '', value]) => value === undefined || !isSessionTag(key, value))
  if (unfit !== undefined) return refuseValue(`session_tags.${unfit[0]}`)
  const name = target.sessionName === undefined ? subject.subject : renderTemplate(target.sessionName, claims)
  if (name === undefined) return refuseValue('session_name')
  const sourceIdentity = target.sourceIdentity && fittingName(target.sourceIdentity, claims)
  if (target.sourceIdentity !== undefined && sourceIdentity === undefined)
    return refuseValue('source_identity')
  const policy = fittingPolicy(target, claims, time.deadline)
  // Never less than policy asks for: where it cannot be rendered, there is no session.
  const isNarrowed = target.sessionPolicy !== undefined || time.deadline !== undefined
  if (isNarrowed && policy === undefined) return refuseValue('session_policy')
  const { roleArn, transitiveTags, externalId } = target
  return {
    roleArn,
    sessionName: sessionNameOf(name),
    tags: Object.fromEntries(tags) as Readonly<Record<string, string>>,
    transitiveTags,
    sourceIdentity,
    policy,
    externalId,
    ...time,
  } as AwsSession
}

/**
 * When everything that may be given for this session has ended, epoch seconds: a retry under the same idempotency key gets
 * credentials of its own, which begin later.
 */
export function latestEndOf({ durationSeconds }: AwsSession, tokensEnd: number, now: number): number {
  return Math.min(tokensEnd, now + durationSeconds + LIMITS.idempotencySeconds + CALL_SECONDS)
}

function timeOf(
  { durationSeconds: wanted, outlive }: AwsTarget,
  subjectExpiresAt: number,
  now: number,
): Pick<AwsSession, 'durationSeconds' | 'deadline'> | SessionRefusal {
  const secondsLeft = subjectExpiresAt - now
  const { min } = AWS_RULES.session
  const durationSeconds = Math.min(wanted, secondsLeft - CALL_SECONDS)
  if (durationSeconds >= min) return { durationSeconds, deadline: undefined }
  if (outlive === 'deadline' && secondsLeft > 0) return { durationSeconds: min, deadline: subjectExpiresAt }
  return { kind: 'subject_ends_too_soon', secondsLeft }
}

function fittingName(template: Template, claims: JsonObject): string | undefined {
  const text = renderTemplate(template, claims)
  return text !== undefined && AWS_RULES.name.test(text) ? text : undefined
}

function fittingPolicy(
  { sessionPolicy }: AwsTarget,
  claims: JsonObject,
  deadline: number | undefined,
): string | undefined {
  if (sessionPolicy === undefined && deadline === undefined) return undefined
  const insert = (path: readonly string[]) => {
    const text = claimText(claims, path)
    return text !== undefined && POLICY_VALUE.test(text) ? text : undefined
  }
  const rendered = renderSessionPolicy(sessionPolicy, insert, deadline)
  const isFit = rendered !== undefined && rendered.length <= AWS_RULES.policyCharacters
  return isFit ? rendered : undefined
}

function refuseValue(part: string): SessionRefusal {
  return { kind: 'session_value_not_acceptable', part }
}
