import type { CompiledPolicy, Condition, Grant, Matcher, Target, Template } from './compiled.ts'
import { meantText, type PolicyPath } from './finding.ts'
import { nearest } from './nearest.ts'
import {
  CLAIMS_OF_PRESETS,
  type ClaimForms,
  claimPaths,
  EXAMPLES_OF_PRESETS,
  formAt,
} from './preset-claims.ts'
import type { PresetName } from './presets.ts'
import { isAwsTarget } from './target-kinds.ts'

interface Warning {
  readonly path: PolicyPath
  readonly message: string
}

/** Conditions and templates, and where they stand. */
interface Place {
  readonly path: PolicyPath
  readonly preset: PresetName | undefined
}

interface PlacedTemplate {
  readonly path: PolicyPath
  readonly template: Template
  /** What a session can be described by beside the subject's claims. */
  readonly ours: ClaimForms
}

/** Warns of conditions that no token meets, and of templates that no token fills. Paths from the top of the policy. */
export function lintClaims({ grants, issuers, targets }: CompiledPolicy): readonly Warning[] {
  const presets = new Map(issuers.map(({ id, preset }) => [id, preset]))
  const targetsById = new Map(targets.map((target) => [target.id, target]))
  return grants.flatMap((grant) => {
    const preset = presets.get(grant.issuer)
    const path = ['grants', grant.id]
    const ofActors = (grant.actors ?? []).flatMap(({ issuer, when }, at) =>
      lintWhen(when, { path: [...path, 'delegation', 'actors', at, 'when'], preset: presets.get(issuer) }),
    )
    const ofTemplates = templatesOf(grant, targetsById.get(grant.target)).flatMap((template) =>
      lintTemplate(template, preset),
    )
    return [...lintWhen(grant.when, { path: [...path, 'when'], preset }), ...ofActors, ...ofTemplates]
  })
}

function lintWhen(when: readonly Condition[], { path, preset }: Place): readonly Warning[] {
  return when.flatMap((condition) => {
    const messages = [
      ...warnOfForm(condition, preset),
      ...condition.anyOf.flatMap((matcher) => [
        ...warnOfSlashes(condition, matcher, preset),
        ...warnOfRegularExpression(matcher),
      ]),
    ]
    return messages.map((message) => ({ path: [...path, ...condition.path], message }))
  })
}

/** A claim that the platform does not have, or writes in another form: equality is by type. */
function warnOfForm({ path, anyOf }: Condition, preset: PresetName | undefined): readonly string[] {
  const forms = preset && CLAIMS_OF_PRESETS[preset]
  if (forms === undefined) return []
  const form = formAt(forms, path)
  if (form === undefined) return [unknownClaim(forms, path, `${preset}: no token meets it`)]
  if (form === 'anything') return []
  if (typeof form === 'object')
    return [
      `found a value for a map of claims: no token meets it; allowed: ${Object.keys(form).join(', ')} below it`,
    ]
  const other = anyOf.find((matcher) => formOfMatcher(matcher) !== form)
  if (other === undefined) return []
  const allowed = form === 'text' ? `a text in quotes: "${textOf(other)}"` : `a ${form}, without quotes`
  return [
    `found a ${formOfMatcher(other)}, but ${preset} writes a ${form}: no token meets it; allowed: ${allowed}`,
  ]
}

function unknownClaim(forms: ClaimForms, path: readonly string[], consequence: string): string {
  // By their names in one: who wrote `a.b` for a nested claim has it nearly right.
  const known = new Map(claimPaths(forms).map((claim) => [claim.join('.'), claim]))
  const meant = known.get(path.join('.')) ?? known.get(nearest(path.join('.'), [...known.keys()]) ?? '')
  const allowed = meant === undefined ? Object.keys(forms).join(', ') : 'one that its tokens have'
  const nested = meant?.join(', and below it ')
  return `found a claim that is not known of ${consequence}; allowed: ${allowed}${meantText(nested)}`
}

function formOfMatcher(matcher: Matcher): 'text' | 'number' | 'boolean' {
  if (matcher.kind === 'glob' || typeof matcher.value === 'string') return 'text'
  return typeof matcher.value === 'number' ? 'number' : 'boolean'
}

/** `*` crosses no `/`: without `**` a text or pattern has as many as what it matches. */
function warnOfSlashes(
  { path }: Condition,
  matcher: Matcher,
  preset: PresetName | undefined,
): readonly string[] {
  const examples = (preset && EXAMPLES_OF_PRESETS[preset]) ?? {}
  const [name = ''] = path
  const example = Object.hasOwn(examples, name) ? examples[name] : undefined
  const text = textOf(matcher)
  if (example === undefined || path.length > 1 || text.includes('**')) return []
  if (slashesIn(text) >= slashesIn(example)) return []
  return [
    `found ${JSON.stringify(text)}, which no ${name} of ${preset} matches: * stays between two /; allowed: what fits such as ${example}, or ** for any run`,
  ]
}

function slashesIn(text: string): number {
  return text.split('/').length - 1
}

/** Anchors, escapes, ranges, alternatives, and a dot before a quantifier where no name begins with one. */
const REGULAR_EXPRESSION = /^\^|\$$|\\[dwsb./]|\[\^?\w-\w|\([\w-]+\||(?:^|[/:])\.[*+]/
const SHELL_PATTERN = /\?|\{[\w-]+,/

function warnOfRegularExpression(matcher: Matcher): readonly string[] {
  const text = textOf(matcher)
  const isOfShell = SHELL_PATTERN.test(text) && !text.includes('://')
  if (!REGULAR_EXPRESSION.test(text) && !isOfShell) return []
  return [
    `found ${JSON.stringify(text)}, which looks like a regular expression or a shell's pattern: all but * and ** stands for itself; allowed, if that is meant`,
  ]
}

function templatesOf(grant: Grant, target: Target | undefined): readonly PlacedTemplate[] {
  const claims = Object.entries(grant.claims).map(([name, template]) => ({
    path: ['grants', grant.id, 'claims', name],
    template,
    ours: {},
  }))
  if (target === undefined || !isAwsTarget(target)) return claims
  const { sessionTags, sessionName, sourceIdentity } = target
  const ours = claimsOfExchange(grant)
  const at = (path: PolicyPath, template: Template) => ({
    path: ['targets', target.id, ...path],
    template,
    ours,
  })
  return [
    ...Object.entries(sessionTags).map(([key, template]) => at(['session_tags', key], template)),
    ...(sessionName ? [at(['session_name'], sessionName)] : []),
    ...(sourceIdentity ? [at(['source_identity'], sourceIdentity)] : []),
  ]
}

/** What names an exchange, and who acts in it where somebody may: no token of a platform has to have them. */
function claimsOfExchange({ actors }: Grant): ClaimForms {
  return { jti: 'text', txn: 'text', ...(actors !== undefined && { act: 'anything' as const }) }
}

/** A claim that is missing refuses the exchange: here, every one. */
function lintTemplate(
  { path, template, ours }: PlacedTemplate,
  preset: PresetName | undefined,
): readonly Warning[] {
  const known = preset && CLAIMS_OF_PRESETS[preset]
  const forms = known && { ...known, ...ours }
  const unknown = template.flatMap((part) => {
    if (typeof part === 'string' || forms === undefined || formAt(forms, part.path) !== undefined) return []
    return [unknownClaim(forms, part.path, `${preset}: every exchange is refused`)]
  })
  const hasDollar = template.some(
    (part, at) => typeof part === 'string' && part.endsWith('$') && typeof template[at + 1] === 'object',
  )
  const dollar = 'found a $ before a claim in braces: it stands for itself; allowed, if that is meant'
  return [...unknown, ...(hasDollar ? [dollar] : [])].map((message) => ({ path, message }))
}

function textOf(matcher: Matcher): string {
  return matcher.kind === 'glob' ? matcher.pattern : String(matcher.value)
}
