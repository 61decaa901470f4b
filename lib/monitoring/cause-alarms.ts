import {
  AnomalyDetectionAlarm,
  ComparisonOperator,
  type IAlarm,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch'
import { Construct } from 'constructs'
import type { AlarmCalls, Suppression } from './alarm-calls.ts'
import { ticketPatienceMinutes } from './burn-rate.ts'
import { Cause } from './cause.ts'
import { CAUSE_ALARM_TEXTS } from './cause-texts.ts'
import { type CauseRule, causeRules } from './causes.ts'
import { brokerMetric } from './metrics.ts'
import type { Watched } from './watched.ts'

/** After a page, a cause that is still there becomes a ticket. */
const EXTENSION_MINUTES = 5
/** Jobs come in bursts: a band of the usual two deviations would ring every day. */
const UNUSUAL_DEVIATIONS = 4

export interface CauseAlarmsProps {
  readonly calls: AlarmCalls
  readonly watched: Watched
  /** Rings while clients are paged for: most causes then say nothing new. */
  readonly paging: IAlarm
  /** Name of the insight rule that counts refusals. */
  readonly refusals: string
}

/** The alarms on causes. */
export class CauseAlarms extends Construct {
  /** Those that call somebody, by their ids. */
  readonly alarms: ReadonlyMap<string, IAlarm>

  constructor(scope: Construct, id: string, props: CauseAlarmsProps) {
    super(scope, id)
    const alarms = new Map<string, IAlarm>()
    for (const { quietBy, ...rule } of causeRules(props.watched, props.refusals)) {
      const suppression = this.#suppression(quietBy, { ...props, alarms })
      alarms.set(rule.id, new Cause(this, props.calls, { ...rule, suppression }).alarm)
    }
    alarms.set('issuance-unusual', this.#unusualIssuance(props))
    this.alarms = alarms
  }

  #suppression(
    quietBy: CauseRule['quietBy'],
    { paging, alarms }: { readonly paging: IAlarm; readonly alarms: ReadonlyMap<string, IAlarm> },
  ): Suppression | undefined {
    const by = quietBy === 'paging' ? paging : alarms.get(quietBy ?? '')
    if (quietBy === undefined) return undefined
    if (by === undefined)
      throw new Error(`there is no alarm ${quietBy} before the one that keeps quiet by it`)
    return { by, waitMinutes: ticketPatienceMinutes(), extensionMinutes: EXTENSION_MINUTES }
  }

  #unusualIssuance({ calls, watched }: CauseAlarmsProps): IAlarm {
    const text = CAUSE_ALARM_TEXTS['issuance-unusual']
    const alarm = new AnomalyDetectionAlarm(this, 'issuance-unusual', {
      alarmName: calls.name('issuance-unusual'),
      alarmDescription: calls.describe('issuance-unusual', text),
      metric: brokerMetric(watched.stage, 'TokensIssued', { statistic: 'Sum', minutes: 15 }),
      stdDevs: UNUSUAL_DEVIATIONS,
      comparisonOperator: ComparisonOperator.GREATER_THAN_UPPER_THRESHOLD,
      evaluationPeriods: 4,
      datapointsToAlarm: 3,
      treatMissingData: TreatMissingData.NOT_BREACHING,
    })
    calls.call(alarm, text)
    return alarm
  }
}
