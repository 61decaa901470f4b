import type { Explanation } from '../../functions/core/explain.ts'
import type { Condition, Matcher } from '../../functions/core/policy/compiled.ts'
import type { ExplainedGrant, GrantMismatch, PolicyIndex } from '../../functions/core/policy/decide.ts'
import type { Refusal } from '../../functions/core/refusal.ts'
import type { JsonObject } from '../../functions/core/types.ts'
import { escapedUnit } from './terminal.ts'

/** What is known when a refusal is put into words. */
export interface RefusedQuestion {
  readonly explanation: Extract<Explanation, { readonly outcome: 'refused' }>
  readonly claims: JsonObject
  readonly actor?: JsonObject | undefined
  readonly policy: PolicyIndex
}

/** Why, and what would change it: for the person who writes the policy or the job. */
export interface RefusalText {
  readonly why: string
  readonly change: string
}

type TextOf<Kind> = (
  refusal: Extract<Refusal, { readonly kind: Kind }>,
  about: RefusedQuestion & { readonly issuerName: string },
) => RefusalText

/** The refusals that policy can lead to. Those of malformed requests say enough by their names. */
const TEXTS: { readonly [Kind in Refusal['kind']]?: TextOf<Kind> } = {
  issuer_not_trusted: (_, { claims, policy }) => ({
    why: `the policy has no issuer ${shown(claims['iss'])}`,
    change: looksLikeOurs(claims)
      ? `if the broker itself has issued it, add --issuer ${shown(claims['iss'])}`
      : `add it to issuers, spelt exactly so; known are ${listOf([...policy.issuers.keys()])}`,
  }),
  audience_not_ours: (_, { claims, explanation }) => ({
    why: `its aud is ${shown(claims['aud'])}`,
    change: `ask the platform for a token with the audience ${listOf(explanation.issuer?.audiences ?? [])} and no other`,
  }),
  token_expired: (_, { claims }) => ({
    why: `it expired at ${timeText(claims['exp'])}`,
    change: 'get a fresh token',
  }),
  token_not_yet_valid: (_, { claims }) => ({
    why: `it begins at ${timeText(claims['nbf'] ?? claims['iat'])}`,
    change: "compare the platform's clock with this machine's",
  }),
  token_lifetime_too_long: (_, { issuerName, explanation }) => ({
    why: `it lives longer than the ${explanation.issuer?.maxLifetimeSeconds ?? 0} s that are accepted of ${issuerName}`,
    change: `ask the platform for a shorter one, or raise issuers.${issuerName}.max_lifetime`,
  }),
  claim_malformed: ({ claim }, { claims }) => ({
    why: `its ${claim} is ${shown(claims[claim])}`,
    change: 'tokens of this issuer look different: is it the right one?',
  }),
  target_missing: (_, { issuerName, policy }) => ({
    why: `the request names no target, and ${issuerName} has no default_target`,
    change: `add --audience; known are ${listOf([...policy.targetsByAudience.keys()])}`,
  }),
  audience_not_in_policy: ({ audience }, { policy }) => ({
    why: `no target has the audience ${shown(audience)}`,
    change: `known are ${listOf([...policy.targetsByAudience.keys()])}`,
  }),
  resource_not_in_policy: ({ resource }, { policy }) => ({
    why: `no target has the resource ${shown(resource)}`,
    change: `known are ${listOf([...policy.targetsByResource.keys()])}`,
  }),
  two_targets: ({ targets }) => ({
    why: `the request names ${targets.join(' and ')}`,
    change: 'ask for one target at a time',
  }),
  no_grant_matches: (_, about) => noGrantText(about),
  several_grants_match: ({ grants }) => ({
    why: `${grants.join(' and ')} match, and exactly one may`,
    change: 'give them conditions that exclude each other',
  }),
  scope_not_allowed: () => ({
    why: 'its scopes are wider than those of the grant, or of the token that is exchanged onward',
    change: 'ask for fewer, or add them to the grant',
  }),
  claim_not_insertable: ({ claim }) => ({
    why: `the grant makes ${claim} from a claim that the token lacks, or that is no text, number or boolean, or has line ends or other controls in it`,
    change: 'make it from another claim',
  }),
  actor_missing: (_, { claims }) =>
    claims['may_act'] === undefined
      ? {
          why: 'a grant is for such a token, but only with an actor',
          change: 'send an actor_token, or add a grant without delegation',
        }
      : {
          why: `its may_act says who may act: ${shown(claims['may_act'])}`,
          change: 'send the actor_token of that party',
        },
  actor_not_allowed: () => ({
    why: 'a grant is for such a token, but not with this actor',
    change: 'add the actor to its delegation, or leave the actor_token out where it has none',
  }),
  actor_not_named: (_, { claims, actor }) => ({
    why: `may_act is ${shown(claims['may_act'])}, and the actor ${shown({ iss: actor?.['iss'], sub: actor?.['sub'] })}`,
    change: 'may_act must have exactly the iss and the sub of the actor’s token, and nothing else',
  }),
  actor_has_actor: () => ({
    why: 'the actor’s token has an act or a may_act itself: who presents it need not be its subject',
    change: 'send a token in which nobody acts, or may act, for the actor',
  }),
  delegation_loop: () => ({
    why: 'the actor is the subject, or acts for it already',
    change: 'leave the actor_token out: the actors of a token are passed on',
  }),
  delegation_too_deep: (_, { policy }) => ({
    why: `more than ${policy.maxDelegationDepth} would act, one behind the other`,
    change: 'exchange an earlier token, or raise defaults.max_delegation_depth',
  }),
  session_value_not_acceptable: ({ part }) => ({
    why: `the target makes ${part} from a claim that the token lacks, or that AWS, or the place, does not allow`,
    change: 'make it from another claim',
  }),
  subject_ends_too_soon: ({ secondsLeft }) => ({
    why: `it ends in ${secondsLeft} s, and AWS gives no credentials for less than 15 minutes`,
    change: 'present a fresher token, or say outlive: deadline for the target',
  }),
}

/** Puts a refusal into words. Values are shown as JSON, shortened and in ASCII: a claim may hold anything. */
export function refusalText(question: RefusedQuestion): RefusalText {
  const { refusal, issuer, of } = question.explanation
  if (of !== undefined && question.actor !== undefined) {
    const { why, change } = refusalText({ ...question, ...aboutActor(question, question.actor) })
    return { why: `of the actor’s token, ${why}`, change }
  }
  // The table gives each kind its own refusal; that the two belong together is beyond TypeScript.
  const textOf = TEXTS[refusal.kind] as TextOf<Refusal['kind']> | undefined
  if (textOf === undefined)
    return { why: refusal.kind.replaceAll('_', ' '), change: 'docs/policy.md says more' }
  return textOf(refusal as never, { ...question, issuerName: issuer?.id ?? 'the issuer' })
}

/** The same question, as if the actor's token was the one that is exchanged. */
function aboutActor({ explanation }: RefusedQuestion, claims: JsonObject): Partial<RefusedQuestion> {
  const { of: _, ...rest } = explanation
  return { explanation: rest, claims, actor: undefined }
}

/** One line for a grant: that it matches, or the first thing in its way, with what was expected and what was found. */
export function candidateText({ grant, mismatch }: ExplainedGrant): string {
  if (mismatch === undefined) return `${grant}: matches`
  if (mismatch.kind === 'client')
    return `${grant}: the client must be ${mismatch.expected}, found ${mismatch.found ?? 'none'}`
  if (mismatch.kind === 'actor') return `${grant}: ${actorText(mismatch)}`
  const expected = mismatch.expected.map(matcherText).join(' or ')
  const found = mismatch.found === undefined ? 'no such claim' : shown(mismatch.found)
  return `${grant}: ${mismatch.path.join(' › ')} must be ${expected}, found ${found}`
}

function actorText({ expected, found }: Extract<GrantMismatch, { readonly kind: 'actor' }>): string {
  if (expected === undefined) return 'there must be no actor, as it has no delegation'
  const actors = expected.map(({ issuer, when }) => `${issuer} with ${when.map(conditionText).join(' and ')}`)
  const presented = found === undefined ? 'no actor token' : `another token of ${found}`
  return `the actor must be ${actors.join(' or ')}, found ${presented}`
}

function conditionText({ path, anyOf }: Condition): string {
  return `${path.join(' › ')} ${anyOf.map(matcherText).join(' or ')}`
}

function noGrantText({
  explanation,
  issuerName,
  policy,
}: RefusedQuestion & { readonly issuerName: string }): RefusalText {
  const { candidates, issuer, target } = explanation
  if (candidates.length === 0) {
    const others = listOf([...((issuer && policy.grants.get(issuer.id)) ?? new Map()).keys()])
    return {
      why: `no grant is for tokens of ${issuerName} and the target ${target?.id ?? ''}`,
      change: `add one to grants; tokens of ${issuerName} have grants for ${others}`,
    }
  }
  const [only, ...further] = candidates
  const isOne = further.length === 0 && only?.mismatch?.kind === 'condition'
  return {
    why: 'no grant matches',
    change: isOne
      ? `present a token that fits, or widen grants.${only.grant}.when`
      : 'present a token that fits one of them, or widen the one that you mean',
  }
}

function matcherText(matcher: Matcher): string {
  return matcher.kind === 'glob' ? `like ${shown(matcher.pattern)}` : shown(matcher.value)
}

function timeText(seconds: unknown): string {
  return typeof seconds === 'number' ? new Date(seconds * 1000).toISOString() : shown(seconds)
}

function listOf(texts: readonly string[]): string {
  return texts.length === 0 ? 'none' : texts.join(', ')
}

/** Whose URL the broker has, no policy knows; that a grant made the token, only ours say. */
function looksLikeOurs(claims: JsonObject): boolean {
  return 'grant' in claims && 'txn' in claims && 'lineage' in claims
}

const SHOWN_CHARACTERS = 120

/** Nothing of a claim may move the cursor or turn the reading direction. */
function shown(value: unknown): string {
  if (value === undefined) return 'missing'
  const text = JSON.stringify(value).replaceAll(/[^\x20-\x7e]/g, escapedUnit)
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text
}
