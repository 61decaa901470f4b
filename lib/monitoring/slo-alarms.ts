import {
  AlarmRule,
  AlarmState,
  CompositeAlarm,
  type IAlarm,
  type IAlarmRule,
} from 'aws-cdk-lib/aws-cloudwatch'
import { Construct } from 'constructs'
import type { AlarmCalls, Suppression } from './alarm-calls.ts'
import { BurnAlarms } from './burn-alarms.ts'
import { longestAftermathMinutes, ticketPatienceMinutes } from './burn-rate.ts'
import type { Objective } from './objective.ts'
import { SLO_ALARM_TEXTS } from './slo-alarm-texts.ts'

/** What fails does so slowly as a rule, and the failures are noticed first. */
const LATENCY_WAIT_MINUTES = 2

export interface SloAlarmsProps {
  readonly calls: AlarmCalls
  readonly prefix: string
  readonly availability: Objective
  readonly latency: Objective
  /** Availability as API Gateway sees it, which also counts what never reached a function. */
  readonly gateway: Objective
  /** Alarms that say by themselves that requests fail, however few there are. */
  readonly witnesses: readonly IAlarm[]
}

/**
 * The alarms on the objectives. Whatever tells that requests fail is in one page; while it rings, slowness, the slower
 * budgets and the causes keep quiet: one incident calls once.
 */
export class SloAlarms extends Construct {
  /** Those that call somebody, by their ids. */
  readonly calling: ReadonlyMap<string, CompositeAlarm>
  /** Rings while anything of the objectives pages. Calls nobody: others keep quiet by it. */
  readonly paging: CompositeAlarm
  readonly #props: SloAlarmsProps

  constructor(scope: Construct, id: string, props: SloAlarmsProps) {
    super(scope, id)
    this.#props = props
    const availability = this.#burnAlarms('Availability', props.availability)
    const latency = this.#burnAlarms('Latency', props.latency)
    const gateway = this.#gatewayAlarms()
    const pages = this.#addPages([...availability.of('page'), ...gateway.of('page')], latency.of('page'))
    this.paging = new CompositeAlarm(this, 'paging', {
      compositeAlarmName: props.calls.name('paging'),
      alarmDescription:
        'A page of the objectives rings. Calls nobody: while it rings, tickets and causes keep quiet.',
      alarmRule: anyRings(Object.values(pages)),
    })
    this.calling = new Map(
      Object.entries({
        ...pages,
        'availability-burn-slow': this.#ticket('availability-burn-slow', availability, props.availability),
        'latency-burn-slow': this.#ticket('latency-burn-slow', latency, props.latency),
      }),
    )
  }

  #burnAlarms(id: string, objective: Objective): BurnAlarms {
    return new BurnAlarms(this, id, { objective, prefix: this.#props.prefix, reportsTo: objective.id })
  }

  /** Its fastest rule of the 30 days is enough: the others see the same failures by the functions' own count. */
  #gatewayAlarms(): BurnAlarms {
    const { gateway, prefix, availability } = this.#props
    return new BurnAlarms(this, 'Gateway', {
      objective: gateway,
      prefix,
      reportsTo: availability.id,
      only: '1h',
    })
  }

  #addPages(failing: readonly IAlarm[], slow: readonly IAlarm[]): Record<string, CompositeAlarm> {
    const { calls, witnesses } = this.#props
    const availability = calls.composite(this, 'availability-burn-fast', {
      text: SLO_ALARM_TEXTS['availability-burn-fast'],
      rule: anyRings([...failing, ...witnesses]),
    })
    const latency = calls.composite(this, 'latency-burn-fast', {
      text: SLO_ALARM_TEXTS['latency-burn-fast'],
      rule: anyRings(slow),
      suppression: { by: availability, waitMinutes: LATENCY_WAIT_MINUTES, extensionMinutes: 5 },
    })
    return { 'availability-burn-fast': availability, 'latency-burn-fast': latency }
  }

  #ticket(
    id: 'availability-burn-slow' | 'latency-burn-slow',
    alarms: BurnAlarms,
    { targetPercent }: Objective,
  ): CompositeAlarm {
    const suppression: Suppression = {
      by: this.paging,
      waitMinutes: ticketPatienceMinutes(),
      // Long windows remember what a page has already told.
      extensionMinutes: longestAftermathMinutes(targetPercent),
    }
    const rule = anyRings(alarms.of('ticket'))
    return this.#props.calls.composite(this, id, { text: SLO_ALARM_TEXTS[id], rule, suppression })
  }
}

/** Holds while at least one of them is in alarm. */
export function anyRings(alarms: readonly IAlarm[]): IAlarmRule {
  return AlarmRule.anyOf(...alarms.map((alarm) => AlarmRule.fromAlarm(alarm, AlarmState.ALARM)))
}
