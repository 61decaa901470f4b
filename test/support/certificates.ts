import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'

const DAY = 86_400_000

/** A distinguished name, root first: each part a type and its value. */
export type Name = readonly (readonly [type: keyof typeof TYPES, value: string])[]
/** As OpenSSL's configuration writes them. */
export type AlternativeName = `${'DNS' | 'URI' | 'IP' | 'email'}:${string}`

export interface CertificateParts {
  readonly subject: Name
  readonly key: KeyObject
  /** @default - it signs itself */
  readonly issuer?: Name
  readonly signer?: KeyObject
  /** When it is valid, counted from today; or in epoch milliseconds. */
  readonly days?: readonly [from: number, to: number]
  readonly valid?: readonly [from: number, to: number]
  readonly names?: readonly AlternativeName[]
  readonly isAuthority?: boolean
}

export function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

/** An X.509 certificate (RFC 5280) in PEM of a P-256 key, signed with ECDSA and SHA-256: Node verifies but makes none. */
export function certificate(parts: CertificateParts): string {
  const { subject, key, issuer = subject, signer = key, days = [-1, 30], names = [] } = parts
  const [from, to] = (parts.valid ?? days.map((day) => Date.now() + day * DAY)).map((time) => new Date(time))
  const extensions = [
    ...(parts.isAuthority ? [BASIC_CONSTRAINTS_CA] : []),
    ...(names.length > 0 ? [alternativeNames(names)] : []),
  ]
  const body = sequence(
    explicit(0, integer(Buffer.from([2]))),
    integer(randomBytes(8)),
    ECDSA_WITH_SHA256,
    nameOf(issuer),
    sequence(utcTime(from), utcTime(to)),
    nameOf(subject),
    publicOf(key),
    ...(extensions.length > 0 ? [explicit(3, sequence(...extensions))] : []),
  )
  const signature = sign('sha256', body, signer)
  return pemOf(sequence(body, ECDSA_WITH_SHA256, element(0x03, Buffer.from([0]), signature)))
}

/** SHA-256 of a certificate, base64url (`x5t#S256`). */
export function thumbprintOf(pem: string): string {
  return createHash('sha256').update(derOf(pem)).digest('base64url')
}

export function derOf(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----.*-----|\s/g, ''), 'base64')
}

function pemOf(der: Buffer): string {
  return `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`
}

function publicOf(key: KeyObject): Buffer {
  const point = key.export({ format: 'jwk' })
  const xy = Buffer.concat([point.x, point.y].map((value) => Buffer.from(value ?? '', 'base64url')))
  return sequence(
    sequence(oid('06072a8648ce3d0201'), oid('06082a8648ce3d030107')),
    element(0x03, Buffer.from([0, 4]), xy),
  )
}

function element(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content)
  const length = body.length < 0x80 ? [body.length] : [0x82, body.length >> 8, body.length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}

const sequence = (...content: readonly Uint8Array[]): Buffer => element(0x30, ...content)
const explicit = (tag: number, content: Uint8Array): Buffer => element(0xa0 + tag, content)
const oid = (hex: string): Buffer => Buffer.from(hex, 'hex')
const ECDSA_WITH_SHA256 = sequence(oid('06082a8648ce3d040302'))
const TYPES = { CN: '0603550403', C: '0603550406', O: '060355040a', OU: '060355040b' } as const

function integer(bytes: Uint8Array): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0)
  const trimmed = bytes.subarray(Math.max(first, 0))
  return element(0x02, Buffer.alloc((trimmed[0] ?? 0) > 0x7f ? 1 : 0), trimmed)
}

function nameOf(name: Name): Buffer {
  const parts = name.map(([type, value]) =>
    element(0x31, sequence(oid(TYPES[type]), element(0x0c, Buffer.from(value)))),
  )
  return sequence(...parts)
}

function utcTime(date = new Date()): Buffer {
  return element(0x17, Buffer.from(`${date.toISOString().slice(2, 19).replace(/[-T:]/g, '')}Z`))
}

const BASIC_CONSTRAINTS_CA = sequence(
  oid('0603551d13'),
  element(0x01, Buffer.from([0xff])),
  element(0x04, sequence(element(0x01, Buffer.from([0xff])))),
)
const NAME_TAGS = { email: 0x81, DNS: 0x82, URI: 0x86, IP: 0x87 } as const

function alternativeNames(names: readonly AlternativeName[]): Buffer {
  const list = names.map((text) => {
    const colon = text.indexOf(':')
    const kind = text.slice(0, colon) as keyof typeof NAME_TAGS
    const value = text.slice(colon + 1)
    return element(NAME_TAGS[kind], kind === 'IP' ? addressOf(value) : Buffer.from(value))
  })
  return sequence(oid('0603551d11'), element(0x04, sequence(...list)))
}

function addressOf(text: string): Buffer {
  if (text.includes('.')) return Buffer.from(text.split('.').map(Number))
  const [before = [], after = []] = text
    .split('::')
    .map((half) => half.split(':').filter((group) => group !== ''))
  const between = Array<string>(8 - before.length - after.length).fill('0')
  return Buffer.from([...before, ...between, ...after].map((group) => group.padStart(4, '0')).join(''), 'hex')
}
