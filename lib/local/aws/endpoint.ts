import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type AwsCall, CallHandling } from './call-handling.ts'
import type { Cloud } from './cloud.ts'
import { CloudFormation } from './cloudformation.ts'
import { CloudTrail, type TrailEvent } from './cloudtrail.ts'
import type { OnDefect } from './defect.ts'
import { DynamoDb } from './dynamodb.ts'
import { Faults } from './faults.ts'
import { Gatekeeper } from './gatekeeper.ts'
import type { AccessRequest } from './iam.ts'
import type { IamAccounts } from './iam-accounts.ts'
import { Kms } from './kms.ts'
import { type InvokeFunction, Lambda } from './lambda.ts'
import type { OutboundIdentity } from './outbound-identity.ts'
import type { PermissionUse, Principal, UnusedPermission } from './permissions.ts'
import { S3 } from './s3.ts'
import type { AwsService } from './service.ts'
import { Sqs } from './sqs.ts'
import { Sts, type VerifyWebIdentity } from './sts.ts'
import { webIdentityVerifier } from './web-identity.ts'

const DEFAULT_ACCOUNT = '111111111111'
/** Longer than SDKs keep idle connections, so that it is never this side that closes one under a request. */
const KEEP_ALIVE_MILLISECONDS = 120_000

export interface AwsEndpointOptions {
  /** 0 takes a free one. @default 0 */
  readonly port?: number
  /** The cloud's time, epoch milliseconds. @default Date.now */
  readonly clock?: () => number
  readonly region: string
  /** @default '111111111111' */
  readonly account?: string
  /** By access key id. May grow while the endpoint runs. @default none */
  readonly principals?: Map<string, Principal>
  /** Where tables and keys outlive the endpoint. @default in memory */
  readonly dataFolder?: string
  /** Told of everything that would fail on AWS. */
  readonly onDefect: OnDefect
  /** Told of every call after it ended. */
  readonly onCall?: (call: AwsCall) => void
  /** The roles that can be assumed, and the issuers that accounts accept. @default roles are not looked at */
  readonly accounts?: IamAccounts
  /** Verifies the tokens of AssumeRoleWithWebIdentity. @default by the OIDC providers of `accounts` */
  readonly verifyWebIdentity?: VerifyWebIdentity
  /** Signs for callers of GetWebIdentityToken. @default no account has an issuer */
  readonly outbound?: OutboundIdentity
  /** Told of everything that CloudTrail keeps. */
  readonly onTrailEvent?: (event: TrailEvent) => void
  /** Runs a function that another one calls. @default there are no functions */
  readonly invoke?: InvokeFunction
}

/** AWS on loopback: for `AWS_ENDPOINT_URL`. */
export interface AwsEndpoint {
  readonly url: string
  readonly port: number
  readonly cloudformation: CloudFormation
  readonly cloudtrail: CloudTrail
  readonly dynamodb: DynamoDb
  readonly kms: Kms
  readonly s3: S3
  readonly sqs: Sqs
  readonly sts: Sts
  readonly faults: Faults
  /** Makes an access key known, or replaces whom it belongs to. Throws for a policy that is not understood. */
  registerPrincipal(accessKeyId: string, principal: Principal): void
  /** Whom an access key belongs to, if anybody. */
  principal(accessKeyId: string): Principal | undefined
  /**
   * Checks and records a permission for what the local cloud itself does in a principal's name, such as reading a
   * stream. Returns whether it is allowed; a refusal is reported as a defect.
   */
  authorise(principal: Principal, request: AccessRequest): boolean
  /** What the principals' policies allow, and whether a call has needed it. */
  permissions(): readonly PermissionUse[]
  /** What the principals' policies allow and no call has needed. */
  unusedPermissions(): readonly UnusedPermission[]
  /** Stops listening, releases hanging calls and closes the tables. */
  close(): Promise<void>
}

/** Starts AWS on 127.0.0.1. Every call is checked against its principal's policies before it is carried out. */
export async function startAwsEndpoint(options: AwsEndpointOptions): Promise<AwsEndpoint> {
  const { region, account = DEFAULT_ACCOUNT, clock = Date.now, dataFolder, onDefect } = options
  const cloud: Cloud = { region, account, clock }
  const inFolder = (name: string) => (dataFolder === undefined ? undefined : join(dataFolder, name))
  const dynamodb = await DynamoDb.open(cloud, onDefect, inFolder('dynamodb'))
  const kms = await Kms.open(cloud, inFolder('kms.json'))
  const s3 = new S3(cloud, inFolder('s3'))
  const sqs = new Sqs(cloud)
  const cloudtrail = new CloudTrail(options.onTrailEvent)
  const { accounts } = options
  const verifyWebIdentity =
    options.verifyWebIdentity ?? (accounts && webIdentityVerifier({ accounts, clock }))
  const sts = new Sts(cloud, { verifyWebIdentity, accounts, outbound: options.outbound, trail: cloudtrail })
  const lambda = new Lambda(cloud, options.invoke)
  const cloudformation = new CloudFormation(cloud)
  const principals = options.principals ?? new Map<string, Principal>()
  const gatekeeper = new Gatekeeper({ cloud, principals, sts, accounts, onDefect })
  const faults = new Faults()
  const services = new Map<string, AwsService>(
    Object.entries({ cloudformation, cloudtrail, dynamodb, kms, lambda, s3, sqs, sts }),
  )
  const handling = new CallHandling({ cloud, services, gatekeeper, faults, onDefect, onCall: options.onCall })
  const server = createServer((request, response) => void handling.serve(request, response))
  server.keepAliveTimeout = KEEP_ALIVE_MILLISECONDS
  const port = await listen(server, options.port ?? 0).catch(async (error: unknown) => {
    await dynamodb.close()
    throw error
  })
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    cloudformation,
    cloudtrail,
    dynamodb,
    kms,
    s3,
    sqs,
    sts,
    faults,
    registerPrincipal: (accessKeyId, principal) => gatekeeper.register(accessKeyId, principal),
    principal: (accessKeyId) => principals.get(accessKeyId),
    authorise: (principal, request) => gatekeeper.authorise(principal, request),
    permissions: () => gatekeeper.permissions(),
    unusedPermissions: () => gatekeeper.unusedPermissions(),
    close: async () => {
      handling.stop()
      await stop(server)
      await dynamodb.close()
    },
  }
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
