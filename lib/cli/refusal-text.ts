import type { Explanation } from '../../functions/core/explain.ts'
import type { Matcher } from '../../functions/core/policy/compiled.ts'
import type { ExplainedGrant, PolicyIndex } from '../../functions/core/policy/decide.ts'
import type { Refusal } from '../../functions/core/refusal.ts'
import type { JsonObject } from '../../functions/core/types.ts'

/** What is known when a refusal is put into words. */
export interface RefusedQuestion {
  readonly explanation: Extract<Explanation, { readonly outcome: 'refused' }>
  readonly claims: JsonObject
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
    why: `the grant makes ${claim} from a claim that the token lacks, or that is no text, number or boolean`,
    change: 'make it from another claim',
  }),
}

/** Puts a refusal into words. Values are shown as JSON, shortened and in ASCII: a claim may hold anything. */
export function refusalText(question: RefusedQuestion): RefusalText {
  const { refusal, issuer } = question.explanation
  // The table gives each kind its own refusal; that the two belong together is beyond TypeScript.
  const textOf = TEXTS[refusal.kind] as TextOf<Refusal['kind']> | undefined
  if (textOf === undefined)
    return { why: refusal.kind.replaceAll('_', ' '), change: 'docs/policy.md says more' }
  return textOf(refusal as never, { ...question, issuerName: issuer?.id ?? 'the issuer' })
}

/** One line for a grant: that it matches, or the first thing in its way, with what was expected and what was found. */
export function candidateText({ grant, mismatch }: ExplainedGrant): string {
  if (mismatch === undefined) return `${grant}: matches`
  if (mismatch.kind === 'client')
    return `${grant}: the client must be ${mismatch.expected}, found ${mismatch.found ?? 'none'}`
  const expected = mismatch.expected.map(matcherText).join(' or ')
  const found = mismatch.found === undefined ? 'no such claim' : shown(mismatch.found)
  return `${grant}: ${mismatch.path.join(' › ')} must be ${expected}, found ${found}`
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
  const text = JSON.stringify(value).replaceAll(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text
}
