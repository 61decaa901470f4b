/** A finding of checkov that stays, and why. */
export interface Acknowledgement {
  readonly check: string
  /** Resources on which it is expected, as checkov names them: type, dot, logical id. */
  readonly resource: RegExp
  readonly reason: string
}

const EVERY_FUNCTION = /^AWS::Lambda::Function\./

export const ACKNOWLEDGED: readonly Acknowledgement[] = [
  {
    check: 'CKV_AWS_115',
    resource: EVERY_FUNCTION,
    reason:
      'No reserved concurrency: the routes are throttled in front, a reservation would turn a peak into errors, and an ' +
      'account with the initial quota has nothing to reserve',
  },
  {
    check: 'CKV_AWS_116',
    resource: EVERY_FUNCTION,
    reason:
      'No dead-letter queue: API Gateway invokes synchronously, and a rotation that failed is healed by the next, not by ' +
      'an old event',
  },
  {
    check: 'CKV_AWS_117',
    resource: EVERY_FUNCTION,
    reason:
      'Not in a VPC: there is no private resource to reach, only AWS APIs and public issuers; the reader of issuer keys ' +
      'itself refuses addresses that are not public',
  },
  {
    check: 'CKV_AWS_158',
    resource: /^AWS::Logs::LogGroup\./,
    reason:
      'Logs are encrypted with the key of CloudWatch Logs. They hold no token, and a key of our own could be disabled, ' +
      'which would silence them',
  },
  {
    check: 'CKV_AWS_173',
    resource: EVERY_FUNCTION,
    reason:
      'The environment holds names of tables and a public URL, no secret; Lambda encrypts it with its own key',
  },
  {
    check: 'CKV_AWS_18',
    resource: /^AWS::S3::Bucket\.AuditBucket/,
    reason:
      'No server access log: whoever reads or writes the trail is in CloudTrail if data events are wanted, and a second ' +
      'bucket of logs would need the same protection',
  },
  {
    check: 'CKV_AWS_27',
    resource: /^AWS::SQS::Queue\.AuditExportUndelivered/,
    reason:
      'Encrypted with the key of SQS (SqsManagedSseEnabled), which this check does not know: it asks for a KMS key by name. ' +
      'The batches hold what the log holds, and no token',
  },
]
