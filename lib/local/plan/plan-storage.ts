import type { JsonObject, JsonValue } from '../assembly.ts'
import type { PolicyDocument } from '../aws/iam.ts'
import type { BucketDefinition } from '../aws/s3.ts'
import { isObject, TemplateDefect } from '../intrinsics.ts'
import type { ResolvedResource } from '../resolved-stacks.ts'
import type { KeyPlan, TablePlan } from './cloud-plan.ts'
import { listAt, objectAt, ofType, withoutUndefined } from './wiring.ts'

export function tablePlan({ name, arn, properties }: ResolvedResource): TablePlan {
  const { KeySchema, AttributeDefinitions, TimeToLiveSpecification, StreamSpecification } = properties
  const optional = { KeySchema, AttributeDefinitions, TimeToLiveSpecification, StreamSpecification }
  return {
    name,
    definition: { TableName: name, ...withoutUndefined(optional) },
    streamArn: `${arn}/stream/2026-01-01T00:00:00.000`,
  }
}

export function keyPlan({ where, reference, logicalId, properties }: ResolvedResource): KeyPlan {
  const { Description, EnableKeyRotation, Enabled, KeySpec, KeyUsage, MultiRegion, Origin, Tags } = properties
  if (Enabled === false || MultiRegion === true || (Origin !== undefined && Origin !== 'AWS_KMS'))
    throw new TemplateDefect(
      where,
      'a key that is disabled, multi-Region or of another origin does not run locally',
    )
  const tags = Array.isArray(Tags) ? (Tags as readonly JsonValue[]) : []
  const kmsTags = tags.map((tag) => {
    const { Key = '', Value = '' } = isObject(tag) ? tag : {}
    return { TagKey: Key, TagValue: Value }
  })
  return {
    id: reference,
    logicalId,
    definition: withoutUndefined({ Description, KeySpec, KeyUsage, Tags: kmsTags }),
    rotated: EnableKeyRotation === true,
  }
}

export function bucketPlan(
  bucket: ResolvedResource,
  resources: readonly ResolvedResource[],
): BucketDefinition {
  const { where, reference, properties } = bucket
  if (objectAt(properties, 'VersioningConfiguration')['Status'] !== 'Enabled')
    throw new TemplateDefect(where, 'only versioned buckets run locally')
  const rule = objectAt(objectAt(objectAt(properties, 'ObjectLockConfiguration'), 'Rule'), 'DefaultRetention')
  const policies = ofType(resources, 'AWS::S3::BucketPolicy').filter(
    (policy) => policy.properties['Bucket'] === reference,
  )
  return {
    name: reference,
    objectLock: properties['ObjectLockEnabled'] === true ? retentionOf(rule, where) : undefined,
    denied: policies.map((policy) => deniedBy(policy)),
  }
}

function retentionOf({ Mode, Days }: JsonObject, where: string): BucketDefinition['objectLock'] {
  if (Mode === undefined) return undefined
  if ((Mode !== 'COMPLIANCE' && Mode !== 'GOVERNANCE') || typeof Days !== 'number')
    throw new TemplateDefect(where, 'its default retention needs a mode and days')
  return { mode: Mode, days: Days }
}

/** Roles of one account need no Allow of a bucket policy; what it denies, it denies to everybody. */
function deniedBy(policy: ResolvedResource): PolicyDocument {
  const statements = listAt(objectAt(policy.properties, 'PolicyDocument'), 'Statement').filter(
    (statement) => isObject(statement) && statement['Effect'] === 'Deny',
  )
  const forEverybody = statements.map((statement) => {
    const { Principal, ...rest } = statement as JsonObject
    const everybody = Principal === '*' || (isObject(Principal) && Principal['AWS'] === '*')
    if (!everybody) throw new TemplateDefect(policy.where, 'only denials to everybody run locally')
    return rest
  })
  return { Statement: forEverybody } as unknown as PolicyDocument
}
