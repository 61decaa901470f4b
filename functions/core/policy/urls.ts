const LOOPBACK_HOSTS: readonly string[] = ['127.0.0.1', '[::1]', 'localhost']
/**
 * Printable ASCII without backslash: the URL parser would silently drop or turn anything else. Without `*` as well: an
 * issuer is one issuer, and what looks like a pattern is no name of one.
 */
const URL_CHARACTERS = /^[\x21-\x29\x2b-\x5b\x5d-\x7e]+$/

/** What a URL in policy may have. */
export interface UrlRule {
  /** http to loopback as well: for the local run alone. */
  readonly loopback: boolean
  readonly query: boolean
}

/**
 * Whether a URL can be an issuer or a place of keys: https, without user or fragment. An `iss` has no query either (OpenID
 * Connect Core §2).
 */
export function isAcceptableUrl(text: string, rule: UrlRule): boolean {
  if (!URL_CHARACTERS.test(text) || !URL.canParse(text) || text.includes('#')) return false
  if (text.includes('?') && !rule.query) return false
  const { host, hostname, username, password } = new URL(text)
  if (host === '' || username !== '' || password !== '' || authorityOf(text).includes('@')) return false
  return text.startsWith('https://') || (rule.loopback && text.startsWith('http://') && isLoopback(hostname))
}

function authorityOf(url: string): string {
  return url.split('/')[2] ?? ''
}

function isLoopback(hostname: string): boolean {
  return LOOPBACK_HOSTS.includes(hostname)
}
