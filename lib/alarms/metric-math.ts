import { type Expression, ExpressionError, type Operator } from './expression.ts'
import { isMissing, type Points } from './series.ts'

/** What an expression can refer to. */
export interface MathScope {
  readonly minutes: number
  /** Minutes that one data point covers: they slide, so that the point before is as many minutes back. */
  readonly period: number
  /** The time series with this id. Throws {@link ExpressionError} for an unknown one. */
  series(id: string): Points
  /** Period in seconds of the metric with this id. Throws {@link ExpressionError} if it is no metric. */
  periodOf(id: string): number
  /** Those metrics whose id contains `text`. */
  metrics(text: string): readonly Points[]
  /** The quota of what the usage metric with this id measures. */
  quotaOf(id: string): Points
  /** What a Contributor Insights rule counts. */
  insightRule(rule: string, statistic: string): Points
}

type Value = number | Points | readonly Points[]

/** The time series that an expression comes to. Throws {@link ExpressionError} for what the replayer cannot evaluate, by its name. */
export function evaluateExpression(expression: Expression, scope: MathScope): Points {
  const value = evaluate(expression, scope)
  if (value instanceof Float64Array) return value
  throw new ExpressionError(
    typeof value === 'number' ? 'comes to a number, not a time series' : 'comes to several time series',
  )
}

function evaluate(expression: Expression, scope: MathScope): Value {
  switch (expression.kind) {
    case 'number':
      return expression.value
    case 'text':
      throw new ExpressionError(`the text "${expression.text}" stands where a value is wanted`)
    case 'name':
      return scope.series(expression.name)
    case 'list':
      return expression.items.flatMap((item) => severalOf(evaluate(item, scope)))
    case 'negative':
      return each(evaluate(expression.of, scope), (value) => -value)
    case 'operation':
      return operate(expression.operator, evaluate(expression.left, scope), evaluate(expression.right, scope))
    case 'call':
      return call(expression.name, expression.arguments, scope)
  }
}

const truth = (holds: boolean): number => (holds ? 1 : 0)

const OPERATIONS: Readonly<Record<Operator, (left: number, right: number) => number>> = {
  '+': (left, right) => left + right,
  '-': (left, right) => left - right,
  '*': (left, right) => left * right,
  // A data point that would be divided by zero is dropped.
  '/': (left, right) => (right === 0 ? Number.NaN : left / right),
  '^': (left, right) => left ** right,
  '==': (left, right) => truth(left === right),
  '!=': (left, right) => truth(left !== right),
  '<=': (left, right) => truth(left <= right),
  '>=': (left, right) => truth(left >= right),
  '<': (left, right) => truth(left < right),
  '>': (left, right) => truth(left > right),
  AND: (left, right) => truth(left !== 0 && right !== 0),
  OR: (left, right) => truth(left !== 0 || right !== 0),
}

function operate(operator: Operator, left: Value, right: Value): Value {
  const operation = OPERATIONS[operator]
  if (typeof left === 'number' && typeof right === 'number') return operation(left, right)
  if (typeof left === 'number') return each(right, (value) => operation(left, value))
  if (typeof right === 'number') return each(left, (value) => operation(value, right))
  if (left instanceof Float64Array && right instanceof Float64Array) return paired(left, right, operation)
  if (left instanceof Float64Array) return several(right).map((one) => paired(left, one, operation))
  if (right instanceof Float64Array) return several(left).map((one) => paired(one, right, operation))
  throw new ExpressionError(`${operator} stands between two lists of time series`)
}

/** Where only one of two time series has a data point, the other counts as 0. */
function paired(left: Points, right: Points, operation: (left: number, right: number) => number): Points {
  return left.map((value, minute) => {
    const other = right[minute] ?? Number.NaN
    if (isMissing(value) && isMissing(other)) return Number.NaN
    return operation(isMissing(value) ? 0 : value, isMissing(other) ? 0 : other)
  })
}

/** Missing stays missing. */
function each(value: Value, change: (value: number) => number): Value {
  if (typeof value === 'number') return change(value)
  const changed = (points: Points) => points.map((one) => (isMissing(one) ? one : change(one)))
  return value instanceof Float64Array ? changed(value) : several(value).map(changed)
}

function several(value: Value): readonly Points[] {
  if (Array.isArray(value)) return value as readonly Points[]
  throw new ExpressionError('a list of time series is wanted')
}

const severalOf = (value: Value): readonly Points[] =>
  value instanceof Float64Array ? [value] : several(value)

type Call = (given: readonly Expression[], scope: MathScope) => Value

const FUNCTIONS: Readonly<Record<string, Call>> = {
  ABS: (given, scope) => each(evaluate(only(given), scope), Math.abs),
  CEIL: (given, scope) => each(evaluate(only(given), scope), Math.ceil),
  FLOOR: (given, scope) => each(evaluate(only(given), scope), Math.floor),
  SUM: (given, scope) =>
    merged('SUM', given, scope, (values) => values.reduce((sum, value) => sum + value, 0)),
  // Missing counts as 0 in the average alone.
  AVG: (given, scope) =>
    merged('AVG', given, scope, (values, all) => values.reduce((sum, value) => sum + value, 0) / all),
  MAX: (given, scope) => merged('MAX', given, scope, (values) => Math.max(...values)),
  MIN: (given, scope) => merged('MIN', given, scope, (values) => Math.min(...values)),
  METRICS: ([text], scope) => scope.metrics(text === undefined ? '' : wordOf(text)),
  METRIC_COUNT: (given, scope) => several(evaluate(only(given), scope)).length,
  PERIOD: (given, scope) => scope.periodOf(wordOf(only(given))),
  RATE: (given, scope) => differences(given, scope, scope.period * 60),
  DIFF: (given, scope) => differences(given, scope, 1),
  TIME_SERIES: (given, scope) => {
    const value = evaluate(only(given), scope)
    if (typeof value !== 'number') throw new ExpressionError('TIME_SERIES takes a number')
    return new Float64Array(scope.minutes).fill(value)
  },
  SERVICE_QUOTA: (given, scope) => scope.quotaOf(wordOf(only(given))),
  INSIGHT_RULE_METRIC: ([rule, statistic], scope) => scope.insightRule(wordOf(rule), wordOf(statistic)),
  FILL: fill,
  IF: choose,
}

function call(name: string, given: readonly Expression[], scope: MathScope): Value {
  const known = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined
  if (known === undefined) throw new ExpressionError(`the function ${name} is not known to the replayer`)
  return known(given, scope)
}

function only(given: readonly Expression[]): Expression {
  const [first, ...others] = given
  if (first === undefined || others.length > 0) throw new ExpressionError('a function takes one argument')
  return first
}

function wordOf(expression: Expression | undefined): string {
  if (expression?.kind === 'text') return expression.text
  if (expression?.kind === 'name') return expression.name
  throw new ExpressionError('a name is wanted')
}

/** One time series out of several. Of a single one CloudWatch makes a number that depends on how much it happened to fetch. */
function merged(
  name: string,
  given: readonly Expression[],
  scope: MathScope,
  merge: (values: readonly number[], all: number) => number,
): Points {
  const value = evaluate(only(given), scope)
  if (value instanceof Float64Array)
    throw new ExpressionError(`${name} of one time series depends on how many data points CloudWatch fetches`)
  const all = several(value)
  return new Float64Array(scope.minutes).map((_, minute) => {
    const values = all.map((points) => points[minute] ?? Number.NaN).filter((one) => !isMissing(one))
    return values.length === 0 ? Number.NaN : merge(values, all.length)
  })
}

function differences(given: readonly Expression[], scope: MathScope, per: number): Value {
  const change = (points: Points): Points =>
    points.map((value, minute) => (value - (points[minute - scope.period] ?? Number.NaN)) / per)
  const value = evaluate(only(given), scope)
  if (typeof value === 'number') throw new ExpressionError('a time series is wanted')
  return value instanceof Float64Array ? change(value) : several(value).map(change)
}

function fill([what, by]: readonly Expression[], scope: MathScope): Value {
  if (what === undefined || by === undefined) throw new ExpressionError('FILL takes two arguments')
  const value = evaluate(what, scope)
  if (typeof value === 'number') throw new ExpressionError('FILL takes a time series')
  const filled =
    by.kind === 'name' && by.name === 'REPEAT' ? repeated(scope.period) : filledWith(fillingValue(by, scope))
  return value instanceof Float64Array ? filled(value) : several(value).map(filled)
}

function fillingValue(by: Expression, scope: MathScope): number {
  const value = by.kind === 'name' ? by.name : evaluate(by, scope)
  if (typeof value === 'number') return value
  throw new ExpressionError('FILL is known to the replayer with a number or REPEAT')
}

const filledWith =
  (value: number) =>
  (points: Points): Points =>
    points.map((one) => (isMissing(one) ? value : one))

/** The point before, if it is there or has itself been filled. */
const repeated =
  (period: number) =>
  (points: Points): Points => {
    const filled = points.slice()
    for (const [minute, value] of points.entries())
      if (isMissing(value)) filled[minute] = filled[minute - period] ?? Number.NaN
    return filled
  }

function choose([condition, yes, no]: readonly Expression[], scope: MathScope): Value {
  if (condition === undefined || yes === undefined)
    throw new ExpressionError('IF takes two or three arguments')
  const when = evaluate(condition, scope)
  const whenTrue = evaluate(yes, scope)
  const whenFalse = no === undefined ? Number.NaN : evaluate(no, scope)
  if (typeof when === 'number') return when === 0 ? whenFalse : whenTrue
  if (!(when instanceof Float64Array)) throw new ExpressionError('IF takes one time series for a condition')
  return when.map((holds, minute) => {
    if (isMissing(holds)) return Number.NaN
    if (holds === 0) return pointOf(whenFalse, minute)
    const value = pointOf(whenTrue, minute)
    // Not for the other branch: that one is dropped.
    return isMissing(value) ? 0 : value
  })
}

function pointOf(value: Value, minute: number): number {
  if (typeof value === 'number') return value
  if (value instanceof Float64Array) return value[minute] ?? Number.NaN
  throw new ExpressionError('IF takes numbers and single time series')
}
