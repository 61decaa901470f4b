import {
  AttributeType,
  StreamViewType,
  TableEncryptionV2,
  type TablePropsV2,
  TableV2,
} from 'aws-cdk-lib/aws-dynamodb'
import {
  CfnOutput,
  CrossStackReferences,
  ReferenceStrength,
  RemovalPolicy,
  Stack,
  type StackProps,
} from 'aws-cdk-lib/core'
import type { Construct } from 'constructs'
import { AuditTrail } from '../constructs/audit-trail.ts'

export interface StateStackProps extends StackProps {
  /** Whether the tables outlive the stack and refuse to be deleted. */
  readonly removalProtection: boolean
  /** Days for which nobody can delete what the audit trail holds. */
  readonly auditRetentionDays: number
  /** Part of the names of stacks and keys. */
  readonly stage: string
}

/**
 * What the broker must never forget: which tokens were exchanged, what is revoked, which keys sign. A stack of its own, so
 * that everything else can be replaced around it.
 */
export class StateStack extends Stack {
  /** One item per exchange: replay claim, lineage and audit event. */
  readonly exchanges: TableV2
  /** Cut-offs: what was issued before them is revoked. */
  readonly revocations: TableV2
  /** One item per token that a status list tells about, by list and place in it. */
  readonly status: TableV2
  /** One manifest per key ring. */
  readonly signingKeys: TableV2
  /** Leases of grants' rates. */
  readonly limits: TableV2
  /** What happened, in a form that nobody can change. */
  readonly audit: AuditTrail

  constructor(scope: Construct, id: string, props: StateStackProps) {
    super(scope, id, { ...props, terminationProtection: props.removalProtection })
    this.exchanges = this.#table('Exchanges', props, {
      timeToLiveAttribute: 'expires_at',
      // Both images, because replication to other Regions would need them and a stream's view never changes in place.
      dynamoStream: StreamViewType.NEW_AND_OLD_IMAGES,
    })
    this.revocations = this.#table('Revocations', props, { timeToLiveAttribute: 'expires_at' })
    this.status = this.#table('Status', props, {
      sortKey: { name: 'idx', type: AttributeType.NUMBER },
      timeToLiveAttribute: 'expires_at',
    })
    this.signingKeys = this.#table('SigningKeys', props, {})
    this.limits = this.#table('Limits', props, { timeToLiveAttribute: 'expires_at' })
    this.audit = new AuditTrail(this, 'Audit', {
      retentionDays: props.auditRetentionDays,
      stage: props.stage,
      removalProtection: props.removalProtection,
    })
    this.#output(
      'ExchangesTable',
      this.exchanges.tableName,
      'Table of exchanges: replay claims, lineage and audit events',
    )
    this.#output('RevocationsTable', this.revocations.tableName, 'Table of revocations')
    this.#output(
      'SigningKeysTable',
      this.signingKeys.tableName,
      'Table of the key rings: what signs, and what is published',
    )
    this.#output('AuditBucket', this.audit.bucket.bucketName, 'Bucket of the audit trail')
    this.#output('AuditTable', this.audit.table.tableName, 'Table of where the audit trail ends')
    this.#output('AuditKey', this.audit.key.keyArn, 'KMS key that signs checkpoints of the audit trail')
  }

  /** By these `npx token-broker` finds what it works on. */
  #output(id: string, value: string, description: string): void {
    new CfnOutput(this, id, { value, description })
  }

  #table(id: string, props: StateStackProps, differences: Partial<TablePropsV2>): TableV2 {
    const table = new TableV2(this, id, {
      partitionKey: { name: 'pk', type: AttributeType.STRING },
      // AWS-managed: its use shows in CloudTrail, and unlike a key of our own it can be neither disabled nor deleted, which
      // would stop every exchange. The items hold ids and hashes, no token.
      encryption: TableEncryptionV2.awsManagedKey(),
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection: props.removalProtection,
      removalPolicy: props.removalProtection ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
      ...differences,
    })
    // An export, not a weak reference: CloudFormation then refuses to replace or remove a table that functions use.
    CrossStackReferences.of(table).produce(ReferenceStrength.STRONG)
    return table
  }
}
