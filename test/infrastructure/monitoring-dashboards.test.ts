import { describe, expect, it } from 'vitest'
import { METRIC_UNITS, METRICS_NAMESPACE } from '../../functions/telemetry.ts'
import { INSIGHT_QUESTIONS } from '../../lib/monitoring/insight-rules.ts'
import { LOG_QUESTIONS } from '../../lib/monitoring/saved-queries.ts'
import { alarmsOf } from './alarms.ts'
import { type DashboardWidget, dashboardsOf } from './dashboards.ts'
import { emittedMetrics } from './emitted-metrics.ts'
import { readable, resources, synthesize } from './synthesize.ts'

const { monitoring } = synthesize()
const DASHBOARDS = dashboardsOf(monitoring)
const ALL = [...DASHBOARDS]
const widgets = ALL.flatMap(([, body]) => body.widgets)

/** What AWS's own metrics are shown by. */
const AWS_METRICS: readonly string[] = [
  'AWS/ApiGateway 4xx ApiId',
  'AWS/ApiGateway 5xx ApiId',
  'AWS/ApiGateway Count ApiId',
  'AWS/ApiGateway IntegrationLatency ApiId',
  'AWS/ApiGateway Latency ApiId',
  'AWS/DynamoDB SuccessfulRequestLatency Operation,TableName',
  'AWS/Lambda Duration FunctionName',
  'AWS/Lambda Errors FunctionName',
  'AWS/Lambda IteratorAge FunctionName',
  'AWS/Lambda Throttles FunctionName',
  'AWS/SQS ApproximateNumberOfMessagesVisible QueueName',
]

/** The metrics of a widget: namespace, name, and dimensions. */
function readIn({ properties: { metrics = [] } }: DashboardWidget): readonly string[] {
  return metrics.flatMap((entry) => {
    const texts = entry.filter((each) => typeof each === 'string')
    const [namespace, name, ...dimensions] = texts
    if (namespace === undefined) return []
    const names = dimensions.filter((_, at) => at % 2 === 0)
    return [[namespace, name, names.sort().join(',')].join(' ')]
  })
}

describe('the dashboards', () => {
  it('are three, each with an output that opens it', () => {
    expect([...DASHBOARDS.keys()].sort()).toEqual(['debug', 'executive', 'on-call'])
    for (const [name] of ALL) {
      const values = Object.values(monitoring.toJSON()['Outputs'] as Record<string, { Value: unknown }>)
      const urls = values.map(({ Value }) => String(readable(Value)))
      expect(
        urls.filter((url) => url.endsWith(`#dashboards/dashboard/token-broker-dev-${name}`)),
      ).toHaveLength(1)
    }
  })

  it.each(ALL)(
    '%s shows on top what rings, then where else to look',
    (_, { widgets: [first, second], variables }) => {
      expect(first).toMatchObject({ type: 'alarm', y: 0, width: 24 })
      expect(first?.properties.alarms?.length).toBeGreaterThanOrEqual(4)
      expect(second?.properties.markdown).toMatch(/\[button:.+\]\(https:.+\).*docs\/runbooks/s)
      expect(variables.map(({ id }) => id)).toEqual(['stage', 'region'])
    },
  )

  it('on-call shows every alarm that calls somebody', () => {
    const calling = [...alarmsOf(monitoring).values()].filter(({ actions }) => actions.length > 0)
    const [status] = DASHBOARDS.get('on-call')?.widgets ?? []
    expect(status?.properties.alarms).toHaveLength(calling.length)
  })

  it.each(ALL)('%s has no widget over another, nor outside of the grid', (_, { widgets: all }) => {
    for (const [at, one] of all.entries()) {
      expect(one.x + one.width).toBeLessThanOrEqual(24)
      for (const other of all.slice(at + 1)) {
        const apart =
          one.x + one.width <= other.x ||
          other.x + other.width <= one.x ||
          one.y + one.height <= other.y ||
          other.y + other.height <= one.y
        expect(apart, `${one.properties.title} and ${other.properties.title}`).toBe(true)
      }
    }
  })

  it('have titles that say what is seen, and graphs that say in what unit', () => {
    for (const { type, properties } of widgets.filter((each) => each.type !== 'text')) {
      expect(properties.title).toMatch(/^[A-Z].{8,}$/)
      if (type === 'metric' && properties.metrics && properties.view === 'timeSeries')
        expect(properties.yAxis?.left?.label, properties.title).toBeTruthy()
    }
  })

  it('read metrics that the functions emit, or that AWS does', () => {
    const read = widgets.flatMap(readIn)
    expect(read.length).toBeGreaterThan(50)
    const ours = Object.keys(METRIC_UNITS).map((name) => `${METRICS_NAMESPACE} ${name} service,stage`)
    expect(read.filter((metric) => !ours.includes(metric) && !AWS_METRICS.includes(metric))).toEqual([])
    expect(AWS_METRICS.filter((metric) => !read.includes(metric))).toEqual([])
  })

  it('read no metric that nothing emits', async () => {
    const emitted = await emittedMetrics()
    const ours = widgets.flatMap(readIn).filter((metric) => metric.startsWith(`${METRICS_NAMESPACE} `))
    expect(ours.filter((metric) => !emitted.has(metric.split(' ')[1] ?? ''))).toEqual([])
  })

  it('show every metric that the functions emit', () => {
    const read = widgets.flatMap(readIn).map((metric) => metric.split(' ')[1])
    expect(Object.keys(METRIC_UNITS).filter((name) => !read.includes(name))).toEqual([])
  })

  it('answer every question of who', () => {
    const shown = widgets.flatMap(({ properties }) => properties.insightRule?.ruleName ?? [])
    expect([...new Set(shown)].sort()).toEqual(
      Object.keys(INSIGHT_QUESTIONS)
        .map((name) => `token-broker-dev-${name}`)
        .sort(),
    )
  })

  it('draw the line at which failures page', () => {
    const failing = widgets.find(({ properties }) => properties.title === 'How many of all requests fail')
    expect(failing?.properties.annotations?.horizontal.map(({ value }) => value)).toEqual([1.44, 0.6, 0.3])
  })

  it('say of the deployment’s own threshold what is fast', () => {
    const { monitoring: patient } = synthesize({ monitoring: { latencyMilliseconds: 350 } })
    const all = [...dashboardsOf(patient).values()]
    const text = JSON.stringify(all)
    expect(text).toContain('99 % of them within 350 ms')
    expect(text).toContain('longer than 350 ms')
    expect(text).not.toContain('200 ms')
    const limits = all
      .flatMap((body) => body.widgets)
      .flatMap(({ properties }) => properties.annotations?.horizontal ?? [])
    expect(limits.filter(({ label }) => label === 'fast until here').map(({ value }) => value)).toEqual([
      350, 350,
    ])
  })

  it('name each metric once in a graph', () => {
    for (const { properties } of widgets) {
      const ids = (properties.metrics ?? []).flatMap((entry) => {
        const options = entry.at(-1)
        return typeof options === 'object' && options !== null && 'id' in options ? [String(options.id)] : []
      })
      expect(new Set(ids).size, properties.title).toBe(ids.length)
    }
  })
})

describe('the saved queries', () => {
  const saved = Object.values(resources(monitoring, 'AWS::Logs::QueryDefinition')).map(
    ({ Properties }) => Properties,
  )

  it('are there under the deployment’s name, each with logs to read', () => {
    expect(saved.map(({ Name }) => String(Name)).sort()).toEqual(
      Object.keys(LOG_QUESTIONS)
        .map((name) => `token-broker-dev/${name}`)
        .sort(),
    )
    for (const { LogGroupNames } of saved) expect((LogGroupNames as unknown[]).length).toBeGreaterThan(0)
  })

  it('are those of the dashboards', () => {
    const texts = saved.map(({ QueryString }) => String(QueryString).replaceAll('\n', ''))
    const shown = widgets.flatMap(({ properties }) => properties.query ?? [])
    expect(shown.length).toBeGreaterThan(0)
    for (const query of shown) {
      const [, ...lines] = query.split(/\n\| /)
      expect(texts.some((text) => lines.every((line) => text.includes(line)))).toBe(true)
    }
  })
})

describe('maintenance', () => {
  const { monitoring: maintained } = synthesize({
    monitoring: { maintenance: [{ cron: '0 2 * * SUN', minutes: 90, timeZone: 'Europe/Berlin' }] },
  })
  const [rule] = Object.values(resources(maintained, 'AWS::CloudWatch::AlarmMuteRule'))

  it('has windows that end by themselves', () => {
    expect(rule?.Properties).toMatchObject({
      Name: 'token-broker-dev-maintenance-1',
      Rule: { Schedule: { Expression: 'cron(0 2 * * SUN)', Duration: 'PT1H30M', Timezone: 'Europe/Berlin' } },
    })
    expect(resources(monitoring, 'AWS::CloudWatch::AlarmMuteRule')).toEqual({})
  })

  it('mutes what calls somebody, but security and the audit trail', () => {
    const alarms = alarmsOf(maintained)
    const targets = rule?.Properties['MuteTargets'] as { AlarmNames: { Ref: string }[] } | undefined
    const muted = targets?.AlarmNames.map(({ Ref }) => Ref) ?? []
    expect(muted.length).toBeGreaterThan(15)
    const loud = [...alarms].filter(([, { id, actions }]) => actions.length > 0 && !muted.includes(id))
    expect(loud.map(([name]) => name).sort()).toEqual(
      [
        'audit-at-risk',
        'audit-undelivered',
        'negative-probe-accepted',
        'replay-accepted',
        'retired-key-signing',
      ].sort(),
    )
    expect(muted.length).toBeLessThanOrEqual(100)
  })
})

describe('Application Signals', () => {
  it('keeps the objectives only where that is asked for', () => {
    expect(resources(monitoring, 'AWS::ApplicationSignals::ServiceLevelObjective')).toEqual({})
    const { monitoring: signalling } = synthesize({ monitoring: { applicationSignals: true } })
    const objectives = resources(signalling, 'AWS::ApplicationSignals::ServiceLevelObjective')
    const [availability, latency] = Object.values(objectives).map(({ Properties }) => Properties)
    expect(availability).toMatchObject({
      Name: 'token-broker-dev-availability',
      Goal: {
        AttainmentGoal: 99.9,
        Interval: { RollingInterval: { Duration: 30, DurationUnit: 'DAY' } },
      },
      RequestBasedSli: {
        RequestBasedSliMetric: {
          TotalRequestCountMetric: [
            { MetricStat: { Metric: { MetricName: 'Failed' }, Stat: 'SampleCount' }, ReturnData: true },
          ],
          MonitoredRequestCountMetric: {
            BadCountMetric: [
              { MetricStat: { Metric: { MetricName: 'Failed' }, Stat: 'Sum' }, ReturnData: true },
            ],
          },
        },
      },
      BurnRateConfigurations: [60, 360, 1440, 4320].map((LookBackWindowMinutes) => ({
        LookBackWindowMinutes,
      })),
    })
    expect(latency).toMatchObject({
      Name: 'token-broker-dev-latency',
      Goal: { AttainmentGoal: 99 },
      RequestBasedSli: {
        RequestBasedSliMetric: {
          TotalRequestCountMetric: [{ Id: 'timed1', MetricStat: { Stat: 'SampleCount' }, ReturnData: true }],
          MonitoredRequestCountMetric: {
            BadCountMetric: [
              { Id: 'fast1', ReturnData: false },
              { Id: 'timed1', ReturnData: false },
              { Expression: '(timed1 - fast1)', ReturnData: true },
            ],
          },
        },
      },
    })
    expect(alarmsOf(signalling).size).toBe(alarmsOf(monitoring).size)
  })
})
