import { AlarmMuteRule, type IAlarm, ScheduleExpression } from 'aws-cdk-lib/aws-cloudwatch'
import { Duration, TimeZone } from 'aws-cdk-lib/core'
import { Construct } from 'constructs'
import type { MaintenanceWindow } from '../monitoring-config.ts'
import type { CauseId } from './cause-texts.ts'

/** What no maintenance explains. */
const NEVER_MUTED: readonly CauseId[] = [
  'negative-probe-accepted',
  'replay-accepted',
  'retired-key-signing',
  'audit-at-risk',
  'audit-undelivered',
]

export interface MaintenanceProps {
  readonly prefix: string
  readonly windows: readonly MaintenanceWindow[]
  /** The alarms that call somebody, by their ids. */
  readonly alarms: ReadonlyMap<string, IAlarm>
}

/** Windows in which alarms ring and call nobody. One of security or of the audit trail calls at any time. */
export class Maintenance extends Construct {
  constructor(scope: Construct, id: string, { prefix, windows, alarms }: MaintenanceProps) {
    super(scope, id)
    const muted = [...alarms].filter(([name]) => !(NEVER_MUTED as readonly string[]).includes(name))
    for (const [at, { cron, minutes, timeZone }] of windows.entries())
      new AlarmMuteRule(this, `Window${at}`, {
        alarmMuteRuleName: `${prefix}-maintenance-${at + 1}`,
        description: `Maintenance of ${prefix}: its alarms ring, and call nobody`,
        schedule: ScheduleExpression.expression(`cron(${cron})`, TimeZone.of(timeZone)),
        duration: Duration.minutes(minutes),
        alarms: muted.map(([, alarm]) => alarm),
      })
  }
}
