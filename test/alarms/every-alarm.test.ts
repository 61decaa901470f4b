import { describe, expect, it } from 'vitest'
import type { AlarmDefinition } from '../../lib/alarms/alarm-definition.ts'
import type { AppAlarms } from '../../lib/alarms/app-alarms.ts'
import { alarmsIn } from '../../lib/alarms/composite-rule.ts'
import { WARM_UP_MINUTES } from '../../lib/alarms/scenario-metrics.ts'
import { appAlarms, replayText } from './app.ts'

const app = appAlarms()
const IDS = app.alarms.map(({ name }) => app.idOf(name))

/** What drives which alarms to ALARM; and after it they must return. A new alarm needs a line here. */
const DRIVERS: readonly (readonly [RegExp, string])[] = [
  [/^(?:availability-burn-.*|gateway-burn-.*|paging)$/, '{at: 2h, for: 1h, failed: 100%}'],
  [/^latency-burn-/, '{at: 2h, for: 2h, slow: 100%}'],
  [/^probe-failing$/, '{at: 2h, for: 1h, metrics: {ProbeFailures: 1}}'],
  [/^negative-probe-accepted$/, '{at: 2h, for: 1m, metrics: {NegativeProbeSuccesses: 1}}'],
  [/^replay-accepted$/, '{at: 2h, for: 1m, metrics: {ReplaysAccepted: 1}}'],
  [/^retired-key-signing$/, '{at: 2h, for: 1m, metrics: {RetiredKeySignatures: 1}}'],
  [/^kms-failing/, '{at: 2h, for: 5m, metrics: {KmsFailures: 3}}'],
  [/^dynamodb-failing/, '{at: 2h, for: 5m, metrics: {DynamoDbFailures: 3}}'],
  [/^sts-failing/, '{at: 2h, for: 5m, metrics: {StsFailures: 3}}'],
  [/^issuer-keys-stale/, '{at: 2h, for: 5m, metrics: {IssuerKeyFailures: 1}}'],
  [
    /^dynamodb-throttled(?:-of-exchanges)?$/,
    '{at: 2h, for: 5m, metrics: {AWS/DynamoDB WriteThrottleEvents: 1}}',
  ],
  [/^dynamodb-throttled-of-revocations$/, '{at: 2h, for: 5m, metrics: {AWS/DynamoDB ReadThrottleEvents: 1}}'],
  [/^functions-throttled/, '{at: 2h, for: 5m, metrics: {AWS/Lambda Throttles: 1}}'],
  [/^functions-crashing/, '{at: 2h, for: 5m, metrics: {AWS/Lambda Errors: 1}}'],
  [/^concurrency-high$/, '{at: 2h, for: 1h, metrics: {AWS/Lambda ConcurrentExecutions: 900}}'],
  [/^schedules-failing/, '{at: 2h, for: 1m, metrics: {AWS/Events FailedInvocations: 1}}'],
  [/^key-step-overdue$/, '{at: 2h, for: 3h, metrics: {SecondsToNextKeyStep: {value: -4000, every: 15m}}}'],
  [
    /^key-rotation-stalled$/,
    '{at: 2h, for: 3h, metrics: {SecondsToNextKeyStep: {value: -90000, every: 15m}}}',
  ],
  [/^key-too-old$/, '{at: 2h, for: 3h, metrics: {SecondsBeyondKeyPeriod: {value: 90000, every: 15m}}}'],
  [
    /^rotation-failing$/,
    '{at: 2h, for: 2h, metrics: {AWS/Lambda Errors RotateKeys: {value: 1, every: 15m}}}',
  ],
  [/^audit-lagging$/, '{at: 2h, for: 1h, metrics: {AuditLag: 1000}}'],
  [/^audit-at-risk$/, '{at: 2h, for: 1h, metrics: {AWS/Lambda IteratorAge ExportAudit: 45000000}}'],
  [/^audit-export-failing$/, '{at: 2h, for: 1h, metrics: {AWS/Lambda Errors ExportAudit: 1}}'],
  [/^audit-undelivered$/, '{at: 2h, for: 1h, metrics: {AWS/SQS ApproximateNumberOfMessagesVisible: 1}}'],
  [/^audit-incomplete/, '{at: 2h, for: 3h, metrics: {AuditExported: none}}'],
  [/^issuance-unusual$/, '{at: 2h, for: 2h, metrics: {TokensIssued: {value: 1, times: 2000}}}'],
  [
    /^denials-unusual/,
    '{at: 2h, for: 1h, metrics: {ContributorInsights SampleCount: {value: 1, times: 400}}}',
  ],
]

/** Learned of other weeks: twice what is usual in 15 minutes. */
const BAND = 'background: {metrics: {AnomalyDetection TokensIssued: 12600}}'

/** Only these alarms, and those that they look at. */
function partOf(wanted: readonly AlarmDefinition[]): AppAlarms {
  const byName = new Map(
    app.alarms.flatMap((alarm) => [alarm.name, alarm.arn].map((name) => [name, alarm] as const)),
  )
  const found = new Set<AlarmDefinition>()
  const visit = (alarm: AlarmDefinition | undefined): void => {
    if (alarm === undefined || found.has(alarm)) return
    found.add(alarm)
    if (alarm.kind !== 'composite') return
    const names = [
      ...alarmsIn(alarm.rule),
      ...(alarm.suppressor === undefined ? [] : [alarm.suppressor.alarm]),
    ]
    for (const name of names) visit(byName.get(name))
  }
  for (const alarm of wanted) visit(alarm)
  return { ...app, alarms: [...found] }
}

const driversOf = (id: string) => DRIVERS.filter(([pattern]) => pattern.test(id))

describe('every alarm of the template', () => {
  it('is driven by exactly one line', () => {
    expect(IDS.length).toBeGreaterThan(70)
    expect(IDS.filter((id) => driversOf(id).length !== 1)).toEqual([])
  })

  it.each(DRIVERS.filter(([pattern]) => IDS.some((id) => pattern.test(id))))(
    '%s rings in %s, and returns',
    (pattern, incident) => {
      const wanted = app.alarms.filter(({ name }) => pattern.test(app.idOf(name)))
      const { replay } = replayText(partOf(wanted), `lasts: 5d\n${BAND}\nincidents: [${incident}]`)
      for (const { definition, history } of replay.alarms.filter((alarm) =>
        wanted.includes(alarm.definition),
      )) {
        // What it did before anything was published at all is no matter.
        const before = history.findLast(({ minute }) => minute <= WARM_UP_MINUTES)
        const after = history.filter(({ minute }) => minute > WARM_UP_MINUTES)
        const states = [before, ...after].map((change) => change?.state)
        expect(states, app.idOf(definition.name)).toEqual(['OK', 'ALARM', 'OK'])
      }
    },
  )
})
