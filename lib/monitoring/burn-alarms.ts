import {
  Alarm,
  AlarmRule,
  AlarmState,
  ComparisonOperator,
  CompositeAlarm,
  type IAlarm,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch'
import { Construct } from 'constructs'
import { type BurnAlarm, type BurnWindow, burnAlarms, type Severity } from './burn-rate.ts'
import { burnAlarmName, burnWindowName } from './names.ts'
import { burn, type Objective } from './objective.ts'

export interface BurnAlarmsProps {
  readonly objective: Objective
  /** Every alarm's name begins so. */
  readonly prefix: string
  /** The objective whose alarms call somebody for these. */
  readonly reportsTo: string
  /**
   * The one rule that is looked at.
   * @default - every rule
   */
  readonly only?: string
}

/**
 * The alarms on how fast the budget of one objective is spent. They do nothing by themselves: what calls somebody is made
 * of them.
 */
export class BurnAlarms extends Construct {
  readonly #props: BurnAlarmsProps
  readonly #alarms: readonly { readonly severity: Severity; readonly alarm: IAlarm }[]

  constructor(scope: Construct, id: string, props: BurnAlarmsProps) {
    super(scope, id)
    this.#props = props
    const wanted = burnAlarms(props.objective.targetPercent).filter(
      ({ id: rule }) => props.only === undefined || rule === props.only,
    )
    this.#alarms = wanted.map((rule) => ({ severity: rule.severity, alarm: this.#alarm(rule) }))
  }

  /** Those that ask for the same. */
  of(severity: Severity): readonly IAlarm[] {
    return this.#alarms.flatMap((each) => (each.severity === severity ? [each.alarm] : []))
  }

  #alarm(rule: BurnAlarm): IAlarm {
    const windows = rule.windows.map((window) => this.#window(rule, window))
    const [only, ...confirming] = windows
    if (only !== undefined && confirming.length === 0) return only
    return new CompositeAlarm(this, `Burn-${rule.id}`, {
      compositeAlarmName: burnAlarmName(this.#props.prefix, this.#props.objective.id, rule),
      alarmDescription: `Burns its budget ${rule.rate} times too fast, and still does. Calls nobody: part of ${this.#whole(rule)}.`,
      alarmRule: AlarmRule.allOf(...windows.map((window) => AlarmRule.fromAlarm(window, AlarmState.ALARM))),
    })
  }

  #window(rule: BurnAlarm, window: BurnWindow): Alarm {
    const { minutes } = window
    return new Alarm(this, `Burn-${rule.id}-${minutes}m`, {
      alarmName: burnWindowName(this.#props.prefix, this.#props.objective.id, rule, window),
      alarmDescription: `Burns its budget ${rule.rate} times too fast over ${minutes} minutes. Calls nobody: part of ${this.#whole(rule)}.`,
      metric: burn(this.#props.objective, window),
      threshold: rule.rate,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      evaluationPeriods: 1,
      datapointsToAlarm: 1,
      // No request, no failure. That nobody can reach the broker the probe tells.
      treatMissingData: TreatMissingData.NOT_BREACHING,
    })
  }

  #whole({ severity }: BurnAlarm): string {
    return `${this.#props.prefix}-${this.#props.reportsTo}-burn-${severity === 'page' ? 'fast' : 'slow'}`
  }
}
