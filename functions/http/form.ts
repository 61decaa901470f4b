import { LIMITS } from '../core/limits.ts'
import { type Refused, refuse } from '../core/refusal.ts'
import type { HttpRequest } from './event.ts'

export type FormParameters = readonly (readonly [name: string, value: string])[]

const FORM = /^application\/x-www-form-urlencoded(?:\s*;\s*charset\s*=\s*"?utf-8"?)?$/i
const PERCENT_ENCODED = /^(?:[^%]|%[0-9a-f]{2})*$/i

/**
 * Decodes a form body strictly: one media type, no compression, valid percent encoding, valid UTF-8, no NUL,
 * at most 64 KiB and 64 parameters, nothing in the query (RFC 6749 §3.2).
 */
export function readForm(request: HttpRequest): FormParameters | Refused {
  if (request.hasQuery) return refuse({ kind: 'parameters_in_query' })
  const [contentType, ...others] = request.header('content-type')
  if (contentType === undefined || others.length > 0 || !FORM.test(contentType.trim()))
    return refuse({ kind: 'media_type_not_supported' })
  if (request.header('content-encoding').some((encoding) => encoding.trim().toLowerCase() !== 'identity'))
    return refuse({ kind: 'media_type_not_supported' })
  if (request.body === 'not_base64') return refuse({ kind: 'body_malformed' })
  if (request.body === 'too_large') return refuse({ kind: 'body_too_large' })
  return decode(request.body)
}

function decode(body: Uint8Array): FormParameters | Refused {
  const text = utf8(body)
  if (text === undefined || !PERCENT_ENCODED.test(text)) return refuse({ kind: 'body_malformed' })
  // Counted before empty pairs are dropped: what the limit cuts off must not go unread.
  const pairs = text.split('&', LIMITS.parameters + 1)
  if (pairs.length > LIMITS.parameters) return refuse({ kind: 'too_many_parameters' })
  const parameters: (readonly [string, string])[] = []
  for (const pair of pairs.filter((nonEmpty) => nonEmpty !== '')) {
    const equals = pair.indexOf('=')
    const name = component(equals < 0 ? pair : pair.slice(0, equals))
    const value = component(equals < 0 ? '' : pair.slice(equals + 1))
    if (name === undefined || value === undefined) return refuse({ kind: 'body_malformed' })
    parameters.push([name, value])
  }
  return parameters
}

/** One name or value, or `undefined` if it is not UTF-8 or has a NUL. What else it may hold is up to each parameter. */
function component(encoded: string): string | undefined {
  try {
    const decoded = decodeURIComponent(encoded.replaceAll('+', ' '))
    return decoded.includes('\0') ? undefined : decoded
  } catch (error) {
    if (error instanceof URIError) return undefined
    throw error
  }
}

/** The text, or `undefined` if the bytes are not UTF-8. */
export function utf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (error) {
    if (error instanceof TypeError) return undefined
    throw error
  }
}
