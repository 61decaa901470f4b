import { Rule } from 'aws-cdk-lib/aws-events'
import { LogGroup } from 'aws-cdk-lib/aws-logs'
import { Queue } from 'aws-cdk-lib/aws-sqs'
import { BrokerFunction } from '../constructs/broker-function.ts'
import type { ServiceStack } from '../stacks/service-stack.ts'
import type { StateStack } from '../stacks/state-stack.ts'

/** The resources that alarms and dashboards look at, by the names that AWS's own metrics have for them. */
export interface Watched {
  readonly stage: string
  readonly apiId: string
  /** The functions that answer requests. */
  readonly requestFunctions: readonly WatchedFunction[]
  readonly rotateKeys: WatchedFunction
  readonly exportAudit: WatchedFunction
  /** The function that tries the broker, or `undefined` where nothing does. */
  readonly prober: WatchedFunction | undefined
  /** Log group of what API Gateway answered. */
  readonly accessLog: string
  /** EventBridge rules that invoke functions on a schedule. */
  readonly schedules: readonly { readonly id: string; readonly ruleName: string }[]
  /** Tables in the way of every exchange. */
  readonly tables: Readonly<Record<'exchanges' | 'revocations', string>>
  readonly undelivered: { readonly queueName: string; readonly queueUrl: string }
}

export interface WatchedFunction {
  /** As the service stack calls it. */
  readonly id: string
  readonly functionName: string
  readonly logGroupName: string
}

const ROTATE_KEYS = 'RotateKeys'
const EXPORT_AUDIT = 'ExportAudit'
const PROBER = 'Prober'
/** Whoever is not among them answers requests. */
const IN_THE_BACKGROUND: readonly string[] = [ROTATE_KEYS, EXPORT_AUDIT, PROBER]

/** What there is to look at: whatever the stacks have. Throws if what every broker has is not there. */
export function watchedOf(stage: string, state: StateStack, service: ServiceStack): Watched {
  const all = service.node.findAll()
  const functions = all.filter((each) => each instanceof BrokerFunction).map(watchedFunction)
  const [queue] = all.filter((each) => each instanceof Queue)
  const accessLog = all.filter((each) => each instanceof LogGroup).find(({ node }) => node.id === 'AccessLog')
  const find = (id: string) => functions.find((each) => each.id === id)
  return {
    stage,
    apiId: service.apiId,
    requestFunctions: functions.filter(({ id }) => !IN_THE_BACKGROUND.includes(id)),
    rotateKeys: found(find(ROTATE_KEYS), ROTATE_KEYS),
    exportAudit: found(find(EXPORT_AUDIT), EXPORT_AUDIT),
    prober: find(PROBER),
    accessLog: found(accessLog, 'access log').logGroupName,
    schedules: all
      .filter((each) => each instanceof Rule)
      .map(({ node, ruleName }) => ({ id: node.scope?.node.id ?? node.id, ruleName })),
    tables: { exchanges: state.exchanges.tableName, revocations: state.revocations.tableName },
    undelivered: found(queue, 'queue'),
  }
}

function watchedFunction({ node, lambda, logGroup }: BrokerFunction): WatchedFunction {
  return { id: node.id, functionName: lambda.functionName, logGroupName: logGroup.logGroupName }
}

function found<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new Error(`the service stack has no ${name}`)
  return value
}

/** What the commands of alarms name. */
export function namesOf({
  stage,
  requestFunctions,
  undelivered,
  ...watched
}: Watched): Record<string, string> {
  const background = [watched.rotateKeys, watched.exportAudit, watched.prober]
  const logs = [...requestFunctions, ...background].flatMap((each) =>
    each === undefined
      ? []
      : [[`${each.id.charAt(0).toLowerCase()}${each.id.slice(1)}Log`, each.logGroupName]],
  )
  return { stage, undeliveredQueue: undelivered.queueUrl, ...Object.fromEntries(logs) }
}
