import { describe, expect, it } from 'vitest'
import { burnAlarms } from '../../lib/monitoring/burn-rate.ts'
import { alarmsOf, entriesOf, type ReadAlarm } from './alarms.ts'
import { readable, synthesize } from './synthesize.ts'

const { monitoring } = synthesize()
const ALARMS = alarmsOf(monitoring)

function alarm(name: string, alarms = ALARMS): ReadAlarm {
  const found = alarms.get(name)
  if (found === undefined) throw new Error(`no alarm ${name}`)
  return found
}

const rule = (name: string) => String(readable(alarm(name).properties['AlarmRule']))

const expressionOf = (name: string, alarms = ALARMS) => {
  const { Expression } = entriesOf(alarm(name, alarms)).find((entry) => entry.Expression !== undefined) ?? {}
  return Expression
}

/** The names of the alarms that a composite looks at. */
function partsOf(name: string): readonly string[] {
  const { children } = alarm(name)
  return [...ALARMS].filter(([, { id }]) => children.includes(id)).map(([part]) => part)
}

describe('an alarm on a budget', () => {
  it.each(
    burnAlarms(99.9).flatMap(({ id, rate, windows }) =>
      windows.map((window) => ({ id, rate, ...window, single: windows.length === 1 })),
    ),
  )(
    '$id looks at $minutes min for $rate times the budget',
    ({ id, rate, minutes, fewestRequests, single }) => {
      const name = `availability-burn-${id}${single ? '' : `-over-${minutes}m`}`
      const { properties } = alarm(name)
      expect(properties).toMatchObject({
        Threshold: rate,
        ComparisonOperator: 'GreaterThanOrEqualToThreshold',
        EvaluationPeriods: 1,
        DatapointsToAlarm: 1,
        TreatMissingData: 'notBreaching',
      })
      expect(expressionOf(name)).toBe(
        `IF(total${minutes} >= ${fewestRequests}, failed${minutes} / total${minutes} / 0.001, 0)`,
      )
      const stats = entriesOf(alarm(name)).flatMap(({ Id, MetricStat }) =>
        MetricStat ? [[Id, MetricStat]] : [],
      )
      expect(Object.fromEntries(stats)).toMatchObject({
        [`failed${minutes}`]: { Metric: { MetricName: 'Failed' }, Period: minutes * 60, Stat: 'Sum' },
        [`total${minutes}`]: { Metric: { MetricName: 'Failed' }, Period: minutes * 60, Stat: 'SampleCount' },
      })
    },
  )

  it('rings when both windows do, where there are two', () => {
    for (const { id, windows } of burnAlarms(99.9).filter((each) => each.windows.length === 2)) {
      const name = `availability-burn-${id}`
      expect(partsOf(name)).toEqual(windows.map(({ minutes }) => `${name}-over-${minutes}m`))
      expect(rule(name)).toMatch(/^\(ALARM\("[^"]+"\) AND ALARM\("[^"]+"\)\)$/)
    }
  })

  it('follows the objective of the deployment', () => {
    const { monitoring: stricter } = synthesize({
      monitoring: { availabilityPercent: 99.99, latencyPercent: 95 },
    })
    const alarms = alarmsOf(stricter)
    expect(expressionOf('availability-burn-1h-over-60m', alarms)).toBe(
      'IF(total60 >= 3473, failed60 / total60 / 0.0001, 0)',
    )
    expect(expressionOf('latency-burn-1h-over-60m', alarms)).toBe(
      'IF(timed60 >= 7, (timed60 - fast60) / timed60 / 0.05, 0)',
    )
  })

  it('never looks further back than CloudWatch does', () => {
    for (const [name, { properties }] of ALARMS) {
      const periods = entriesOf(alarm(name)).flatMap(
        ({ MetricStat }) => (MetricStat as { Period?: number } | undefined)?.Period ?? [],
      )
      const longest =
        Math.max(0, ...periods, Number(properties['Period'] ?? 0)) *
        Number(properties['EvaluationPeriods'] ?? 0)
      expect(longest).toBeLessThanOrEqual(7 * 86_400)
    }
  })
})

describe('slowness', () => {
  it('is what was timed and not fast', () => {
    expect(expressionOf('latency-burn-1h-over-60m')).toBe(
      'IF(timed60 >= 35, (timed60 - fast60) / timed60 / 0.01, 0)',
    )
    const stats = entriesOf(alarm('latency-burn-1h-over-60m')).flatMap(({ Id, MetricStat }) =>
      MetricStat ? [[Id, MetricStat]] : [],
    )
    expect(Object.fromEntries(stats)).toMatchObject({
      fast60: { Metric: { MetricName: 'Fast' }, Stat: 'Sum' },
      timed60: { Metric: { MetricName: 'Fast' }, Stat: 'SampleCount' },
    })
  })

  it('has no alarm that could never ring', () => {
    expect([...ALARMS.keys()]).not.toContain('latency-burn-day-in-5m')
    expect([...ALARMS.keys()]).toContain('latency-burn-day-in-15m')
  })
})

describe('one incident', () => {
  it('is one page, whoever notices it first', () => {
    expect(partsOf('availability-burn-fast')).toEqual(
      expect.arrayContaining([
        'availability-burn-1h',
        'availability-burn-6h',
        'availability-burn-day-in-5m',
        'availability-burn-day-in-15m',
        'gateway-burn-1h',
      ]),
    )
    expect(rule('availability-burn-fast')).not.toContain(' AND ')
    for (const part of partsOf('availability-burn-fast')) expect(alarm(part).actions).toEqual([])
  })

  it('silences slowness while it pages', () => {
    expect(alarm('latency-burn-fast').suppressor).toBe(alarm('availability-burn-fast').id)
    const parts = ['latency-burn-1h', 'latency-burn-6h', 'latency-burn-day-in-15m']
    expect([...partsOf('latency-burn-fast')].sort()).toEqual(parts)
  })

  it.each(['availability', 'latency'])('opens no ticket of %s beside its page, nor after it', (objective) => {
    const ticket = alarm(`${objective}-burn-slow`)
    expect(ticket.suppressor).toBe(alarm('paging').id)
    expect(ticket.properties).toMatchObject({
      ActionsSuppressorWaitPeriod: 600,
      ActionsSuppressorExtensionPeriod: 6 * 3600,
    })
    expect(partsOf('paging')).toEqual(['availability-burn-fast', 'latency-burn-fast'])
  })
})
