import type { JsonObject, JsonValue } from '../assembly.ts'
import { isObject, TemplateDefect, textOf } from '../intrinsics.ts'
import type { ResolvedResource } from '../resolved-stacks.ts'
import type { FailureDestination, FunctionPlan, TablePlan } from './cloud-plan.ts'

export interface Wiring {
  readonly resources: readonly ResolvedResource[]
  readonly functions: readonly FunctionPlan[]
  readonly tables: readonly TablePlan[]
}

export function ofType(
  resources: readonly ResolvedResource[],
  ...types: readonly string[]
): readonly ResolvedResource[] {
  return resources.filter((resource) => types.includes(resource.type))
}

/** A function, and the ARN by which it is invoked: permissions tell that of an alias from its own. */
export interface Invoked {
  readonly plan: FunctionPlan
  readonly arn: string
}

/** What is invoked by an ARN (with or without an alias, or wrapped as an integration URI) or by a name. */
export function invokedAt(target: string, where: string, { functions }: Wiring): Invoked {
  for (const plan of functions) {
    const arns = [plan.arn, ...plan.aliases.map((alias) => `${plan.arn}:${alias}`)]
    const arn =
      target === plan.name ? plan.arn : arns.find((it) => target === it || target.includes(`${it}/`))
    if (arn !== undefined) return { plan, arn }
  }
  throw new TemplateDefect(where, `its target ${target} is not a function of this app`)
}

/** As {@link invokedAt}, where nobody asks for a permission. */
export function functionAt(target: string, where: string, wiring: Wiring): FunctionPlan {
  return invokedAt(target, where, wiring).plan
}

/** The name of the function at `arn`, which must let `service` invoke it: on AWS the call would fail otherwise. */
export function invocable(arn: string, service: string, where: string, wiring: Wiring): string {
  const { plan, arn: invoked } = invokedAt(arn, where, wiring)
  const permitted = ofType(wiring.resources, 'AWS::Lambda::Permission').some(
    ({ properties: { FunctionName, Principal } }) =>
      Principal === service && `:${invoked}`.endsWith(`:${textOf(FunctionName)}`),
  )
  if (!permitted)
    throw new TemplateDefect(where, `no AWS::Lambda::Permission lets ${service} invoke ${invoked}`)
  return plan.name
}

export function failureDestination(
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

export function textAt(object: JsonObject, key: string, where: string): string {
  const value = object[key]
  if (typeof value !== 'string') throw new TemplateDefect(`${where}.Properties.${key}`, 'expected text')
  return value
}

export function objectAt(object: JsonObject, key: string): JsonObject {
  const value = object[key]
  return isObject(value) ? value : {}
}

export function listAt(object: JsonObject, key: string): readonly JsonValue[] {
  const value = object[key]
  return Array.isArray(value) ? (value as readonly JsonValue[]) : []
}

export function withoutUndefined(object: Readonly<Record<string, JsonValue | undefined>>): JsonObject {
  return Object.fromEntries(
    Object.entries(object).filter((entry): entry is [string, JsonValue] => entry[1] !== undefined),
  )
}
