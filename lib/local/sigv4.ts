import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

/** A request as it arrived, for the check of its signature. */
export interface SignedRequest {
  readonly method: string
  /** Path and query, as they were sent. */
  readonly url: string
  /** Names and values in turn, as Node keeps them. */
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
}

/** What a signature must have been made for. */
export interface SignatureScope {
  readonly service: string
  readonly region: string
  /** Epoch milliseconds, or `any` where the clocks are not to be compared. */
  readonly now: number | 'any'
  /** `undefined` for an access key that nobody knows. */
  readonly secretOf: (accessKeyId: string) => string | undefined
}

const ALGORITHM = 'AWS4-HMAC-SHA256'
/** AWS lets clocks differ by this much. */
const WINDOW_MILLISECONDS = 5 * 60 * 1000
const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 +Credential=([^/,\s]+)\/(\d{8})\/([^/,\s]+)\/([^/,\s]+)\/aws4_request, *SignedHeaders=([a-z0-9;_-]+), *Signature=([0-9a-f]{64})$/
const AMZ_DATE = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/

/**
 * The access key that signed the request (Signature Version 4, in the `Authorization` header), or `undefined` if the
 * signature is absent or wrong, was made for another service, Region or day, is over five minutes old or ahead, or leaves
 * out the host or an `x-amz-` header. The body is part of what is signed, whatever a header says of its hash.
 */
export function verifySigV4(request: SignedRequest, scope: SignatureScope): string | undefined {
  const headers = headersOf(request.rawHeaders)
  const [authorization = '', another] = headers.get('authorization') ?? []
  const parts = AUTHORIZATION.exec(authorization)
  if (parts === null || another !== undefined) return undefined
  const [, accessKeyId = '', day = '', region = '', service = '', names = '', signature = ''] = parts
  const [date = '', secondDate] = headers.get('x-amz-date') ?? []
  if (secondDate !== undefined || !date.startsWith(day) || !isCurrent(date, scope.now)) return undefined
  if (region !== scope.region || service !== scope.service) return undefined
  const signed = names.split(';')
  if (!coversEnough(signed, headers)) return undefined
  const secret = scope.secretOf(accessKeyId)
  if (secret === undefined) return undefined
  const credentialScope = [day, region, service, 'aws4_request']
  const canonical = sha256(canonicalRequest(request, headers, signed))
  const text = [ALGORITHM, date, credentialScope.join('/'), canonical].join('\n')
  const key = credentialScope.reduce<Buffer>((last, part) => hmac(last, part), Buffer.from(`AWS4${secret}`))
  return timingSafeEqual(hmac(key, text), Buffer.from(signature, 'hex')) ? accessKeyId : undefined
}

type Headers = ReadonlyMap<string, readonly string[]>

function headersOf(rawHeaders: readonly string[]): Headers {
  const headers = new Map<string, string[]>()
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase()
    headers.set(name, [...(headers.get(name) ?? []), rawHeaders[index + 1] ?? ''])
  }
  return headers
}

function isCurrent(date: string, now: number | 'any'): boolean {
  const [, year, month, day, hour, minute, second] = (AMZ_DATE.exec(date) ?? []).map(Number)
  if (year === undefined || month === undefined) return false
  if (now === 'any') return true
  return Math.abs(now - Date.UTC(year, month - 1, day, hour, minute, second)) <= WINDOW_MILLISECONDS
}

/** A header that is not signed could have been changed on the way: of these AWS demands that they are. */
function coversEnough(signed: readonly string[], headers: Headers): boolean {
  const needed = [...headers.keys()].filter((name) => name.startsWith('x-amz-'))
  return (
    [...needed, 'host'].every((name) => signed.includes(name)) && signed.every((name) => headers.has(name))
  )
}

function canonicalRequest(
  { method, url, body }: SignedRequest,
  headers: Headers,
  signed: readonly string[],
): string {
  const [path = '/', query = ''] = url.split(/\?(.*)/s)
  const lines = signed.map((name) => `${name}:${(headers.get(name) ?? []).map(trimmed).join(',')}\n`)
  // Encoded once more than it was sent: every service does that but S3.
  const canonicalPath = path.split('/').map(encoded).join('/')
  return [method, canonicalPath, canonicalQuery(query), lines.join(''), signed.join(';'), sha256(body)].join(
    '\n',
  )
}

function canonicalQuery(query: string): string {
  const pairs = query.split('&').filter((pair) => pair !== '')
  return pairs
    .map((pair) => {
      const [name = '', value = ''] = pair.split(/=(.*)/s)
      return [encoded(decoded(name)), encoded(decoded(value))] as const
    })
    .sort(([name, value], [otherName, otherValue]) => compare(name, otherName) || compare(value, otherValue))
    .map((pair) => pair.join('='))
    .join('&')
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Everything but the unreserved characters of RFC 3986. */
function encoded(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function trimmed(value: string): string {
  return value.trim().replace(/ +/g, ' ')
}

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
