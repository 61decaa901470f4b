import { describe, expect, it } from 'vitest'
import { replayAlarms } from '../../lib/alarms/replay.ts'
import type { JsonObject } from '../../lib/local/assembly.ts'
import { alarmsOf, composite, math, metric, metricsOf, valuesAsSeries } from './template.ts'

const PAGE = 'arn:aws:sns:eu-west-1:111111111111:page'
const COUNT = { Namespace: 'Test', MetricName: 'Count' }
const TICKET = 'arn:aws:sns:eu-west-1:111111111111:ticket'

/** `minute topic alarm state` of every notification. */
function notificationsOf(
  resources: Parameters<typeof alarmsOf>[0],
  values: readonly (number | undefined)[] = [0, 0, 1, 1, 0, 0],
): readonly string[] {
  const { notifications } = replayAlarms(
    alarmsOf(resources),
    metricsOf({ 'Test Count': valuesAsSeries(values) }),
  )
  return notifications.map(
    ({ minute, topic, alarm, state }) => `${minute} ${topic.split(':').at(-1)} ${alarm} ${state}`,
  )
}

describe('a replay', () => {
  it('notifies once when an alarm rings, and once when it returns', () => {
    expect(notificationsOf({ A: metric({ AlarmActions: [PAGE], OKActions: [TICKET] }) })).toEqual([
      '2 page stack-A ALARM',
      '4 ticket stack-A OK',
    ])
  })

  it('notifies of insufficient data', () => {
    const alarm = metric({ InsufficientDataActions: [TICKET] })
    const silence = [0, undefined, undefined, undefined]
    expect(notificationsOf({ A: alarm }, silence)).toEqual(['3 ticket stack-A INSUFFICIENT_DATA'])
  })

  it('does nothing while actions are disabled', () => {
    expect(notificationsOf({ A: metric({ AlarmActions: [PAGE], ActionsEnabled: false }) })).toEqual([])
  })

  it('finds the alarms of a rule by name and by ARN, in whatever order the template has them', () => {
    const found = notificationsOf({
      Both: composite(
        'ALARM(first) AND ALARM("arn:aws:cloudwatch:eu-west-1:111111111111:alarm:stack-Second")',
        {
          AlarmActions: [PAGE],
          AlarmName: 'both',
        },
      ),
      First: metric({ AlarmName: 'first' }),
      Second: metric({ Period: 120, Threshold: 1 }),
    })
    expect(found).toEqual(['3 page both ALARM'])
  })

  it('keeps a composite alarm quiet while its suppressor rings', () => {
    const resources = {
      Loud: composite('ALARM("stack-A")', { AlarmActions: [PAGE] }),
      Quiet: composite('ALARM("stack-A")', {
        AlarmActions: [TICKET],
        ActionsSuppressor: 'stack-Loud',
        ActionsSuppressorWaitPeriod: 60,
        ActionsSuppressorExtensionPeriod: 60,
      }),
      A: metric(),
    }
    expect(notificationsOf(resources)).toEqual(['2 page stack-Loud ALARM'])
  })

  it('says of an alarm on something unknown that it was not evaluated, and of those that look at it', () => {
    const alarms = alarmsOf({
      Unknown: metric({ MetricName: 'Other' }),
      Band: {
        Type: 'AWS::CloudWatch::Alarm',
        Properties: {
          ComparisonOperator: 'GreaterThanUpperThreshold',
          EvaluationPeriods: 1,
          ThresholdMetricId: 'band',
          Metrics: [
            { Id: 'band', Expression: 'ANOMALY_DETECTION_BAND(m, 2)' },
            { Id: 'm', MetricStat: { Metric: COUNT, Period: 60, Stat: 'Sum' } },
          ],
        },
      },
      Either: composite('ALARM("stack-Unknown") OR ALARM("stack-A")'),
      A: metric(),
    })
    const { alarms: replayed } = replayAlarms(alarms, metricsOf({ 'Test Count': valuesAsSeries([0, 1]) }))
    const told = replayed.map(({ definition, history, reason }) => [
      definition.logicalId,
      history.map(({ state }) => state),
      reason,
    ])
    expect(told).toEqual([
      ['Unknown', ['NOT_EVALUATED'], 'nothing is known of Test Other'],
      ['Band', ['NOT_EVALUATED'], 'nothing is known of AnomalyDetection Count'],
      ['Either', ['NOT_EVALUATED', 'ALARM'], undefined],
      ['A', ['OK', 'ALARM'], undefined],
    ])
  })

  it('compares with the band that it is told, the quota and what an insight rule counts', () => {
    const series = {
      'Test Count': valuesAsSeries([5, 15, 5]),
      'AnomalyDetection Count': valuesAsSeries([10, 10, 10]),
      'Test a': valuesAsSeries([5, 9, 5]),
      'ServiceQuotas a': valuesAsSeries([10, 10, 10]),
      'ContributorInsights SampleCount {rule=refusals}': valuesAsSeries([0, 4, 0]),
    }
    const band = {
      ComparisonOperator: 'GreaterThanUpperThreshold',
      EvaluationPeriods: 1,
      ThresholdMetricId: 'band',
      Metrics: [
        { Id: 'band', Expression: 'ANOMALY_DETECTION_BAND(m, 2)' },
        { Id: 'm', MetricStat: { Metric: COUNT, Period: 60, Stat: 'Sum' } },
      ],
    }
    const alarms = alarmsOf({
      Band: { Type: 'AWS::CloudWatch::Alarm', Properties: band },
      Quota: math('a / SERVICE_QUOTA(a) * 100', { Threshold: 80 }),
      Rule: math('INSIGHT_RULE_METRIC("refusals", "SampleCount")', { Threshold: 3 }),
    })
    const { alarms: replayed } = replayAlarms(alarms, metricsOf(series))
    for (const { history } of replayed)
      expect(history.map(({ state }) => state)).toEqual(['OK', 'ALARM', 'OK'])
  })

  it.each<[string, Parameters<typeof alarmsOf>[0]]>([
    ['stack/A: there is no alarm missing', { A: composite('ALARM(missing)') }],
    ['stack/A: there is no alarm missing', { A: composite('TRUE', { ActionsSuppressor: 'missing' }) }],
    ['its rule depends on itself', { A: composite('ALARM("stack-B")'), B: composite('OK("stack-A")') }],
    ['the statistic "Median"', { A: metric({ Statistic: 'Median' }) }],
    ['the function MEDIAN', { A: math('MEDIAN(a)') }],
  ])('refuses with: %s', (message, resources) => {
    expect(() => notificationsOf(resources)).toThrow(message)
  })
})

const onlyMath = (properties: JsonObject) => {
  const { Metrics: _, ...rest } = math('a').Properties
  return { Type: 'AWS::CloudWatch::Alarm', Properties: { ...rest, ...properties } }
}

describe('alarms of a template', () => {
  it.each<[string, Parameters<typeof alarmsOf>[0]]>([
    ['EvaluationWindow', { A: metric({ EvaluationWindow: { WallClock: {} } }) }],
    ['Period', { A: metric({ Period: 10 }) }],
    ['the comparison Unlike', { A: metric({ ComparisonOperator: 'Unlike' }) }],
    ['TreatMissingData', { A: metric({ TreatMissingData: 'forgive' }) }],
    ['AlarmRule: unexpected text', { A: composite('ALARM(') }],
    ['e: unexpected text', { A: math('a +') }],
    ['exactly one of its metrics must return data', { A: metric({ Metrics: [] }) }],
    ['it can never ring', { A: metric({ EvaluationPeriods: 3, DatapointsToAlarm: 4 }) }],
    [
      'm is both a metric and an expression',
      {
        A: onlyMath({
          Metrics: [
            {
              Id: 'm',
              Expression: 'TIME_SERIES(1)',
              MetricStat: { Metric: { Namespace: 'Test', MetricName: 'a' }, Period: 60, Stat: 'Sum' },
            },
          ],
        }),
      },
    ],
    ['neither a whole metric nor metric math', { A: onlyMath({}) }],
  ])('that the replayer would misread are refused: %s', (message, resources) => {
    expect(() => alarmsOf(resources)).toThrow(message)
  })

  it('of a type that the replayer does not know are refused', () => {
    const alarm = { Type: 'AWS::CloudWatch::LogAlarm', Properties: {} }
    expect(() => alarmsOf({ A: alarm })).toThrow('AWS::CloudWatch::LogAlarm')
  })
})
