import type { IAlarm } from 'aws-cdk-lib/aws-cloudwatch'
import { Duration } from 'aws-cdk-lib/core'
import type { Construct } from 'constructs'
import type { DashboardName } from '../links.ts'
import { brokerDashboard, type DashboardPlace } from './dashboard.ts'
import { debugRows } from './debug.ts'
import { executiveRows } from './executive.ts'
import { type DashboardSources, onCallRows } from './on-call.ts'

export interface DashboardsProps extends DashboardPlace {
  readonly sources: DashboardSources
  /** The alarms on the objectives. */
  readonly objectives: readonly IAlarm[]
  /** The alarms on causes. */
  readonly causes: readonly IAlarm[]
}

export interface MadeDashboard {
  readonly id: string
  readonly name: DashboardName
  /** For whom it is. */
  readonly purpose: string
}

/** Adds the three dashboards, and says which. */
export function brokerDashboards(scope: Construct, props: DashboardsProps): readonly MadeDashboard[] {
  const { sources, objectives, causes, ...place } = props
  const all = [...objectives, ...causes]
  const dashboards = [
    {
      id: 'ExecutiveDashboard',
      name: 'executive',
      purpose: 'Whether the broker does what it promises, over weeks',
      alarms: objectives,
      interval: Duration.days(30),
      rows: executiveRows(sources),
    },
    {
      id: 'OnCallDashboard',
      name: 'on-call',
      purpose: 'What is wrong now, for whoever is on call',
      alarms: all,
      interval: Duration.hours(3),
      rows: onCallRows(sources),
    },
    {
      id: 'DebugDashboard',
      name: 'debug',
      purpose: 'Why it is wrong: stages, dependencies, keys, audit trail, logs',
      alarms: all,
      interval: Duration.hours(12),
      rows: debugRows(sources),
    },
  ] as const
  for (const { id, ...dashboard } of dashboards)
    brokerDashboard(scope, id, { ...dashboard, place, stage: sources.watched.stage })
  return dashboards
}
