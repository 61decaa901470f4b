import { type AlarmBase, CompositeAlarm, type IAlarm, type IAlarmRule } from 'aws-cdk-lib/aws-cloudwatch'
import { Duration } from 'aws-cdk-lib/core'
import type { Construct } from 'constructs'
import { type AlarmPlace, type AlarmText, describeAlarm } from './alarm-text.ts'
import type { AlarmTopics } from './topics.ts'

/** While another alarm rings, this one keeps quiet. */
export interface Suppression {
  readonly by: IAlarm
  /** How long it waits for the other one to ring too. */
  readonly waitMinutes: number
  /** How long it stays quiet when the other one has ended. */
  readonly extensionMinutes: number
}

/** Makes alarms that call somebody: with a name, a description and a topic. */
export class AlarmCalls {
  readonly #topics: AlarmTopics
  readonly #place: AlarmPlace

  constructor(topics: AlarmTopics, place: AlarmPlace) {
    this.#topics = topics
    this.#place = place
  }

  name(id: string): string {
    return `${this.#place.prefix}-${id}`
  }

  describe(id: string, text: AlarmText): string {
    return describeAlarm(id, text, this.#place)
  }

  /** Has the alarm call whom its text says. A page also tells when it is over. */
  call(alarm: AlarmBase, { severity }: AlarmText): void {
    const action = this.#topics.action(severity)
    alarm.addAlarmAction(action)
    if (severity === 'page') alarm.addOkAction(action)
  }

  /** An alarm made of others. */
  composite(
    scope: Construct,
    id: string,
    props: { readonly text: AlarmText; readonly rule: IAlarmRule; readonly suppression?: Suppression },
  ): CompositeAlarm {
    const { text, rule, suppression } = props
    const alarm = new CompositeAlarm(scope, id, {
      compositeAlarmName: this.name(id),
      alarmDescription: this.describe(id, text),
      alarmRule: rule,
      ...(suppression && {
        actionsSuppressor: suppression.by,
        actionsSuppressorWaitPeriod: Duration.minutes(suppression.waitMinutes),
        actionsSuppressorExtensionPeriod: Duration.minutes(suppression.extensionMinutes),
      }),
    })
    this.call(alarm, text)
    return alarm
  }
}
