import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { areAllPublic, isPublicAddress, jsonFetcher } from '../../functions/adapters/fetch-json.ts'

const servers: Server[] = []

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`
}

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

const within = (ms: number, allowLoopback: boolean) => (url: string) =>
  jsonFetcher({ allowLoopback })(url, AbortSignal.timeout(ms))
// Longer than a busy machine takes: what is refused below is refused for what it is.
const local = within(60_000, true)
const deployed = within(60_000, false)

describe('the fetcher of issuer documents', () => {
  it('reads a JSON document from loopback in the local cloud', async () => {
    const url = await serve((_request, response) => response.end('{"keys":[]}'))
    expect(await local(url)).toEqual({ keys: [] })
  })

  it('asks without credentials and without cookies', async () => {
    let headers: object = {}
    const url = await serve((request, response) => {
      headers = request.headers
      response.end('{}')
    })
    await local(url)
    expect(Object.keys(headers).toSorted()).toEqual(['accept', 'connection', 'host'])
  })

  it.each([
    ['a redirect', (r: Parameters<RequestListener>[1]) => r.writeHead(302, { location: '/other' }).end()],
    ['an error', (r: Parameters<RequestListener>[1]) => r.writeHead(500).end('{}')],
    ['what is not JSON', (r: Parameters<RequestListener>[1]) => r.end('<html>')],
    ['what is not UTF-8', (r: Parameters<RequestListener>[1]) => r.end(Buffer.from([0x22, 0xff, 0x22]))],
    [
      'compression',
      (r: Parameters<RequestListener>[1]) => r.writeHead(200, { 'content-encoding': 'gzip' }).end('{}'),
    ],
    ['more than 100 KiB', (r: Parameters<RequestListener>[1]) => r.end(`"${'x'.repeat(100 * 1024)}"`)],
    [
      'an answer cut off',
      (r: Parameters<RequestListener>[1]) => {
        r.writeHead(200, { 'content-length': '100' })
        r.write('{')
        setTimeout(() => r.destroy(), 20)
      },
    ],
  ])('refuses %s', async (_name, answer) => {
    const url = await serve((_request, response) => {
      answer(response)
    })
    await expect(local(url)).rejects.toThrow()
  })

  it('waits no longer than the deadline for an answer that never ends', async () => {
    const url = await serve((_request, response) => void response.write('{'))
    await expect(within(200, true)(url)).rejects.toThrow('aborted')
  })

  it.each([
    'http://127.0.0.1:9/keys',
    'https://127.0.0.1:9/keys',
    'https://169.254.169.254/latest/meta-data',
    'https://[::1]/keys',
    'https://[::ffff:127.0.0.1]/keys',
    'https://2130706433/keys',
    'https://0x7f.1/keys',
    'https://0177.0.0.1/keys',
    'https://localhost/keys',
    'http://issuer.example.com/keys',
    'file:///etc/passwd',
  ])('does not connect to %s when deployed', async (url) => {
    await expect(deployed(url)).rejects.toThrow(/not allowed|not public|does not resolve to public/)
  })

  it.each(['http://169.254.169.254/', 'https://10.0.0.1/', 'http://example.com/'])(
    'opens nothing but loopback in the local cloud: %s',
    async (url) => {
      await expect(local(url)).rejects.toThrow(/not allowed|not public/)
    },
  )

  it.each([
    ['8.8.8.8', true],
    ['2606:4700::1111', true],
    ['10.1.2.3', false],
    ['100.64.0.1', false],
    ['172.31.0.1', false],
    ['192.168.0.1', false],
    ['0.0.0.0', false],
    ['224.0.0.1', false],
    ['255.255.255.255', false],
    ['::1', false],
    ['::', false],
    ['fd00::1', false],
    ['fe80::1', false],
    ['::ffff:10.0.0.1', false],
    ['64:ff9b::a00:1', false],
    ['2002:7f00:1::', false],
    ['2001:db8::1', false],
    ['not an address', false],
  ])('takes %s for public: %s', (address, isPublic) => {
    expect(isPublicAddress(address)).toBe(isPublic)
  })

  it.each([
    [['8.8.8.8', '1.1.1.1'], true],
    [['8.8.8.8', '10.0.0.1'], false],
    [['10.0.0.1', '8.8.8.8'], false],
    [[], false],
  ])('trusts a name with the addresses %j: %s', (addresses, isTrusted) => {
    expect(areAllPublic(addresses.map((address) => ({ address })))).toBe(isTrusted)
  })
})
