import { LIMITS } from './limits.ts'
import { parseStrictObject } from './strict-json.ts'
import type { Brand, JsonObject } from './types.ts'

/** A compact JWS that every parser reads alike. Nothing in it is verified yet. */
export type PreparsedJwt = Brand<
  {
    readonly compact: string
    readonly signingInput: string
    readonly algorithm: string
    readonly kid: string
    /** `typ` in lower case without an `application/` prefix (RFC 7515 §4.1.9); `jwt` where the header has none. */
    readonly type: string
    readonly claims: JsonObject
  },
  'PreparsedJwt'
>

/** Why a token was refused before its signature was looked at. */
export type JwtMalformation =
  | 'too_large'
  | 'not_compact_jws'
  | 'not_canonical_base64url'
  | 'not_strict_json'
  | 'header_not_acceptable'
  | 'kid_missing'

const COMPACT_JWS = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
const KID = /^[\x21-\x7e]{1,256}$/

/**
 * Header parameters that would change how the token is read (`crit`, `b64`, `zip`, `enc`) or name a key of the sender's
 * choice (`jwk`, `jku`, `x5u`, `x5c`). None is ever honoured, so a token that carries one is refused (RFC 8725 §3.10).
 */
const REFUSED_PARAMETERS = ['crit', 'b64', 'zip', 'enc', 'jwk', 'jku', 'x5u', 'x5c', 'cty'] as const

/** Reads a token that nobody has verified, strictly, before `jose` sees it. */
export function preparseJwt(compact: string): PreparsedJwt | JwtMalformation {
  if (compact.length > LIMITS.tokenBytes) return 'too_large'
  if (!COMPACT_JWS.test(compact)) return 'not_compact_jws'
  const [header = '', payload = '', signature = ''] = compact.split('.')
  if (Buffer.byteLength(header, 'base64url') > LIMITS.tokenHeaderBytes) return 'too_large'
  if (![header, payload, signature].every(isCanonicalBase64url)) return 'not_canonical_base64url'
  const parameters = decodeObject(header)
  const claims = decodeObject(payload)
  if (parameters === undefined || claims === undefined) return 'not_strict_json'
  const { alg, kid, typ } = parameters
  if (REFUSED_PARAMETERS.some((name) => name in parameters)) return 'header_not_acceptable'
  if (typeof alg !== 'string' || (typ !== undefined && typeof typ !== 'string'))
    return 'header_not_acceptable'
  if (typeof kid !== 'string' || !KID.test(kid)) return 'kid_missing'
  const signingInput = compact.slice(0, compact.lastIndexOf('.'))
  const type = (typ ?? 'jwt').toLowerCase().replace(/^application\//, '')
  return { compact, signingInput, algorithm: alg, kid, type, claims } as PreparsedJwt
}

/** Whether `segment` is what encoding its own bytes gives: no padding, no unused bits (RFC 4648 §3.5). */
function isCanonicalBase64url(segment: string): boolean {
  return Buffer.from(segment, 'base64url').toString('base64url') === segment
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decodeObject(segment: string): JsonObject | undefined {
  try {
    return parseStrictObject(strictUtf8.decode(Buffer.from(segment, 'base64url')))
  } catch (error) {
    if (error instanceof TypeError) return undefined // not UTF-8
    throw error
  }
}
