import type { IssuerId, JsonObject, JsonScalar, JsonValue, TargetId } from '../types.ts'
import { claimAt, valuesOf } from './claims.ts'
import type { ActorRule, Condition, Grant, Matcher } from './compiled.ts'
import { globMatcher } from './glob.ts'

/** A grant with its conditions made ready. */
export interface PreparedGrant {
  readonly grant: Grant
  readonly conditions: readonly PreparedCondition[]
  /** As of {@link Grant.actors}. */
  readonly actors: readonly PreparedActor[] | undefined
}

export interface PreparedActor {
  readonly rule: ActorRule
  readonly conditions: readonly PreparedCondition[]
}

export interface PreparedCondition {
  readonly condition: Condition
  readonly tests: readonly ((claim: JsonValue) => boolean)[]
}

/** The grants of one issuer for one target. */
export interface GrantGroup {
  readonly all: readonly PreparedGrant[]
  /** Grants that want one of certain values of a claim, by the claim's path, then by value. Each is below one path only. */
  readonly byValue: ReadonlyMap<string, ReadonlyMap<JsonScalar, readonly PreparedGrant[]>>
  /** The others: every decision looks at each of them. */
  readonly rest: readonly PreparedGrant[]
}

/** Files grants by issuer and target, and in each group by the values that they want. Done once per process. */
export function indexGrants(
  grants: readonly Grant[],
): ReadonlyMap<IssuerId, ReadonlyMap<TargetId, GrantGroup>> {
  const byIssuer = new Map<IssuerId, Map<TargetId, PreparedGrant[]>>()
  for (const grant of grants) {
    const byTarget = byIssuer.get(grant.issuer) ?? new Map<TargetId, PreparedGrant[]>()
    const prepared = byTarget.get(grant.target) ?? []
    prepared.push(prepareGrant(grant))
    byIssuer.set(grant.issuer, byTarget.set(grant.target, prepared))
  }
  return new Map(
    [...byIssuer].map(([issuer, byTarget]) => [
      issuer,
      new Map([...byTarget].map(([target, prepared]) => [target, groupOf(prepared)])),
    ]),
  )
}

/** Puts each grant below the condition that fewest others share: a token then has few grants to be looked at. */
function groupOf(prepared: readonly PreparedGrant[]): GrantGroup {
  const shared = new Map<string, number>()
  for (const { grant } of prepared)
    for (const name of grant.when.flatMap(valueNames)) shared.set(name, (shared.get(name) ?? 0) + 1)
  const crowd = (condition: Condition) =>
    Math.max(...valueNames(condition).map((name) => shared.get(name) ?? 0))
  const byValue = new Map<string, Map<JsonScalar, PreparedGrant[]>>()
  const rest: PreparedGrant[] = []
  for (const one of prepared) {
    const [best] = one.grant.when.filter(isByValue).toSorted((a, b) => crowd(a) - crowd(b))
    if (best === undefined) rest.push(one)
    else fileUnder(byValue, best, one)
  }
  return { all: prepared, byValue, rest }
}

function fileUnder(
  byValue: Map<string, Map<JsonScalar, PreparedGrant[]>>,
  condition: Condition,
  prepared: PreparedGrant,
): void {
  const path = JSON.stringify(condition.path)
  const values = byValue.get(path) ?? new Map<JsonScalar, PreparedGrant[]>()
  for (const value of new Set(condition.anyOf.map(expectedBy))) {
    const grants = values.get(value)
    if (grants === undefined) values.set(value, [prepared])
    else grants.push(prepared)
  }
  byValue.set(path, values)
}

/** Whether a condition names all values that it accepts. */
function isByValue({ anyOf }: Condition): boolean {
  return anyOf.length > 0 && anyOf.every(({ kind }) => kind === 'equals')
}

function valueNames(condition: Condition): readonly string[] {
  return isByValue(condition)
    ? condition.anyOf.map((matcher) => JSON.stringify([condition.path, expectedBy(matcher)]))
    : []
}

function expectedBy(matcher: Matcher): JsonScalar {
  return matcher.kind === 'equals' ? matcher.value : matcher.pattern
}

/** The grants that these claims could match, each once. */
export function candidatesIn({ byValue, rest }: GrantGroup, claims: JsonObject): readonly PreparedGrant[] {
  const found = new Set(rest)
  for (const [path, values] of byValue)
    for (const value of valuesOf(claimAt(claims, JSON.parse(path) as string[])))
      for (const grant of values.get(value as JsonScalar) ?? []) found.add(grant)
  return [...found]
}

function prepareGrant(grant: Grant): PreparedGrant {
  const conditions = grant.when.map(prepareCondition)
  const actors = grant.actors?.map((rule) => ({ rule, conditions: rule.when.map(prepareCondition) }))
  return { grant, conditions, actors }
}

function prepareCondition(condition: Condition): PreparedCondition {
  return { condition, tests: condition.anyOf.map(testFor) }
}

/** Equality is by type and value: the text "123" is not the number 123, and nothing is normalised. */
function testFor(matcher: Matcher): (claim: JsonValue) => boolean {
  if (matcher.kind === 'equals') return (claim) => claim === matcher.value
  const matches = globMatcher(matcher.pattern)
  return (claim) => typeof claim === 'string' && matches(claim)
}
