import { join } from 'node:path'
import { type IGrantable, type IPrincipal, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import {
  Alias,
  Architecture,
  Code,
  type IFunction,
  type ILayerVersion,
  type IVersion,
  Function as LambdaFunction,
  LayerVersion,
  Runtime,
  Tracing,
} from 'aws-cdk-lib/aws-lambda'
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs'
import { Duration, type RemovalPolicy, Stage, Validations } from 'aws-cdk-lib/core'
import { Construct } from 'constructs'
import { bundleFunction } from './function-bundle.ts'

/** Said to be a function too: the CDK's interfaces leave out that an optional property of its classes may be undefined. */
export type LiveAlias = Alias & IFunction

export interface BrokerFunctionProps {
  /** Source file that exports `handler`. */
  readonly entry: string
  /** What the function does, shown in the Lambda console. */
  readonly description: string
  readonly environment: Record<string, string>
  /** Lambda gives CPU in proportion to memory: one vCPU at 1,769 MB. */
  readonly memoryMegabytes: number
  readonly timeoutSeconds: number
  readonly logRetention: RetentionDays
  /** What becomes of the logs when the stack is deleted, and of a version when the next one has replaced it. */
  readonly removal: RemovalPolicy
  /**
   * Files to put beside the code, name to content.
   * @default - none
   */
  readonly files?: Readonly<Record<string, string>>
  /**
   * ARN of the layer with an OpenTelemetry SDK.
   * @default - none
   */
  readonly openTelemetryLayer?: string | undefined
}

/** A Lambda function with a role and a log group of its own: it may write its log and traces, and what is granted to it. */
export class BrokerFunction extends Construct implements IGrantable {
  readonly lambda: LambdaFunction
  readonly role: Role
  readonly logGroup: LogGroup
  #live: LiveAlias | undefined

  constructor(scope: Construct, id: string, props: BrokerFunctionProps) {
    super(scope, id)
    this.logGroup = new LogGroup(this, 'Logs', {
      retention: props.logRetention,
      removalPolicy: props.removal,
    })
    // Not the managed policy AWSLambdaBasicExecutionRole: it may write to every log group of the account.
    this.role = new Role(this, 'Role', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') })
    this.logGroup.grantWrite(this.role)
    this.lambda = new LambdaFunction(this, 'Function', {
      code: this.#code(props),
      handler: 'index.handler',
      description: props.description,
      // Pinned: NODEJS_LATEST moves with every update of aws-cdk-lib.
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      memorySize: props.memoryMegabytes,
      timeout: Duration.seconds(props.timeoutSeconds),
      environment: {
        ...props.environment,
        ...(props.openTelemetryLayer && { AWS_LAMBDA_EXEC_WRAPPER: '/opt/otel-instrument' }),
      },
      layers: this.#layers(props),
      role: this.role,
      logGroup: this.logGroup,
      tracing: Tracing.ACTIVE,
      currentVersionOptions: { removalPolicy: props.removal },
    })
    Validations.of(this.role).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason: 'xray:PutTraceSegments and xray:PutTelemetryRecords have no resource to name',
    })
  }

  /** What requests invoke: a release moves it to the new version. Made when it is first asked for. */
  get live(): LiveAlias {
    this.#live ??= this.#alias()
    return this.#live
  }

  /** Of the alias, without a reference to it: what waits for the alias waits for its release, and that for every function. */
  get liveArn(): string {
    return `${this.lambda.functionArn}:${this.live.aliasName}`
  }

  get grantPrincipal(): IPrincipal {
    return this.role
  }

  #alias(): LiveAlias {
    const version = this.lambda.currentVersion as IVersion
    return new Alias(this, 'Live', { aliasName: 'live', version }) as LiveAlias
  }

  #layers({ openTelemetryLayer: arn }: BrokerFunctionProps): ILayerVersion[] {
    return arn === undefined ? [] : [LayerVersion.fromLayerVersionArn(this, 'OpenTelemetry', arn)]
  }

  #code(props: BrokerFunctionProps): Code {
    const assembly = Stage.of(this)
    if (!assembly) throw new Error(`${this.node.path} is not part of an app`)
    const folder = join(assembly.outdir, 'bundles', this.node.path)
    return Code.fromAsset(bundleFunction(props.entry, folder, props.files).folder)
  }
}
