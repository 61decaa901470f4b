import { type Refused, refuse } from '../core/refusal.ts'
import { parseStrictObject } from '../core/strict-json.ts'
import type { JsonObject } from '../core/types.ts'
import type { HttpRequest } from './event.ts'
import { utf8 } from './form.ts'

const JSON_TYPE = /^application\/json(?:\s*;\s*charset\s*=\s*"?utf-8"?)?$/i

/**
 * Reads a JSON body strictly: one media type, no compression, valid UTF-8, an object that every parser reads alike, at most
 * 64 KiB, nothing in the query.
 */
export function readJson(request: HttpRequest): { readonly json: JsonObject } | Refused {
  if (request.hasQuery) return refuse({ kind: 'parameters_in_query' })
  const [contentType, ...others] = request.header('content-type')
  if (contentType === undefined || others.length > 0 || !JSON_TYPE.test(contentType.trim()))
    return refuse({ kind: 'json_expected' })
  if (request.header('content-encoding').some((encoding) => encoding.trim().toLowerCase() !== 'identity'))
    return refuse({ kind: 'json_expected' })
  if (request.body === 'not_base64') return refuse({ kind: 'body_malformed' })
  if (request.body === 'too_large') return refuse({ kind: 'body_too_large' })
  const text = utf8(request.body)
  const object = text === undefined ? undefined : parseStrictObject(text)
  return object === undefined ? refuse({ kind: 'body_malformed' }) : { json: object }
}
