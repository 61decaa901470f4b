import type { Condition, Grant, Matcher } from './compiled.ts'
import { globMatcher } from './glob.ts'

/** Pairs of grants that one token can match, as far as that can be shown. Such a token is refused. */
export function overlaps(grants: readonly Grant[]): readonly (readonly [Grant, Grant])[] {
  return [...groupByQuestion(grants).values()].flatMap((group) =>
    group.flatMap((grant, at) =>
      group
        .slice(at + 1)
        .filter((other) => haveCommonClient(grant, other) && canMeet(grant.when, other.when))
        .map((other) => [grant, other] as const),
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
