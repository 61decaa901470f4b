import {
  Alarm,
  type AlarmBase,
  ComparisonOperator,
  type IAlarm,
  type IMetric,
  type TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch'
import { Construct } from 'constructs'
import type { AlarmCalls, Suppression } from './alarm-calls.ts'
import { CAUSE_ALARM_TEXTS, type CauseId } from './cause-texts.ts'
import { anyRings } from './slo-alarms.ts'

/** Something that can be seen of a cause. */
export interface Signal {
  /**
   * Which one, where a cause has several.
   * @default - the only one
   */
  readonly part?: string
  readonly metric: IMetric
  readonly threshold: number
  /**
   * Which side of the threshold is bad.
   * @default - the threshold and above
   */
  readonly comparison?: ComparisonOperator
  /** So many bad datapoints, out of so many. */
  readonly datapoints: readonly [number, number]
  /** What it means if nothing is measured. */
  readonly missing: TreatMissingData
}

export interface CauseProps {
  readonly id: CauseId
  /** Any of them is enough. */
  readonly signals: readonly Signal[]
  /**
   * What it keeps quiet by.
   * @default - it always calls
   */
  readonly suppression?: Suppression | undefined
}

/** The alarm on a cause: one alarm where that is enough, else a composite of what can be seen of it. */
export class Cause extends Construct {
  readonly alarm: IAlarm

  constructor(scope: Construct, calls: AlarmCalls, { id, signals, suppression }: CauseProps) {
    super(scope, id)
    const text = CAUSE_ALARM_TEXTS[id]
    const [only, ...others] = signals
    if (only !== undefined && others.length === 0 && suppression === undefined) {
      const alarm = this.#signal('Alarm', only, {
        name: calls.name(id),
        description: calls.describe(id, text),
      })
      calls.call(alarm, text)
      this.alarm = alarm
      return
    }
    const children = signals.map((signal) =>
      this.#signal(`of-${signal.part ?? 'signal'}`, signal, {
        name: calls.name(`${id}-of-${signal.part ?? 'signal'}`),
        description: `${text.summary} Calls nobody: part of ${calls.name(id)}.`,
      }),
    )
    this.alarm = calls.composite(this, id, {
      text,
      rule: anyRings(children),
      ...(suppression && { suppression }),
    })
  }

  #signal(
    id: string,
    signal: Signal,
    { name, description }: { name: string; description: string },
  ): AlarmBase {
    return new Alarm(this, id, signalProps(signal, name, description))
  }
}

/** An alarm that is part of another one, and calls nobody. */
export function witness(scope: Construct, calls: AlarmCalls, id: CauseId, signal: Signal): Alarm {
  const description = calls.describe(id, CAUSE_ALARM_TEXTS[id])
  return new Alarm(scope, id, signalProps(signal, calls.name(id), description))
}

function signalProps(signal: Signal, alarmName: string, alarmDescription: string) {
  const [datapointsToAlarm, evaluationPeriods] = signal.datapoints
  return {
    alarmName,
    alarmDescription,
    metric: signal.metric,
    threshold: signal.threshold,
    comparisonOperator: signal.comparison ?? ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
    evaluationPeriods,
    datapointsToAlarm,
    treatMissingData: signal.missing,
  }
}
