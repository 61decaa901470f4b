import {
  BROKER,
  type Client,
  type CompiledPolicy,
  type Condition,
  type Grant,
  type Matcher,
  type TrustedIssuer,
} from './compiled.ts'
import { findingAt, inReadingOrder, type PolicyFile, type PolicyFinding, type PolicyPath } from './finding.ts'
import { globMatcher, isGlob } from './glob.ts'
import { lintRoles } from './lint-aws.ts'
import { lintClaims } from './lint-claims.ts'
import { lintIssuers } from './lint-issuers.ts'
import { haveAllActors, implies, overlaps } from './overlaps.ts'
import { type IssuerPreset, type PresetName, presetOf } from './presets.ts'
import { isAwsTarget } from './target-kinds.ts'

interface Warning {
  /** Below the grant. */
  readonly path: PolicyPath
  readonly message: string
}

interface LintedGrant {
  readonly grant: Grant
  /** `undefined` for our own tokens. */
  readonly issuer: TrustedIssuer | undefined
  readonly presetName: PresetName | undefined
  readonly preset: IssuerPreset | undefined
  readonly policy: CompiledPolicy
}

type Rule = (linted: LintedGrant) => readonly Warning[]

const RULES: readonly Rule[] = [
  warnOfNames,
  warnOfAnyOwner,
  warnOfPullRequests,
  warnOfMissingAudience,
  warnOfOneSubjectForm,
  warnOfUnusedLifetime,
  warnOfImpossibleClaims,
]

/** Those that are about who is trusted, and so about actors too. */
const ACTOR_RULES: readonly Rule[] = [
  warnOfNames,
  warnOfAnyOwner,
  warnOfPullRequests,
  warnOfMissingAudience,
  warnOfOneSubjectForm,
  warnOfImpossibleClaims,
]

/** Warns of trust that is wider than it looks, and of what refuses each other or is never used. `policy` is made from `files`. */
export function lintPolicy(files: readonly PolicyFile[], policy: CompiledPolicy): readonly PolicyFinding[] {
  const issuers = new Map(policy.issuers.map((issuer) => [issuer.id, issuer]))
  const lint = (grant: Grant, rules: readonly Rule[]): readonly Warning[] => {
    const issuer = issuers.get(grant.issuer)
    const preset = presetOf(issuer?.preset)
    return rules.flatMap((rule) => rule({ grant, issuer, presetName: issuer?.preset, preset, policy }))
  }
  const ofGrants = policy.grants.flatMap((grant) =>
    lint(grant, RULES).map((warning) => below(grant, warning)),
  )
  const ofActors = policy.grants.flatMap((grant) =>
    (grant.actors ?? []).flatMap((actor, at) =>
      lint({ ...grant, ...actor }, ACTOR_RULES).map(({ path, message }) =>
        below(grant, { path: ['delegation', 'actors', at, ...path], message }),
      ),
    ),
  )
  const ofPairs = overlaps(policy.grants).flatMap(([grant, other]) => pairWarnings(grant, other))
  const ofClients = policy.clients.filter((client) => !isUsed(client, policy)).map(unusedWarning)
  const warnings = [
    ...lintIssuers(policy),
    ...lintRoles(policy),
    ...lintClaims(policy),
    ...ofClients,
    ...ofGrants,
    ...ofActors,
    ...ofPairs,
  ]
  const findings = warnings.flatMap(({ path, message }) => {
    const file = files.find(({ document }) => isDefinedIn(document, path))
    return file === undefined ? [] : [findingAt(file, path, { severity: 'warning', message })]
  })
  return inReadingOrder(findings)
}

function unusedWarning({ id }: Client): Warning {
  const message =
    'found a client that nothing uses; allowed, but safer: to remove it, with whatever key or secret it has'
  return { path: ['clients', id], message }
}

/** Whether it gains anything by proving who it is. */
function isUsed(client: Client, { grants, issuers }: CompiledPolicy): boolean {
  if (client.introspects.length > 0 || client.revokes.length > 0) return true
  if (client.defaultTarget !== undefined) return true
  if (issuers.some(({ clientAuthentication }) => clientAuthentication === 'required')) return true
  return grants.some((grant) => grant.client === client.id)
}

function below({ id }: Grant, { path, message }: Warning): Warning {
  return { path: ['grants', id, ...path], message }
}

/** A name can be given up and registered by somebody else, who then is trusted. */
function warnOfNames({ grant, preset }: LintedGrant): readonly Warning[] {
  const conditioned = new Set(grant.when.map(nameOf))
  return grant.when.flatMap((condition) => {
    const id = preset && memberOf(preset.idsOfNames, nameOf(condition))
    if (id === undefined || conditioned.has(id)) return []
    return [at(condition, `found a name, which can change hands; allowed, but safer: ${id} as well`)]
  })
}

/** An issuer that signs for everybody: some condition must say for whom. */
function warnOfAnyOwner({ grant, preset }: LintedGrant): readonly Warning[] {
  if (grant.when.some((condition) => limitsOwner(condition, preset))) return []
  const owners = Object.keys(preset?.owners ?? {})
  const wide = grant.when.find((condition) => owners.includes(nameOf(condition)))
  const safer = owners[0] === undefined ? 'a condition on one value' : `a condition on one ${owners[0]}`
  const message = `found no condition that says whose token it must be; allowed, but safer: ${safer}`
  return [wide === undefined ? { path: ['when'], message } : at(wide, message)]
}

function limitsOwner(condition: Condition, preset: IssuerPreset | undefined): boolean {
  const isShared = preset !== undefined && Object.keys(preset.owners).length > 0
  if (!isShared) return !condition.anyOf.some(isAnything)
  const prefix = memberOf(preset.owners, nameOf(condition))
  return prefix !== undefined && !condition.anyOf.some((matcher) => isAnyOwner(matcher, prefix))
}

function isAnything(matcher: Matcher): boolean {
  return matcher.kind === 'glob' && /^\*+$/.test(matcher.pattern)
}

/** Whether a pattern has a wildcard in its owner: the text from `prefix` to the next separator. */
function isAnyOwner(matcher: Matcher, prefix: string): boolean {
  if (matcher.kind === 'equals') return false
  const { pattern } = matcher
  const owner = pattern.startsWith(prefix) ? pattern.slice(prefix.length) : pattern
  return isGlob(owner.split(/[/:]/)[0] ?? '')
}

/** Whoever can propose a change would get the token. */
function warnOfPullRequests({ grant, presetName, preset }: LintedGrant): readonly Warning[] {
  return grant.when.flatMap((condition) =>
    condition.anyOf.flatMap((matcher) => {
      const samples = (preset && memberOf(preset.pullRequests, nameOf(condition))) ?? []
      const subject =
        presetName === 'github-actions' && nameOf(condition) === 'sub' ? [pullRequestSubject(matcher)] : []
      const found = [...samples, ...subject].find((sample) => accepts(matcher, sample))
      if (found === undefined) return []
      return [
        at(
          condition,
          `found that ${JSON.stringify(found)} matches: anybody's pull request; allowed, but safer: a branch`,
        ),
      ]
    }),
  )
}

/** The `sub` that a pull request to the repository of a pattern has. */
function pullRequestSubject(matcher: Matcher): string {
  const [repo, name] = textOf(matcher).replaceAll('*', 'x').split(':')
  return `${repo}:${name}:pull_request`
}

/** `aud` of our own token is the resource server that received it, and may now pass it on. */
function warnOfMissingAudience({ grant }: LintedGrant): readonly Warning[] {
  const isLimited = grant.when.some(
    (condition) => nameOf(condition) === 'aud' && !condition.anyOf.some(isAnything),
  )
  if (grant.issuer !== BROKER || isLimited) return []
  return [
    {
      path: ['when'],
      message: 'found no condition on aud; allowed, but safer: whose tokens may be exchanged onward',
    },
  ]
}

/** Since July 2026 new and renamed repositories have ids in `sub` (`repo:o@1/r@2:…`), older ones have not. */
function warnOfOneSubjectForm({ grant, presetName }: LintedGrant): readonly Warning[] {
  if (presetName !== 'github-actions') return []
  return grant.when
    .filter((condition) => nameOf(condition) === 'sub' && !coversBothForms(condition))
    .map((condition) =>
      at(
        condition,
        'found one form of sub; allowed, but safer: both repo:OWNER/REPO:… and repo:OWNER@ID/REPO@ID:…',
      ),
    )
}

function coversBothForms({ anyOf }: Condition): boolean {
  const repositories = anyOf.map((matcher) => textOf(matcher).split(':')[1] ?? '')
  const isEither = repositories.some(
    (name) => name === '**' || name.split('/').every((part) => part.endsWith('*')),
  )
  return (
    isEither ||
    (repositories.some((name) => name.includes('@')) && repositories.some((name) => !name.includes('@')))
  )
}

/** An issued token never outlives the token that it was issued for. */
function warnOfUnusedLifetime({ grant, issuer, policy }: LintedGrant): readonly Warning[] {
  // What becomes of a role's session then, its target says.
  if (policy.targets.some((target) => target.id === grant.target && isAwsTarget(target))) return []
  if (issuer === undefined || grant.lifetimeSeconds <= issuer.maxLifetimeSeconds) return []
  const message = `found a lifetime of ${grant.lifetimeSeconds}s, which no token reaches: those of ${issuer.id} live ${issuer.maxLifetimeSeconds}s at most; allowed, but clearer: that`
  return [{ path: ['lifetime'], message }]
}

/** Some claims are checked before any grant is looked at: a condition that contradicts them lets nothing through. */
function warnOfImpossibleClaims({ grant, issuer, policy }: LintedGrant): readonly Warning[] {
  const audiences = issuer?.audiences ?? policy.targets.map(({ audience }) => audience)
  const possible = new Map([['aud', audiences], ...(issuer ? [['iss', [issuer.issuer]] as const] : [])])
  return grant.when.flatMap((condition) => {
    const values = possible.get(nameOf(condition))
    if (values === undefined) return []
    if (values.some((value) => condition.anyOf.some((matcher) => accepts(matcher, value)))) return []
    const message = `found a condition that no accepted token meets: the grant is never used; allowed: ${values.join(', ')}`
    return [at(condition, message)]
  })
}

function pairWarnings(grant: Grant, other: Grant): readonly Warning[] {
  const hidden = [
    [grant, other],
    [other, grant],
  ].filter(([narrow, wide]) => narrow && wide && isHiddenBy(narrow, wide))
  if (hidden.length === 0) return [below(grant, overlapWarning(other))]
  return hidden.flatMap(([narrow, wide]) => (narrow && wide ? [below(narrow, unreachableWarning(wide))] : []))
}

/** Whether every request that `narrow` is for matches `wide` too. */
function isHiddenBy(narrow: Grant, wide: Grant): boolean {
  const isSameClient = wide.client === undefined || wide.client === narrow.client
  return isSameClient && implies(narrow.when, wide.when) && haveAllActors(narrow, wide)
}

function overlapWarning(other: Grant): Warning {
  return {
    path: [],
    message: `found tokens that ${other.id} matches too: they are refused; allowed: conditions that exclude each other`,
  }
}

function unreachableWarning(wide: Grant): Warning {
  return {
    path: [],
    message: `found that ${wide.id} matches every token of this grant: all of them are refused, and it is never used; allowed: conditions that exclude each other`,
  }
}

/** Whether the file has the entry that `path` begins with: section and id. */
function isDefinedIn(document: unknown, [section, id]: PolicyPath): boolean {
  const entries = childOf(document, section)
  return childOf(entries, id) !== undefined
}

function childOf(value: unknown, key: string | number | undefined): unknown {
  return typeof value === 'object' && value !== null && key !== undefined
    ? Reflect.get(value, key)
    : undefined
}

function memberOf<Value>(record: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined
}

function at({ path }: Condition, message: string): Warning {
  return { path: ['when', ...path], message }
}

function nameOf({ path }: Condition): string {
  return path.join('.')
}

function textOf(matcher: Matcher): string {
  return matcher.kind === 'glob' ? matcher.pattern : String(matcher.value)
}

function accepts(matcher: Matcher, text: string): boolean {
  return matcher.kind === 'glob' ? globMatcher(matcher.pattern)(text) : matcher.value === text
}
