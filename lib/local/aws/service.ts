import type { JsonObject } from './aws-error.ts'
import type { AccessRequest } from './iam.ts'
import type { Principal } from './permissions.ts'

/** Who calls, as far as a service needs to know. */
export interface Caller {
  readonly principal: Principal
  /** With which the call was signed. */
  readonly accessKeyId?: string | undefined
  /** `arn:aws:sts::…:assumed-role/…`, or a user's ARN. */
  readonly arn: string
}

/** One call of an operation by a known caller; `undefined` where the operation needs none. */
export interface ServiceCall {
  readonly operation: string
  readonly input: JsonObject
  readonly caller: Caller | undefined
  /** As the answer carries it. */
  readonly requestId: string
}

/** One AWS service behind the endpoint. */
export interface AwsService {
  /** Operations that are called without a signature. */
  readonly unsigned: ReadonlySet<string>
  /** Type and status of the error for a refused call. */
  readonly accessDenied: { readonly type: string; readonly status: number }
  /** Type and status of the error for an unknown access key. */
  readonly unknownCaller: { readonly type: string; readonly status: number }
  /** What the caller must be allowed to do. The input has not been checked yet. `undefined`: no such operation here. */
  access(operation: string, input: JsonObject): readonly AccessRequest[] | undefined
  /** Carries the call out. Throws {@link AwsError} where AWS would answer an error. */
  call(call: ServiceCall): Promise<JsonObject>
}

/** The text at `name`, or `undefined` if there is none. */
export function textAt(input: JsonObject, name: string): string | undefined {
  const value = input[name]
  return typeof value === 'string' ? value : undefined
}

/** The object at `name`, or an empty one. */
export function objectAt(input: JsonObject, name: string): JsonObject {
  return asObject(input[name])
}

/** The objects of the list at `name`, or none. */
export function objectsAt(input: JsonObject, name: string): readonly JsonObject[] {
  const value = input[name]
  return Array.isArray(value) ? value.map(asObject) : []
}

/** The texts of the list at `name`, or none. */
export function textsAt(input: JsonObject, name: string): readonly string[] {
  const value = input[name]
  return Array.isArray(value) ? value.filter((text) => typeof text === 'string') : []
}

/** The value if it is an object, else an empty one. */
export function asObject(value: unknown): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}
}

/** The value as text: scalars as they are written, anything else as JSON. */
export function asText(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
}
