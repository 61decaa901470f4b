import { digestOf } from './token-id.ts'

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
