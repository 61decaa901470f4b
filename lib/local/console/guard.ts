import type { IncomingMessage } from 'node:http'
import { isFromAnotherSite, NO_OTHER_SITES } from '../other-sites.ts'

/** Why a request is not answered. */
export interface Refusal {
  readonly status: 403 | 405 | 415
  readonly message: string
  readonly allow?: string
}

export interface Guarded {
  readonly method: 'GET' | 'POST'
  /** Whether it is the page itself, which a link on another site may open. */
  readonly isPage: boolean
}

/**
 * Refuses whatever another site could have sent through the browser of the person who runs the broker: another origin, a
 * form in place of JSON. There are no cookies, so nothing else speaks for that person. `undefined` for what may be answered.
 */
export function refuseRequest(
  request: Pick<IncomingMessage, 'method' | 'headers'>,
  { method: wanted, isPage }: Guarded,
): Refusal | undefined {
  const { method = 'GET', headers } = request
  if (method !== wanted && !(wanted === 'GET' && method === 'HEAD'))
    return { status: 405, message: `the method is ${wanted}`, allow: wanted === 'GET' ? 'GET, HEAD' : wanted }
  if (isPage) return undefined
  if (isFromAnotherSite(request)) return { status: 403, message: NO_OTHER_SITES }
  if (wanted === 'POST' && !/^application\/json(;|$)/.test(headers['content-type'] ?? ''))
    return { status: 415, message: 'the body is application/json' }
  return undefined
}
