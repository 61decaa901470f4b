import { createHash } from 'node:crypto'
import { DependencyUnavailable } from '../core/fault.ts'
import { type Refusal, wireErrorFor } from '../core/refusal.ts'
import type { HttpRequest } from './event.ts'

/** An answer in API Gateway's form. */
export interface HttpAnswer {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const JSON_TYPE = { 'content-type': 'application/json' }
const NO_STORE = { 'cache-control': 'no-store', pragma: 'no-cache' }

/** A JSON answer that nobody may keep. */
export function jsonAnswer(
  statusCode: number,
  body: object,
  headers: Record<string, string> = {},
): HttpAnswer {
  return { statusCode, headers: { ...JSON_TYPE, ...NO_STORE, ...headers }, body: JSON.stringify(body) }
}

/** An answer in another media type that nobody may keep. */
export function textAnswer(statusCode: number, mediaType: string, body: string): HttpAnswer {
  return { statusCode, headers: { 'content-type': mediaType, ...NO_STORE }, body }
}

/** An answer that says nothing but its status. */
export function emptyAnswer(statusCode: number): HttpAnswer {
  return { statusCode, headers: { ...JSON_TYPE, ...NO_STORE }, body: '' }
}

/** The OAuth error for a refusal. */
export function refusalAnswer(refusal: Refusal): HttpAnswer {
  const { status, error, description, headers } = wireErrorFor(refusal)
  return jsonAnswer(status, { error, error_description: description }, { ...headers })
}

/** The OAuth error for a fault: a dependency's absence may pass, anything else is a defect. `random` in [0, 1). */
export function faultAnswer(fault: unknown, random: number): HttpAnswer {
  if (!(fault instanceof DependencyUnavailable))
    return jsonAnswer(500, { error: 'server_error', error_description: 'the broker failed' })
  // Jitter: clients that failed together must not come back together.
  const retryAfter = 1 + Math.floor(random * 5)
  return jsonAnswer(
    503,
    { error: 'temporarily_unavailable', error_description: 'try again later' },
    { 'retry-after': String(retryAfter) },
  )
}

/** A public document that may be cached for `maxAgeSeconds`, and longer while the broker cannot answer. */
export function cacheableAnswer(request: HttpRequest, document: object, maxAgeSeconds: number): HttpAnswer {
  const body = JSON.stringify(document)
  const etag = `"${createHash('sha256').update(body).digest('base64url')}"`
  const headers = {
    ...JSON_TYPE,
    'cache-control': `public, max-age=${maxAgeSeconds}, stale-if-error=86400`,
    etag,
    'access-control-allow-origin': '*',
  }
  if (isNamed(request.header('if-none-match'), etag)) return { statusCode: 304, headers, body: '' }
  return { statusCode: 200, headers, body: request.method === 'HEAD' ? '' : body }
}

/** RFC 9110 §13.1.2: a weak comparison with any of the listed tags. */
function isNamed(ifNoneMatch: readonly string[], etag: string): boolean {
  const listed = ifNoneMatch.flatMap((value) => value.split(',')).map((tag) => tag.trim().replace(/^W\//, ''))
  return listed.includes(etag) || listed.includes('*')
}
