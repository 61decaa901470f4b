import { AttributeType, TableEncryptionV2, TableV2 } from 'aws-cdk-lib/aws-dynamodb'
import { AnyPrincipal, Effect, Grant, PolicyStatement } from 'aws-cdk-lib/aws-iam'
import { Key, KeySpec, KeyUsage } from 'aws-cdk-lib/aws-kms'
import {
  BlockPublicAccess,
  Bucket,
  BucketEncryption,
  ObjectLockRetention,
  ObjectOwnership,
} from 'aws-cdk-lib/aws-s3'
import {
  CrossStackReferences,
  Duration,
  ReferenceStrength,
  RemovalPolicy,
  Tags,
  Validations,
} from 'aws-cdk-lib/core'
import { Construct } from 'constructs'
import { AUDIT_CHECKPOINTS, KEY_TAGS } from '../../functions/key-tags.ts'
import type { BrokerFunction } from './broker-function.ts'

/** Where the two chains of objects are. */
export const AUDIT_PREFIXES = ['audit', 'checkpoints']
/** How long a stage to throw away keeps its objects, unless somebody bypasses it. */
const THROW_AWAY_DAYS = 1

export interface AuditTrailProps {
  /** Days for which nobody can delete what was written. */
  readonly retentionDays: number
  /** Tag of the key. */
  readonly stage: string
  /** Whether the trail outlives its stack. Without it a role that may bypass governance can empty the bucket. */
  readonly removalProtection: boolean
}

/**
 * The audit trail: a bucket in which nothing can be replaced or deleted, a key that signs checkpoints of it, and a small
 * table of where it ends.
 */
export class AuditTrail extends Construct {
  readonly bucket: Bucket
  readonly key: Key
  readonly table: TableV2

  constructor(scope: Construct, id: string, props: AuditTrailProps) {
    super(scope, id)
    const removalPolicy = props.removalProtection ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY
    this.bucket = this.#bucket(props, removalPolicy)
    this.key = new Key(this, 'CheckpointKey', {
      description: `token-broker ${props.stage}: signs checkpoints of the audit trail`,
      keySpec: KeySpec.ECC_NIST_P256,
      keyUsage: KeyUsage.SIGN_VERIFY,
      removalPolicy,
    })
    // Of another purpose than the keys that sign tokens: no role that signs tokens may use it, and the rotation, which may
    // tag keys, cannot make it its own.
    Tags.of(this.key).add(KEY_TAGS.purpose, AUDIT_CHECKPOINTS)
    Tags.of(this.key).add(KEY_TAGS.stage, props.stage)
    this.table = new TableV2(this, 'Heads', {
      partitionKey: { name: 'pk', type: AttributeType.STRING },
      encryption: TableEncryptionV2.awsManagedKey(),
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection: props.removalProtection,
      removalPolicy,
    })
    for (const part of [this.bucket, this.key, this.table])
      CrossStackReferences.of(part).produce(ReferenceStrength.STRONG)
  }

  /** Allows to append to the chains, to read them, and to sign checkpoints. Not to list, to delete or to change retention. */
  grantAppend(grantee: BrokerFunction): void {
    Grant.addToPrincipal({
      grantee,
      actions: ['s3:GetObject', 's3:PutObject'],
      resourceArns: AUDIT_PREFIXES.map((prefix) => this.bucket.arnForObjects(`${prefix}/*`)),
    })
    Grant.addToPrincipal({
      grantee,
      actions: ['kms:Sign'],
      resourceArns: [this.key.keyArn],
      conditions: {
        StringEquals: { 'kms:MessageType': 'DIGEST', 'kms:SigningAlgorithm': 'ECDSA_SHA_256' },
      },
    })
    Grant.addToPrincipal({ grantee, actions: ['kms:GetPublicKey'], resourceArns: [this.key.keyArn] })
    this.table.grant(grantee, 'dynamodb:GetItem', 'dynamodb:UpdateItem')
  }

  #bucket(props: AuditTrailProps, removalPolicy: RemovalPolicy): Bucket {
    const { retentionDays, removalProtection } = props
    const bucket = new Bucket(this, 'Bucket', {
      objectLockEnabled: true,
      objectLockDefaultRetention: removalProtection
        ? ObjectLockRetention.compliance(Duration.days(retentionDays))
        : ObjectLockRetention.governance(Duration.days(THROW_AWAY_DAYS)),
      versioned: true,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
      encryption: BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      removalPolicy,
    })
    const deny = (actions: string[], conditions: Record<string, unknown> = {}) =>
      bucket.addToResourcePolicy(
        new PolicyStatement({
          effect: Effect.DENY,
          principals: [new AnyPrincipal()],
          actions,
          resources: [bucket.arnForObjects('*')],
          conditions,
        }),
      )
    // A second version of an object would hide the first: whoever writes must say that there is none.
    deny(['s3:PutObject'], { Null: { 's3:if-none-match': 'true' } })
    if (removalProtection) deny(['s3:DeleteObject', 's3:DeleteObjectVersion'])
    Validations.of(bucket).acknowledge({
      id: 'AwsSolutions-S1',
      reason:
        'One function writes here, and its writes are the log; who reads is recorded by CloudTrail data events, where an account wants them',
    })
    return bucket
  }
}
