import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { METRIC_UNITS, METRICS_NAMESPACE } from '../../functions/telemetry.ts'
import { CAUSE_ALARM_TEXTS } from '../../lib/monitoring/cause-texts.ts'
import { SLO_ALARM_TEXTS } from '../../lib/monitoring/slo-alarm-texts.ts'
import { alarmsOf, entriesOf, metricsOf } from './alarms.ts'
import { emittedMetrics } from './emitted-metrics.ts'
import { synthesize } from './synthesize.ts'

const { monitoring } = synthesize()
const ALARMS = alarmsOf(monitoring)
const TEXTS = { ...SLO_ALARM_TEXTS, ...CAUSE_ALARM_TEXTS }
/** What AWS's own metrics are read by. */
const AWS_METRICS: Readonly<Record<string, readonly string[]>> = {
  'AWS/ApiGateway 5xx': ['ApiId'],
  'AWS/ApiGateway Count': ['ApiId'],
  'AWS/DynamoDB ReadThrottleEvents': ['TableName'],
  'AWS/DynamoDB WriteThrottleEvents': ['TableName'],
  'AWS/Events FailedInvocations': ['RuleName'],
  'AWS/Lambda ConcurrentExecutions': [],
  'AWS/Lambda Errors': ['FunctionName'],
  'AWS/Lambda IteratorAge': ['FunctionName'],
  'AWS/Lambda Throttles': ['FunctionName'],
  'AWS/SQS ApproximateNumberOfMessagesVisible': ['QueueName'],
}
/** What CloudWatch takes. */
const LONGEST_DESCRIPTION = 1024
/** As long as a name may be that CloudFormation makes up. */
const MADE_UP_NAME = 'x'.repeat(80)

describe('every alarm', () => {
  it('calls somebody, or is part of one that does', () => {
    const isPart = (id: string): boolean =>
      [...ALARMS.values()].some(({ children, suppressor }) => children.includes(id) || suppressor === id)
    for (const [name, { id, actions }] of ALARMS)
      expect(actions.length > 0 || isPart(id), `${name} calls nobody`).toBe(true)
  })

  it('says what it means if nothing is measured', () => {
    const silent = [...ALARMS].filter(([, { isComposite, properties }]) => {
      const { TreatMissingData } = properties
      return !isComposite && TreatMissingData !== 'notBreaching' && TreatMissingData !== 'breaching'
    })
    expect(silent).toEqual([])
  })

  it('gives each of its metrics a name of its own, of two letters at least', () => {
    for (const [name, alarm] of ALARMS) {
      const ids = entriesOf(alarm).map(({ Id }) => Id)
      expect(new Set(ids).size, name).toBe(ids.length)
      for (const id of ids) expect(id).toMatch(/^[a-z]\w+$/)
    }
  })

  it('names nothing that is not filled in', () => {
    const names = [...ALARMS].filter(([, { description }]) => /\{\w+\}/.test(description))
    expect(names).toEqual([])
  })

  it('reads metrics that the functions emit, or that AWS does', () => {
    const read = [...ALARMS.values()].flatMap(metricsOf)
    expect(read.length).toBeGreaterThan(50)
    for (const { namespace, name, dimensions, unit } of read) {
      if (namespace !== METRICS_NAMESPACE) expect(AWS_METRICS[`${namespace} ${name}`]).toEqual(dimensions)
      else {
        expect(dimensions).toEqual(['service', 'stage'])
        expect(METRIC_UNITS).toHaveProperty(name, unit)
      }
    }
  })

  it('reads no metric that nothing emits', async () => {
    const emitted = await emittedMetrics()
    const read = [...ALARMS.values()]
      .flatMap(metricsOf)
      .filter(({ namespace }) => namespace === METRICS_NAMESPACE)
    expect(read.filter(({ name }) => !emitted.has(name))).toEqual([])
  })
})

describe('an alarm that calls somebody', () => {
  const calling = [...ALARMS].filter(([, { actions }]) => actions.length > 0)

  it('is one of those that have a text, and no text is without its alarm', () => {
    const named = [...calling.map(([name]) => name), 'probe-failing']
    expect(Object.keys(TEXTS).sort()).toEqual(named.sort())
  })

  it('stands in docs/monitoring.md', () => {
    const page = readFileSync('docs/monitoring.md', 'utf8')
    expect(Object.keys(TEXTS).filter((id) => !page.includes(`\`${id}\``))).toEqual([])
  })

  it.each(Object.entries(TEXTS))('%s says all that whoever is called needs', (id, text) => {
    const { description = '' } = ALARMS.get(id) ?? {}
    const [summary, consequence, command, because, links] = description.split('\n\n')
    expect(summary).toBe(`**${text.summary.replace('{latencyMilliseconds}', '200')}**`)
    expect(consequence).toBe(`Consequence: ${text.consequence}`)
    expect(command).toMatch(/^First: `(?:aws|npx token-broker|\. docs\/runbooks\/on-call\.sh) [^`]+`$/)
    expect(because).toBe(`A ${text.severity}: ${text.because}`)
    expect(links).toContain(`#dashboards/dashboard/token-broker-dev-${text.dashboard})`)
    expect(links).toContain(`[Runbook](docs/runbooks/${id}.md)`)
    const longest = description.replaceAll(/<[^>]+>|\{"?Fn[^}]*\}|\[object Object\]/g, MADE_UP_NAME)
    expect(longest.length).toBeLessThanOrEqual(LONGEST_DESCRIPTION)
  })

  it.each(calling)('%s calls by the topic of its severity', (id, { actions, properties }) => {
    const { severity } = TEXTS[id as keyof typeof TEXTS]
    expect(actions).toEqual([severity === 'page' ? '<TopicsPage>' : '<TopicsTicket>'])
    expect(properties['OKActions'] !== undefined).toBe(severity === 'page')
  })

  it('says what a fast answer is where slowness rings', () => {
    const { monitoring: patient } = synthesize({ monitoring: { latencyMilliseconds: 350 } })
    for (const id of ['latency-burn-fast', 'latency-burn-slow'])
      expect(alarmsOf(patient).get(id)?.description).toContain('**The broker takes longer than 350 ms ')
  })

  it('names its runbook where the deployment has them', () => {
    const { monitoring: elsewhere } = synthesize({
      monitoring: { runbookBaseUrl: 'https://wiki.example.com/broker' },
    })
    const { description } = alarmsOf(elsewhere).get('kms-failing') ?? {}
    expect(description).toContain('[Runbook](https://wiki.example.com/broker/kms-failing.md)')
  })
})

describe('a cause', () => {
  it('keeps quiet while clients are paged for it', () => {
    const paging = ALARMS.get('paging')?.id
    const quiet = [...ALARMS].filter(([, { suppressor }]) => suppressor === paging).map(([name]) => name)
    expect(quiet.sort()).toEqual([
      'availability-burn-slow',
      'denials-unusual',
      'dynamodb-failing',
      'dynamodb-throttled',
      'functions-crashing',
      'functions-throttled',
      'issuer-keys-stale',
      'kms-failing',
      'latency-burn-slow',
      'sts-failing',
    ])
  })

  it.each(['replay-accepted', 'retired-key-signing', 'audit-undelivered'])(
    '%s calls at once, and is silenced by nothing',
    (id) => {
      expect(ALARMS.get(id)).toMatchObject({ isComposite: false, suppressor: undefined })
      expect(ALARMS.get(id)?.properties).toMatchObject({ Threshold: 1, EvaluationPeriods: 1 })
    },
  )

  it('pages for the audit trail while there is still time to save it', () => {
    expect(ALARMS.get('audit-at-risk')?.properties).toMatchObject({ Threshold: (23 / 2) * 3600 * 1000 })
  })

  it('of keys opens a ticket after four missed runs, also when nothing is heard of them, and pages after a day', () => {
    const overdue = { ComparisonOperator: 'LessThanOrEqualToThreshold', EvaluationPeriods: 2, Period: 1800 }
    expect(ALARMS.get('key-step-overdue')?.properties).toMatchObject({
      ...overdue,
      Threshold: -3600,
      TreatMissingData: 'breaching',
    })
    expect(ALARMS.get('key-rotation-stalled')?.properties).toMatchObject({
      ...overdue,
      Threshold: -86_400,
      TreatMissingData: 'notBreaching',
    })
  })

  it('of keys opens a ticket for one that is too old, an hour after the page for what is known to be overdue', () => {
    expect(ALARMS.get('key-too-old')?.properties).toMatchObject({
      ComparisonOperator: 'GreaterThanOrEqualToThreshold',
      EvaluationPeriods: 2,
      Period: 1800,
      Statistic: 'Maximum',
      Threshold: 86_400 + 3600,
      TreatMissingData: 'notBreaching',
    })
  })

  it('that the probe finds, silence too, is part of the page for failures', () => {
    const probe = ALARMS.get('probe-failing')
    expect(probe?.properties).toMatchObject({ EvaluationPeriods: 5, TreatMissingData: 'breaching' })
    expect(ALARMS.get('availability-burn-fast')?.children).toContain(probe?.id)
    expect(probe?.actions).toEqual([])
    const { monitoring: unprobed } = synthesize({ probe: false })
    expect([...alarmsOf(unprobed).keys()].filter((name) => name.includes('probe'))).toEqual([])
  })

  it('says nothing of what is missing in the audit trail while it is known to lag', () => {
    expect(ALARMS.get('audit-incomplete')?.suppressor).toBe(ALARMS.get('audit-lagging')?.id)
  })

  it('watches every function that answers requests', () => {
    const throttled = [...ALARMS.keys()].filter((name) => name.startsWith('functions-throttled-of-'))
    expect(throttled.map((name) => name.replace('functions-throttled-of-', '')).sort()).toEqual([
      'Exchange',
      'Introspect',
      'Jwks',
      'Revoke',
      'Status',
    ])
  })
})
