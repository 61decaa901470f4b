import { createHash, type JsonWebKey, X509Certificate } from 'node:crypto'
import { readDistinguishedName } from './distinguished-name.ts'
import type { Brand, PublicJwk } from './types.ts'

/** The kinds of names that RFC 8705 §2.1.2 lets a client be registered by, beside its subject. */
export type CertificateNameKind = 'dns' | 'uri' | 'ip' | 'email'

/** A certificate by which a client holds the connection. Only {@link readCertificate} makes one. */
export type ClientCertificate = Brand<
  {
    /** SHA-256 of it, base64url (`x5t#S256`, RFC 8705 §3.1). */
    readonly thumbprint: string
    /** As of {@link readDistinguishedName}; `undefined` where it cannot be told apart. */
    readonly subject: string | undefined
    /** Alternative names, as of {@link canonicalName}. */
    readonly names: Readonly<Record<CertificateNameKind, readonly string[]>>
    /** `undefined` for a type of key that JWK does not know. */
    readonly publicKey: PublicJwk | undefined
    /** Epoch seconds, both inclusive. */
    readonly notBefore: number
    readonly notAfter: number
  },
  'ClientCertificate'
>

/** Reads a certificate in PEM or DER, whoever signed it; `undefined` for anything else. */
export function readCertificate(encoded: string | Uint8Array): ClientCertificate | undefined {
  try {
    const x509 = new X509Certificate(encoded)
    const [notBefore, notAfter] = [x509.validFrom, x509.validTo].map((time) => Date.parse(time) / 1000)
    const names = namesIn(x509.subjectAltName ?? '')
    if (names === undefined || !Number.isFinite(notBefore) || !Number.isFinite(notAfter)) return undefined
    const thumbprint = createHash('sha256').update(x509.raw).digest('base64url')
    const subject = subjectOf(x509)
    const publicKey = publicKeyOf(x509)
    return { thumbprint, subject, names, publicKey, notBefore, notAfter } as ClientCertificate
  } catch {
    return undefined
  }
}

const KEY_MEMBERS = ['kty', 'crv', 'x', 'y', 'n', 'e'] as const

/**
 * Whether a published key is that of the certificate. A key that is published with a certificate of its own (RFC 7517 §4.7)
 * stands for that one alone, and not for another of the same key.
 */
export function isCertificateOf(jwk: PublicJwk, { publicKey, thumbprint }: ClientCertificate): boolean {
  if (publicKey === undefined || KEY_MEMBERS.some((name) => jwk[name] !== publicKey[name])) return false
  const { x5c, 'x5t#S256': named } = jwk
  const isListed = x5c === undefined || readListed(x5c)?.thumbprint === thumbprint
  return isListed && (named === undefined || named === thumbprint)
}

/** The first of a list of certificates as JWK has it. */
export function readListed(x5c: unknown): ClientCertificate | undefined {
  const first: unknown = Array.isArray(x5c) ? x5c[0] : undefined
  return typeof first === 'string' ? readCertificate(Buffer.from(first, 'base64')) : undefined
}

/** Whether it is valid at `now`, epoch seconds: nobody but us asks that of a certificate that signs itself. */
export function isCurrent({ notBefore, notAfter }: ClientCertificate, now: number): boolean {
  return notBefore <= now && now <= notAfter
}

/**
 * A name in the one form in which it is compared: hosts in lower case, IP addresses as RFC 5952 writes them, the rest as it
 * is; `undefined` for what is no such name. A wildcard is a name like any other, and stands for nothing.
 */
export function canonicalName(kind: CertificateNameKind, name: string): string | undefined {
  switch (kind) {
    case 'dns':
      return /^[a-z0-9*_-]+(?:\.[a-z0-9_-]+)*$/i.test(name) ? name.toLowerCase() : undefined
    case 'ip':
      return canonicalAddress(name)
    case 'uri':
      return /^[a-z][a-z0-9+.-]*:[\x21-\x7e]+$/i.test(name) ? name : undefined
    case 'email':
      return /^[\x21-\x3f\x41-\x7e]+@[a-z0-9.-]+$/i.test(name) ? name : undefined
  }
}

function canonicalAddress(text: string): string | undefined {
  if (/^\d{1,3}(?:\.\d{1,3}){3}$/.test(text))
    return text.split('.').every((part) => Number(part) < 256 && String(Number(part)) === part)
      ? text
      : undefined
  const url = /^[0-9a-f:.]+$/i.test(text) && text.includes(':') ? `http://[${text}]/` : ''
  return URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : undefined
}

const PREFIX_OF: Readonly<Record<string, CertificateNameKind>> = {
  DNS: 'dns',
  URI: 'uri',
  'IP Address': 'ip',
  email: 'email',
}
/** Node quotes, as JSON, a name with which a list could be read in two ways (CVE-2021-44532). */
const LISTED_NAME = /([A-Za-z0-9 ]+):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y

/** The names in Node's text of the extension; `undefined` if that is not what it is thought to be. */
function namesIn(text: string): ClientCertificate['names'] | undefined {
  const names = { dns: [] as string[], uri: [] as string[], ip: [] as string[], email: [] as string[] }
  LISTED_NAME.lastIndex = 0
  while (LISTED_NAME.lastIndex < text.length) {
    const [, prefix = '', value = ''] = LISTED_NAME.exec(text) ?? []
    if (prefix === '') return undefined
    const kind = Object.hasOwn(PREFIX_OF, prefix) ? PREFIX_OF[prefix] : undefined
    const name = value.startsWith('"') ? (JSON.parse(value) as string) : value
    const canonical = kind && canonicalName(kind, name)
    if (kind !== undefined && canonical !== undefined) names[kind].push(canonical)
  }
  return names
}

/** OpenSSL gives one line per part, root first; RFC 4514 §2.1 one text, root last. Neither has a line feed in a value. */
function subjectOf({ subject }: X509Certificate): string | undefined {
  const parts = (subject ?? '').split('\n').map((part) => part.replaceAll(' + ', '+'))
  return readDistinguishedName(parts.toReversed().join(','))
}

function publicKeyOf({ publicKey }: X509Certificate): PublicJwk | undefined {
  try {
    const { kty, crv, x, y, n, e } = publicKey.export({ format: 'jwk' }) as JsonWebKey
    return JSON.parse(JSON.stringify({ kty, crv, x, y, n, e })) as PublicJwk
  } catch {
    return undefined
  }
}
