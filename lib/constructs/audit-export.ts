import type { TableV2 } from 'aws-cdk-lib/aws-dynamodb'
import { Rule, Schedule } from 'aws-cdk-lib/aws-events'
import { LambdaFunction as LambdaTarget } from 'aws-cdk-lib/aws-events-targets'
import { Grant } from 'aws-cdk-lib/aws-iam'
import { EventSourceMapping, StartingPosition } from 'aws-cdk-lib/aws-lambda'
import { FilterPattern, SubscriptionFilter } from 'aws-cdk-lib/aws-logs'
import { LambdaDestination } from 'aws-cdk-lib/aws-logs-destinations'
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs'
import { Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib/core'
import { Construct } from 'constructs'
import { AUDIT_PREFIXES, type AuditTrail } from './audit-trail.ts'
import type { BrokerFunction } from './broker-function.ts'

const CHECKPOINT_MINUTES = 5
const BATCH_RECORDS = 250
/** Fewer, larger objects; nobody waits for the export. */
const WINDOW_SECONDS = 5
/**
 * A bucket that is down for a day loses nothing: no record is given up while the stream still holds it. The hour that is
 * left lets somebody read it there, by the position in the queue's message.
 */
export const RECORD_AGE_HOURS = 23

/** What of the stream is exported: every write, and deletions, but not those by TTL. */
const CHANGES = [
  { eventName: ['INSERT', 'MODIFY'] },
  { eventName: ['REMOVE'], userIdentity: { type: [{ exists: false }] } },
]

export interface AuditExportProps {
  /** The function that exports. */
  readonly exporter: BrokerFunction
  readonly trail: AuditTrail
  /** Its stream is exported. */
  readonly exchanges: TableV2
  /** The functions in whose logs are audit events. */
  readonly sources: readonly BrokerFunction[]
}

/** What feeds the audit trail: the exchanges' stream, the functions' logs, and the schedule of the checkpoints. */
export class AuditExport extends Construct {
  readonly #exporter: BrokerFunction
  /** Holds where in the stream a batch was given up, and log events that could not be exported. */
  readonly undelivered: Queue

  constructor(scope: Construct, id: string, props: AuditExportProps) {
    super(scope, id)
    const { exporter, trail, exchanges, sources } = props
    this.#exporter = exporter
    this.undelivered = this.#queue()
    trail.grantAppend(exporter)
    this.#exportChanges(exchanges)
    for (const source of sources) this.#exportLog(source)
    this.#schedule()
    this.#acknowledge(trail)
  }

  #queue(): Queue {
    const queue = new Queue(this, 'Undelivered', {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
      removalPolicy: RemovalPolicy.DESTROY,
    })
    Validations.of(queue).acknowledge({
      id: 'AwsSolutions-SQS3',
      reason: 'This is the dead-letter queue: what lies in it waits for a person, and an alarm calls one',
    })
    // Lambda sends in the name of the function, and needs no more than this.
    Grant.addToPrincipal({
      grantee: this.#exporter,
      actions: ['sqs:SendMessage'],
      resourceArns: [queue.queueArn],
    })
    this.#exporter.lambda.configureAsyncInvoke({
      onFailure: { bind: () => ({ destination: queue.queueArn }) },
      retryAttempts: 2,
      maxEventAge: Duration.hours(6),
    })
    return queue
  }

  /** Without a limit on retries: a record that cannot be read is exported as such, so that what fails is the bucket. */
  #exportChanges(exchanges: TableV2): void {
    exchanges.grantStreamRead(this.#exporter)
    const mapping = new EventSourceMapping(this, 'Changes', {
      target: this.#exporter.lambda,
      ...(exchanges.tableStreamArn !== undefined && { eventSourceArn: exchanges.tableStreamArn }),
      startingPosition: StartingPosition.TRIM_HORIZON,
      batchSize: BATCH_RECORDS,
      maxBatchingWindow: Duration.seconds(WINDOW_SECONDS),
      parallelizationFactor: 1,
      bisectBatchOnError: true,
      reportBatchItemFailures: true,
      maxRecordAge: Duration.hours(RECORD_AGE_HOURS),
      onFailure: { bind: () => ({ destination: this.undelivered.queueArn }) },
      filters: CHANGES.map((pattern) => ({ pattern: JSON.stringify(pattern) })),
    })
    // Lambda checks at creation that the role may read the stream.
    mapping.node.addDependency(this.#exporter.role)
  }

  #exportLog(source: BrokerFunction): void {
    new SubscriptionFilter(this, `${source.node.id}Log`, {
      logGroup: source.logGroup,
      destination: new LambdaDestination(this.#exporter.lambda),
      filterPattern: FilterPattern.exists('$.audit.event'),
    })
  }

  #schedule(): void {
    new Rule(this, 'Checkpoints', {
      description: 'Signs where the audit trail of the token broker ends',
      schedule: Schedule.rate(Duration.minutes(CHECKPOINT_MINUTES)),
      // The next run does what this one could not.
      targets: [new LambdaTarget(this.#exporter.lambda, { retryAttempts: 0 })],
    })
  }

  #acknowledge(trail: AuditTrail): void {
    // As it is seen from this stack: under the name that CloudFormation exports the bucket's ARN by.
    const bucket = `${Stack.of(trail).stackName}:ExportsOutputFnGetAttAuditBucket7486E833Arn52E7AD47`
    for (const prefix of AUDIT_PREFIXES)
      Validations.of(this.#exporter.role).acknowledge({
        id: `AwsSolutions-IAM5[Resource::${bucket}/${prefix}/*]`,
        reason: 'Objects of the two chains are named by their numbers, which only the chain knows',
      })
  }
}
