import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { certificate, newKey } from '../support/certificates.ts'

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
      certificate({ subject: [['CN', 'test authority']], key: authority, isAuthority: true }),
    )
    const urls: Record<string, string> = {}
    for (const [name, { options, ...made }] of Object.entries(SERVERS)) {
      const key = newKey()
      const by = made.isSelfSigned ? {} : { issuer: [['CN', 'test authority']] as const, signer: authority }
      const names = [`DNS:${made.name ?? 'localhost'}`] as const
      const cert = certificate({ subject: [['CN', 'localhost']], key, names, ...by, ...made })
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
