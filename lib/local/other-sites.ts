/** What another site can have the browser of whoever runs the local broker send: nothing of it is answered. */
import type { IncomingMessage } from 'node:http'

/** A loopback address, `localhost` or a name below it (RFC 6761 §6.3), with any port: somebody may forward one. */
const LOOPBACK_HOST = /^(?:(?:[\w.-]+\.)?localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i

/** In words for the person who runs the broker, and called it by another name. */
export const LOOPBACK_ONLY = 'answered are 127.0.0.1 and localhost only: call it by one of these names'
export const NO_OTHER_SITES = 'requests from other sites are refused'

/**
 * Whether a request names this machine, once, in its `Host`. Any other name is its owner's, who may have it lead to
 * loopback, and a browser would then take the broker for a part of the owner's site (DNS rebinding).
 */
export function isForLoopback({
  rawHeaders,
  headers,
}: Pick<IncomingMessage, 'rawHeaders' | 'headers'>): boolean {
  const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host')
  return hosts.length === 1 && LOOPBACK_HOST.test(headers.host ?? '')
}

/**
 * Whether a page of another site has sent a request. Not so if the person has typed it in (`none`), if a page of the same
 * origin has sent it, or if no browser has.
 */
export function isFromAnotherSite({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  const { origin, 'sec-fetch-site': site = 'none' } = headers
  return (
    (site !== 'same-origin' && site !== 'none') ||
    (origin !== undefined && origin !== `http://${headers.host}`)
  )
}
