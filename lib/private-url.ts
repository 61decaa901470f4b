/**
 * Whether what is sent to the URL reaches its host and nobody else: by https, or on this machine. A name before an `@` is not
 * the host, whatever it looks like.
 */
export function isPrivateUrl(url: string): boolean {
  if (!URL.canParse(url)) return false
  const { protocol, hostname, username, password } = new URL(url)
  if (username !== '' || password !== '') return false
  return protocol === 'https:' || (protocol === 'http:' && hostname === '127.0.0.1')
}
