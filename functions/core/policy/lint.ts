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
import { overlaps } from './overlaps.ts'
import { type IssuerPreset, type PresetName, presetOf } from './presets.ts'

interface Warning {
  /** Below the grant. */
  readonly path: PolicyPath
  readonly message: string
}

interface LintedGrant {
  readonly grant: Grant
  readonly presetName: PresetName | undefined
  readonly preset: IssuerPreset | undefined
}

type Rule = (linted: LintedGrant) => readonly Warning[]

const RULES: readonly Rule[] = [
  warnOfNames,
  warnOfAnyOwner,
  warnOfPullRequests,
  warnOfMissingAudience,
  warnOfOneSubjectForm,
]

/** Warns of trust that is wider than it looks, of grants that refuse each other, and of clients without any use. `policy` is made from `files`. */
export function lintPolicy(files: readonly PolicyFile[], policy: CompiledPolicy): readonly PolicyFinding[] {
  const grantFiles = filesById(files, 'grants')
  const clientFiles = filesById(files, 'clients')
  const presets = new Map(policy.issuers.map(({ id, preset }) => [id, preset]))
  const linted = policy.grants.map((grant) => {
    const presetName = presets.get(grant.issuer)
    return { grant, presetName, preset: presetOf(presetName) }
  })
  const ofGrants = linted.flatMap((one) =>
    RULES.flatMap((rule) => rule(one)).map((warning) => ({ grant: one.grant, ...warning })),
  )
  const ofPairs = overlaps(policy.grants).map(([grant, other]) => ({ grant, ...overlapWarning(other) }))
  const ofIssuers = policy.issuers.flatMap((issuer) => sharedAudiences(files, issuer))
  const findings = [...ofGrants, ...ofPairs].flatMap(({ grant, path, message }) => {
    const file = grantFiles.get(grant.id)
    const full = ['grants', grant.id, ...path]
    return file === undefined ? [] : [findingAt(file, full, { severity: 'warning', message })]
  })
  const ofClients = policy.clients.flatMap((client) => {
    const file = clientFiles.get(client.id)
    if (file === undefined || isUsed(client, policy)) return []
    return [findingAt(file, ['clients', client.id], { severity: 'warning', message: UNUSED_CLIENT })]
  })
  return inReadingOrder([...findings, ...ofIssuers, ...ofClients])
}

const UNUSED_CLIENT =
  'found a client that nothing uses; allowed, but safer: to remove it, with whatever key or secret it has'

/** Whether it gains anything by proving who it is. */
function isUsed(client: Client, { grants, issuers }: CompiledPolicy): boolean {
  if (client.introspects.length > 0 || client.revokes.length > 0) return true
  if (client.defaultTarget !== undefined) return true
  if (issuers.some(({ clientAuthentication }) => clientAuthentication === 'required')) return true
  return grants.some((grant) => grant.client === client.id)
}

/** Audiences that tokens have by default, or for somebody else: each of these could be presented to us. */
const SHARED_AUDIENCES: ReadonlySet<string> = new Set([
  'sts.amazonaws.com',
  'https://kubernetes.default.svc',
  'https://kubernetes.default.svc.cluster.local',
  'https://container.googleapis.com',
  'api://AzureADTokenExchange',
  'sigstore',
  'vault',
])

function sharedAudiences(files: readonly PolicyFile[], issuer: TrustedIssuer): readonly PolicyFinding[] {
  const file = files.find(({ document }) => idsIn(document, 'issuers').includes(issuer.id))
  if (file === undefined) return []
  return issuer.audiences.flatMap((audience, at) =>
    SHARED_AUDIENCES.has(audience)
      ? [
          findingAt(file, ['issuers', issuer.id, 'audiences', at], {
            severity: 'warning',
            message: 'found an audience that tokens for others have too; allowed, but safer: one of our own',
          }),
        ]
      : [],
  )
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

function overlapWarning(other: Grant): Warning {
  return {
    path: [],
    message: `found tokens that ${other.id} matches too: they are refused; allowed: conditions that exclude each other`,
  }
}

function filesById(
  files: readonly PolicyFile[],
  section: 'grants' | 'clients',
): ReadonlyMap<string, PolicyFile> {
  return new Map(files.flatMap((file) => idsIn(file.document, section).map((id) => [id, file] as const)))
}

function idsIn(document: unknown, section: 'grants' | 'clients' | 'issuers'): readonly string[] {
  if (typeof document !== 'object' || document === null) return []
  const entries = (document as Partial<Record<typeof section, object | null>>)[section]
  return Object.keys(entries ?? {})
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
