import type { ResolvedResource } from '../resolved-stacks.ts'
import type { CloudPlan, CustomResourcePlan } from './cloud-plan.ts'
import { apiPlan } from './plan-api.ts'
import {
  asyncInvocationPlan,
  eventSourcePlan,
  logSubscriptionPlan,
  rulePlans,
  schedulePlans,
} from './plan-events.ts'
import { functionPlan, rolePolicies } from './plan-functions.ts'
import { bucketPlan, keyPlan, tablePlan } from './plan-storage.ts'
import { functionAt, ofType, textAt, type Wiring } from './wiring.ts'

/**
 * What to start for these resources. Throws {@link TemplateDefect} for what cannot run locally, and for what would fail
 * on AWS: a target that does not exist, or one that its caller has no permission to invoke.
 */
export function planCloud(resources: readonly ResolvedResource[]): CloudPlan {
  const tables = ofType(resources, 'AWS::DynamoDB::GlobalTable', 'AWS::DynamoDB::Table').map(tablePlan)
  const roles = rolePolicies(resources)
  const functions = ofType(resources, 'AWS::Lambda::Function').map((resource) =>
    functionPlan(resource, roles, resources),
  )
  const wiring = { resources, functions, tables }
  return {
    tables,
    keys: ofType(resources, 'AWS::KMS::Key').map(keyPlan),
    functions,
    api: apiPlan(wiring),
    schedules: [...rulePlans(wiring), ...schedulePlans(wiring, roles)],
    eventSources: ofType(resources, 'AWS::Lambda::EventSourceMapping').map((it) =>
      eventSourcePlan(it, wiring),
    ),
    buckets: ofType(resources, 'AWS::S3::Bucket').map((it) => bucketPlan(it, resources)),
    queueNames: ofType(resources, 'AWS::SQS::Queue').map(({ name }) => name),
    logSubscriptions: ofType(resources, 'AWS::Logs::SubscriptionFilter').map((it) =>
      logSubscriptionPlan(it, wiring),
    ),
    asyncInvocations: ofType(resources, 'AWS::Lambda::EventInvokeConfig').map((it) =>
      asyncInvocationPlan(it, wiring),
    ),
    customResources: resources.filter(isCustomResource).map((it) => customResourcePlan(it, wiring)),
  }
}

function isCustomResource({ type }: ResolvedResource): boolean {
  return type.startsWith('Custom::') || type === 'AWS::CloudFormation::CustomResource'
}

function customResourcePlan(resource: ResolvedResource, wiring: Wiring): CustomResourcePlan {
  const { where, stack, logicalId, type, properties } = resource
  const functionName = functionAt(textAt(properties, 'ServiceToken', where), where, wiring).name
  return { where, stack, logicalId, type, functionName, properties }
}
