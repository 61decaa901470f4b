import { describe, expect, it } from 'vitest'
import { valuesOf } from '../../lib/alarms/metric-alarm.ts'
import { math, metricAlarm, metricsOf, valuesAsSeries } from './template.ts'

const NONE = undefined

/** What the expression comes to, with `undefined` for a missing data point. */
function evaluate(
  expression: string,
  { a = [], b = a, c = a }: Readonly<Record<string, readonly (number | undefined)[]>> = { a: [1] },
) {
  const metrics = metricsOf({
    'Test a': valuesAsSeries(a),
    'Test b': valuesAsSeries(b),
    'Test c': valuesAsSeries(c),
  })
  return [...valuesOf(metricAlarm(math(expression)), metrics)].map((value) =>
    Number.isNaN(value) ? NONE : value,
  )
}

describe('metric math', () => {
  it.each([
    ['a + 2 * b ^ 2', [19]],
    ['-a + b', [2]],
    ['(a + b) * c', [20]],
    ['a < b AND b < c', [1]],
    ['a > b || b <= 3 && c != 5', [0]],
    ['SUM([a, b, c])', [9]],
    ['AVG(METRICS())', [3]],
    ['MAX([a, b]) - MIN(METRICS())', [2]],
    ['SUM(METRICS("b"))', [3]],
    ['SUM([a, b] * 2)', [8]],
    ['SUM(100 / [a, c])', [120]],
    ['a * PERIOD(a)', [60]],
    ['a / METRIC_COUNT(METRICS())', [1 / 3]],
    ['CEIL(c / 2) + FLOOR(c / 2) + ABS(a - b)', [7]],
    ['TIME_SERIES(4)', [4]],
    ['IF(a == 1, b, c)', [3]],
    ['IF(1 == 2, b, c)', [5]],
  ])('%s', (expression, expected) => {
    expect(evaluate(expression, { a: [1], b: [3], c: [5] })).toEqual(expected)
  })

  // The examples of CloudWatch's user guide.
  it('treats a missing data point as 0 beside one that is there', () => {
    const metrics = { a: [30, 20, 0, 0, NONE], b: [20, NONE, 20, NONE, NONE] }
    expect(evaluate('a < b', metrics)).toEqual([0, 0, 1, 0, NONE])
    expect(evaluate('a >= 30', metrics)).toEqual([1, 0, 0, 0, NONE])
    expect(evaluate('a > 15 AND b > 15', metrics)).toEqual([1, 0, 0, 0, NONE])
    expect(evaluate('a + b', metrics)).toEqual([50, 20, 20, 0, NONE])
  })

  it('drops what would be divided by zero', () => {
    expect(evaluate('a / b', { a: [1, 0, 1], b: [0, 0, 2] })).toEqual([NONE, NONE, 0.5])
    expect(evaluate('a / b', { a: [1], b: [NONE] })).toEqual([NONE])
  })

  it('chooses as the user guide’s tables say', () => {
    const metrics = { a: [1, 1, 0, 0, NONE], b: [30, NONE, 0, 0, 30], c: [0, 0, 20, NONE, 20] }
    expect(evaluate('IF(a, b, c)', metrics)).toEqual([30, 0, 20, NONE, NONE])
    expect(evaluate('IF(a, 5, c)', metrics)).toEqual([5, 5, 20, NONE, NONE])
    expect(evaluate('IF(a, b, 5)', metrics)).toEqual([30, 0, 5, 5, NONE])
    expect(evaluate('IF(a, b)', metrics)).toEqual([30, 0, NONE, NONE, NONE])
  })

  it('fills what is missing', () => {
    const metrics = { a: [NONE, 4, NONE, NONE, 6] }
    expect(evaluate('FILL(a, 0)', metrics)).toEqual([0, 4, 0, 0, 6])
    expect(evaluate('FILL(a, REPEAT)', metrics)).toEqual([NONE, 4, 4, 4, 6])
    expect(evaluate('SUM(FILL([a, b], 1))', metrics)).toEqual([2, 8, 2, 2, 12])
  })

  it('merges what is there, and counts what is missing only in the average', () => {
    const metrics = { a: [2, NONE], b: [NONE, NONE], c: [4, NONE] }
    expect(evaluate('SUM(METRICS())', metrics)).toEqual([6, NONE])
    expect(evaluate('AVG(METRICS())', metrics)).toEqual([2, NONE])
    expect(evaluate('MIN(METRICS())', metrics)).toEqual([2, NONE])
  })

  it('takes differences to the period before', () => {
    const metrics = { a: [1, 4, NONE, 10, 4] }
    expect(evaluate('DIFF(a)', metrics)).toEqual([NONE, 3, NONE, NONE, -6])
    expect(evaluate('RATE(a)', metrics)).toEqual([NONE, 0.05, NONE, NONE, -0.1])
  })

  it.each([
    ['SEARCH("a", "Sum")', 'SEARCH'],
    ['ANOMALY_DETECTION_BAND(a, 2)', 'ANOMALY_DETECTION_BAND'],
    ['constructor(a)', 'constructor'],
    ['MAX(a)', 'MAX of one time series'],
    ['FILL(a, LINEAR)', 'FILL is known to the replayer with a number or REPEAT'],
    ['d + 1', 'there is no metric or expression d'],
    ['e', 'e depends on itself'],
    ['5', 'comes to a number'],
    ['[a, b]', 'comes to several time series'],
    ['PERIOD(e) * a', 'e is no metric'],
    ['"a" + 1', 'the text "a"'],
  ])('refuses %s by what it does not know', (expression, named) => {
    expect(() => evaluate(expression)).toThrow(named)
  })

  it.each([
    '',
    'a +',
    'a b',
    '(a',
    'a)',
    'a; b',
    'IF(a,,b)',
    '()',
    `${'('.repeat(60)}a${')'.repeat(60)}`,
    `${'-'.repeat(60)}a`,
    `a${'+a'.repeat(2000)}`,
  ])('refuses to parse %s', (expression) => {
    expect(() => evaluate(expression)).toThrow(/e: (unexpected text|nested more than|longer than)/)
  })
})
