/** Scheme, host, port and path of an http URL (RFC 3986 §3), without user information: there is none in a request's target. */
const HTTP_URL =
  /^(https?):\/\/([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]{0,5}))?((?:\/(?:[\w.~!$&'()*+,;=:@-]|%[0-9a-f]{2})*)*)(?:\?[^#]*)?(?:#.*)?$/i
const PRINTABLE_ASCII = /^[\x21-\x7e]+$/
const DEFAULT_PORTS: Readonly<Record<string, string>> = { http: '80', https: '443' }
const UNRESERVED = /^[\w.~-]$/

/**
 * Whether two texts are one http URL, query and fragment left aside, by what RFC 3986 says of any URL (§6.2.2: case of scheme,
 * host and escapes, needless escapes, dot segments) and of http (§6.2.3: default port, empty path), and nothing more. A text
 * that is no such URL equals nothing.
 */
export function isSameHttpUrl(a: string, b: string): boolean {
  const normal = normalHttpUrl(a)
  return normal !== undefined && normal === normalHttpUrl(b)
}

function normalHttpUrl(text: string): string | undefined {
  const [matched, rawScheme = '', host = '', port = '', path = ''] =
    (PRINTABLE_ASCII.test(text) && HTTP_URL.exec(text)) || []
  if (matched === undefined) return undefined
  const scheme = rawScheme.toLowerCase()
  const ownPort = port === '' || port === DEFAULT_PORTS[scheme] ? '' : `:${port}`
  return `${scheme}://${host.toLowerCase()}${ownPort}${withoutDots(path.replaceAll(/%../g, normalEscape))}`
}

function normalEscape(escaped: string): string {
  const character = String.fromCharCode(Number.parseInt(escaped.slice(1), 16))
  return UNRESERVED.test(character) ? character : escaped.toUpperCase()
}

/** RFC 3986 §5.2.4, for a path that is empty or begins with a slash. */
function withoutDots(path: string): string {
  const kept: string[] = []
  const segments = path.split('/').slice(1)
  segments.forEach((segment, at) => {
    if (segment === '..') kept.pop()
    if (segment !== '.' && segment !== '..') kept.push(segment)
    else if (at === segments.length - 1) kept.push('')
  })
  return `/${kept.join('/')}`
}
