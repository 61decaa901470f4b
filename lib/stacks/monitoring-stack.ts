import type { IAlarm } from 'aws-cdk-lib/aws-cloudwatch'
import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib/core'
import { Construct } from 'constructs'
import type { DeploymentConfig } from '../config.ts'
import { AlarmCalls } from '../monitoring/alarm-calls.ts'
import { witness } from '../monitoring/cause.ts'
import { CauseAlarms } from '../monitoring/cause-alarms.ts'
import { probeSignal } from '../monitoring/causes.ts'
import { brokerDashboards } from '../monitoring/dashboards/dashboards.ts'
import { InsightRules } from '../monitoring/insight-rules.ts'
import { dashboardUrl } from '../monitoring/links.ts'
import { Maintenance } from '../monitoring/maintenance.ts'
import { monitoringPrefix } from '../monitoring/names.ts'
import {
  AVAILABILITY,
  failures,
  GATEWAY,
  gatewayErrors,
  type Objective,
  slowness,
} from '../monitoring/objective.ts'
import { SavedQueries } from '../monitoring/saved-queries.ts'
import { signalsObjective } from '../monitoring/signals-objective.ts'
import { SloAlarms } from '../monitoring/slo-alarms.ts'
import { AlarmTopics } from '../monitoring/topics.ts'
import { namesOf, type Watched, watchedOf } from '../monitoring/watched.ts'
import type { ServiceStack } from './service-stack.ts'
import type { StateStack } from './state-stack.ts'

export interface MonitoringStackProps extends StackProps {
  readonly config: DeploymentConfig
  /** What is watched. */
  readonly state: StateStack
  readonly service: ServiceStack
}

/** Who is told when the broker does not do what it promises, and where they look. */
export class MonitoringStack extends Stack {
  readonly #config: DeploymentConfig
  readonly #watched: Watched
  readonly #prefix: string

  constructor(scope: Construct, id: string, props: MonitoringStackProps) {
    super(scope, id, props)
    this.#config = props.config
    this.#watched = watchedOf(props.config.stage, props.state, props.service)
    this.#prefix = monitoringPrefix(props.config.stage)
    const insights = this.#insights()
    const calls = this.#calls()
    const objectives = this.#sloAlarms(calls)
    const causes = new CauseAlarms(this, 'Causes', {
      calls,
      watched: this.#watched,
      paging: objectives.paging,
      refusals: insights.ruleName('refusals-by-reason'),
    })
    // Of a rule that does not exist an alarm could compute nothing.
    causes.node.addDependency(insights)
    new SavedQueries(this, 'Queries', { prefix: this.#prefix, watched: this.#watched })
    this.#addDashboards(objectives, causes)
    new Maintenance(this, 'Maintenance', {
      prefix: this.#prefix,
      windows: props.config.monitoring.maintenance,
      alarms: new Map([...objectives.calling, ...causes.alarms]),
    })
    if (props.config.monitoring.applicationSignals) this.#addSignals()
  }

  #addSignals(): void {
    const { availability, latency } = this.#objectives()
    for (const objective of [availability, latency]) signalsObjective(this, this.#prefix, objective)
  }

  #addDashboards({ calling }: SloAlarms, { alarms }: CauseAlarms): void {
    const { availabilityPercent, latencyPercent, latencyMilliseconds } = this.#config.monitoring
    const place = { prefix: this.#prefix, region: this.region }
    const dashboards = brokerDashboards(new Construct(this, 'Dashboards'), {
      ...place,
      runbookBaseUrl: this.#config.monitoring.runbookBaseUrl,
      sources: {
        ...place,
        watched: this.#watched,
        availabilityPercent,
        latencyPercent,
        latencyMilliseconds,
      },
      objectives: [...calling.values()],
      causes: [...alarms.values()],
    })
    for (const { name, id, purpose } of dashboards) this.#output(id, dashboardUrl(name, place), purpose)
  }

  #insights(): InsightRules {
    const logGroupNames = this.#watched.requestFunctions.map((each) => each.logGroupName)
    return new InsightRules(this, 'Insights', { prefix: this.#prefix, logGroupNames })
  }

  #calls(): AlarmCalls {
    const { pageSubscribers, ticketSubscribers, runbookBaseUrl, latencyMilliseconds } =
      this.#config.monitoring
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
    return new AlarmCalls(topics, {
      region: this.region,
      prefix: this.#prefix,
      runbookBaseUrl,
      names: { ...namesOf(this.#watched), latencyMilliseconds: String(latencyMilliseconds) },
    })
  }

  #sloAlarms(calls: AlarmCalls): SloAlarms {
    return new SloAlarms(this, 'Objectives', {
      calls,
      prefix: this.#prefix,
      ...this.#objectives(),
      witnesses: this.#witnesses(calls),
    })
  }

  #witnesses(calls: AlarmCalls): readonly IAlarm[] {
    const { stage, prober } = this.#watched
    return prober === undefined ? [] : [witness(this, calls, 'probe-failing', probeSignal(stage))]
  }

  #objectives(): Readonly<Record<'availability' | 'latency' | 'gateway', Objective>> {
    const { availabilityPercent, latencyPercent } = this.#config.monitoring
    const { stage, apiId } = this.#watched
    return {
      availability: { id: AVAILABILITY, targetPercent: availabilityPercent, count: failures(stage) },
      latency: { id: 'latency', targetPercent: latencyPercent, count: slowness(stage) },
      gateway: { id: GATEWAY, targetPercent: availabilityPercent, count: gatewayErrors(apiId) },
    }
  }

  #output(id: string, value: string, description: string): void {
    new CfnOutput(this, id, { value, description })
  }
}
