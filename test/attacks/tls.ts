import { spawn } from 'node:child_process'
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * What the fetcher of issuers' documents makes of servers with different certificates. It runs in a process of its own, which
 * trusts a certificate authority made for this: Node reads that once, when it starts.
 */
export async function tlsOutcomes(): Promise<Readonly<Record<string, string>>> {
  const folder = mkdtempSync(join(tmpdir(), 'token-broker-tls-'))
  const servers: { close(): unknown; closeAllConnections(): void }[] = []
  try {
    const authority = newKey()
    const caFile = join(folder, 'ca.pem')
    writeFileSync(
      caFile,
      certificate({ subject: 'test authority', key: authority, issuer: 'test authority', signer: authority }),
    )
    const urls: Record<string, string> = {}
    for (const [name, { options, ...made }] of Object.entries(SERVERS)) {
      const key = newKey()
      const signer = made.isSelfSigned ? key : authority
      const issuer = made.isSelfSigned ? 'localhost' : 'test authority'
      const cert = certificate({ subject: 'localhost', key, issuer, signer, ...made })
      const server = createServer(
        { key: key.export({ format: 'pem', type: 'pkcs8' }), cert, ...options },
        (_request, response) => response.end('{}'),
      )
      servers.push(server)
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      urls[name] = `https://localhost:${(server.address() as AddressInfo).port}/`
    }
    return JSON.parse(await runFetcher(urls, caFile)) as Record<string, string>
  } finally {
    for (const server of servers) {
      server.closeAllConnections()
      server.close()
    }
    rmSync(folder, { recursive: true, force: true })
  }
}

const DAY = 86_400_000

interface Made {
  readonly days?: readonly [from: number, to: number]
  readonly name?: string
  readonly isSelfSigned?: boolean
  readonly options?: ServerOptions
}

const SERVERS: Readonly<Record<string, Made>> = {
  'a good certificate': {},
  'a certificate that signs itself': { isSelfSigned: true },
  'a certificate that has expired': { days: [-30, -1] },
  'a certificate that is not yet valid': { days: [1, 30] },
  'a certificate of another name': { name: 'evil.example.net' },
  'TLS 1.1': { options: { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } },
  'TLS 1.2': { options: { maxVersion: 'TLSv1.2' } },
}

const FETCH = `
import { jsonFetcher } from './functions/adapters/fetch-json.ts'
const fetchJson = jsonFetcher({ allowLoopback: true })
const outcomes = {}
for (const [name, url] of Object.entries(JSON.parse(process.argv[1])))
  outcomes[name] = await fetchJson(url, AbortSignal.timeout(5000)).then(() => 'read', (error) => 'refused: ' + error.code)
process.stdout.write(JSON.stringify(outcomes))
`

function runFetcher(urls: object, caFile: string): Promise<string> {
  const script = ['--import', 'tsx', '--input-type=module', '--eval', FETCH, JSON.stringify(urls)]
  const child = spawn(process.execPath, script, {
    env: { ...process.env, NODE_EXTRA_CA_CERTS: caFile, NODE_OPTIONS: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const chunks: string[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk.toString()))
  const errors: string[] = []
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk.toString()))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve(chunks.join('')) : reject(new Error(errors.join('')))))
  })
}

function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

interface Certificate extends Made {
  readonly subject: string
  readonly key: KeyObject
  readonly issuer: string
  readonly signer: KeyObject
}

/** An X.509 certificate (RFC 5280) in PEM, signed with ECDSA and SHA-256: an authority's if it is its own issuer's. */
function certificate({
  subject,
  key,
  issuer,
  signer,
  days = [-1, 30],
  name = 'localhost',
}: Certificate): string {
  const isAuthority = subject === issuer && subject !== 'localhost'
  const spki = publicOf(key)
  const [from, to] = days.map((day) => new Date(Date.now() + day * DAY))
  const body = sequence(
    explicit(0, integer(Buffer.from([2]))),
    integer(createHash('sha256').update(spki).digest().subarray(0, 8)),
    ECDSA_WITH_SHA256,
    nameOf(issuer),
    sequence(utcTime(from), utcTime(to)),
    nameOf(subject),
    spki,
    explicit(3, sequence(isAuthority ? BASIC_CONSTRAINTS_CA : alternativeName(name))),
  )
  const signature = sign('sha256', body, signer)
  const der = sequence(body, ECDSA_WITH_SHA256, element(0x03, Buffer.from([0]), signature))
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

function integer(bytes: Uint8Array): Buffer {
  return element(0x02, Buffer.alloc((bytes[0] ?? 0) > 0x7f ? 1 : 0), bytes)
}

function nameOf(commonName: string): Buffer {
  return sequence(element(0x31, sequence(oid('0603550403'), element(0x0c, Buffer.from(commonName)))))
}

function utcTime(date = new Date()): Buffer {
  return element(0x17, Buffer.from(`${date.toISOString().slice(2, 19).replace(/[-T:]/g, '')}Z`))
}

const BASIC_CONSTRAINTS_CA = sequence(
  oid('0603551d13'),
  element(0x01, Buffer.from([0xff])),
  element(0x04, sequence(element(0x01, Buffer.from([0xff])))),
)

function alternativeName(name: string): Buffer {
  return sequence(oid('0603551d11'), element(0x04, sequence(element(0x82, Buffer.from(name)))))
}
