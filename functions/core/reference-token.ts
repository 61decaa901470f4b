import type { ReferenceTokens } from './ports.ts'
import { type Refused, refuse } from './refusal.ts'
import { digestOf } from './token-id.ts'
import type { JsonObject } from './types.ts'

const PREFIX = 'rt_'
/** 256 bits, base64url: the last of 43 characters carries four bits, and two that must be 0. */
const HANDLE = /^rt_[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/

/** The handle of a reference token. `secret` is 256 random bits, base64url. */
export function handleOf(secret: string): string {
  return PREFIX + secret
}

/** Whether a token claims to be a handle: no JWS does, because its header would not be JSON. */
export function isHandle(token: string): boolean {
  return token.startsWith(PREFIX)
}

/** SHA-256 of a handle, base64url, by which alone the broker knows it; `undefined` for what cannot be one of ours. */
export function handleHashOf(handle: string): string | undefined {
  return HANDLE.test(handle) ? digestOf(handle) : undefined
}

/**
 * The claims of the token that a handle stands for. What has not the form of one of ours is refused before it is looked up.
 * Whether the token has expired, and who issued it, is still to be checked.
 */
export async function openHandle(
  handle: string,
  references: ReferenceTokens,
): Promise<{ readonly claims: JsonObject } | Refused> {
  const handleHash = handleHashOf(handle)
  if (handleHash === undefined) return refuse({ kind: 'token_malformed', malformation: 'not_a_handle' })
  const claims = await references.find(handleHash)
  return claims === undefined ? refuse({ kind: 'handle_unknown' }) : { claims }
}
