/** One attribute (RFC 4514 §3) and what follows it: values as text only, with everything escaped that has to be. */
const ATTRIBUTE =
  /([a-z][a-z0-9-]*|\d+(?:\.\d+)+)=((?![ #])(?:\\(?:[ "#+,;<=>\\]|[0-9a-f]{2})|[^"+,;<>\\\0])*)([,+]|$)/iy
const ESCAPED_OR_NOT = /\\([0-9a-f]{2})|\\?([\s\S])/giu
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Reads a distinguished name (RFC 4514), as `openssl x509 -noout -subject -nameopt RFC2253` prints it, into the one form in
 * which names are compared: types without regard to case, values exactly, parts in their order. `undefined` for what is
 * empty, or can be read in more than one way.
 */
export function readDistinguishedName(text: string): string | undefined {
  const parts: (readonly [type: string, value: string])[][] = [[]]
  let separator = ','
  ATTRIBUTE.lastIndex = 0
  while (separator !== '') {
    const match = ATTRIBUTE.exec(text)
    if (match === null) return undefined
    const [, type = '', escaped = '', next = ''] = match
    const value = / $/.test(escaped) && !/\\ $/.test(escaped) ? undefined : unescaped(escaped)
    if (value === undefined) return undefined
    parts.at(-1)?.push([type.toLowerCase(), value])
    if (next === ',') parts.push([])
    separator = next
  }
  return JSON.stringify(parts.map((attributes) => attributes.map((one) => JSON.stringify(one)).toSorted()))
}

function unescaped(text: string): string | undefined {
  const bytes = [...text.matchAll(ESCAPED_OR_NOT)].map(([, hex, character = '']) =>
    hex === undefined ? Buffer.from(character) : Buffer.from(hex, 'hex'),
  )
  try {
    return strictUtf8.decode(Buffer.concat(bytes))
  } catch {
    return undefined
  }
}
