import { fileURLToPath } from 'node:url'
import { type App, CustomResource, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib'
import { HttpApi, HttpMethod, PayloadFormatVersion } from 'aws-cdk-lib/aws-apigatewayv2'
import { HttpIamAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers'
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations'
import { AttributeType, StreamViewType, TableV2 } from 'aws-cdk-lib/aws-dynamodb'
import { Rule, RuleTargetInput, Schedule } from 'aws-cdk-lib/aws-events'
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets'
import { Alias, type IFunction, type IVersion, Runtime, StartingPosition } from 'aws-cdk-lib/aws-lambda'
import { NodejsFunction, OutputFormat } from 'aws-cdk-lib/aws-lambda-nodejs'
import {
  ScheduleExpression,
  Schedule as SchedulerSchedule,
  ScheduleTargetInput,
} from 'aws-cdk-lib/aws-scheduler'
import { LambdaInvoke } from 'aws-cdk-lib/aws-scheduler-targets'

export interface FixtureOptions {
  /** Leaves out the grant that lets the writer write. @default false */
  readonly withoutWriteGrant?: boolean
  /** The custom resource fails with this reason. */
  readonly failWith?: string
  /** The echo function fails while it initialises. @default false */
  readonly refuseToStart?: boolean
  /** @default PayloadFormatVersion.VERSION_1_0 */
  readonly payloadFormat?: PayloadFormatVersion
}

/** A small app with one of everything that the local cloud starts; it has nothing in common with the broker's stacks. */
export function addFixtureStacks(app: App, options: FixtureOptions = {}): void {
  const state = new Stack(app, 'State', { stackName: 'fixture-state' })
  const table = new TableV2(state, 'Items', {
    partitionKey: { name: 'pk', type: AttributeType.STRING },
    timeToLiveAttribute: 'expires_at',
    dynamoStream: StreamViewType.NEW_AND_OLD_IMAGES,
    removalPolicy: RemovalPolicy.DESTROY,
  })
  const service = new Stack(app, 'Service', { stackName: 'fixture-service' })
  const api = new HttpApi(service, 'Api')
  const environment = { ITEMS_TABLE: table.tableName, API_URL: api.apiEndpoint }
  const fixture = (id: string, handler: string, more: Record<string, string> = {}) =>
    new NodejsFunction(service, id, {
      entry: fileURLToPath(new URL('fixture-functions.ts', import.meta.url)),
      handler,
      runtime: Runtime.NODEJS_24_X,
      memorySize: 256,
      timeout: Duration.seconds(2),
      environment: { ...environment, ...more },
      bundling: {
        format: OutputFormat.ESM,
        bundleAwsSDK: true,
        mainFields: ['module', 'main'],
        banner: REQUIRE,
      },
    })

  const echo = fixture('Echo', 'echo', options.refuseToStart === true ? { REFUSE_TO_START: '1' } : {})
  const write = fixture('Write', 'write')
  const trespass = fixture('Trespass', 'trespass')
  const consume = fixture('Consume', 'consume')
  const tick = fixture('Tick', 'tick')
  const provision = fixture('Provision', 'provision')
  if (options.withoutWriteGrant !== true) table.grantWriteData(write)
  table.grantWriteData(trespass)
  table.grantWriteData(provision)

  const payloadFormatVersion = options.payloadFormat ?? PayloadFormatVersion.VERSION_1_0
  const version = write.currentVersion as IVersion
  const live = new Alias(service, 'WriteLive', { aliasName: 'live', version }) as Alias & IFunction
  const route = (path: string, method: HttpMethod, handler: IFunction) =>
    api.addRoutes({
      path,
      methods: [method],
      integration: new HttpLambdaIntegration(`${handler.node.id}Integration`, handler, {
        payloadFormatVersion,
      }),
    })
  route('/echo', HttpMethod.ANY, echo)
  route('/things/{id}', HttpMethod.GET, echo)
  route('/things/special', HttpMethod.GET, trespass)
  route('/files/{proxy+}', HttpMethod.GET, echo)
  route('/write', HttpMethod.POST, live)
  api.addRoutes({
    path: '/signed/{id}',
    methods: [HttpMethod.POST],
    integration: new HttpLambdaIntegration('SignedIntegration', echo, { payloadFormatVersion }),
    authorizer: new HttpIamAuthorizer(),
  })

  table.grantStreamRead(consume)
  consume.addEventSourceMapping('Stream', {
    eventSourceArn: table.tableStreamArn ?? '',
    startingPosition: StartingPosition.TRIM_HORIZON,
    batchSize: 3,
    retryAttempts: 2,
    bisectBatchOnError: true,
    reportBatchItemFailures: true,
  })
  new Rule(service, 'Hourly', {
    schedule: Schedule.rate(Duration.hours(1)),
    targets: [new LambdaFunction(tick, { event: RuleTargetInput.fromObject({ from: 'rule' }) })],
  })
  new SchedulerSchedule(service, 'Nightly', {
    schedule: ScheduleExpression.cron({ minute: '30', hour: '2' }),
    target: new LambdaInvoke(tick, { input: ScheduleTargetInput.fromObject({ from: 'scheduler' }) }),
  })
  new CustomResource(service, 'Provisioned', {
    serviceToken: provision.functionArn,
    properties: { Name: 'first', FailWith: options.failWith ?? '' },
  })
}

/** Bundled CommonJS dependencies call `require`, which an ES module does not have. */
const REQUIRE = "import{createRequire}from'node:module';const require=createRequire(import.meta.url);"
