import type { IAlarmAction } from 'aws-cdk-lib/aws-cloudwatch'
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions'
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import { Key } from 'aws-cdk-lib/aws-kms'
import { Subscription, SubscriptionProtocol, Topic } from 'aws-cdk-lib/aws-sns'
import { Arn, ArnFormat, RemovalPolicy, Stack } from 'aws-cdk-lib/core'
import { Construct } from 'constructs'
import type { Severity } from './burn-rate.ts'

export interface AlarmTopicsProps {
  /** Every alarm that may publish has a name that begins so. */
  readonly alarmPrefix: string
  /** E-mail addresses, and ARNs of queues and functions, by what they want to hear of. */
  readonly subscribers: Readonly<Record<Severity, readonly string[]>>
}

/** Whom alarms tell: one topic that wakes somebody, one that can wait for the morning. */
export class AlarmTopics extends Construct {
  readonly page: Topic
  readonly ticket: Topic
  readonly #prefix: string

  constructor(scope: Construct, id: string, { alarmPrefix, subscribers }: AlarmTopicsProps) {
    super(scope, id)
    this.#prefix = alarmPrefix
    const key = this.#key()
    this.page = this.#topic('Page', key, subscribers.page)
    this.ticket = this.#topic('Ticket', key, subscribers.ticket)
  }

  /** What an alarm of that severity does. */
  action(severity: Severity): IAlarmAction {
    return new SnsAction(this[severity])
  }

  /** A key of our own: CloudWatch cannot publish to a topic under the key that AWS manages for SNS. */
  #key(): Key {
    const key = new Key(this, 'Key', {
      description: `${this.#prefix}: encrypts what alarms say`,
      enableKeyRotation: true,
      // Nothing is kept under it: a message is encrypted until it is delivered.
      removalPolicy: RemovalPolicy.DESTROY,
    })
    key.addToResourcePolicy(
      new PolicyStatement({
        principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
        actions: ['kms:Decrypt', 'kms:GenerateDataKey*'],
        resources: ['*'],
        conditions: this.#forOurAlarms(),
      }),
    )
    return key
  }

  #topic(id: string, key: Key, subscribers: readonly string[]): Topic {
    const topic = new Topic(this, id, {
      displayName: `${this.#prefix} ${id.toLowerCase()}`,
      masterKey: key,
      enforceSSL: true,
    })
    topic.addToResourcePolicy(
      new PolicyStatement({
        principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
        actions: ['sns:Publish'],
        resources: [topic.topicArn],
        conditions: this.#forOurAlarms(),
      }),
    )
    for (const [at, endpoint] of subscribers.entries())
      new Subscription(topic, `Subscriber${at}`, { topic, endpoint, protocol: protocolOf(endpoint) })
    return topic
  }

  #forOurAlarms(): Record<string, Record<string, string>> {
    const stack = Stack.of(this)
    const alarms = Arn.format(
      {
        service: 'cloudwatch',
        resource: 'alarm',
        resourceName: `${this.#prefix}-*`,
        arnFormat: ArnFormat.COLON_RESOURCE_NAME,
      },
      stack,
    )
    return {
      StringEquals: { 'aws:SourceAccount': stack.account },
      ArnLike: { 'aws:SourceArn': alarms },
    }
  }
}

function protocolOf(endpoint: string): SubscriptionProtocol {
  const [, , service] = endpoint.split(':')
  if (service === 'sqs') return SubscriptionProtocol.SQS
  return service === 'lambda' ? SubscriptionProtocol.LAMBDA : SubscriptionProtocol.EMAIL
}
