import {
  CloudFormationClient,
  type CloudFormationClientConfig,
  DescribeStacksCommand,
  type Stack,
} from '@aws-sdk/client-cloudformation'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { KMSClient } from '@aws-sdk/client-kms'
import { STSClient } from '@aws-sdk/client-sts'
import { type KeyTimes, keyTimesFor } from '../../functions/core/key-times.ts'
import { stackNames } from '../project-context.ts'
import { CommandFailed } from './command.ts'

/** How AWS clients are made; what is left out, the SDK finds as the AWS CLI does. */
export interface AwsConfig {
  readonly region?: string
  readonly endpoint?: string
  readonly credentials?: NonNullable<CloudFormationClientConfig['credentials']>
}

/** A deployed broker, with clients that call AWS as the operator. */
export interface Deployment {
  readonly stage: string
  readonly region: string
  /** Base of every endpoint, without a slash at the end. */
  readonly issuer: string
  readonly tables: {
    readonly exchanges: string
    readonly revocations: string
    readonly signingKeys: string
  }
  readonly rotateKeysFunction: string
  readonly keyTimes: KeyTimes
  /** How long the slowest verifier keeps a JWK Set. */
  readonly verifierCacheSeconds: number
  /** An output of the stacks. Throws {@link CommandFailed} if neither has it: they are older than this command. */
  output(name: string): string
  /** What every AWS client here is made with: for clients of other services. */
  readonly awsConfig: AwsConfig & {
    readonly region: string
    readonly credentials: CloudFormationClient['config']['credentials']
  }
  readonly dynamoDb: DynamoDBClient
  readonly kms: KMSClient
  readonly sts: STSClient
}

/** Finds a deployment by the outputs of its stacks. Throws {@link CommandFailed}, or what AWS answers. */
export async function findDeployment(stage: string, config: AwsConfig): Promise<Deployment> {
  const cloudFormation = new CloudFormationClient(config)
  const region = await cloudFormation.config.region()
  const { state, service } = stackNames(stage)
  const stacks = await Promise.all([state, service].map((name) => describe(cloudFormation, name, region)))
  cloudFormation.destroy()
  const outputs = new Map(
    stacks.flatMap(({ Outputs = [] }) =>
      Outputs.map(({ OutputKey = '', OutputValue = '' }) => [OutputKey, OutputValue] as const),
    ),
  )
  const output = (name: string) => {
    const value = outputs.get(name)
    if (value !== undefined) return value
    throw new CommandFailed(
      `the stacks ${state} and ${service} have no output ${name}: they were deployed before this command existed`,
      'npx cdk deploy --all',
    )
  }
  // Found once for all clients: who signs in by a browser or a code does it once.
  const awsConfig = { ...config, region, credentials: cloudFormation.config.credentials }
  const verifierCacheSeconds = Number(output('VerifierCacheSeconds'))
  return {
    stage,
    region,
    issuer: output('Issuer'),
    tables: {
      exchanges: output('ExchangesTable'),
      revocations: output('RevocationsTable'),
      signingKeys: output('SigningKeysTable'),
    },
    rotateKeysFunction: output('RotateKeysFunctionName'),
    keyTimes: keyTimesFor({ rotationSeconds: Number(output('KeyRotationSeconds')), verifierCacheSeconds }),
    verifierCacheSeconds,
    output,
    awsConfig,
    dynamoDb: new DynamoDBClient(awsConfig),
    kms: new KMSClient(awsConfig),
    sts: new STSClient(awsConfig),
  }
}

async function describe(client: CloudFormationClient, name: string, region: string): Promise<Stack> {
  try {
    const { Stacks = [] } = await client.send(new DescribeStacksCommand({ StackName: name }))
    const [stack] = Stacks
    if (stack !== undefined) return stack
  } catch (error) {
    if (!(error instanceof Error && /does not exist/.test(error.message))) throw error
  }
  throw new CommandFailed(
    `there is no stack ${name} in ${region}`,
    'check --stage and --region (or AWS_REGION and AWS_PROFILE); to deploy it: npx cdk deploy --all',
  )
}
