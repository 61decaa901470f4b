/**
 * Every resource type that the local cloud knows. Texts are templates: `{name}` is the resource's name, `{lower}` the
 * same in lower case, `{function}` the name of the function that its FunctionName refers to, `{host}` the same without `https://`, `{path}` the resource's Path or `/`, `{uuid}` an id that follows from it, `{region}`, `{account}` and `{partition}` are those of the deployment, `{api}` is where the local API
 * answers.
 */
export interface ResourceType {
  /** Whether its properties are read: the local cloud runs it, or alarms are replayed. The rest only has names that others refer to. */
  readonly started: boolean
  /** Property that names the resource, if the template sets it. */
  readonly nameProperty?: string
  readonly ref: string
  readonly attributes?: Readonly<Record<string, string>>
}

const arn = (service: string, resource: string): string =>
  `arn:{partition}:${service}:{region}:{account}:${resource}`
const OIDC_PROVIDER_ARN = 'arn:{partition}:iam::{account}:oidc-provider/{host}'
const TABLE_ARN = arn('dynamodb', 'table/{name}')

const table: ResourceType = {
  started: true,
  nameProperty: 'TableName',
  ref: '{name}',
  attributes: {
    Arn: TABLE_ARN,
    TableId: '{name}',
    StreamArn: `${TABLE_ARN}/stream/2026-01-01T00:00:00.000`,
  },
}

const alarm: ResourceType = {
  started: true,
  nameProperty: 'AlarmName',
  ref: '{name}',
  attributes: { Arn: arn('cloudwatch', 'alarm:{name}') },
}

/** Exists on AWS; nothing of it runs locally. */
const passive = (
  ref: string,
  attributes: Readonly<Record<string, string>> = {},
  nameProperty?: string,
): ResourceType =>
  nameProperty === undefined
    ? { started: false, ref, attributes }
    : { started: false, ref, attributes, nameProperty }

/** A custom resource; what it answers is known only after it has run, so that nothing can refer to it. */
export const CUSTOM_RESOURCE: ResourceType = { started: true, ref: '{name}' }

export const RESOURCE_TYPES: Readonly<Record<string, ResourceType>> = {
  'AWS::DynamoDB::GlobalTable': table,
  'AWS::DynamoDB::Table': table,
  'AWS::Lambda::Function': {
    started: true,
    nameProperty: 'FunctionName',
    ref: '{name}',
    attributes: { Arn: arn('lambda', 'function:{name}') },
  },
  // What is deployed is the only version that there is.
  'AWS::Lambda::Version': {
    started: true,
    ref: arn('lambda', 'function:{function}:1'),
    attributes: { Version: '1', FunctionArn: arn('lambda', 'function:{function}:1') },
  },
  'AWS::Lambda::Alias': {
    started: true,
    nameProperty: 'Name',
    ref: arn('lambda', 'function:{function}:{name}'),
    attributes: { AliasArn: arn('lambda', 'function:{function}:{name}') },
  },
  'AWS::IAM::Role': {
    started: true,
    nameProperty: 'RoleName',
    ref: '{name}',
    attributes: { Arn: 'arn:{partition}:iam::{account}:role{path}{name}', RoleId: '{name}' },
  },
  'AWS::IAM::OIDCProvider': {
    started: true,
    nameProperty: 'Url',
    ref: OIDC_PROVIDER_ARN,
    attributes: { Arn: OIDC_PROVIDER_ARN },
  },
  'AWS::IAM::Policy': { started: true, ref: '{name}' },
  'AWS::IAM::ManagedPolicy': { started: true, ref: 'arn:{partition}:iam::{account}:policy/{name}' },
  'AWS::ApiGatewayV2::Api': {
    started: true,
    ref: '{name}',
    attributes: { ApiEndpoint: '{api}', ApiId: '{name}' },
  },
  'AWS::ApiGatewayV2::Route': { started: true, ref: '{name}' },
  'AWS::ApiGatewayV2::Integration': { started: true, ref: '{name}' },
  'AWS::ApiGatewayV2::Stage': { started: true, nameProperty: 'StageName', ref: '{name}' },
  'AWS::Lambda::Permission': { started: true, ref: '{name}' },
  'AWS::Lambda::EventSourceMapping': { started: true, ref: '{name}' },
  'AWS::Events::Rule': {
    started: true,
    nameProperty: 'Name',
    ref: '{name}',
    attributes: { Arn: arn('events', 'rule/{name}') },
  },
  'AWS::Scheduler::Schedule': {
    started: true,
    nameProperty: 'Name',
    ref: '{name}',
    attributes: { Arn: arn('scheduler', 'schedule/default/{name}') },
  },
  'AWS::CloudFormation::CustomResource': CUSTOM_RESOURCE,
  'AWS::KMS::Key': {
    started: true,
    ref: '{uuid}',
    attributes: { Arn: arn('kms', 'key/{uuid}'), KeyId: '{uuid}' },
  },

  'AWS::Lambda::EventInvokeConfig': { started: true, ref: '{name}' },
  'AWS::Logs::SubscriptionFilter': { started: true, ref: '{name}' },
  'AWS::S3::Bucket': {
    started: true,
    nameProperty: 'BucketName',
    ref: '{lower}',
    attributes: { Arn: 'arn:{partition}:s3:::{lower}', DomainName: '{lower}.s3.amazonaws.com' },
  },
  'AWS::S3::BucketPolicy': { started: true, ref: '{name}' },
  'AWS::SQS::Queue': {
    started: true,
    nameProperty: 'QueueName',
    ref: 'https://sqs.{region}.amazonaws.com/{account}/{name}',
    attributes: { Arn: arn('sqs', '{name}'), QueueName: '{name}' },
  },

  'AWS::ApplicationAutoScaling::ScalableTarget': passive('{name}'),
  'AWS::ApplicationAutoScaling::ScalingPolicy': passive('{name}'),
  'AWS::CDK::Metadata': passive('{name}'),
  'AWS::ApiGatewayV2::ApiMapping': passive('{name}'),
  'AWS::ApiGatewayV2::DomainName': passive('{name}', {
    RegionalDomainName: '{name}',
    RegionalHostedZoneId: '{name}',
  }),
  'AWS::CloudWatch::Alarm': alarm,
  'AWS::CloudWatch::CompositeAlarm': alarm,
  // Drawn by the console of a local run.
  'AWS::CloudWatch::Dashboard': { ...passive('{name}', {}, 'DashboardName'), started: true },
  'AWS::ApplicationSignals::ServiceLevelObjective': passive('{name}', {}, 'Name'),
  'AWS::CloudWatch::AlarmMuteRule': passive('{name}', {}, 'Name'),
  'AWS::CloudWatch::InsightRule': passive('{name}', {}, 'RuleName'),
  // Moves aliases from one version to the next.
  'AWS::CodeDeploy::Application': passive('{name}', {}, 'ApplicationName'),
  'AWS::CodeDeploy::DeploymentGroup': passive('{name}', {}, 'DeploymentGroupName'),
  'AWS::KMS::Alias': passive('{name}', {}, 'AliasName'),
  'AWS::Kinesis::Stream': passive('{name}', { Arn: arn('kinesis', 'stream/{name}') }, 'Name'),
  'AWS::Logs::LogGroup': passive('{name}', { Arn: arn('logs', 'log-group:{name}:*') }, 'LogGroupName'),
  'AWS::Logs::MetricFilter': passive('{name}'),
  'AWS::Logs::QueryDefinition': passive('{name}'),
  'AWS::Logs::ResourcePolicy': passive('{name}'),
  'AWS::Scheduler::ScheduleGroup': passive(
    '{name}',
    { Arn: arn('scheduler', 'schedule-group/{name}') },
    'Name',
  ),
  'AWS::SNS::Subscription': passive('{name}'),
  'AWS::SNS::Topic': passive(
    arn('sns', '{name}'),
    { TopicArn: arn('sns', '{name}'), TopicName: '{name}' },
    'TopicName',
  ),
  'AWS::SNS::TopicPolicy': passive('{name}'),
  'AWS::SQS::QueuePolicy': passive('{name}'),
  'AWS::SSM::Parameter': passive('{name}', {}, 'Name'),
  'AWS::WAFv2::WebACL': passive('{name}', { Arn: arn('wafv2', 'regional/webacl/{name}') }, 'Name'),
  'AWS::WAFv2::WebACLAssociation': passive('{name}'),
}

/** The resource type, or `undefined` if the local cloud does not know it. */
export function resourceType(type: string): ResourceType | undefined {
  return type.startsWith('Custom::') ? CUSTOM_RESOURCE : RESOURCE_TYPES[type]
}
