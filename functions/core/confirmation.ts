import { isJsonObject } from './strict-json.ts'
import type { JsonObject, JsonValue } from './types.ts'

/**
 * The keys that whoever presents a token must prove to have (`cnf`, RFC 7800 §3.1): every one that is named. Without any
 * it is a bearer token.
 */
export interface Confirmation {
  /** Thumbprint of the key that signs DPoP proofs (RFC 9449 §6.1). */
  readonly jkt?: string
  /** SHA-256 of the client's certificate (RFC 8705 §3.1). */
  readonly 'x5t#S256'?: string
}

/** SHA-256, base64url. */
const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/

/**
 * Reads the `cnf` of a token; `undefined` where it names a key in a way that cannot be checked here, or none. Of several
 * keys all must be proved, so that one unknown member spoils the rest.
 */
export function readConfirmation(cnf: JsonValue | undefined): Confirmation | undefined {
  if (cnf === undefined) return {}
  if (!isJsonObject(cnf) || Object.keys(cnf).length === 0) return undefined
  const isKnown = ([name, value]: [string, JsonValue]) =>
    (name === 'jkt' || name === 'x5t#S256') && typeof value === 'string' && THUMBPRINT.test(value)
  return Object.entries(cnf).every(isKnown) ? { ...cnf } : undefined
}

/** As a claim of an issued token; nothing where it is bound to nothing. */
export function confirmationClaim(confirmation: Confirmation): JsonObject {
  return isBound(confirmation) ? { cnf: { ...confirmation } } : {}
}

/** Whether more than the token itself is needed to use it. */
export function isBound(confirmation: Confirmation): boolean {
  return Object.keys(confirmation).length > 0
}

/** RFC 9449 §5, RFC 8705 §3: to call a token with a DPoP key a bearer token would be to drop the binding. */
export function tokenTypeOf({ jkt }: Confirmation): 'DPoP' | 'Bearer' {
  return jkt === undefined ? 'Bearer' : 'DPoP'
}
