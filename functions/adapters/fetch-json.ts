import { lookup as dnsLookup } from 'node:dns'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { LIMITS } from '../core/limits.ts'

/** Reads one JSON document. Throws unless it arrives whole, before the deadline, within 100 KiB, with status 200 and no redirect. */
export type FetchJson = (url: string, deadline: AbortSignal) => Promise<unknown>

/**
 * Fetches issuers' discovery documents and keys over https, from public addresses only: the address is checked when
 * the connection is made, so a name cannot be pointed inwards between check and use. `allowLoopback`, which only the
 * local cloud sets, adds http to loopback addresses and nothing else.
 */
export function jsonFetcher({ allowLoopback }: { readonly allowLoopback: boolean }): FetchJson {
  return async (url, deadline) => {
    const target = new URL(url)
    const isLoopback = allowLoopback && isLoopbackHost(target.hostname)
    if (target.protocol !== 'https:' && !(isLoopback && target.protocol === 'http:'))
      throw new Error(`${target.protocol} is not allowed for issuer keys`)
    if (!isLoopback && isIP(bareHost(target.hostname)) !== 0 && !isPublicAddress(bareHost(target.hostname)))
      throw new Error('the address is not public')
    const body = await read(target, deadline, isLoopback ? undefined : publicLookup)
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)) as unknown
  }
}

function read(url: URL, signal: AbortSignal, lookup: LookupFunction | undefined): Promise<Uint8Array> {
  const request = url.protocol === 'https:' ? httpsRequest : httpRequest
  const options = { signal, agent: false, headers: { accept: 'application/json' }, ...(lookup && { lookup }) }
  return new Promise((resolve, reject) => {
    const sent = request(url, options, (response) => {
      const fail = (reason: string) => sent.destroy(new Error(reason))
      if (response.statusCode !== 200) fail(`status ${response.statusCode}`)
      else if (response.headers['content-encoding'] !== undefined) fail('compressed answer')
      const chunks: Buffer[] = []
      let bytes = 0
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > LIMITS.jwksBytes) fail('answer too large')
        else chunks.push(chunk)
      })
      response.on('error', reject)
      response.on('aborted', () => reject(new Error('answer cut off')))
      response.on('end', () => resolve(Buffer.concat(chunks)))
    })
    sent.on('error', reject)
    sent.end()
  })
}

const publicLookup: LookupFunction = (hostname, options, callback) => {
  dnsLookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return callback(error, '')
    const [first] = addresses
    if (first === undefined || !areAllPublic(addresses))
      return callback(new Error(`${hostname} does not resolve to public addresses`), '')
    if (options.all) return callback(null, addresses)
    return callback(null, first.address, first.family)
  })
}

/** IANA special-purpose registries: everything that is not an ordinary public IPv4 address. */
const SPECIAL_IPV4 = blockListOf([
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
])

const GLOBAL_IPV6 = blockListOf([['2000::', 3]], 'ipv6')
/** Within 2000::/3: protocol assignments with Teredo, documentation, and 6to4, which can carry any IPv4 address. */
const SPECIAL_IPV6 = blockListOf(
  [
    ['2001::', 23],
    ['2001:db8::', 32],
    ['2002::', 16],
    ['3fff::', 20],
  ],
  'ipv6',
)

function blockListOf(
  nets: readonly (readonly [string, number])[],
  family: 'ipv4' | 'ipv6' = 'ipv4',
): BlockList {
  const list = new BlockList()
  for (const [net, prefix] of nets) list.addSubnet(net, prefix, family)
  return list
}

/** Whether every answer of a name server is public: with one that is not, the next connection could go inwards. */
export function areAllPublic(addresses: readonly { readonly address: string }[]): boolean {
  return addresses.length > 0 && addresses.every(({ address }) => isPublicAddress(address))
}

/** Whether an IP address is an ordinary one on the public internet. IPv4 inside IPv6 is not. */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 4) return !SPECIAL_IPV4.check(address)
  return isIP(address) === 6 && GLOBAL_IPV6.check(address, 'ipv6') && !SPECIAL_IPV6.check(address, 'ipv6')
}

function isLoopbackHost(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}

function bareHost(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '')
}
