import { describe, expect, it } from 'vitest'
import { statesOf, valuesOf } from '../../lib/alarms/metric-alarm.ts'
import { alarmsOf, metric, metricAlarm, metricsOf, valuesAsSeries } from './template.ts'

/** The state after the last of these data points, which are oldest first: 0 good, X breaching, - missing. */
function stateAfter(points: string, properties: Record<string, string | number>, before = '') {
  const values = `${before}${points.replaceAll(' ', '')}`
    .split('')
    .map((one) => (one === '-' ? undefined : one === 'X' ? 1 : 0))
  const alarm = metricAlarm(metric(properties))
  return statesOf(alarm, valuesOf(alarm, metricsOf({ 'Test Count': valuesAsSeries(values) }))).at(-1)
}

const TREATMENTS = ['missing', 'ignore', 'breaching', 'notBreaching']
const RETAIN = 'retain'

describe('an alarm with missing data, as in the tables of CloudWatch’s user guide', () => {
  it.each<[string, number, readonly string[]]>([
    ['0 - X - X', 3, ['OK', 'OK', 'OK', 'OK']],
    ['0 - - - -', 3, ['OK', 'OK', 'OK', 'OK']],
    ['- - - - -', 3, ['INSUFFICIENT_DATA', RETAIN, 'ALARM', 'OK']],
    ['0 X X - X', 3, ['ALARM', 'ALARM', 'ALARM', 'ALARM']],
    ['- - X - -', 3, ['ALARM', RETAIN, 'ALARM', 'OK']],
    ['0 - X - X', 2, ['ALARM', 'ALARM', 'ALARM', 'ALARM']],
    ['0 0 X 0 X', 2, ['ALARM', 'ALARM', 'ALARM', 'ALARM']],
    ['0 - X - -', 2, ['OK', 'OK', 'ALARM', 'OK']],
    ['- - - - 0', 2, ['OK', 'OK', 'ALARM', 'OK']],
    ['- - - X -', 2, ['ALARM', RETAIN, 'ALARM', 'OK']],
  ])('%s with %d of 3', (points, datapointsToAlarm, expected) => {
    const found = TREATMENTS.map((treatment) => {
      const properties = {
        EvaluationPeriods: 3,
        DatapointsToAlarm: datapointsToAlarm,
        TreatMissingData: treatment,
      }
      // Whether a state is kept shows only where it comes from two different ones.
      const [fromOk, fromAlarm] = ['000', 'XXX'].map((before) => stateAfter(points, properties, before))
      return fromOk === fromAlarm ? fromOk : fromOk === 'OK' && fromAlarm === 'ALARM' ? RETAIN : 'neither'
    })
    expect(found).toEqual(expected)
  })

  it('does not go to ALARM too early', () => {
    const properties = { EvaluationPeriods: 3, TreatMissingData: 'missing' }
    expect(stateAfter('- - - - X', properties)).toBe('INSUFFICIENT_DATA')
    expect(stateAfter('- - - X -', properties)).toBe('INSUFFICIENT_DATA')
    expect(stateAfter('- - X - -', properties)).toBe('ALARM')
  })

  it('treats it as missing by default, but keeps its state on metrics of DynamoDB', () => {
    const none = '- - - - - - -'
    expect(stateAfter(none, {}, 'X')).toBe('INSUFFICIENT_DATA')
    const [alarm] = alarmsOf({ Subject: metric({ Namespace: 'AWS/DynamoDB' }) })
    expect(alarm).toMatchObject({ missingData: 'ignore' })
    const [chosen] = alarmsOf({
      Subject: metric({ Namespace: 'AWS/DynamoDB', TreatMissingData: 'breaching' }),
    })
    expect(chosen).toMatchObject({ missingData: 'breaching' })
  })
})

describe('an alarm', () => {
  it('has insufficient data until it has any', () => {
    const alarm = metricAlarm(metric())
    expect(statesOf(alarm, Float64Array.of(Number.NaN, 0, 1, 0))).toEqual([
      'INSUFFICIENT_DATA',
      'OK',
      'ALARM',
      'OK',
    ])
  })

  it('wants M of N data points, in any order', () => {
    const properties = { EvaluationPeriods: 5, DatapointsToAlarm: 3 }
    expect(stateAfter('X0X0X', properties)).toBe('ALARM')
    expect(stateAfter('XX000', properties)).toBe('OK')
    expect(stateAfter('XXX00 0', properties)).toBe('OK')
  })

  it('looks every minute at a window that ends then, whatever the period', () => {
    const values = [...Array<number>(60).fill(0), 5, ...Array<number>(20).fill(0)]
    const alarm = metricAlarm(metric({ Period: 600, Threshold: 4 }))
    const states = statesOf(alarm, valuesOf(alarm, metricsOf({ 'Test Count': valuesAsSeries(values) })))
    expect([states.indexOf('ALARM'), states.lastIndexOf('ALARM')]).toEqual([60, 69])
  })

  it('compares with the period before, not with the minute before, where it looks at several', () => {
    const values = [...Array<number>(60).fill(0), 1, ...Array<number>(30).fill(0)]
    const alarm = metricAlarm(metric({ Period: 300, EvaluationPeriods: 2 }))
    const states = statesOf(alarm, valuesOf(alarm, metricsOf({ 'Test Count': valuesAsSeries(values) })))
    expect(states).not.toContain('ALARM')
  })

  it('on more than a day is evaluated once an hour, on what was published until the hour', () => {
    const alarm = metricAlarm(metric({ Period: 3 * 86_400 }))
    const values = new Float64Array(180).fill(0).fill(1, 61, 119)
    const states = statesOf(alarm, values, { startsAt: 30, multiDayMinutes: 60 })
    expect([states.indexOf('OK'), states.indexOf('ALARM'), states.lastIndexOf('ALARM')]).toEqual([
      29, 89, 148,
    ])
  })

  it.each([
    ['GreaterThanThreshold', ['OK', 'OK', 'ALARM']],
    ['GreaterThanOrEqualToThreshold', ['OK', 'ALARM', 'ALARM']],
    ['LessThanThreshold', ['ALARM', 'OK', 'OK']],
    ['LessThanOrEqualToThreshold', ['ALARM', 'ALARM', 'OK']],
  ])('%s', (ComparisonOperator, expected) => {
    const alarm = metricAlarm(metric({ ComparisonOperator, Threshold: 1 }))
    expect(statesOf(alarm, Float64Array.of(0, 1, 2))).toEqual(expected)
  })
})
