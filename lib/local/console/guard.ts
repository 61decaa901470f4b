import type { IncomingMessage } from 'node:http'

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
 * Refuses whatever another site could have sent through the browser of the person who runs the broker: another `Host`
 * (DNS rebinding), another origin, a form in place of JSON. There are no cookies, so nothing else speaks for that person.
 * `undefined` for what may be answered.
 */
export function refuseRequest(
  { method = 'GET', headers, rawHeaders }: Pick<IncomingMessage, 'method' | 'headers' | 'rawHeaders'>,
  port: number,
  { method: wanted, isPage }: Guarded,
): Refusal | undefined {
  const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host')
  const origins = [`http://127.0.0.1:${port}`, `http://localhost:${port}`]
  if (hosts.length !== 1 || !origins.includes(`http://${headers.host}`))
    return { status: 403, message: 'the console answers to 127.0.0.1 and localhost only' }
  if (method !== wanted && !(wanted === 'GET' && method === 'HEAD'))
    return { status: 405, message: `the method is ${wanted}`, allow: wanted === 'GET' ? 'GET, HEAD' : wanted }
  if (isPage) return undefined
  const site = headers['sec-fetch-site']
  const { origin } = headers
  // Typed in by the person (`none`), by our page, or not sent by a browser at all.
  const isForeign =
    (site !== undefined && site !== 'same-origin' && site !== 'none') ||
    (origin !== undefined && origin !== `http://${headers.host}`)
  if (isForeign) return { status: 403, message: 'requests from other sites are refused' }
  if (wanted === 'POST' && !/^application\/json(;|$)/.test(headers['content-type'] ?? ''))
    return { status: 415, message: 'the body is application/json' }
  return undefined
}
