import type { JsonValue } from '../assembly.ts'
import type { PolicyDocument } from '../aws/iam.ts'
import { isObject, TemplateDefect, textOf } from '../intrinsics.ts'
import type { ResolvedResource } from '../resolved-stacks.ts'
import type { FunctionPlan } from './cloud-plan.ts'
import { listAt, objectAt, ofType, textAt } from './wiring.ts'

export function functionPlan(
  resource: ResolvedResource,
  roles: ReadonlyMap<string, readonly PolicyDocument[]>,
  resources: readonly ResolvedResource[],
): FunctionPlan {
  const { where, name, logicalId, arn = '', properties } = resource
  const code = objectAt(properties, 'Code')
  const folder = resource.assets.get(textOf(code['S3Key']))
  if (folder === undefined) throw new TemplateDefect(`${where}.Properties.Code`, 'its code is not an asset')
  if (!textOf(properties['Runtime']).startsWith('nodejs')) {
    throw new TemplateDefect(
      `${where}.Properties.Runtime`,
      `${textOf(properties['Runtime'])} does not run locally`,
    )
  }
  if (properties['Layers'] !== undefined) throw new TemplateDefect(where, 'layers do not run locally')
  const roleArn = textAt(properties, 'Role', where)
  const policies = roles.get(roleArn)
  if (policies === undefined) throw new TemplateDefect(where, `its role ${roleArn} is not in the template`)
  const variables = objectAt(objectAt(properties, 'Environment'), 'Variables')
  const { LogGroup: logGroup } = objectAt(properties, 'LoggingConfig')
  return {
    name,
    logicalId,
    arn,
    aliases: aliasesOf(resource, resources),
    folder,
    handler: textAt(properties, 'Handler', where),
    environment: Object.fromEntries(Object.entries(variables).map(([key, value]) => [key, textOf(value)])),
    timeoutSeconds: Number(properties['Timeout'] ?? 3),
    memoryMegabytes: Number(properties['MemorySize'] ?? 128),
    roleArn,
    logGroup: logGroup === undefined ? undefined : textOf(logGroup),
    policies,
  }
}

/** Each stands for the version that is deployed, which is the function as it runs here. */
function aliasesOf(
  { name, arn }: ResolvedResource,
  resources: readonly ResolvedResource[],
): readonly string[] {
  const isOfIt = ({ properties: { FunctionName } }: ResolvedResource) =>
    FunctionName === name || FunctionName === arn
  const [version] = ofType(resources, 'AWS::Lambda::Version').filter(isOfIt)
  return ofType(resources, 'AWS::Lambda::Alias')
    .filter(isOfIt)
    .map(({ where, name: alias, properties }) => {
      if (properties['RoutingConfig'] !== undefined)
        throw new TemplateDefect(where, 'an alias of two versions does not run locally')
      if (version === undefined || textOf(properties['FunctionVersion']) !== '1')
        throw new TemplateDefect(where, `its version is none of ${name} in the template`)
      return alias
    })
}

/** What AWS's own policies allow, as far as templates use them here. */
const AWS_MANAGED: Readonly<Record<string, readonly string[]>> = {
  'service-role/AWSLambdaBasicExecutionRole': [
    'logs:CreateLogGroup',
    'logs:CreateLogStream',
    'logs:PutLogEvents',
  ],
}

/** Every policy of every role, by the role's ARN. */
export function rolePolicies(
  resources: readonly ResolvedResource[],
): ReadonlyMap<string, readonly PolicyDocument[]> {
  const attachable = ofType(resources, 'AWS::IAM::Policy', 'AWS::IAM::ManagedPolicy')
  return new Map(
    ofType(resources, 'AWS::IAM::Role').map((role) => {
      const inline = listAt(role.properties, 'Policies').map((policy) => document(policy))
      const managed = listAt(role.properties, 'ManagedPolicyArns').flatMap((arn) =>
        managedPolicy(textOf(arn), role, attachable),
      )
      const attached = attachable
        .filter((policy) => listAt(policy.properties, 'Roles').includes(role.reference))
        .map((policy) => document(policy.properties))
      return [role.arn ?? '', [...inline, ...managed, ...attached]] as const
    }),
  )
}

function managedPolicy(
  arn: string,
  role: ResolvedResource,
  attachable: readonly ResolvedResource[],
): readonly PolicyDocument[] {
  const own = attachable.find((policy) => policy.reference === arn)
  if (own !== undefined) return [document(own.properties)]
  const actions = AWS_MANAGED[arn.slice(arn.indexOf(':policy/') + ':policy/'.length)]
  if (actions === undefined)
    throw new TemplateDefect(role.where, `the local cloud does not know the policy ${arn}`)
  return [{ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: actions, Resource: '*' }] }]
}

function document(policy: JsonValue): PolicyDocument {
  // The IAM evaluator reads every element and refuses what it does not know.
  return (isObject(policy) ? policy['PolicyDocument'] : undefined) as unknown as PolicyDocument
}
