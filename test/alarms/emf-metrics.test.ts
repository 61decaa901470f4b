import { describe, expect, it } from 'vitest'
import { EmfMetrics } from '../../lib/alarms/emf-metrics.ts'
import { statisticOver } from '../../lib/alarms/statistic.ts'

const NOW = 1_770_000_000_000

function line(minute: number, values: Readonly<Record<string, unknown>>, unit = 'Count'): string {
  const Metrics = Object.keys(values).map((Name) => ({ Name, Unit: unit }))
  const CloudWatchMetrics = [{ Namespace: 'TokenBroker', Dimensions: [['service', 'stage']], Metrics }]
  const _aws = { Timestamp: NOW + minute * 60_000, CloudWatchMetrics }
  return JSON.stringify({ _aws, service: 'token-broker', stage: 'dev', correlation_id: 'c', ...values })
}

const metric = (name: string, unit?: string, namespace = 'TokenBroker') => ({
  namespace,
  name,
  dimensions: { stage: 'dev', service: 'token-broker' },
  unit,
})

describe('what a run has published', () => {
  const text = [
    'a line of a log',
    line(0, { TokensIssued: 1 }),
    line(2, { TokensIssued: 1, Failed: 1 }),
    line(2, { TokensIssued: [1, 1] }),
  ]
  const metrics = new EmfMetrics(text.join('\n'), 2)

  it('is counted minute by minute, and followed by nothing', () => {
    expect(metrics.minutes).toBe(5)
    const series = metrics.series(metric('TokensIssued')) ?? []
    expect([...statisticOver('Sum', series, 1)]).toEqual([1, NaN, 3, NaN, NaN])
    expect([...statisticOver('Sum', metrics.series(metric('Failed')) ?? [], 3)]).toEqual([NaN, NaN, 1, 1, 1])
  })

  it('is nothing of a metric of ours that it does not have, and unknown of AWS’s own', () => {
    expect(metrics.series(metric('KmsFailures'))?.every((minute) => minute === undefined)).toBe(true)
    expect(metrics.series(metric('Errors', undefined, 'AWS/Lambda'))).toBeUndefined()
  })

  it('is seen in its own unit only, and by all of its dimensions', () => {
    const sum = (unit: string) =>
      statisticOver('Sum', metrics.series(metric('TokensIssued', unit)) ?? [], 5).at(-1)
    expect([sum('Count'), sum('Seconds')]).toEqual([4, NaN])
    const other = { ...metric('TokensIssued'), dimensions: { service: 'token-broker' } }
    expect(statisticOver('Sum', metrics.series(other) ?? [], 5).at(-1)).toBeNaN()
  })

  it.each([
    ['no line of EMF', 'nothing\nat all', 'there is no line of EMF'],
    ['a broken line', `${line(0, { TokensIssued: 1 })}\n{"_aws": `, 'line 2 is no JSON'],
    ['a line of another form', '{"_aws": {"Timestamp": "now"}}', /^line 1: _aws\.Timestamp: .*number/],
    ['a metric without a value', line(0, { Failed: undefined }), 'line 1: Failed: the value of a metric is'],
    ['a text for a value', `\n${line(0, { Failed: '1' })}`, 'line 2: Failed: the value of a metric is'],
    ['a list without values', line(0, { Failed: [] }), 'line 1: Failed: the value of a metric is'],
    ['a text among values', line(0, { Failed: [1, '1'] }), 'line 1: Failed: the value of a metric is'],
    ['a value without end', line(0, { Failed: 7 }).replace(':7', ':1e999'), 'line 1: Failed: the value'],
    [
      'a dimension that is not there',
      line(0, { Failed: 1 }).replace('"stage":"dev"', '"x":1'),
      'line 1: stage: the value of a dimension is',
    ],
    [
      'a number for a dimension',
      line(0, { Failed: 1 }).replace('"stage":"dev"', '"stage":7'),
      'line 1: stage: the value of a dimension is',
    ],
    ['times that are years apart', `${line(0, { Failed: 1 })}\n${line(9e5, { Failed: 1 })}`, /minutes apart/],
  ])('is refused with %s', (_name, given, message) => {
    expect(() => new EmfMetrics(given, 1)).toThrow(message)
  })
})
