import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type FetchJson, jsonFetcher } from '../../functions/adapters/fetch-json.ts'
import { LIMITS } from '../../functions/core/limits.ts'
import { httpHandler } from '../../functions/http/rim.ts'
import { serveDocuments } from '../../functions/jwks/serve-documents.ts'
import {
  type Attack,
  byToken,
  describeAttacks,
  expectVerdict,
  freezeTime,
  granted,
  refused,
  unavailable,
  witnessOf,
} from './attack.ts'
import { AttackedBroker, BROKER_ISSUER, issuerUrl, NOW } from './broker.ts'
import { type CraftingKey, craft, craftingKey } from './crafted-jws.ts'
import { tokenEvent } from './proxy-event.ts'
import { tlsOutcomes } from './tls.ts'

const UNKNOWN = refused('key_unknown')
const CI = issuerUrl('ci')
const JWKS = `${CI}/jwks`
const DISCOVERY = `${CI}/.well-known/openid-configuration`
const OTHER = craftingKey('RS256', 'key-2')

const at = (seconds: number): void => void vi.setSystemTime((NOW + seconds) * 1000)

/** How often the issuer was asked for its keys while `count` tokens arrived, `everySeconds` apart. */
async function fetchesDuring(
  broker: AttackedBroker,
  token: (index: number) => string,
  { count, everySeconds, from = 0 }: { count: number; everySeconds: number; from?: number },
): Promise<number> {
  let fetches = 0
  for (let index = 0; index < count; index++) {
    at(from + index * everySeconds)
    const { calls } = await witnessOf(broker, { form: { subject_token: token(index) } })
    fetches += calls.filter((call) => call === `fetch ${JWKS}`).length
  }
  return fetches
}

/** An unsigned token that names a key which nobody has. */
const unsigned =
  (broker: AttackedBroker) =>
  (index: number): string => {
    const token = broker.token('ci', {}, { kid: `unknown-${index}` })
    return `${token.slice(0, token.lastIndexOf('.'))}.AAAA`
  }

describe('asking issuers for keys', () => {
  freezeTime()

  it('H01 a flood of unknown names leads to one fetch in 30 s', async () => {
    const broker = new AttackedBroker()
    await witnessOf(broker, { form: { subject_token: broker.token() } })
    expect(await fetchesDuring(broker, unsigned(broker), { count: 300, everySeconds: 0, from: 1 })).toBe(0)
    expect(await fetchesDuring(broker, unsigned(broker), { count: 300, everySeconds: 1, from: 30 })).toBe(10)
  })

  it('H01 a flood of unknown names at once leads to one fetch', async () => {
    const broker = new AttackedBroker()
    const floods = Array.from({ length: 50 }, (_, index) => unsigned(broker)(index))
    await Promise.all(
      floods.map((token) =>
        broker.world.issuerKeys.find(
          broker.world.policy.issuers.get(CI) as never,
          token.slice(0, 40),
          'RS256',
        ),
      ),
    )
    expect(broker.calls.filter((call) => call === `fetch ${JWKS}`)).toHaveLength(1)
  })

  const failures: readonly (readonly [string, (broker: AttackedBroker) => void])[] = [
    ['fails', ({ published }) => void published.delete(JWKS)],
    ['has an empty set', ({ published }) => void published.set(JWKS, { keys: [] })],
    ['answers nonsense', ({ published }) => void published.set(JWKS, 'nonsense')],
    ['answers null', ({ published }) => void published.set(JWKS, null)],
    ['has keys that are none', ({ published }) => void published.set(JWKS, { keys: [null, 5, 'x', {}] })],
  ]
  for (const [how, fail] of failures) {
    it(`H02 a flood while the issuer ${how} leads to one fetch in 30 s`, async () => {
      const broker = new AttackedBroker()
      fail(broker)
      expect(await fetchesDuring(broker, unsigned(broker), { count: 300, everySeconds: 1 })).toBe(10)
    })

    it(`H03 an issuer that ${how} loses none of its good keys for an hour, and all after it`, async () => {
      const broker = new AttackedBroker()
      await expectVerdict(broker, { form: { subject_token: broker.token() } }, granted())
      fail(broker)
      await witnessOf(broker, { form: { subject_token: unsigned(broker)(0) } })
      for (const seconds of [31, 599, 600, 1800, 3600]) {
        at(seconds)
        const token = broker.token('ci', { iat: NOW + seconds, nbf: NOW + seconds, exp: NOW + seconds + 300 })
        await expectVerdict(broker, { form: { subject_token: token } }, granted())
      }
      at(3601)
      const { status } = await expectVerdict(broker, { form: { subject_token: broker.token() } }, unavailable)
      expect(status).toBe(503)
    })
  }

  it('H09 a key that its issuer took back is refused within 10 minutes, or at once with an unknown name', async () => {
    const broker = new AttackedBroker()
    await expectVerdict(broker, { form: { subject_token: broker.token() } }, granted())
    broker.publish('ci', [OTHER.jwk])
    const later = { iat: NOW + 600, nbf: NOW + 600, exp: NOW + 900 }
    at(LIMITS.issuerKeysFreshSeconds)
    const { reason } =
      (await expectVerdict(broker, { form: { subject_token: broker.token('ci', later) } }, UNKNOWN))
        .refusals[0] ?? {}
    expect(reason).toBe('key_unknown')
  })
})

const published = (title: string, keys: (key: CraftingKey) => readonly object[], verdict = UNKNOWN): Attack =>
  byToken(title, (broker) => broker.token(), verdict, {
    before: (broker) => broker.publish('ci', [...keys(broker.keys.ci), OTHER.jwk]),
  })

const changed = (title: string, changes: object): Attack =>
  published(`H07 ${title}`, ({ jwk }) => [{ ...jwk, ...changes }])

/** Signs with a key that no issuer should have, and publishes its public half beside a good one. */
const weak = (title: string, privateKey: KeyObject, alg = 'RS256'): Attack => {
  const jwk = privateKey.export({ format: 'jwk' })
  const { kty = '', n, e, crv, x, y } = jwk
  const key = {
    kid: 'key-1',
    alg,
    privateKey,
    jwk: JSON.parse(JSON.stringify({ kty, n, e, crv, x, y, kid: 'key-1' })) as CraftingKey['jwk'],
  }
  return byToken(`H07 ${title}`, (broker) => craft(key, broker.claims('many')), UNKNOWN, {
    before: (broker) => broker.publish('many', [key.jwk, OTHER.jwk]),
  })
}

const POINT = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
const zero = Buffer.alloc(32).toString('base64url')
const keys: readonly Attack[] = [
  changed('a private key', { d: 'AQAB' }),
  changed('a private key by one of its factors', { p: 'AQAB' }),
  changed('a key with a secret', { k: 'AQAB' }),
  changed('a key for encryption', { use: 'enc' }),
  changed('a key for something unknown', { use: 'SIG' }),
  changed('a key that may only sign', { key_ops: ['sign'] }),
  changed('a key that may do nothing', { key_ops: [] }),
  changed('a key for another algorithm', { alg: 'RS512' }),
  changed('a key for encryption by its algorithm', { alg: 'RSA-OAEP' }),
  changed('exponent 1', { e: 'AQ' }),
  changed('exponent 3', { e: 'Aw' }),
  changed('an even exponent', { e: 'AQAC' }),
  changed('no exponent', { e: '' }),
  changed('an exponent that is no text', { e: 65537 }),
  changed('no modulus', { n: '' }),
  changed('an even modulus', { n: Buffer.alloc(256, 0xfe).toString('base64url') }),
  changed('a modulus of 1024 bits behind zeros', {
    n: Buffer.concat([Buffer.alloc(128), Buffer.alloc(128, 0xff)]).toString('base64url'),
  }),
  changed('a modulus of more than 8192 bits', { n: Buffer.alloc(1025, 0xff).toString('base64url') }),
  changed('another type of key under its name', { kty: 'EC' }),
  changed('a symmetric key under its name', { kty: 'oct', k: 'AQAB' }),
  changed('a name that is no text', { kid: 1 }),
  changed('no name', { kid: undefined }),
  weak('RSA of 1024 bits', generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey),
  weak('RSA of 2040 bits', generateKeyPairSync('rsa', { modulusLength: 2040 }).privateKey),
  weak(
    'RSA with exponent 3',
    generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }).privateKey,
  ),
  weak('secp256k1 for ES256', generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey, 'ES256'),
  published('H07 a modulus of the ROCA kind', ({ jwk }) => [{ ...jwk, n: rocaModulus() }]),
  ...Object.entries({
    'a point off its curve': { ...POINT, x: zero },
    'the point at infinity': { ...POINT, x: zero, y: zero },
    'a coordinate beyond the field': { ...POINT, x: Buffer.alloc(32, 0xff).toString('base64url') },
    'a coordinate of 31 bytes': { ...POINT, x: Buffer.alloc(31, 1).toString('base64url') },
    'a point without y': { ...POINT, y: undefined },
    'a point of another curve': { ...POINT, crv: 'P-384' },
  }).map(([name, jwk]) =>
    byToken(`H07 ${name}`, (b) => craft({ ...b.keys.ec, kid: 'point' }, b.claims('many')), UNKNOWN, {
      before: (broker) => broker.publish('many', [{ ...jwk, kid: 'point' }, OTHER.jwk]),
    }),
  ),
  published(
    'H07 a good key beside all of these is in order',
    ({ jwk }) => [{ kty: 'oct', k: 'AQAB', kid: 'x' }, jwk, { ...jwk, kid: 'y', d: 'AQAB' }],
    granted(),
  ),
  byToken(
    'H10 a key of one issuer under a token of another, by a name that both have',
    (b) => craft(b.keys.pod, b.claims('ci')),
    refused('signature_invalid'),
    {
      before: async (b) => {
        await witnessOf(b, { form: { subject_token: b.token('pod') } })
      },
    },
  ),
]

/** A product of 2048 bits as the faulty generator made them: its residues are powers of 65537 for each small prime. */
function rocaModulus(): string {
  const primes = [
    2n,
    3n,
    5n,
    7n,
    11n,
    13n,
    17n,
    19n,
    23n,
    29n,
    31n,
    37n,
    41n,
    43n,
    47n,
    53n,
    59n,
    61n,
    67n,
    71n,
    73n,
    79n,
    83n,
    89n,
    97n,
    101n,
    103n,
    107n,
    109n,
    113n,
    127n,
    131n,
    137n,
    139n,
    149n,
    151n,
    157n,
    163n,
    167n,
  ]
  const product = primes.reduce((a, b) => a * b)
  const modulus = product * (2n ** 2047n / product + 12345n) + 65537n
  return Buffer.from(modulus.toString(16), 'hex').toString('base64url')
}

describeAttacks('keys that issuers should not have', keys)

/** Real connections: what is fetched comes from a server on loopback, which stands for the issuer. */
const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  servers.push(server)
  return listen(server)
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A broker that reads its issuers' documents at `origin` by the real fetcher. */
function brokerFetching(origin: string): AttackedBroker {
  const fetchJson = jsonFetcher({ allowLoopback: true })
  return new AttackedBroker({
    fetchJson: (url, deadline) => fetchJson(origin + new URL(url).pathname, deadline),
  })
}

/** The discovery document as it should be; then whatever is done about the keys. */
const serving =
  (answerKeys: RequestListener): RequestListener =>
  (request, response) => {
    if (request.url?.endsWith('/jwks')) answerKeys(request, response)
    else response.end(JSON.stringify({ issuer: CI, jwks_uri: JWKS }))
  }

const drip =
  (text: string, everyMs: number): RequestListener =>
  (_request, response) => {
    let at = 0
    const timer = setInterval(() => (at < text.length ? response.write(text[at++]) : response.end()), everyMs)
    response.on('close', () => clearInterval(timer))
  }

const redirect =
  (location: string, status = 302): RequestListener =>
  (_request, response) =>
    void response.writeHead(status, { location }).end()

const good = () => JSON.stringify({ keys: [new AttackedBroker().keys.ci.jwk] })

describe('what hostile issuers serve', () => {
  const hostile: Readonly<Record<string, RequestListener>> = {
    'H04 60 MB': (_request, response) => {
      const chunk = Buffer.alloc(1024 * 1024, ' ')
      let left = 60
      const more = () => {
        while (left-- > 0) if (!response.write(chunk)) return response.once('drain', more)
        return response.end(good())
      }
      more()
    },
    'H04 100,000 keys': (_request, response) =>
      void response.end(`{"keys":[${'{"kty":"RSA"},'.repeat(99_999)}{}]}`),
    'H04 101 keys': (_request, response) => {
      const { jwk } = new AttackedBroker().keys.ci
      response.end(
        JSON.stringify({
          keys: Array.from({ length: 101 }, (_, index) => ({
            kty: 'EC',
            kid: index === 0 ? 'key-1' : `k${index}`,
            ...(index === 0 && jwk),
          })),
        }),
      )
    },
    'H04 JSON 50,000 levels deep': (_request, response) =>
      void response.end(`{"keys":${'['.repeat(50_000)}${']'.repeat(50_000)}}`),
    'H04 a slow drip': drip(good(), 20),
    'H04 an answer that never ends': (_request, response) => void response.write('{"keys":['),
    'H04 an answer that never begins': () => undefined,
    'H04 garbage for chunks': ({ socket }) =>
      void socket.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{"keys":[]}\r\n'),
    'H04 an answer cut off': (_request, response) => {
      response.writeHead(200, { 'content-length': '10000' })
      response.write(good())
      setTimeout(() => response.destroy(), 20)
    },
    'H04 a gzip bomb': (_request, response) =>
      void response
        .writeHead(200, { 'content-encoding': 'gzip' })
        .end(gzipSync(Buffer.alloc(5_000_000, ' '))),
    'H04 good keys in gzip, which was not asked for': (_request, response) =>
      void response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(good())),
    'H04 good keys that only say they are in gzip': (_request, response) =>
      void response.writeHead(200, { 'content-encoding': 'gzip' }).end(good()),
    'H04 bytes that are no UTF-8': (_request, response) =>
      void response.end(Buffer.concat([Buffer.from('{"keys":[],"x":"'), Buffer.from([0xff, 0x22, 0x7d])])),
    'H04 a header without end': ({ socket }) =>
      void socket.write(`HTTP/1.1 200 OK\r\nx: ${'x'.repeat(100_000)}`),
    ...Object.fromEntries(
      [301, 302, 303, 307, 308].map((status) => [
        `H05 ${status} to the same host`,
        redirect('/other/jwks', status),
      ]),
    ),
    'H05 a redirect to another host': redirect('https://evil.example.net/jwks'),
    'H05 a redirect to plain http': redirect('http://ci.example.com/jwks'),
    'H05 a redirect to the metadata service': redirect('http://169.254.169.254/latest/meta-data/'),
    'H05 a redirect to loopback': redirect('http://127.0.0.1:80/jwks'),
    'H05 a redirect that has good keys in it': (_request, response) =>
      void response.writeHead(302, { location: '/other/jwks' }).end(good()),
    'H05 good keys with another status': (_request, response) => void response.writeHead(203).end(good()),
    'H05 good keys with an error': (_request, response) => void response.writeHead(500).end(good()),
  }

  it.concurrent.each(Object.entries(hostile))('%s', async (_name, answerKeys) => {
    let others = 0
    const server = createServer((request, response) => {
      if (request.url?.startsWith('/other')) others++
      serving(answerKeys)(request, response)
    })
    const { world } = brokerFetching(await listen(server))
    const issuer = world.policy.issuers.get(CI)
    await expect(world.issuerKeys.find(issuer as never, 'key-1', 'RS256')).rejects.toThrow('cannot be read')
    expect(others).toBe(0)
    server.closeAllConnections()
    server.close()
  })
})

describe('what issuers serve', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date'], now: NOW * 1000 })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('H04 good keys are found in the same way', async () => {
    const origin = await serve(serving((_request, response) => void response.end(good())))
    const broker = brokerFetching(origin)
    const { status } = await witnessOf(broker, { form: { subject_token: broker.token() } })
    expect(status).toBe(200)
  })

  it('H04 keys that come too late are waited for 2 s, then the request fails', async () => {
    const broker = brokerFetching(await serve(() => undefined))
    const { status } = await expectVerdict(broker, { form: { subject_token: broker.token() } }, unavailable)
    expect(status).toBe(503)
  })

  it('H08 the issuer gets no credential, no cookie and no token, and neither does the host of its keys', async () => {
    const seen: string[] = []
    const origin = await serve((request, response) => {
      seen.push(
        ...request.rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase()),
        request.url ?? '',
      )
      serving((_request, answer) => void answer.end(good()))(request, response)
    })
    const broker = brokerFetching(origin)
    const subject_token = broker.token()
    await witnessOf(broker, { form: { subject_token }, headers: { Cookie: 'a=b', 'X-Api-Key': 'secret' } })
    expect([...new Set(seen)].toSorted()).toEqual([
      '/.well-known/openid-configuration',
      '/jwks',
      'accept',
      'connection',
      'host',
    ])
  })
})

const INWARD = [
  'https://127.0.0.1/jwks',
  'https://127.1/jwks',
  'https://10.0.0.1/jwks',
  'https://172.16.0.1/jwks',
  'https://192.168.1.1/jwks',
  'https://169.254.169.254/latest/meta-data/',
  'https://100.64.0.1/jwks',
  'https://0.0.0.0/jwks',
  'https://[::1]/jwks',
  'https://[::]/jwks',
  'https://[::ffff:127.0.0.1]/jwks',
  'https://[::ffff:a9fe:a9fe]/jwks',
  'https://[fd00::1]/jwks',
  'https://[fe80::1]/jwks',
  'https://[64:ff9b::7f00:1]/jwks',
  'https://[2002:7f00:1::]/jwks',
  'https://2130706433/jwks',
  'https://0x7f000001/jwks',
  'https://017700000001/jwks',
  'https://0x7f.0.0.1/jwks',
  'https://127.0.0.1./jwks',
  'https://localhost/jwks',
  'https://LOCALHOST/jwks',
  'https://①②⑦.0.0.1/jwks',
  'http://ci.example.com/jwks',
  'http://127.0.0.1/jwks',
  'file:///etc/passwd',
  'data:application/json,{"keys":[]}',
  'ftp://ci.example.com/jwks',
  'gopher://127.0.0.1/',
  'jwks',
  '',
]

/** As deployed: the fetcher that refuses what is not public, behind a discovery document that points inwards. */
function brokerPointedAt(uri: string): AttackedBroker {
  const fetchJson = jsonFetcher({ allowLoopback: false })
  const pointed: FetchJson = async (url, deadline) =>
    url === DISCOVERY ? { issuer: CI, jwks_uri: uri } : fetchJson(url, deadline)
  return new AttackedBroker({ fetchJson: pointed })
}

describe('where keys are fetched from', () => {
  freezeTime()

  it.each(INWARD)('H06 an issuer that says its keys are at %s', async (uri) => {
    const broker = brokerPointedAt(uri)
    await expect(
      broker.world.issuerKeys.find(broker.world.policy.issuers.get(CI) as never, 'key-1', 'RS256'),
    ).rejects.toMatchObject({
      name: 'DependencyUnavailable',
      cause: {
        message: expect.stringMatching(/not allowed|not public|does not resolve to public|Invalid URL/),
      },
    })
  })

  it('H06 no issuer but those of the policy is ever asked', async () => {
    const broker = new AttackedBroker()
    const token = craft(OTHER, broker.claims('ci', { iss: 'https://evil.example.net' }))
    const { calls } = await expectVerdict(
      broker,
      { form: { subject_token: token } },
      refused('issuer_not_trusted'),
    )
    expect(calls).toEqual([])
  })

  it('H12 our own keys are few, small and cacheable, and served without a call to KMS', async () => {
    const broker = new AttackedBroker()
    const manifests = async () => ({
      inKms: [await broker.manifests.read('RS256'), await broker.manifests.read('ES256')],
      delegated: undefined,
    })
    const quiet = { measure: () => undefined, refused: () => undefined, failed: () => undefined }
    const documents = httpHandler(serveDocuments({ issuer: BROKER_ISSUER, manifests }), quiet)
    const answer = await documents(tokenEvent({ method: 'GET', path: '/.well-known/jwks.json' }, 'x'), {})
    expect(answer.headers['cache-control']).toBe('public, max-age=300, stale-if-error=86400')
    const { keys: listed } = JSON.parse(answer.body) as { keys: object[] }
    expect(listed.length).toBeLessThanOrEqual(LIMITS.publishedKeys)
    expect(answer.body.length).toBeLessThan(10_000)
    expect(broker.calls).toEqual([])
  })
})

describe('the connection to an issuer', () => {
  it('H11 TLS: only a certificate that is trusted, in force and of that name, and TLS 1.2 or newer', async () => {
    expect(await tlsOutcomes()).toEqual({
      'a good certificate': 'read',
      'a certificate that signs itself': 'refused: DEPTH_ZERO_SELF_SIGNED_CERT',
      'a certificate that has expired': 'refused: CERT_HAS_EXPIRED',
      'a certificate that is not yet valid': 'refused: CERT_NOT_YET_VALID',
      'a certificate of another name': 'refused: ERR_TLS_CERT_ALTNAME_INVALID',
      'TLS 1.1': expect.stringMatching(/^refused: (ERR_SSL|EPROTO|ECONNRESET)/),
      'TLS 1.2': 'read',
    })
  })
})
