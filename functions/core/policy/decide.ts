import type { ClientId, GrantId, IssuerId, JsonObject, JsonValue, TargetId } from '../types.ts'
import { claimAt, valuesOf } from './claims.ts'
import type { ActorRule, Client, CompiledPolicy, Grant, Matcher, Target, TrustedIssuer } from './compiled.ts'
import { compareText } from './finding.ts'
import {
  candidatesIn,
  type GrantGroup,
  indexGrants,
  type PreparedActor,
  type PreparedCondition,
  type PreparedGrant,
} from './grant-index.ts'

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
  readonly grants: ReadonlyMap<IssuerId, ReadonlyMap<TargetId, GrantGroup>>
  /** Most actors that an issued token may name. */
  readonly maxDelegationDepth: number
  /** Whose tokens could be an actor's. */
  readonly actorIssuers: ReadonlySet<IssuerId>
}

/** The request does not name exactly one target. */
export type TargetRefusal =
  | { readonly kind: 'target_missing' }
  | { readonly kind: 'audience_not_in_policy'; readonly audience: string }
  | { readonly kind: 'resource_not_in_policy'; readonly resource: string }
  | { readonly kind: 'target_not_in_policy'; readonly target: string }
  | { readonly kind: 'two_targets'; readonly targets: readonly TargetId[] }

/** Not exactly one grant allows the exchange. */
export type GrantRefusal =
  | { readonly kind: 'no_grant_matches'; readonly candidates: number }
  /** Every grant of this issuer for this target is another client's, whatever the token says. */
  | { readonly kind: 'client_not_allowed' }
  /** A grant is for such a subject, but not with this actor. */
  | { readonly kind: 'actor_not_allowed' }
  /** A grant is for such a subject, but only with an actor. */
  | { readonly kind: 'actor_missing' }
  | { readonly kind: 'several_grants_match'; readonly grants: readonly GrantId[] }

export interface TargetQuestion {
  /** The id of a target, where the request's path has one: then audiences and resources name none. */
  readonly targetId?: string | undefined
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
  /** Who acts for the subject, if anybody does. */
  readonly actor?: Pick<GrantQuestion, 'issuerId' | 'claims'> | undefined
  readonly target: Target
}

/** Why a grant does not match. */
export type GrantMismatch =
  | { readonly kind: 'client'; readonly expected: ClientId; readonly found: ClientId | undefined }
  | {
      readonly kind: 'condition'
      readonly path: readonly string[]
      readonly expected: readonly Matcher[]
      /** `undefined` if the token has no such claim. */
      readonly found: JsonValue | undefined
    }
  /** All else holds. */
  | {
      readonly kind: 'actor'
      /** `undefined` if the grant is for exchanges without an actor. */
      readonly expected: readonly ActorRule[] | undefined
      /** Whose token the actor's is; `undefined` if there is none. */
      readonly found: IssuerId | undefined
    }

export interface ExplainedGrant {
  readonly grant: GrantId
  /** `undefined` for a grant that matches. */
  readonly mismatch: GrantMismatch | undefined
}

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
    maxDelegationDepth: policy.maxDelegationDepth,
    actorIssuers: new Set(policy.grants.flatMap(({ actors = [] }) => actors.map(({ issuer }) => issuer))),
  }
}

/** The one target that the audiences and resources name together; the client's or issuer's default where there are none. */
export function resolveTarget(index: PolicyIndex, question: TargetQuestion): Target | TargetRefusal {
  const { targetId, audiences, resources } = question
  if (targetId !== undefined)
    return index.targets.get(targetId as TargetId) ?? { kind: 'target_not_in_policy', target: targetId }
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
  const group = index.grants.get(question.issuerId)?.get(question.target.id)
  const candidates = group === undefined ? [] : candidatesIn(group, question.claims)
  const matching = candidates.filter((candidate) => allows(candidate, question)).map(({ grant }) => grant)
  const [grant, ...others] = matching
  if (grant === undefined) return noGrant(candidates, group?.all ?? [], question)
  if (others.length === 0) return grant
  return { kind: 'several_grants_match', grants: matching.map(({ id }) => id).toSorted(compareText) }
}

/** The grants that were looked at to answer a question, each with what keeps it from matching. For people, not for decisions. */
export function explainGrants(index: PolicyIndex, question: GrantQuestion): readonly ExplainedGrant[] {
  const candidates = index.grants.get(question.issuerId)?.get(question.target.id)?.all ?? []
  return candidates.map((prepared) => ({
    grant: prepared.grant.id,
    mismatch: mismatchOf(prepared, question),
  }))
}

/** Why there is none, as exactly as it can be said. */
function noGrant(
  candidates: readonly PreparedGrant[],
  all: readonly PreparedGrant[],
  question: GrantQuestion,
): GrantRefusal {
  if (isOnlyForOthers(all, question.clientId)) return { kind: 'client_not_allowed' }
  if (candidates.some((candidate) => mismatchOf(candidate, question)?.kind === 'actor'))
    return { kind: question.actor === undefined ? 'actor_missing' : 'actor_not_allowed' }
  return { kind: 'no_grant_matches', candidates: all.length }
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
function allows(prepared: PreparedGrant, question: GrantQuestion): boolean {
  return prepared.conditions.length > 0 && mismatchOf(prepared, question) === undefined
}

/** The first thing that keeps a grant from matching, or `undefined` if nothing does. */
function mismatchOf(
  { grant, conditions, actors }: PreparedGrant,
  { claims, clientId, actor }: GrantQuestion,
): GrantMismatch | undefined {
  if (grant.client !== undefined && grant.client !== clientId)
    return { kind: 'client', expected: grant.client, found: clientId }
  const failed = conditions.find((prepared) => !holds(prepared, claims))
  if (failed !== undefined) {
    const { path, anyOf } = failed.condition
    return { kind: 'condition', path, expected: anyOf, found: claimAt(claims, path) }
  }
  return mayAct(actors, actor) ? undefined : { kind: 'actor', expected: grant.actors, found: actor?.issuerId }
}

/** One that a grant does not ask for is not ignored, and one that it asks for is not done without. */
function mayAct(actors: readonly PreparedActor[] | undefined, actor: GrantQuestion['actor']): boolean {
  if (actors === undefined || actor === undefined) return actors === undefined && actor === undefined
  return actors.some(
    ({ rule, conditions }) =>
      rule.issuer === actor.issuerId &&
      conditions.length > 0 &&
      conditions.every((prepared) => holds(prepared, actor.claims)),
  )
}

function holds({ condition, tests }: PreparedCondition, claims: JsonObject): boolean {
  return valuesOf(claimAt(claims, condition.path)).some((value) => tests.some((test) => test(value)))
}
