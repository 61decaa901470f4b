import {
  Color,
  GaugeWidget,
  type IWidget,
  LegendPosition,
  SingleValueWidget,
} from 'aws-cdk-lib/aws-cloudwatch'
import { burnAlarms, errorBudget } from '../burn-rate.ts'
import { brokerMetric, computed, type Reading, requestCount } from '../metrics.ts'
import { burn, failures } from '../objective.ts'
import type { DashboardSources } from './on-call.ts'
import { fastLimit, graph } from './widgets.ts'

const HOUR = 60

/** What is promised, and whether it is kept. */
export function executiveRows(sources: DashboardSources): readonly (readonly IWidget[])[] {
  return [
    [kept(sources), volume(sources)],
    [budget(sources), burnGauge(sources)],
    [successByHour(sources), latencyByHour(sources), volumeByHour(sources)],
  ]
}

/** Of the whole time that is shown. */
function kept({ watched: { stage }, ...promised }: DashboardSources): IWidget {
  const { availabilityPercent, latencyPercent, latencyMilliseconds } = promised
  return new SingleValueWidget({
    title: `Are the objectives kept: ${availabilityPercent} % succeed, ${latencyPercent} % of them within ${latencyMilliseconds} ms`,
    width: 12,
    height: 4,
    setPeriodToTimeRange: true,
    metrics: [
      successRate(stage, { label: 'succeed (%)', color: Color.GREEN }),
      fastRate(stage, { label: 'are fast (%)', color: Color.BLUE }),
      brokerMetric(stage, 'Duration', { statistic: 'p95', label: 'P95 (ms)' }),
    ],
  })
}

function volume({ watched: { stage } }: DashboardSources): IWidget {
  return new SingleValueWidget({
    title: 'How much the broker does, in all of the time that is shown',
    width: 12,
    height: 4,
    setPeriodToTimeRange: true,
    metrics: [
      brokerMetric(stage, 'TokensIssued', { statistic: 'Sum', label: 'tokens issued' }),
      brokerMetric(stage, 'AuditExported', { statistic: 'Sum', label: 'audit records exported' }),
      requestCount(stage, { label: 'requests' }),
    ],
  })
}

function budget({ watched: { stage }, availabilityPercent }: DashboardSources): IWidget {
  const { metrics, bad, total } = failures(stage)(HOUR)
  const left = `100 * (1 - ${bad} / ${total} / ${errorBudget(availabilityPercent)})`
  return new GaugeWidget({
    title: 'How much of the budget of failures is left, of all of the time that is shown',
    width: 12,
    height: 6,
    setPeriodToTimeRange: true,
    metrics: [computed(left, metrics, { minutes: HOUR, label: 'left (%)' })],
    leftYAxis: { min: 0, max: 100 },
    legendPosition: LegendPosition.HIDDEN,
    annotations: [
      { value: 50, label: 'half', color: Color.GREEN },
      { value: 10, label: 'nearly gone', color: Color.ORANGE },
      { value: 0, label: 'gone', color: Color.RED },
    ],
  })
}

/** By the long windows of the alarms: 1 spends the budget exactly in 30 days. */
function burnGauge({ watched: { stage }, availabilityPercent }: DashboardSources): IWidget {
  const objective = { id: 'availability', targetPercent: availabilityPercent, count: failures(stage) }
  const long = burnAlarms(availabilityPercent).filter(({ windows }) => windows.length > 1)
  const colors = [Color.RED, Color.ORANGE, Color.BROWN, Color.GREY]
  return graph('How many times faster than allowed the budget of failures is spent', {
    left: long.flatMap(({ id, windows: [window] }, at) =>
      window === undefined
        ? []
        : [burn(objective, window).with({ label: `over ${id}`, color: colors[at] ?? Color.BLUE })],
    ),
    unit: 'times',
    limits: [
      { value: long[0]?.rate ?? 1, label: 'pages', color: Color.RED },
      { value: 1, label: 'the whole budget in 30 days', color: Color.GREY },
    ],
    width: 12,
  })
}

function successByHour({ watched: { stage }, availabilityPercent }: DashboardSources): IWidget {
  return graph('How many requests succeed, by the hour', {
    left: [successRate(stage, { minutes: HOUR, label: 'succeed', color: Color.GREEN })],
    unit: '%',
    limits: [{ value: availabilityPercent, label: 'promised', color: Color.GREY }],
  })
}

function latencyByHour({ watched: { stage }, latencyMilliseconds }: DashboardSources): IWidget {
  const of = (statistic: string, color: string) =>
    brokerMetric(stage, 'Duration', { statistic, minutes: HOUR, label: statistic, color })
  return graph('How long answers take, by the hour', {
    left: [of('p50', Color.GREEN), of('p95', Color.BLUE), of('p99', Color.ORANGE)],
    unit: 'ms',
    limits: fastLimit(latencyMilliseconds),
  })
}

function volumeByHour({ watched: { stage } }: DashboardSources): IWidget {
  return graph('How many tokens are issued, and recorded in the audit trail, by the hour', {
    left: [
      brokerMetric(stage, 'TokensIssued', {
        statistic: 'Sum',
        minutes: HOUR,
        label: 'tokens issued',
        color: Color.GREEN,
      }),
      brokerMetric(stage, 'AuditExported', {
        statistic: 'Sum',
        minutes: HOUR,
        label: 'records exported',
        color: Color.PURPLE,
      }),
    ],
    unit: 'an hour',
  })
}

type Look = Omit<Reading, 'statistic'>

function successRate(stage: string, look: Look) {
  const minutes = look.minutes ?? 1
  const { metrics, bad, total } = failures(stage)(minutes)
  return computed(`100 * (1 - ${bad} / ${total})`, metrics, look)
}

function fastRate(stage: string, look: Look) {
  const metrics = {
    fast: brokerMetric(stage, 'Fast', { statistic: 'Sum' }),
    timed: brokerMetric(stage, 'Fast', { statistic: 'SampleCount' }),
  }
  return computed('100 * fast / timed', metrics, look)
}
