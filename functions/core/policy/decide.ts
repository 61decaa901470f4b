import type { ClientId, GrantId, IssuerId, JsonObject, JsonValue, TargetId } from '../types.ts'
import type {
  Client,
  CompiledPolicy,
  Condition,
  Grant,
  Matcher,
  Target,
  TemplatePart,
  TrustedIssuer,
} from './compiled.ts'
import { compareText } from './finding.ts'
import { globMatcher } from './glob.ts'

/** A grant with its conditions made ready. */
export interface PreparedGrant {
  readonly grant: Grant
  readonly conditions: readonly PreparedCondition[]
}

export interface PreparedCondition {
  readonly path: readonly string[]
  readonly tests: readonly ((claim: JsonValue) => boolean)[]
}

/** A policy arranged for look-up: no decision walks all grants. */
export interface PolicyIndex {
  /** Names the policy in audit records. */
  readonly digest: string
  /** By the exact `iss` of their tokens. */
  readonly issuers: ReadonlyMap<string, TrustedIssuer>
  /** By id. */
  readonly clients: ReadonlyMap<string, Client>
  readonly targets: ReadonlyMap<TargetId, Target>
  readonly targetsByAudience: ReadonlyMap<string, Target>
  readonly targetsByResource: ReadonlyMap<string, Target>
  readonly grants: ReadonlyMap<IssuerId, ReadonlyMap<TargetId, readonly PreparedGrant[]>>
}

/** The request does not name exactly one target. */
export type TargetRefusal =
  | { readonly kind: 'target_missing' }
  | { readonly kind: 'audience_not_in_policy'; readonly audience: string }
  | { readonly kind: 'resource_not_in_policy'; readonly resource: string }
  | { readonly kind: 'two_targets'; readonly targets: readonly TargetId[] }

/** Not exactly one grant allows the exchange. */
export type GrantRefusal =
  | { readonly kind: 'no_grant_matches'; readonly candidates: number }
  /** Every grant of this issuer for this target is another client's, whatever the token says. */
  | { readonly kind: 'client_not_allowed' }
  | { readonly kind: 'several_grants_match'; readonly grants: readonly GrantId[] }

/** The grant's template for `claim` inserts a claim that the token lacks, or one that does not fit into a text. */
export interface ClaimRefusal {
  readonly kind: 'claim_not_insertable'
  readonly claim: string
}

export interface RenderedClaims {
  readonly kind: 'rendered'
  readonly claims: Readonly<Record<string, string>>
}

export interface TargetQuestion {
  readonly audiences: readonly string[]
  readonly resources: readonly string[]
  /** Who signed the subject token, for its default target. */
  readonly issuer: Pick<TrustedIssuer, 'defaultTarget'>
  /** The authenticated client, if any: its default target comes first. */
  readonly client?: Pick<Client, 'defaultTarget'> | undefined
}

export interface GrantQuestion {
  readonly issuerId: IssuerId
  readonly claims: JsonObject
  /** The authenticated client, if any. */
  readonly clientId?: ClientId | undefined
  readonly target: Target
}

/** Longest text that a mapped claim may become. */
const MAX_CLAIM_CHARACTERS = 1024
const ARRAY_INDEX = /^(?:0|[1-9][0-9]*)$/

/** Arranges a policy for look-up. Done once per process. */
export function indexPolicy(policy: CompiledPolicy): PolicyIndex {
  return {
    digest: policy.digest,
    issuers: new Map(policy.issuers.map((issuer) => [issuer.issuer, issuer])),
    clients: new Map(policy.clients.map((client) => [client.id, client])),
    targets: new Map(policy.targets.map((target) => [target.id, target])),
    targetsByAudience: new Map(policy.targets.map((target) => [target.audience, target])),
    targetsByResource: new Map(
      policy.targets.flatMap((target) => target.resources.map((resource) => [resource, target] as const)),
    ),
    grants: indexGrants(policy.grants),
  }
}

/** The one target that the audiences and resources name together; the client's or issuer's default where there are none. */
export function resolveTarget(index: PolicyIndex, question: TargetQuestion): Target | TargetRefusal {
  const { audiences, resources } = question
  if (audiences.length === 0 && resources.length === 0) return defaultTarget(index, question)
  const named = new Map<TargetId, Target>()
  for (const audience of audiences) {
    const target = index.targetsByAudience.get(audience)
    if (target === undefined) return { kind: 'audience_not_in_policy', audience }
    named.set(target.id, target)
  }
  for (const resource of resources) {
    const target = index.targetsByResource.get(resource)
    if (target === undefined) return { kind: 'resource_not_in_policy', resource }
    named.set(target.id, target)
  }
  const [target, ...others] = named.values()
  if (target === undefined) return { kind: 'target_missing' }
  return others.length === 0 ? target : { kind: 'two_targets', targets: [...named.keys()] }
}

/** The one grant that allows the exchange. None or several refuse it, in whatever order the policy lists them. */
export function decideGrant(index: PolicyIndex, question: GrantQuestion): Grant | GrantRefusal {
  const candidates = index.grants.get(question.issuerId)?.get(question.target.id) ?? []
  const matching = candidates.filter((candidate) => allows(candidate, question)).map(({ grant }) => grant)
  const [grant, ...others] = matching
  if (grant === undefined && isOnlyForOthers(candidates, question.clientId))
    return { kind: 'client_not_allowed' }
  if (grant === undefined) return { kind: 'no_grant_matches', candidates: candidates.length }
  if (others.length === 0) return grant
  return { kind: 'several_grants_match', grants: matching.map(({ id }) => id).toSorted(compareText) }
}

/** The claim at a path of names, array positions included (RFC 6901 §4); `undefined` where the token has none. */
export function claimAt(claims: JsonObject, path: readonly string[]): JsonValue | undefined {
  return path.reduce<JsonValue | undefined>(memberOf, claims)
}

/** The mapped claims of an issued token. Texts, numbers and booleans can be inserted; all else refuses the exchange. */
export function renderClaims(grant: Grant, claims: JsonObject): RenderedClaims | ClaimRefusal {
  const rendered: Record<string, string> = Object.create(null)
  for (const [name, parts] of Object.entries(grant.claims)) {
    const text = renderParts(parts, claims)
    if (text === undefined || text.length > MAX_CLAIM_CHARACTERS)
      return { kind: 'claim_not_insertable', claim: name }
    rendered[name] = text
  }
  return { kind: 'rendered', claims: rendered }
}

function indexGrants(grants: readonly Grant[]): PolicyIndex['grants'] {
  const byIssuer = new Map<IssuerId, Map<TargetId, PreparedGrant[]>>()
  for (const grant of grants) {
    const byTarget = byIssuer.get(grant.issuer) ?? new Map<TargetId, PreparedGrant[]>()
    const prepared = byTarget.get(grant.target) ?? []
    prepared.push({ grant, conditions: grant.when.map(prepareCondition) })
    byIssuer.set(grant.issuer, byTarget.set(grant.target, prepared))
  }
  return byIssuer
}

function prepareCondition({ path, anyOf }: Condition): PreparedCondition {
  return { path, tests: anyOf.map(testFor) }
}

/** Equality is by type and value: the text "123" is not the number 123, and nothing is normalised. */
function testFor(matcher: Matcher): (claim: JsonValue) => boolean {
  if (matcher.kind === 'equals') return (claim) => claim === matcher.value
  const matches = globMatcher(matcher.pattern)
  return (claim) => typeof claim === 'string' && matches(claim)
}

function defaultTarget(index: PolicyIndex, { issuer, client }: TargetQuestion): Target | TargetRefusal {
  const id = client?.defaultTarget ?? issuer.defaultTarget
  const target = id && index.targets.get(id)
  return target ?? { kind: 'target_missing' }
}

/** It depends on the client alone, so that it says nothing about the token. */
function isOnlyForOthers(candidates: readonly PreparedGrant[], clientId: ClientId | undefined): boolean {
  if (clientId === undefined || candidates.length === 0) return false
  return candidates.every(({ grant }) => grant.client !== undefined && grant.client !== clientId)
}

/** A grant without conditions allows nothing: compilation refuses one, and here it could only be a defect. */
function allows({ grant, conditions }: PreparedGrant, { claims, clientId }: GrantQuestion): boolean {
  if (grant.client !== undefined && grant.client !== clientId) return false
  return conditions.length > 0 && conditions.every((condition) => holds(condition, claims))
}

function holds({ path, tests }: PreparedCondition, claims: JsonObject): boolean {
  const claim = claimAt(claims, path)
  if (claim === undefined) return false
  const values: readonly JsonValue[] = isArray(claim) ? claim : [claim]
  return values.some((value) => tests.some((test) => test(value)))
}

/** Own members only: what a prototype has is no claim. */
function memberOf(value: JsonValue | undefined, name: string): JsonValue | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if (isArray(value)) return ARRAY_INDEX.test(name) ? value[Number(name)] : undefined
  return Object.hasOwn(value, name) ? value[name] : undefined
}

function renderParts(parts: readonly TemplatePart[], claims: JsonObject): string | undefined {
  const texts = parts.map((part) =>
    typeof part === 'string' ? part : scalarText(claimAt(claims, part.path)),
  )
  return texts.includes(undefined) ? undefined : texts.join('')
}

function scalarText(claim: JsonValue | undefined): string | undefined {
  // `typeof null` is 'object' too.
  return claim === undefined || typeof claim === 'object' ? undefined : String(claim)
}

/** `Array.isArray` alone does not narrow a readonly array. */
function isArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value)
}
