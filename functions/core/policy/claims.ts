import type { JsonObject, JsonValue } from '../types.ts'

const ARRAY_INDEX = /^(?:0|[1-9][0-9]*)$/

/** The claim at a path of names, array positions included (RFC 6901 §4); `undefined` where the token has none. */
export function claimAt(claims: JsonObject, path: readonly string[]): JsonValue | undefined {
  return path.reduce<JsonValue | undefined>(memberOf, claims)
}

/** A claim that is an array stands for each of its elements. */
export function valuesOf(claim: JsonValue | undefined): readonly JsonValue[] {
  if (claim === undefined) return []
  return isArray(claim) ? claim : [claim]
}

/** Own members only: what a prototype has is no claim. */
function memberOf(value: JsonValue | undefined, name: string): JsonValue | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if (isArray(value)) return ARRAY_INDEX.test(name) ? value[Number(name)] : undefined
  return Object.hasOwn(value, name) ? value[name] : undefined
}

/** `Array.isArray` alone does not narrow a readonly array. */
function isArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value)
}
