import { randomUUID } from 'node:crypto'
import type { TrustedIssuer } from '../../functions/core/policy/compiled.ts'
import { LOCAL_ISSUERS_VARIABLE } from '../../functions/settings.ts'
import { BROKER_ROLE_OUTPUT, type BrokerFacts } from '../aws-roles/target-trust.ts'
import { type AccountTemplate, accountsOf } from './account-templates.ts'
import { type JsonObject, readAssembly } from './assembly.ts'
import { invokeAsync } from './async-invocation.ts'
import type { AwsCall } from './aws/call-handling.ts'
import type { StackDescription } from './aws/cloudformation.ts'
import type { TableDefinition } from './aws/dynamodb.ts'
import { type AwsEndpoint, startAwsEndpoint } from './aws/endpoint.ts'
import { functionNotFound } from './aws/lambda.ts'
import type { PermissionUse, UnusedPermission } from './aws/permissions.ts'
import {
  type CloudDefect,
  CloudDefectError,
  describeDefect,
  isOfOperator,
  OPERATOR_NAME,
} from './cloud-defect.ts'
import { createCustomResource } from './custom-resource.ts'
import { DEMO_ISSUER_PATH } from './demo-exchange.ts'
import { DemoIssuer } from './demo-issuer.ts'
import { EventSource, type SourceRecord } from './event-source.ts'
import { failedBatchMessage } from './failed-batch.ts'
import { accessKeyIdOf, Functions } from './functions.ts'
import { type ApiRequest, HttpApi, type Mount } from './http-api.ts'
import { iamAuthorizer } from './iam-authorizer.ts'
import { LogSubscription } from './log-subscription.ts'
import type { CloudPlan, EventSourcePlan, SchedulePlan } from './plan/cloud-plan.ts'
import { planCloud } from './plan/plan-cloud.ts'
import { describeStacks, resolveStacks } from './resolved-stacks.ts'
import { scheduledEvent, startSchedules } from './schedules.ts'
import { trailLine } from './trail-line.ts'

const REGION = 'eu-west-1'
const ACCOUNT = '111111111111'
/** DynamoDB deletes expired items within days; sooner here, so that a stream's consumer can be watched. */
const SWEEP_MILLISECONDS = 60_000

/** Who runs the local cloud, and may do everything in it: for the AWS CLI, and to sign requests to the API. */
export const LOCAL_OPERATOR = {
  accessKeyId: 'AKIALOCALOPERATOR000',
  secretAccessKey: 'local-operator',
} as const

const STREAM_ACTIONS = ['dynamodb:DescribeStream', 'dynamodb:GetRecords', 'dynamodb:GetShardIterator']

/** So long the records that wait may still be delivered when the cloud is closed: a person waits for it. */
const LAST_DELIVERY_MILLISECONDS = 1000

export interface LocalCloudOptions {
  /** Cloud assembly: what `cdk synth` writes. */
  readonly assemblyFolder: string
  /** @default - a free port */
  readonly port?: number | undefined
  /** Keeps tables and keys from one run to the next. @default - in memory */
  readonly dataFolder?: string | undefined
  /** Processes per function. @default 1 */
  readonly environments?: number | undefined
  /** Issuers of the policy, which the demo issuer stands in for. @default - none */
  readonly issuers?: readonly TrustedIssuer[] | undefined
  /**
   * The accounts whose roles the broker gives out, as they know it.
   * @default - no account has a role that anybody could assume
   */
  readonly accountTemplates?: ((broker: BrokerFacts) => readonly AccountTemplate[]) | undefined
  /**
   * Ids of the issuers, by account, as which STS signs for callers of GetWebIdentityToken.
   * @default - no account has one
   */
  readonly outboundIssuers?: ReadonlyMap<string, string> | undefined
  /** Epoch milliseconds. @default Date.now */
  readonly clock?: (() => number) | undefined
  /**
   * Whether schedules run by themselves. False is for whoever invokes the functions at moments of its own.
   * @default true
   */
  readonly schedules?: boolean
  /** @default - the cloud stops, and says so in `stopped` */
  readonly onDefect?: ((defect: CloudDefect) => void) | undefined
  readonly onLog?: ((functionName: string, line: string) => void) | undefined
  /** Told of every call to AWS after it ended. */
  readonly onCall?: ((call: AwsCall) => void) | undefined
  /** Told of every request to the API after it was answered. */
  readonly onRequest?: ((request: ApiRequest) => void) | undefined
  /** What has been started, as it happens. */
  readonly onProgress?: ((step: string) => void) | undefined
  /** Gives up the start; once the cloud runs, only `close` stops it. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Runs what a cloud assembly declares, on loopback, and resolves once all of it is up. Throws {@link CloudDefectError},
 * `TemplateDefect` or `CustomResourceFailed` for what would fail on AWS, and what `listen` throws.
 */
export async function startLocalCloud(options: LocalCloudOptions): Promise<LocalCloud> {
  const cloud = new LocalCloud(options)
  try {
    const stopped = cloud.stopped.then((error) => Promise.reject(error))
    await Promise.race([cloud.start(), stopped, abortion(options.signal)])
    return cloud
  } catch (error) {
    await cloud.close()
    throw error
  }
}

/** The running cloud. Made by {@link startLocalCloud}. */
export class LocalCloud {
  /** Settles with the first defect that stopped the cloud, if `onDefect` was left out. */
  readonly stopped: Promise<CloudDefectError>
  readonly #options: LocalCloudOptions
  readonly #clock: () => number
  readonly #closers: (() => unknown)[] = []
  #stop: (error: CloudDefectError) => void = () => {}
  #closing: Promise<void> | undefined
  #api: HttpApi | undefined
  #aws: AwsEndpoint | undefined
  #demoIssuer: DemoIssuer | undefined
  #functions: Functions | undefined
  #plan: CloudPlan | undefined
  /** By the function that writes the log. */
  readonly #sources: EventSource[] = []
  readonly #subscriptions = new Map<string, readonly LogSubscription[]>()

  constructor(options: LocalCloudOptions) {
    this.#options = options
    this.#clock = options.clock ?? Date.now
    this.stopped = new Promise((resolve) => {
      this.#stop = resolve
    })
  }

  /** Where the API answers, without a slash at the end. */
  get url(): string {
    return started(this.#api).url
  }

  get aws(): AwsEndpoint {
    return started(this.#aws)
  }

  /** Variables with which any AWS client, and `npx token-broker`, finds this cloud as its operator. */
  get operatorEnvironment(): Readonly<Record<string, string>> {
    return {
      AWS_ENDPOINT_URL: this.aws.url,
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: LOCAL_OPERATOR.accessKeyId,
      AWS_SECRET_ACCESS_KEY: LOCAL_OPERATOR.secretAccessKey,
    }
  }

  get demoIssuer(): DemoIssuer {
    return started(this.#demoIssuer)
  }

  get functions(): Functions {
    return started(this.#functions)
  }

  /** What was found in the template. */
  get plan(): CloudPlan {
    return started(this.#plan)
  }

  /** Invokes a function by its name, logical id or construct id. Throws `InvocationError` if it has no answer. */
  invoke(functionName: string, event: unknown): Promise<unknown> {
    return this.functions.invoke(functionName, event)
  }

  /** Gives requests below `prefix` to `mount` instead of to the API. */
  mount(prefix: string, mount: Mount): void {
    started(this.#api).mount(prefix, mount)
  }

  /** What the functions' roles allow. What AWS itself uses on their behalf (logs, traces) is left out. */
  permissions(): readonly PermissionUse[] {
    return this.aws.permissions().filter(({ action }) => !isUsedByAws(action))
  }

  /** Permissions of functions that no call needed, without those that AWS itself uses. */
  unusedPermissions(): readonly UnusedPermission[] {
    return this.aws.unusedPermissions().filter(({ action }) => !isUsedByAws(action))
  }

  /** Starts everything, in the order in which CloudFormation would. Called by {@link startLocalCloud}. */
  async start(): Promise<void> {
    const { assemblyFolder, port = 0, onRequest } = this.#options
    const clock = this.#clock
    const api = await HttpApi.listen({
      port,
      account: ACCOUNT,
      clock,
      invoke: (name, event, requestId) => this.functions.invoke(name, event, requestId),
      authorize: (request, route) =>
        iamAuthorizer({ aws: this.aws, region: REGION, account: ACCOUNT, clock })(request, route),
      onRequest,
    })
    this.#api = this.#closeLater(api)
    const deployment = { account: ACCOUNT, region: REGION, apiEndpoint: api.url }
    const stacks = readAssembly(assemblyFolder)
    this.#plan = planCloud(resolveStacks(stacks, deployment))
    await this.#startDemoIssuer()
    const described = describeStacks(stacks, deployment)
    await this.#startAws(outputOf(described, BROKER_ROLE_OUTPUT))
    for (const stack of described) this.aws.cloudformation.add(stack)
    this.#startFunctions()
    this.#startEventSources()
    this.#startLogSubscriptions()
    if (this.plan.api !== undefined) api.serve(this.plan.api)
    await this.#createCustomResources()
    this.#startTimers()
  }

  /** Stops everything. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll()
    return this.#closing
  }

  async #closeAll(): Promise<void> {
    // In reverse, so that nothing loses what it still needs.
    for (const close of this.#closers.splice(0).reverse()) await close()
  }

  async #startDemoIssuer(): Promise<void> {
    const url = `${this.url}${DEMO_ISSUER_PATH.slice(0, -1)}`
    const demoIssuer = await DemoIssuer.create({
      url,
      issuers: this.#options.issuers ?? [],
      clock: this.#clock,
    })
    this.#demoIssuer = demoIssuer
    this.#api?.mount(DEMO_ISSUER_PATH, (request, response) => demoIssuer.answer(request, response))
  }

  async #startAws(brokerRole: string | undefined): Promise<void> {
    const { dataFolder, onCall, accountTemplates = () => [] } = this.#options
    const accounts = accountsOf(accountTemplates({ issuer: this.url, brokerRole }), REGION)
    const aws = await startAwsEndpoint({
      region: REGION,
      account: ACCOUNT,
      clock: this.#clock,
      ...(dataFolder !== undefined && { dataFolder }),
      ...(onCall !== undefined && { onCall }),
      invoke: (name, event, alias) => this.#invoke(name, event, alias),
      accounts,
      outbound: { sign: (account, claims, algorithm) => this.#signIdentity(account, claims, algorithm) },
      onTrailEvent: (event) => {
        const line = trailLine(event)
        if (line !== undefined) this.#progress(line)
      },
      onDefect: (defect) => this.#report(defect),
    })
    this.#aws = this.#closeLater(aws)
    for (const { arn } of accounts.roles) this.#progress(`role ${arn}`)
    for (const { name, definition } of this.plan.tables) {
      await aws.dynamodb.createTable(definition as unknown as TableDefinition)
      this.#progress(`table ${name}`)
    }
    for (const { id, logicalId, definition, rotated } of this.plan.keys) {
      await aws.kms.provide(id, definition, rotated)
      this.#progress(`KMS key ${logicalId}`)
    }
    for (const definition of this.plan.buckets) {
      await aws.s3.createBucket(definition)
      this.#progress(`bucket ${definition.name}`)
    }
    for (const name of this.plan.queueNames) {
      aws.sqs.createQueue(name)
      this.#progress(`queue ${name}`)
    }
    for (const { name, roleArn, policies } of this.plan.functions) {
      aws.registerPrincipal(accessKeyIdOf(roleArn), { name, roleArn, policies })
    }
    const { accessKeyId, secretAccessKey } = LOCAL_OPERATOR
    aws.registerPrincipal(accessKeyId, { name: OPERATOR_NAME, secretAccessKey })
  }

  /** As the issuer of an account's outbound identity federation: on AWS, STS itself is that. */
  #signIdentity(account: string, claims: object, algorithm: string): Promise<string> | undefined {
    const issuer = this.#options.outboundIssuers?.get(account)
    return issuer === undefined
      ? undefined
      : this.demoIssuer.sign({ issuer, claims: claims as JsonObject }, algorithm)
  }

  #startFunctions(): void {
    const { environments = 1, issuers } = this.#options
    const functions = new Functions({
      functions: this.plan.functions,
      region: REGION,
      awsUrl: this.aws.url,
      environments,
      // Its presence is what lets functions talk to loopback, even where nothing needs a stand-in.
      environment:
        issuers === undefined
          ? {}
          : { [LOCAL_ISSUERS_VARIABLE]: JSON.stringify(this.demoIssuer.localIssuers()) },
      onLog: (functionName, line) => this.#onLog(functionName, line),
      onInitFailed: (functionName, { message }) => this.#report({ kind: 'function', functionName, message }),
    })
    this.#functions = this.#closeLater(functions)
    for (const { name } of this.plan.functions) this.#progress(`function ${name}`)
  }

  async #invoke(name: string, event: unknown, alias: string | undefined): Promise<unknown> {
    const known = this.plan.functions.find((it) => it.name === name)
    if (known === undefined || (alias !== undefined && !known.aliases.includes(alias)))
      throw functionNotFound()
    return this.functions.invoke(name, event, requestIdIn(event))
  }

  #startEventSources(): void {
    for (const plan of this.plan.eventSources) {
      const source = new EventSource({
        plan,
        invoke: (event) => this.functions.invoke(plan.functionName, event),
        onDiscarded: (records, error) => this.#discard(plan, records, error),
        clock: this.#clock,
      })
      this.#sources.push(source)
      this.#authoriseStream(plan)
      this.aws.dynamodb.onStreamRecord(plan.tableName, (record) => source.add(record))
      this.#closeLater({
        close: async () => {
          source.flush()
          await orLater(source.settled())
          source.close()
        },
      })
      this.#progress(`stream of ${plan.tableName} to ${plan.functionName}`)
    }
  }

  #startLogSubscriptions(): void {
    for (const plan of this.plan.logSubscriptions) {
      const subscription = new LogSubscription({
        plan,
        account: ACCOUNT,
        clock: this.#clock,
        invoke: (event) => this.#invokeAsync(plan.functionName, event),
      })
      const known = this.#subscriptions.get(plan.sourceFunction) ?? []
      this.#subscriptions.set(plan.sourceFunction, [...known, subscription])
      this.#closeLater({ close: () => orLater(subscription.flush()) })
      this.#progress(`log of ${plan.sourceFunction} to ${plan.functionName}`)
    }
  }

  #onLog(functionName: string, line: string): void {
    this.#options.onLog?.(functionName, line)
    for (const subscription of this.#subscriptions.get(functionName) ?? []) subscription.add(line)
  }

  /** Lambda retries, and sends what it gives up to the queue, with the function's own role. */
  #invokeAsync(functionName: string, event: unknown): Promise<void> {
    const plan = this.plan.asyncInvocations.find((it) => it.functionName === functionName)
    return invokeAsync(event, {
      plan,
      clock: this.#clock,
      invoke: (given) => this.functions.invoke(functionName, given),
      deliver: (queueName, message) => this.#deliver(functionName, queueName, message),
    })
  }

  #discard(plan: EventSourcePlan, records: readonly SourceRecord[], error: unknown): void {
    const { functionName, onFailure } = plan
    this.#options.onLog?.(functionName, `gave up on ${records.length} stream records: ${String(error)}`)
    if (onFailure === undefined) return
    const { arn } = this.functions.plan(functionName)
    const message = failedBatchMessage(plan, records, { functionArn: arn, now: this.#clock() })
    this.#deliver(functionName, onFailure.queueName, message)
  }

  #deliver(functionName: string, queueName: string, message: string): void {
    const principal = this.functions.plan(functionName)
    const resource = `arn:aws:sqs:${REGION}:${ACCOUNT}:${queueName}`
    if (this.aws.authorise(principal, { action: 'sqs:SendMessage', resource, context: {} }))
      this.aws.sqs.deliver(queueName, message)
  }

  /** Lambda reads the stream with the function's own role. */
  #authoriseStream({ functionName, streamArn }: EventSourcePlan): void {
    const principal = this.functions.plan(functionName)
    for (const action of STREAM_ACTIONS)
      this.aws.authorise(principal, { action, resource: streamArn, context: {} })
  }

  async #createCustomResources(): Promise<void> {
    for (const resource of this.plan.customResources) {
      await createCustomResource(resource, {
        account: ACCOUNT,
        region: REGION,
        invoke: (name, event) => this.functions.invoke(name, event),
      })
      this.#progress(`custom resource ${resource.logicalId}`)
    }
  }

  #startTimers(): void {
    const onDue = (schedule: SchedulePlan) => void this.#runSchedule(schedule)
    const schedules = this.#options.schedules === false ? [] : this.plan.schedules
    const stop = startSchedules({ schedules, clock: this.#clock, onDue })
    const sweep = () => {
      this.aws.dynamodb
        .sweepExpired(this.#clock())
        .catch((error: unknown) => this.#report({ kind: 'internal', operation: 'sweep', error }))
    }
    const sweeper = setInterval(sweep, SWEEP_MILLISECONDS).unref()
    this.#closers.push(stop, () => clearInterval(sweeper))
    for (const { name, expression } of schedules) this.#progress(`schedule ${name} ${expression}`)
  }

  /** A failure is in the function's log; the next run comes anyway. */
  async #runSchedule(schedule: SchedulePlan): Promise<void> {
    const facts = { id: randomUUID(), account: ACCOUNT, region: REGION, now: this.#clock() }
    await this.functions
      .invoke(schedule.functionName, schedule.input ?? scheduledEvent(schedule, facts))
      .catch(() => {})
  }

  /** Settles when nothing is on its way from a stream or a log to its function. */
  async delivered(): Promise<void> {
    for (const source of this.#sources) {
      source.flush()
      await source.settled()
    }
    for (const subscriptions of this.#subscriptions.values())
      for (const subscription of subscriptions) await subscription.flush()
  }

  #report(defect: CloudDefect): void {
    if (this.#closing !== undefined) return
    if (this.#options.onDefect !== undefined) {
      this.#options.onDefect(defect)
    } else if (isOfOperator(defect)) {
      this.#progress(`refused: ${describeDefect(defect)}`)
    } else {
      this.#stop(new CloudDefectError(defect))
      void this.close()
    }
  }

  #progress(step: string): void {
    this.#options.onProgress?.(step)
  }

  /** What starts while the cloud is being closed is closed at once. */
  #closeLater<T extends { close(): unknown }>(part: T): T {
    if (this.#closing === undefined) this.#closers.push(() => part.close())
    else this.#closing = this.#closing.then(async () => void (await part.close()))
    return part
  }
}

function outputOf(stacks: readonly StackDescription[], name: string): string | undefined {
  return stacks.flatMap(({ outputs }) => outputs).find(({ key }) => key === name)?.value
}

async function orLater(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const patience = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, LAST_DELIVERY_MILLISECONDS)
  })
  await Promise.race([work, patience])
  clearTimeout(timer)
}

function abortion(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    if (signal?.aborted === true) reject(signal.reason as Error)
  })
}

function started<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('the local cloud is not started')
  return part
}

function isUsedByAws(action: string): boolean {
  // A queue for what fails is used by nothing in a good run.
  return /^(logs|xray):/.test(action) || ['dynamodb:ListStreams', 'sqs:SendMessage'].includes(action)
}

/** The request that a function hands on to another: that one's calls are made for it too. */
function requestIdIn(event: unknown): string | undefined {
  const { requestContext } = (event ?? {}) as {
    readonly requestContext?: { readonly requestId?: unknown }
  }
  const id = requestContext?.requestId
  return typeof id === 'string' ? id : undefined
}
