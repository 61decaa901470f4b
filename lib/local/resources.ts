import type { JsonObject, JsonValue } from './assembly.ts'
import { compilePolicies, decide, type PolicyDocument } from './aws/iam.ts'
import type { BucketDefinition } from './aws/s3.ts'
import { isObject, TemplateDefect, textOf } from './intrinsics.ts'
import type { ResolvedResource } from './resolved-stacks.ts'

export interface TablePlan {
  readonly name: string
  /** The input of DynamoDB's CreateTable, with `TimeToLiveSpecification` and `StreamSpecification` beside it. */
  readonly definition: JsonObject
  readonly streamArn: string
}

export interface KeyPlan {
  readonly id: string
  readonly logicalId: string
  /** The input of KMS's CreateKey. */
  readonly definition: JsonObject
  readonly rotated: boolean
}

export interface FunctionPlan {
  readonly name: string
  readonly logicalId: string
  readonly arn: string
  readonly folder: string
  /** `<file>.<export>`. */
  readonly handler: string
  readonly environment: Readonly<Record<string, string>>
  readonly timeoutSeconds: number
  readonly memoryMegabytes: number
  readonly roleArn: string
  /** Where its log lines go, if the template says. */
  readonly logGroup: string | undefined
  /** Every identity policy of that role. */
  readonly policies: readonly PolicyDocument[]
}

export interface RoutePlan {
  /** `<METHOD> <path>` or `$default`. */
  readonly routeKey: string
  readonly functionName: string
  readonly timeoutMilliseconds: number
  /** Who may call it: anybody, or who signs the request and has the permission. */
  readonly authorization: 'NONE' | 'AWS_IAM'
}

export interface ApiPlan {
  readonly id: string
  readonly routes: readonly RoutePlan[]
}

export interface SchedulePlan {
  readonly name: string
  /** `rate(…)` or `cron(…)`. */
  readonly expression: string
  readonly functionName: string
  /** The target's input, or `undefined` for the event that the service makes. */
  readonly input: JsonValue | undefined
}

export interface EventSourcePlan {
  readonly tableName: string
  readonly streamArn: string
  readonly functionName: string
  readonly batchSize: number
  readonly windowSeconds: number
  /** Attempts after the first. */
  readonly retries: number
  readonly bisect: boolean
  readonly reportsItemFailures: boolean
  /** Patterns of which a record must match one; none means every record. */
  readonly filters: readonly JsonObject[]
  /** Seconds after which Lambda gives a record up. */
  readonly maximumAgeSeconds: number
  readonly onFailure: FailureDestination | undefined
}

/** Where Lambda sends what a function could not handle. */
export interface FailureDestination {
  readonly queueName: string
  readonly queueArn: string
}

export interface LogSubscriptionPlan {
  readonly logGroup: string
  /** The function that writes to the log group. */
  readonly sourceFunction: string
  readonly filterName: string
  readonly filterPattern: string
  readonly functionName: string
}

/** How Lambda treats a function's asynchronous invocations. */
export interface AsyncInvocationPlan {
  readonly functionName: string
  /** Attempts after the first. */
  readonly retries: number
  readonly onFailure: FailureDestination | undefined
}

export interface CustomResourcePlan {
  readonly where: string
  readonly stack: string
  readonly logicalId: string
  readonly type: string
  readonly functionName: string
  readonly properties: JsonObject
}

/** What the local cloud starts for a deployment. */
export interface CloudPlan {
  readonly tables: readonly TablePlan[]
  /** KMS keys that the template declares; those that functions make at run time are not known here. */
  readonly keys: readonly KeyPlan[]
  readonly functions: readonly FunctionPlan[]
  readonly api: ApiPlan | undefined
  readonly schedules: readonly SchedulePlan[]
  readonly eventSources: readonly EventSourcePlan[]
  readonly buckets: readonly BucketDefinition[]
  readonly queueNames: readonly string[]
  readonly logSubscriptions: readonly LogSubscriptionPlan[]
  readonly asyncInvocations: readonly AsyncInvocationPlan[]
  readonly customResources: readonly CustomResourcePlan[]
}

/**
 * What to start for these resources. Throws {@link TemplateDefect} for what cannot run locally, and for what would fail
 * on AWS: a target that does not exist, or one that its caller has no permission to invoke.
 */
export function planCloud(resources: readonly ResolvedResource[]): CloudPlan {
  const tables = ofType(resources, 'AWS::DynamoDB::GlobalTable', 'AWS::DynamoDB::Table').map(tablePlan)
  const roles = rolePolicies(resources)
  const functions = ofType(resources, 'AWS::Lambda::Function').map((resource) =>
    functionPlan(resource, roles),
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

interface Wiring {
  readonly resources: readonly ResolvedResource[]
  readonly functions: readonly FunctionPlan[]
  readonly tables: readonly TablePlan[]
}

function ofType(
  resources: readonly ResolvedResource[],
  ...types: readonly string[]
): readonly ResolvedResource[] {
  return resources.filter((resource) => types.includes(resource.type))
}

function isCustomResource({ type }: ResolvedResource): boolean {
  return type.startsWith('Custom::') || type === 'AWS::CloudFormation::CustomResource'
}

function tablePlan({ name, arn, properties }: ResolvedResource): TablePlan {
  const { KeySchema, AttributeDefinitions, TimeToLiveSpecification, StreamSpecification } = properties
  const optional = { KeySchema, AttributeDefinitions, TimeToLiveSpecification, StreamSpecification }
  return {
    name,
    definition: { TableName: name, ...withoutUndefined(optional) },
    streamArn: `${arn}/stream/2026-01-01T00:00:00.000`,
  }
}

function keyPlan({ where, reference, logicalId, properties }: ResolvedResource): KeyPlan {
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

function functionPlan(
  resource: ResolvedResource,
  roles: ReadonlyMap<string, readonly PolicyDocument[]>,
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

/** What AWS's own policies allow, as far as templates use them here. */
const AWS_MANAGED: Readonly<Record<string, readonly string[]>> = {
  'service-role/AWSLambdaBasicExecutionRole': [
    'logs:CreateLogGroup',
    'logs:CreateLogStream',
    'logs:PutLogEvents',
  ],
}

/** Every policy of every role, by the role's ARN. */
function rolePolicies(
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

function apiPlan(wiring: Wiring): ApiPlan | undefined {
  const [api, another] = ofType(wiring.resources, 'AWS::ApiGatewayV2::Api')
  if (another !== undefined)
    throw new TemplateDefect(another.where, 'a second API: there is one local address')
  if (api === undefined) return undefined
  if (api.properties['ProtocolType'] !== 'HTTP')
    throw new TemplateDefect(api.where, 'only HTTP APIs run locally')
  if (api.properties['CorsConfiguration'] !== undefined)
    throw new TemplateDefect(api.where, 'CORS does not run locally')
  for (const stage of ofType(wiring.resources, 'AWS::ApiGatewayV2::Stage')) {
    if (stage.name !== '$default')
      throw new TemplateDefect(stage.where, 'only the stage $default runs locally')
  }
  const routes = ofType(wiring.resources, 'AWS::ApiGatewayV2::Route')
  return { id: api.name, routes: routes.map((route) => routePlan(route, wiring)) }
}

function routePlan({ where, properties }: ResolvedResource, wiring: Wiring): RoutePlan {
  const authorization = properties['AuthorizationType'] ?? 'NONE'
  if (authorization !== 'NONE' && authorization !== 'AWS_IAM') {
    throw new TemplateDefect(where, `routes with ${textOf(authorization)} authorization do not run locally`)
  }
  const target = textAt(properties, 'Target', where)
  const integration = ofType(wiring.resources, 'AWS::ApiGatewayV2::Integration').find(
    ({ reference }) => target === `integrations/${reference}`,
  )
  if (integration === undefined)
    throw new TemplateDefect(where, `its integration ${target} is not in the template`)
  const { IntegrationType, PayloadFormatVersion, IntegrationUri, TimeoutInMillis } = integration.properties
  if (IntegrationType !== 'AWS_PROXY')
    throw new TemplateDefect(integration.where, 'it is not a Lambda integration')
  if (PayloadFormatVersion !== '1.0') {
    throw new TemplateDefect(
      integration.where,
      `payload format ${textOf(PayloadFormatVersion)}, where the local API sends 1.0`,
    )
  }
  return {
    routeKey: textAt(properties, 'RouteKey', where),
    functionName: invocable(textOf(IntegrationUri), 'apigateway.amazonaws.com', integration.where, wiring),
    timeoutMilliseconds: Number(TimeoutInMillis ?? 30_000),
    authorization,
  }
}

function rulePlans(wiring: Wiring): readonly SchedulePlan[] {
  return ofType(wiring.resources, 'AWS::Events::Rule').flatMap(({ where, name, properties }) => {
    const { ScheduleExpression, State } = properties
    if (typeof ScheduleExpression !== 'string')
      throw new TemplateDefect(where, 'only rules with a schedule run locally')
    if (State === 'DISABLED') return []
    return listAt(properties, 'Targets').map((target) => {
      const { Arn, Input } = isObject(target) ? target : {}
      const functionName = invocable(textOf(Arn), 'events.amazonaws.com', where, wiring)
      return { name, expression: ScheduleExpression, functionName, input: parsedInput(Input) }
    })
  })
}

function schedulePlans(
  wiring: Wiring,
  roles: ReadonlyMap<string, readonly PolicyDocument[]>,
): readonly SchedulePlan[] {
  const enabled = ofType(wiring.resources, 'AWS::Scheduler::Schedule').filter(
    (it) => it.properties['State'] !== 'DISABLED',
  )
  return enabled.map(({ where, name, properties }) => {
    const { Arn, Input, RoleArn } = objectAt(properties, 'Target')
    const { name: functionName, arn } = functionAt(textOf(Arn), where, wiring)
    requirePermission(roles.get(textOf(RoleArn)) ?? [], 'lambda:InvokeFunction', arn, where)
    return {
      name,
      expression: textAt(properties, 'ScheduleExpression', where),
      functionName,
      input: parsedInput(Input),
    }
  })
}

function parsedInput(input: JsonValue | undefined): JsonValue | undefined {
  return typeof input === 'string' ? (JSON.parse(input) as JsonValue) : undefined
}

function eventSourcePlan({ where, properties }: ResolvedResource, wiring: Wiring): EventSourcePlan {
  const source = textAt(properties, 'EventSourceArn', where)
  const table = wiring.tables.find(({ streamArn }) => streamArn === source)
  if (table === undefined)
    throw new TemplateDefect(where, `its source ${source} is not the stream of a table here`)
  if (table.definition['StreamSpecification'] === undefined)
    throw new TemplateDefect(where, `${table.name} has no stream`)
  return {
    tableName: table.name,
    streamArn: source,
    functionName: functionAt(textAt(properties, 'FunctionName', where), where, wiring).name,
    batchSize: Number(properties['BatchSize'] ?? 100),
    windowSeconds: Number(properties['MaximumBatchingWindowInSeconds'] ?? 0),
    retries: unlimitedOr(properties['MaximumRetryAttempts']),
    bisect: properties['BisectBatchOnFunctionError'] === true,
    reportsItemFailures: listAt(properties, 'FunctionResponseTypes').includes('ReportBatchItemFailures'),
    filters: listAt(objectAt(properties, 'FilterCriteria'), 'Filters').map(
      (filter) => parsedInput(isObject(filter) ? filter['Pattern'] : undefined) as JsonObject,
    ),
    maximumAgeSeconds: unlimitedOr(properties['MaximumRecordAgeInSeconds']),
    onFailure: failureDestination(properties, where, wiring),
  }
}

/** Without a limit, or with -1, Lambda goes on until the record expires. */
function unlimitedOr(value: JsonValue | undefined): number {
  const limit = Number(value ?? -1)
  return limit === -1 ? Number.POSITIVE_INFINITY : limit
}

function failureDestination(
  properties: JsonObject,
  where: string,
  { resources }: Wiring,
): FailureDestination | undefined {
  const destination = objectAt(objectAt(properties, 'DestinationConfig'), 'OnFailure')['Destination']
  if (destination === undefined) return undefined
  const queueArn = textOf(destination)
  const queue = ofType(resources, 'AWS::SQS::Queue').find((it) => it.arn === queueArn)
  if (queue === undefined)
    throw new TemplateDefect(where, `its destination ${queueArn} is not a queue of this app`)
  return { queueName: queue.name, queueArn }
}

function bucketPlan(bucket: ResolvedResource, resources: readonly ResolvedResource[]): BucketDefinition {
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

function logSubscriptionPlan(
  { where, name, properties }: ResolvedResource,
  wiring: Wiring,
): LogSubscriptionPlan {
  const logGroup = textAt(properties, 'LogGroupName', where)
  const source = wiring.functions.find((it) => it.logGroup === logGroup)
  if (source === undefined) throw new TemplateDefect(where, `no function here writes to ${logGroup}`)
  return {
    logGroup,
    sourceFunction: source.name,
    filterName: name,
    filterPattern: textAt(properties, 'FilterPattern', where),
    functionName: invocable(textAt(properties, 'DestinationArn', where), 'logs.amazonaws.com', where, wiring),
  }
}

function asyncInvocationPlan({ where, properties }: ResolvedResource, wiring: Wiring): AsyncInvocationPlan {
  return {
    functionName: functionAt(textAt(properties, 'FunctionName', where), where, wiring).name,
    retries: Number(properties['MaximumRetryAttempts'] ?? 2),
    onFailure: failureDestination(properties, where, wiring),
  }
}

function customResourcePlan(resource: ResolvedResource, wiring: Wiring): CustomResourcePlan {
  const { where, stack, logicalId, type, properties } = resource
  const functionName = functionAt(textAt(properties, 'ServiceToken', where), where, wiring).name
  return { where, stack, logicalId, type, functionName, properties }
}

/** The function of an ARN (with or without a version or alias, or wrapped as an integration URI) or of a name. */
function functionAt(target: string, where: string, { functions }: Wiring): FunctionPlan {
  const found = functions.find(
    ({ name, arn }) => target === name || target === arn || target.includes(`${arn}/`),
  )
  if (found === undefined)
    throw new TemplateDefect(where, `its target ${target} is not a function of this app`)
  return found
}

/** The name of the function at `arn`, which must let `service` invoke it: on AWS the call would fail otherwise. */
function invocable(arn: string, service: string, where: string, wiring: Wiring): string {
  const { name, arn: functionArn } = functionAt(arn, where, wiring)
  const permitted = ofType(wiring.resources, 'AWS::Lambda::Permission').some(
    ({ properties: { FunctionName, Principal } }) =>
      Principal === service && (FunctionName === functionArn || FunctionName === name),
  )
  if (!permitted) throw new TemplateDefect(where, `no AWS::Lambda::Permission lets ${service} invoke ${name}`)
  return name
}

/** A role that only AWS assumes makes no call here that could be refused. */
function requirePermission(
  policies: readonly PolicyDocument[],
  action: string,
  resource: string,
  where: string,
): void {
  const { kind } = decide(compilePolicies(policies), { action, resource, context: {} })
  if (kind === 'denied') throw new TemplateDefect(where, `its role does not allow ${action} on ${resource}`)
}

function textAt(object: JsonObject, key: string, where: string): string {
  const value = object[key]
  if (typeof value !== 'string') throw new TemplateDefect(`${where}.Properties.${key}`, 'expected text')
  return value
}

function objectAt(object: JsonObject, key: string): JsonObject {
  const value = object[key]
  return isObject(value) ? value : {}
}

function listAt(object: JsonObject, key: string): readonly JsonValue[] {
  const value = object[key]
  return Array.isArray(value) ? (value as readonly JsonValue[]) : []
}

function withoutUndefined(object: Readonly<Record<string, JsonValue | undefined>>): JsonObject {
  return Object.fromEntries(
    Object.entries(object).filter((entry): entry is [string, JsonValue] => entry[1] !== undefined),
  )
}
