import { LIMITS } from './limits.ts'
import { parseStrictObject } from './strict-json.ts'
import type { Brand, JsonObject, JsonValue } from './types.ts'

interface JwsFacts {
  readonly compact: string
  readonly signingInput: string
  readonly algorithm: string
  readonly kid: string
  /** `typ` in lower case without an `application/` prefix (RFC 7515 §4.1.9); `jwt` where the header has none. */
  readonly type: string
}

/** A compact JWS whose form and header every parser reads alike. Its payload may be anything; nothing is verified yet. */
export type PreparsedJws = Brand<JwsFacts & { readonly payload: string }, 'PreparsedJws'>

/** A compact JWS that every parser reads alike, with claims. Nothing in it is verified yet. */
export type PreparsedJwt = Brand<JwsFacts & { readonly claims: JsonObject }, 'PreparsedJwt'>

/** A compact JWS that carries the key it is signed with, as a proof of possession does. Nothing in it is verified yet. */
export type PreparsedProof = Brand<
  Omit<JwsFacts, 'kid'> & { readonly claims: JsonObject; readonly jwk: JsonValue | undefined },
  'PreparsedProof'
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

/** Header parameters that would change how a JWS is read, or name a key that is somewhere else. */
const UNREADABLE_PARAMETERS = ['crit', 'b64', 'zip', 'enc', 'jku', 'x5u', 'x5c', 'cty'] as const
/** None is ever honoured, nor is a key of the sender's choice, so a token that carries one is refused (RFC 8725 §3.10). */
const REFUSED_PARAMETERS = [...UNREADABLE_PARAMETERS, 'jwk'] as const

/** Reads a token that nobody has verified, strictly, before `jose` sees it. */
export function preparseJwt(compact: string): PreparsedJwt | JwtMalformation {
  const jws = preparseJws(compact)
  if (typeof jws === 'string') return jws
  const { payload, ...facts }: JwsFacts & { readonly payload: string } = jws
  const claims = decodeObject(payload)
  return claims === undefined ? 'not_strict_json' : ({ ...facts, claims } as PreparsedJwt)
}

/** As {@link preparseJwt}, but for its payload, which stays encoded. */
export function preparseJws(compact: string): PreparsedJws | JwtMalformation {
  const jws = readJws(compact, LIMITS.tokenBytes)
  if (typeof jws === 'string') return jws
  const { header, ...facts } = jws
  if (REFUSED_PARAMETERS.some((name) => name in header)) return 'header_not_acceptable'
  const { kid } = header
  if (typeof kid !== 'string' || !KID.test(kid)) return 'kid_missing'
  return { ...facts, kid } as PreparsedJws
}

/** As {@link preparseJwt}, for a proof of possession (RFC 9449 §4.2): the one JWS whose header may bring its key along. */
export function preparseProof(compact: string): PreparsedProof | JwtMalformation {
  const jws = readJws(compact, LIMITS.proofBytes)
  if (typeof jws === 'string') return jws
  const { header, payload, ...facts } = jws
  if (UNREADABLE_PARAMETERS.some((name) => name in header)) return 'header_not_acceptable'
  const claims = decodeObject(payload)
  return claims === undefined
    ? 'not_strict_json'
    : ({ ...facts, claims, jwk: header['jwk'] } as PreparsedProof)
}

type ReadJws = Omit<JwsFacts, 'kid'> & { readonly header: JsonObject; readonly payload: string }

function readJws(compact: string, maxBytes: number): ReadJws | JwtMalformation {
  if (compact.length > maxBytes) return 'too_large'
  if (!COMPACT_JWS.test(compact)) return 'not_compact_jws'
  const [encoded = '', payload = '', signature = ''] = compact.split('.')
  if (Buffer.byteLength(encoded, 'base64url') > LIMITS.tokenHeaderBytes) return 'too_large'
  if (![encoded, payload, signature].every(isCanonicalBase64url)) return 'not_canonical_base64url'
  const header = decodeObject(encoded)
  if (header === undefined) return 'not_strict_json'
  const { alg, typ } = header
  if (typeof alg !== 'string' || (typ !== undefined && typeof typ !== 'string'))
    return 'header_not_acceptable'
  const signingInput = compact.slice(0, compact.lastIndexOf('.'))
  const type = (typ ?? 'jwt').toLowerCase().replace(/^application\//, '')
  return { compact, signingInput, header, payload, algorithm: alg, type }
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
