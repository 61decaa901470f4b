import { arnPattern, globPattern } from './iam-match.ts'

/** What a request carries for conditions, by condition key. Several values make the key multivalued. */
export type RequestContext = Readonly<Record<string, string | readonly string[] | undefined>>

export type ConditionValue = string | number | boolean
/** The `Condition` element: operator, then condition key, then one value or several. */
export type ConditionBlock = Readonly<
  Record<string, Readonly<Record<string, ConditionValue | readonly ConditionValue[]>>>
>

/** A policy element that this evaluator does not understand. To skip it would be to allow too much or too little. */
export class PolicyDefect extends Error {
  override readonly name = 'PolicyDefect'
}

/** One operator over one condition key. Context keys are given in lower case. */
export type Condition = (context: ReadonlyMap<string, readonly string[]>) => boolean

interface Operator {
  readonly compile: (expected: string) => (actual: string) => boolean
  /** `true` for the operators that hold when no value matches. */
  readonly negated?: boolean
}

const numeric = (compare: (actual: number, expected: number) => boolean): Operator => ({
  compile: (expected) => {
    const number = Number(expected)
    if (expected.trim() === '' || Number.isNaN(number)) throw new PolicyDefect(`not a number: "${expected}"`)
    return (actual) => compare(Number(actual), number)
  },
})
/** ISO 8601, or epoch seconds. */
const dated = (compare: (actual: number, expected: number) => boolean): Operator => ({
  compile: (expected) => {
    const time = timeOf(expected)
    if (Number.isNaN(time)) throw new PolicyDefect(`not a date: "${expected}"`)
    return (actual) => compare(timeOf(actual), time)
  },
})
const timeOf = (text: string): number => (/^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text))
const equals: Operator = { compile: (expected) => (actual) => actual === expected }
const equalsInAnyCase: Operator = {
  compile: (expected) => (actual) => actual.toLowerCase() === expected.toLowerCase(),
}
const like: Operator = { compile: (expected) => globPattern(expected).matches }
const arn: Operator = { compile: (expected) => arnPattern(expected).matches }
const not = (operator: Operator): Operator => ({ ...operator, negated: true })

const OPERATORS: ReadonlyMap<string, Operator> = new Map([
  ['StringEquals', equals],
  ['StringNotEquals', not(equals)],
  ['StringEqualsIgnoreCase', equalsInAnyCase],
  ['StringNotEqualsIgnoreCase', not(equalsInAnyCase)],
  ['StringLike', like],
  ['StringNotLike', not(like)],
  // AWS gives ArnEquals its wildcards too: the two do not differ.
  ['ArnEquals', arn],
  ['ArnLike', arn],
  ['ArnNotEquals', not(arn)],
  ['ArnNotLike', not(arn)],
  ['Bool', equalsInAnyCase],
  ['NumericEquals', numeric((actual, expected) => actual === expected)],
  ['NumericLessThan', numeric((actual, expected) => actual < expected)],
  ['NumericLessThanEquals', numeric((actual, expected) => actual <= expected)],
  ['NumericGreaterThan', numeric((actual, expected) => actual > expected)],
  ['NumericGreaterThanEquals', numeric((actual, expected) => actual >= expected)],
  ['NumericNotEquals', not(numeric((actual, expected) => actual === expected))],
  ['DateEquals', dated((actual, expected) => actual === expected)],
  ['DateNotEquals', not(dated((actual, expected) => actual === expected))],
  ['DateLessThan', dated((actual, expected) => actual < expected)],
  ['DateLessThanEquals', dated((actual, expected) => actual <= expected)],
  ['DateGreaterThan', dated((actual, expected) => actual > expected)],
  ['DateGreaterThanEquals', dated((actual, expected) => actual >= expected)],
])

const OPERATOR_NAME =
  /^(?:(?<quantifier>ForAllValues|ForAnyValue):)?(?<name>[A-Za-z]+?)(?<ifExists>IfExists)?$/

/** Compiles a `Condition` element. All conditions must hold. Throws {@link PolicyDefect} for what it does not know. */
export function compileConditions(block: ConditionBlock): readonly Condition[] {
  return Object.entries(block).flatMap(([operator, keys]) =>
    Object.entries(keys).map(([key, values]) => compileCondition(operator, key, asStrings(values))),
  )
}

/** The context as conditions look it up: key names do not distinguish case. */
export function contextMap(context: RequestContext): ReadonlyMap<string, readonly string[]> {
  const map = new Map<string, readonly string[]>()
  for (const [key, value] of Object.entries(context)) {
    if (value !== undefined) map.set(key.toLowerCase(), typeof value === 'string' ? [value] : value)
  }
  return map
}

function compileCondition(operatorText: string, key: string, expected: readonly string[]): Condition {
  refuseVariables(expected)
  const contextKey = key.toLowerCase()
  if (operatorText === 'Null') return nullCondition(contextKey, expected)
  const { quantifier, name = '', ifExists } = OPERATOR_NAME.exec(operatorText)?.groups ?? {}
  const operator = OPERATORS.get(name)
  if (operator === undefined) throw new PolicyDefect(`unknown condition operator "${operatorText}"`)
  const tests = expected.map(operator.compile)
  const holds = (actual: string) => tests.some((test) => test(actual)) !== (operator.negated === true)
  return (context) => {
    const actual = context.get(contextKey)
    if (actual === undefined) {
      if (quantifier !== undefined) return quantifier === 'ForAllValues' || ifExists !== undefined
      return ifExists !== undefined || operator.negated === true
    }
    return quantifier === 'ForAllValues' ? actual.every(holds) : actual.some(holds)
  }
}

/** `Null: {key: true}` holds when the request does not carry the key. */
function nullCondition(contextKey: string, expected: readonly string[]): Condition {
  const [wanted] = expected
  if (expected.length !== 1 || (wanted !== 'true' && wanted !== 'false')) {
    throw new PolicyDefect(`Null takes true or false, not "${expected.join(', ')}"`)
  }
  return (context) => context.has(contextKey) === (wanted === 'false')
}

function asStrings(values: ConditionValue | readonly ConditionValue[]): readonly string[] {
  if (typeof values !== 'object') return [String(values)]
  // A JSON file may still hold an intrinsic function here, whatever the type says.
  if (!Array.isArray(values)) throw new PolicyDefect(`not resolved: ${JSON.stringify(values)}`)
  return values.map(String)
}

/** Throws if a text holds a policy variable such as `${aws:PrincipalTag/team}`: they are not resolved here. */
export function refuseVariables(texts: readonly string[]): void {
  const found = texts.find((text) => text.includes('${'))
  if (found !== undefined) throw new PolicyDefect(`policy variables are not supported: "${found}"`)
}
