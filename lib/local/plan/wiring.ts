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

/** The function of an ARN (with or without a version or alias, or wrapped as an integration URI) or of a name. */
export function functionAt(target: string, where: string, { functions }: Wiring): FunctionPlan {
  const found = functions.find(
    ({ name, arn }) => target === name || target === arn || target.includes(`${arn}/`),
  )
  if (found === undefined)
    throw new TemplateDefect(where, `its target ${target} is not a function of this app`)
  return found
}

/** The name of the function at `arn`, which must let `service` invoke it: on AWS the call would fail otherwise. */
export function invocable(arn: string, service: string, where: string, wiring: Wiring): string {
  const { name, arn: functionArn } = functionAt(arn, where, wiring)
  const permitted = ofType(wiring.resources, 'AWS::Lambda::Permission').some(
    ({ properties: { FunctionName, Principal } }) =>
      Principal === service && (FunctionName === functionArn || FunctionName === name),
  )
  if (!permitted) throw new TemplateDefect(where, `no AWS::Lambda::Permission lets ${service} invoke ${name}`)
  return name
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
