import { LIMITS } from '../limits.ts'
import type { EntryReport } from './checks.ts'
import type { Condition, Matcher } from './compiled.ts'
import { foundInsteadOf } from './finding.ts'
import { isGlob, MAX_GLOB_CHARACTERS } from './glob.ts'
import type { ConditionScalar, ConditionSource, WhenSource } from './schema.ts'

/** A part of `when`, at the claim path that leads to it. */
interface Branch {
  readonly path: readonly string[]
  readonly source: ConditionSource
}

/** Flattens `when`, which mirrors the token's JSON, to one condition per claim; reports what could never be meant. */
export function compileConditions(when: WhenSource, report: EntryReport): readonly Condition[] {
  return conditionsIn({ path: [], source: when }, report)
}

function conditionsIn({ path, source }: Branch, report: EntryReport): readonly Condition[] {
  if (isList(source))
    return [{ path, anyOf: source.map((value, at) => matcherFor(value, [...path, at], report)) }]
  if (typeof source !== 'object') return [{ path, anyOf: [matcherFor(source, path, report)] }]
  const children = Object.entries(source)
  if (children.length === 0)
    report(['when', ...path], 'found no condition; allowed: at least one, or every token would be trusted')
  if (path.length >= LIMITS.jsonDepth) {
    report(['when', ...path], `found more levels than a token can have; allowed: ${LIMITS.jsonDepth}`)
    return []
  }
  return children.flatMap(([name, child]) => conditionsIn({ path: [...path, name], source: child }, report))
}

function matcherFor(
  value: ConditionScalar,
  path: readonly (string | number)[],
  report: EntryReport,
): Matcher {
  // Beyond 2^53 YAML rounds: two different ids would be one.
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value))
    report(
      ['when', ...path],
      foundInsteadOf(value, 'whole numbers up to 2^53; an id this long is a text: quote it'),
    )
  if (typeof value !== 'string' || !isGlob(value)) return { kind: 'equals', value }
  if (value.length > MAX_GLOB_CHARACTERS)
    report(['when', ...path], foundInsteadOf(value, `a pattern of at most ${MAX_GLOB_CHARACTERS} characters`))
  return { kind: 'glob', pattern: value }
}

/** `Array.isArray` alone does not narrow a readonly array. */
function isList(source: ConditionSource): source is readonly ConditionScalar[] {
  return Array.isArray(source)
}
