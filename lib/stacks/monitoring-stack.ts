import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib/core'
import type { Construct } from 'constructs'
import type { DeploymentConfig } from '../config.ts'
import { AlarmCalls } from '../monitoring/alarm-calls.ts'
import { failures, gatewayErrors, type Objective, slowness } from '../monitoring/objective.ts'
import { SloAlarms } from '../monitoring/slo-alarms.ts'
import { AlarmTopics } from '../monitoring/topics.ts'
import type { ServiceStack } from './service-stack.ts'

export interface MonitoringStackProps extends StackProps {
  readonly config: DeploymentConfig
  /** What is watched. */
  readonly service: ServiceStack
}

/** Who is told when the broker does not do what it promises, and where they look. */
export class MonitoringStack extends Stack {
  readonly #props: MonitoringStackProps
  readonly #prefix: string

  constructor(scope: Construct, id: string, props: MonitoringStackProps) {
    super(scope, id, props)
    this.#props = props
    this.#prefix = `token-broker-${props.config.stage}`
    const topics = this.#topics()
    this.#addSloAlarms(topics)
  }

  #topics(): AlarmTopics {
    const { pageSubscribers, ticketSubscribers } = this.#props.config.monitoring
    const topics = new AlarmTopics(this, 'Topics', {
      alarmPrefix: this.#prefix,
      subscribers: { page: pageSubscribers, ticket: ticketSubscribers },
    })
    this.#output(
      'PageTopic',
      topics.page.topicArn,
      'Topic of what wakes somebody: subscribe whoever is on call',
    )
    this.#output('TicketTopic', topics.ticket.topicArn, 'Topic of what can wait for the morning')
    return topics
  }

  #addSloAlarms(topics: AlarmTopics): SloAlarms {
    const { config } = this.#props
    const { stage, monitoring } = config
    const calls = new AlarmCalls(topics, {
      stage,
      region: this.region,
      prefix: this.#prefix,
      runbookBaseUrl: monitoring.runbookBaseUrl,
    })
    return new SloAlarms(this, 'Objectives', {
      calls,
      prefix: this.#prefix,
      ...this.#objectives(),
      witnesses: [],
    })
  }

  #objectives(): Readonly<Record<'availability' | 'latency' | 'gateway', Objective>> {
    const { stage, monitoring } = this.#props.config
    const { availabilityPercent, latencyPercent } = monitoring
    const { apiId } = this.#props.service
    return {
      availability: { id: 'availability', targetPercent: availabilityPercent, count: failures(stage) },
      latency: { id: 'latency', targetPercent: latencyPercent, count: slowness(stage) },
      gateway: { id: 'gateway', targetPercent: availabilityPercent, count: gatewayErrors(apiId) },
    }
  }

  #output(id: string, value: string, description: string): void {
    new CfnOutput(this, id, { value, description })
  }
}
