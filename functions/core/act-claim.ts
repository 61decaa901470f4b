import { isJsonObject } from './strict-json.ts'
import type { JsonObject, JsonValue } from './types.ts'

/**
 * The `act` claim for actors, the current one first (RFC 8693 §4.1), or `undefined` for none. Identities only, as subjects
 * of ours: nothing else of an actor's token gets into ours.
 */
export function actClaim([current, ...earlier]: readonly string[]): JsonObject | undefined {
  if (current === undefined) return undefined
  const act = actClaim(earlier)
  return { sub: current, ...(act !== undefined && { act }) }
}

/** Reads the claim as {@link actClaim} has made it. What has another form is malformed: it would hide how many they are. */
export function readActors(act: JsonValue | undefined): readonly string[] | 'malformed' {
  if (act === undefined) return []
  if (!isJsonObject(act)) return 'malformed'
  const { sub, act: earlier, ...others } = act
  if (typeof sub !== 'string' || sub === '' || Object.keys(others).length > 0) return 'malformed'
  const before = readActors(earlier)
  return before === 'malformed' ? before : [sub, ...before]
}
