/** What HTTP Basic carries (RFC 7617), decoded as OAuth has it (RFC 6749 §2.3.1). Nothing in it is verified yet. */
export interface BasicCredentials {
  readonly id: string
  readonly secret: string
}

const BASIC = /^Basic +([A-Za-z0-9+/]+={0,2})$/i
const PRINTABLE_ASCII = /^[\x20-\x7e]*$/
const PERCENT_ENCODED = /^(?:[^%]|%[0-9a-f]{2})*$/i

/**
 * Reads the values of `Authorization`: exactly one, of scheme Basic, in canonical base64, with a colon, each half
 * form-encoded and decoded exactly once. Values that a gateway joined by a comma are not base64.
 */
export function readBasicCredentials(
  authorization: readonly string[],
): BasicCredentials | 'scheme_not_supported' | 'header_malformed' {
  const [value = '', ...others] = authorization
  if (others.length > 0) return 'header_malformed'
  if (!/^Basic(?: |$)/i.test(value)) return 'scheme_not_supported'
  const [, encoded = ''] = BASIC.exec(value) ?? []
  const bytes = Buffer.from(encoded, 'base64')
  const text = bytes.toString('latin1')
  if (encoded === '' || bytes.toString('base64') !== encoded || !PRINTABLE_ASCII.test(text))
    return 'header_malformed'
  const colon = text.indexOf(':')
  const id = formDecoded(text.slice(0, colon))
  const secret = formDecoded(text.slice(colon + 1))
  return colon < 0 || id === undefined || secret === undefined ? 'header_malformed' : { id, secret }
}

/** `application/x-www-form-urlencoded`, undone once; `undefined` for what that encoding cannot have made. */
function formDecoded(text: string): string | undefined {
  if (!PERCENT_ENCODED.test(text)) return undefined
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch (error) {
    if (error instanceof URIError) return undefined
    throw error
  }
}
