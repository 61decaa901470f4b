import {
  AlarmStatusWidget,
  AlarmStatusWidgetSortBy,
  Dashboard,
  DashboardVariable,
  DefaultValue,
  type IAlarm,
  type IWidget,
  TextWidget,
  TextWidgetBackground,
  Values,
  VariableInputType,
  VariableType,
} from 'aws-cdk-lib/aws-cloudwatch'
import type { Duration } from 'aws-cdk-lib/core'
import type { Construct } from 'constructs'
import { METRICS_NAMESPACE } from '../../../functions/telemetry.ts'
import { type DashboardName, dashboardUrl } from '../links.ts'

const DASHBOARDS: readonly DashboardName[] = ['executive', 'on-call', 'debug']
const ALL_COLUMNS = 24

export interface DashboardPlace {
  readonly prefix: string
  readonly region: string
  readonly runbookBaseUrl: string
}

export interface BrokerDashboardProps {
  readonly name: DashboardName
  readonly place: DashboardPlace
  readonly stage: string
  /** What it is for: its first sentence. */
  readonly purpose: string
  /** Whose states are on top. */
  readonly alarms: readonly IAlarm[]
  /** What it shows when it is opened. */
  readonly interval: Duration
  readonly rows: readonly (readonly IWidget[])[]
}

/** A dashboard of the broker: alarms on top, then where else to look, then the rows. */
export function brokerDashboard(scope: Construct, id: string, props: BrokerDashboardProps): Dashboard {
  const { name, place, stage, purpose, alarms, interval, rows } = props
  return new Dashboard(scope, id, {
    dashboardName: `${place.prefix}-${name}`,
    defaultInterval: interval,
    variables: [stageVariable(stage), regionVariable(place.region)],
    widgets: [
      [
        new AlarmStatusWidget({
          title: 'What rings now',
          alarms: [...alarms],
          width: ALL_COLUMNS,
          height: Math.max(3, Math.ceil(alarms.length / 6) + 1),
          sortBy: AlarmStatusWidgetSortBy.STATE_UPDATED_TIMESTAMP,
        }),
      ],
      [links(purpose, name, place)],
      ...rows.map((row) => [...row]),
    ],
  })
}

function links(purpose: string, name: DashboardName, place: DashboardPlace): TextWidget {
  const others = DASHBOARDS.filter((other) => other !== name).map(
    (other) => `[button:${other}](${dashboardUrl(other, place)})`,
  )
  const queries = `https://console.aws.amazon.com/cloudwatch/home?region=${place.region}#logsV2:logs-insights`
  return new TextWidget({
    markdown: [
      purpose,
      [...others, `[button:saved queries: ${place.prefix}/…](${queries})`].join(' '),
      `Runbooks, one for each alarm: ${place.runbookBaseUrl}/<alarm>.md`,
    ].join('\n\n'),
    width: ALL_COLUMNS,
    height: 3,
    background: TextWidgetBackground.TRANSPARENT,
  })
}

/** Shows another stage of the account, as far as the broker's own metrics go. */
function stageVariable(stage: string): DashboardVariable {
  return new DashboardVariable({
    id: 'stage',
    label: 'Stage',
    type: VariableType.PROPERTY,
    value: 'stage',
    inputType: VariableInputType.SELECT,
    values: Values.fromSearchComponents({
      namespace: METRICS_NAMESPACE,
      dimensions: ['service', 'stage'],
      metricName: 'Failed',
      populateFrom: 'stage',
    }),
    defaultValue: DefaultValue.value(stage),
  })
}

function regionVariable(region: string): DashboardVariable {
  return new DashboardVariable({
    id: 'region',
    label: 'Region',
    type: VariableType.PROPERTY,
    value: 'region',
    inputType: VariableInputType.INPUT,
    defaultValue: DefaultValue.value(region),
  })
}
