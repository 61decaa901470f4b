import type { JsonScalar } from '../types.ts'
import type { Condition, Grant, Matcher } from './compiled.ts'
import { globMatcher } from './glob.ts'

/** Pairs of grants that one token can match, as far as that can be shown. Such a token is refused. */
export function overlaps(grants: readonly Grant[]): readonly (readonly [Grant, Grant])[] {
  return [...groupByQuestion(grants).values()].flatMap(pairsIn)
}

function pairsIn(group: readonly Grant[]): readonly (readonly [Grant, Grant])[] {
  const rivalsOf = rivalsIn(group)
  return group.flatMap((grant, at) =>
    rivalsOf(grant)
      .filter((rival) => rival > at)
      .flatMap((rival) => group[rival] ?? [])
      .filter((other) => haveCommonClient(grant, other) && haveCommonActor(grant, other))
      .filter((other) => canMeet(grant.when, other.when))
      .map((other) => [grant, other] as const),
  )
}

/**
 * The positions of the grants that one of the group could meet, in order. Two that want different values of one claim never
 * meet: by the claim of which they want most values, nearly all pairs of a long policy need not be looked at.
 */
function rivalsIn(group: readonly Grant[]): (grant: Grant) => readonly number[] {
  const path = commonestPath(group)
  const everyone = group.map((_, at) => at)
  const unlimited: number[] = []
  const byValue = new Map<JsonScalar, number[]>()
  group.forEach((grant, at) => {
    const values = valuesWanted(grant, path)
    if (values === undefined) unlimited.push(at)
    for (const value of values ?? []) {
      const filed = byValue.get(value)
      if (filed === undefined) byValue.set(value, [at])
      else filed.push(at)
    }
  })
  return (grant) => {
    const values = valuesWanted(grant, path)
    if (values === undefined) return everyone
    const found = values.flatMap((value) => byValue.get(value) ?? [])
    return [...new Set([...found, ...unlimited])].toSorted((a, b) => a - b)
  }
}

function commonestPath(group: readonly Grant[]): string {
  const values = new Map<string, Set<JsonScalar>>()
  for (const path of group.flatMap(({ when }) => when.map(pathOf))) values.set(path, new Set())
  for (const grant of group)
    for (const [path, seen] of values) for (const value of valuesWanted(grant, path) ?? []) seen.add(value)
  const [best] = [...values].toSorted(([, a], [, b]) => b.size - a.size)
  return best?.[0] ?? ''
}

/** All values that the grant accepts of the claim at `path`, or `undefined` if it does not list them. */
function valuesWanted({ when }: Grant, path: string): readonly JsonScalar[] | undefined {
  const matchers = when.find((condition) => pathOf(condition) === path)?.anyOf ?? []
  const values = matchers.flatMap((matcher) => (matcher.kind === 'equals' ? [matcher.value] : []))
  return values.length > 0 && values.length === matchers.length ? [...new Set(values)] : undefined
}

function pathOf({ path }: Condition): string {
  return JSON.stringify(path)
}

/** Whether every token that meets `narrow` meets `wide` too, as far as that can be shown. */
export function implies(narrow: readonly Condition[], wide: readonly Condition[]): boolean {
  return wide.every((condition) =>
    narrow.some(
      (other) =>
        other.path.length === condition.path.length &&
        isWithin(condition.path, other.path) &&
        other.anyOf.every((matcher) => condition.anyOf.some((wider) => covers(wider, matcher))),
    ),
  )
}

/** Only grants for the same issuer and target are ever candidates together. */
function groupByQuestion(grants: readonly Grant[]): ReadonlyMap<string, readonly Grant[]> {
  const groups = new Map<string, Grant[]>()
  for (const grant of grants) {
    const key = JSON.stringify([grant.issuer, grant.target])
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [grant])
    else group.push(grant)
  }
  return groups
}

/** A grant for every client is there for those too that have a grant of their own. */
function haveCommonClient(grant: Grant, other: Grant): boolean {
  return grant.client === other.client || grant.client === undefined || other.client === undefined
}

/** A grant with actors is never for a request without one, nor the other way round. */
function haveCommonActor({ actors }: Grant, { actors: others }: Grant): boolean {
  if (actors === undefined || others === undefined) return actors === others
  return actors.some((actor) =>
    others.some((other) => actor.issuer === other.issuer && canMeet(actor.when, other.when)),
  )
}

/** Whether every actor that `narrow` is for is one of `wide` too, as far as that can be shown. */
export function haveAllActors({ actors: narrow }: Grant, { actors: wide }: Grant): boolean {
  if (narrow === undefined || wide === undefined) return narrow === wide
  return narrow.every((actor) =>
    wide.some((other) => actor.issuer === other.issuer && implies(actor.when, other.when)),
  )
}

/** Conditions on different claims can always hold together; on one claim they must have a value in common. */
function canMeet(conditions: readonly Condition[], others: readonly Condition[]): boolean {
  return conditions.every((condition) =>
    others.every((other) => {
      if (!isWithin(condition.path, other.path)) return true
      return condition.path.length === other.path.length && haveCommonValue(condition, other)
    }),
  )
}

/** Whether one path leads to, or through, the end of the other. */
function isWithin(path: readonly string[], other: readonly string[]): boolean {
  const [short, long] = path.length < other.length ? [path, other] : [other, path]
  return short.every((name, at) => name === long[at])
}

function haveCommonValue(condition: Condition, other: Condition): boolean {
  return condition.anyOf.some((matcher) =>
    other.anyOf.some((otherMatcher) => covers(matcher, otherMatcher) || covers(otherMatcher, matcher)),
  )
}

function covers(wide: Matcher, narrow: Matcher): boolean {
  if (wide.kind === 'equals') return narrow.kind === 'equals' && wide.value === narrow.value
  if (narrow.kind === 'glob') return wide.pattern === narrow.pattern
  return typeof narrow.value === 'string' && globMatcher(wide.pattern)(narrow.value)
}
