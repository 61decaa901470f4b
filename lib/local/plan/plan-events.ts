import type { JsonObject, JsonValue } from '../assembly.ts'
import { compilePolicies, decide, type PolicyDocument } from '../aws/iam.ts'
import { isObject, TemplateDefect, textOf } from '../intrinsics.ts'
import type { ResolvedResource } from '../resolved-stacks.ts'
import type { AsyncInvocationPlan, EventSourcePlan, LogSubscriptionPlan, SchedulePlan } from './cloud-plan.ts'
import {
  failureDestination,
  functionAt,
  invocable,
  invokedAt,
  listAt,
  objectAt,
  ofType,
  textAt,
  type Wiring,
} from './wiring.ts'

export function rulePlans(wiring: Wiring): readonly SchedulePlan[] {
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

export function schedulePlans(
  wiring: Wiring,
  roles: ReadonlyMap<string, readonly PolicyDocument[]>,
): readonly SchedulePlan[] {
  const enabled = ofType(wiring.resources, 'AWS::Scheduler::Schedule').filter(
    (it) => it.properties['State'] !== 'DISABLED',
  )
  return enabled.map(({ where, name, properties }) => {
    const { Arn, Input, RoleArn } = objectAt(properties, 'Target')
    const { plan, arn } = invokedAt(textOf(Arn), where, wiring)
    requirePermission(roles.get(textOf(RoleArn)) ?? [], 'lambda:InvokeFunction', arn, where)
    return {
      name,
      expression: textAt(properties, 'ScheduleExpression', where),
      functionName: plan.name,
      input: parsedInput(Input),
    }
  })
}

function parsedInput(input: JsonValue | undefined): JsonValue | undefined {
  return typeof input === 'string' ? (JSON.parse(input) as JsonValue) : undefined
}

export function eventSourcePlan({ where, properties }: ResolvedResource, wiring: Wiring): EventSourcePlan {
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

export function logSubscriptionPlan(
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

export function asyncInvocationPlan(
  { where, properties }: ResolvedResource,
  wiring: Wiring,
): AsyncInvocationPlan {
  return {
    functionName: functionAt(textAt(properties, 'FunctionName', where), where, wiring).name,
    retries: Number(properties['MaximumRetryAttempts'] ?? 2),
    onFailure: failureDestination(properties, where, wiring),
  }
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
