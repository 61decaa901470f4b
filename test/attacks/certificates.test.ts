import { createHash } from 'node:crypto'
import { request } from 'node:https'
import { describe, expect, it, onTestFinished } from 'vitest'
import { HttpApi } from '../../lib/local/http-api.ts'
import {
  type CertificateParts,
  certificate,
  derOf,
  type Name,
  newKey,
  thumbprintOf,
} from '../support/certificates.ts'
import { expectVerdict, freezeTime, granted, type Presented, refused, witnessOf } from './attack.ts'
import {
  AttackedBroker,
  exchangeForm,
  type FormChanges,
  grant,
  MTLS_URL,
  NOW,
  PAYMENTS,
  POLICY,
  RECEIPTS,
} from './broker.ts'
import { craftingKey, craftWithHeader } from './crafted-jws.ts'
import { tokenEvent } from './proxy-event.ts'
import { RevocationEndpoints } from './revocation-endpoints.ts'

const CA_NAME: Name = [['CN', 'test authority']]
const CA = newKey()
const DAY = 86_400_000
const TODAY = NOW * 1000
const KEY = newKey()
const SUBJECT: Name = [
  ['C', 'DE'],
  ['O', 'Ex, Inc'],
  ['CN', 'pay'],
]

/** A certificate of our authority that is valid at the time at which the attacks happen. */
const issued = (parts: Partial<CertificateParts> = {}) =>
  certificate({
    subject: SUBJECT,
    key: KEY,
    issuer: CA_NAME,
    signer: CA,
    valid: [TODAY - DAY, TODAY + DAY],
    ...parts,
  })
const ownMade = (parts: Partial<CertificateParts> = {}) =>
  certificate({ subject: SUBJECT, key: KEY, valid: [TODAY - DAY, TODAY + DAY], ...parts })

const OWN = ownMade()
const OTHER_KEY = newKey()
const jwkOf = (key = KEY, more: object = {}) => {
  const { kty, crv, x, y } = key.export({ format: 'jwk' })
  return { kty, crv, x, y, kid: 'certificate', ...more }
}
const JWKS_URI = 'https://self-hosted.example.com/jwks'
const LISTED_URI = 'https://self-hosted.example.com/certificates'
const byName = (name: string, value: string) => ({
  authentication: { method: 'tls_client_auth', [`tls_client_auth_${name}`]: value },
})
const bySelf = (keys: object) => ({ authentication: { method: 'self_signed_tls_client_auth', ...keys } })

/** Of one certificate, and of no other with its key. */
const LISTED = jwkOf(KEY, { x5c: [derOf(OWN).toString('base64')] })
const CLIENTS = {
  subject: byName('subject_dn', 'CN=pay,O=Ex\\, Inc,C=DE'),
  dns: { ...byName('san_dns', 'Pay.example.com'), introspects: ['payments'], revokes: ['payments'] },
  uri: byName('san_uri', 'spiffe://example.com/pay'),
  ip: byName('san_ip', '2001:db8::1'),
  ip4: byName('san_ip', '10.0.0.1'),
  email: byName('san_email', 'pay@example.com'),
  listed: bySelf({ jwks: { keys: [LISTED] } }),
  keyed: bySelf({ jwks: { keys: [jwkOf()] } }),
  hosted: bySelf({ jwks_uri: JWKS_URI }),
  'hosted-listed': bySelf({ jwks_uri: LISTED_URI }),
  signer: { authentication: { method: 'private_key_jwt', jwks: { keys: [jwkOf()] } } },
}

/** Tokens of `ci` only for authenticated clients; those for payments are bound to a certificate where `pod` asks for them. */
const WITH_CERTIFICATES = {
  ...POLICY,
  issuers: { ...POLICY.issuers, ci: { ...POLICY.issuers.ci, client_authentication: 'required' } },
  clients: CLIENTS,
  targets: {
    ...POLICY.targets,
    ledger: { ...POLICY.targets.ledger, token: { algorithm: 'ES256', binding: 'mtls' } },
  },
  grants: { ...POLICY.grants, 'pod-ledger': grant('pod', 'ledger') },
}
const start = () => {
  const broker = new AttackedBroker({
    policy: WITH_CERTIFICATES,
    fetchJson: async (url) => {
      if (url === JWKS_URI) return { keys: [jwkOf(OTHER_KEY, { kid: 'another' }), jwkOf()] }
      if (url === LISTED_URI) return { keys: [LISTED] }
      if (broker.published.has(url)) return broker.published.get(url)
      throw new Error('down')
    },
  })
  return broker
}

const from =
  (client_id: string | undefined, pem: string | undefined, form: FormChanges = {}) =>
  (broker: AttackedBroker): Presented => ({
    form: { subject_token: broker.token(), client_id, ...form },
    ...(pem !== undefined && { certificate: pem }),
  })

describe('certificates of clients', () => {
  freezeTime()
  const authenticatedAs = (id: string) => granted(({ claims }) => expect(claims['client_id']).toBe(id))

  it.each([
    ['subject', issued()],
    ['dns', issued({ names: ['DNS:other.example.com', 'DNS:PAY.example.com'] })],
    ['uri', issued({ names: ['URI:spiffe://example.com/pay'] })],
    ['ip', issued({ names: ['IP:2001:db8::1'] })],
    ['email', issued({ names: ['email:pay@example.com'] })],
    ['listed', OWN],
    ['keyed', OWN],
    ['keyed', ownMade()],
  ] as const)('F11 prove a client by its %s', async (client, pem) => {
    const broker = start()
    await expectVerdict(broker, from(client, pem)(broker), authenticatedAs(client))
  })

  it('F11 prove a client by a key that it publishes', async () => {
    const broker = start()
    const { status, body } = await post(broker, from('hosted', OWN)(broker))
    expect([status, body['token_type']]).toEqual([200, 'Bearer'])
  })

  it('F11 prove a client by the certificate that it publishes, and by no other with its key', async () => {
    const broker = start()
    const statusOf = async (pem: string) => (await post(broker, from('hosted-listed', pem)(broker))).status
    expect([await statusOf(OWN), await statusOf(ownMade())]).toEqual([200, 401])
  })

  const NUL = 'DNS:pay.example.com\0.evil.example' as const
  it.each([
    [
      'expired',
      'dns',
      issued({ names: ['DNS:pay.example.com'], valid: [TODAY - DAY, TODAY - 1000] }),
      'certificate_not_current',
    ],
    [
      'not yet valid',
      'dns',
      issued({ names: ['DNS:pay.example.com'], valid: [TODAY + 1000, TODAY + DAY] }),
      'certificate_not_current',
    ],
    [
      'expired, of the client\u2019s own making',
      'keyed',
      ownMade({ valid: [TODAY - DAY, TODAY - 1000] }),
      'certificate_not_current',
    ],
    ['of another host', 'dns', issued({ names: ['DNS:evil.example.com'] }), 'certificate_of_another_name'],
    [
      'of a host below it',
      'dns',
      issued({ names: ['DNS:a.pay.example.com'] }),
      'certificate_of_another_name',
    ],
    ['of any host', 'dns', issued({ names: ['DNS:*.example.com', 'DNS:*'] }), 'certificate_of_another_name'],
    [
      'with a dot behind the host',
      'dns',
      issued({ names: ['DNS:pay.example.com.'] }),
      'certificate_of_another_name',
    ],
    ['of a host with more behind a NUL', 'dns', issued({ names: [NUL] }), 'certificate_of_another_name'],
    [
      'of a host that reads like two',
      'dns',
      issued({ names: ['DNS:evil.example, DNS:pay.example.com'] }),
      'certificate_of_another_name',
    ],
    [
      'of the host as its common name',
      'dns',
      issued({ subject: [['CN', 'pay.example.com']] }),
      'certificate_of_another_name',
    ],
    [
      'of the host as a URI',
      'dns',
      issued({ names: ['URI:pay.example.com', 'email:x@pay.example.com'] }),
      'certificate_of_another_name',
    ],
    [
      'of another path',
      'uri',
      issued({ names: ['URI:spiffe://example.com/pay/'] }),
      'certificate_of_another_name',
    ],
    [
      'of a URI in another case',
      'uri',
      issued({ names: ['URI:spiffe://EXAMPLE.com/pay'] }),
      'certificate_of_another_name',
    ],
    [
      'of another address',
      'ip',
      issued({ names: ['IP:2001:db8::2', 'IP:10.0.0.1'] }),
      'certificate_of_another_name',
    ],
    ['of the address as a host', 'ip', issued({ names: ['DNS:2001:db8::1'] }), 'certificate_of_another_name'],
    [
      'of the address as a host name',
      'ip4',
      issued({ names: ['DNS:10.0.0.1'] }),
      'certificate_of_another_name',
    ],
    [
      'of an address in another case',
      'email',
      issued({ names: ['email:Pay@example.com'] }),
      'certificate_of_another_name',
    ],
    ['without the country', 'subject', issued({ subject: SUBJECT.slice(1) }), 'certificate_of_another_name'],
    [
      'of a subject the other way round',
      'subject',
      issued({ subject: SUBJECT.toReversed() }),
      'certificate_of_another_name',
    ],
    [
      'of a subject that reads the same',
      'subject',
      issued({
        subject: [
          ['C', 'DE'],
          ['CN', 'pay,O=Ex, Inc'],
        ],
      }),
      'certificate_of_another_name',
    ],
    [
      'without subject',
      'subject',
      issued({ subject: [], names: ['DNS:pay.example.com'] }),
      'certificate_of_another_name',
    ],
    ['of another key', 'keyed', ownMade({ key: OTHER_KEY }), 'certificate_not_registered'],
    ['of the key, but not the one that is listed', 'listed', ownMade(), 'certificate_not_registered'],
    ['of the name, but not its key', 'listed', ownMade({ key: OTHER_KEY }), 'certificate_not_registered'],
    [
      'that is none',
      'dns',
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
      'certificate_unreadable',
    ],
    ['that is empty', 'dns', '', 'certificate_unreadable'],
    ['that is not there', 'dns', undefined, 'certificate_missing'],
    [
      'of a client that is not named',
      undefined,
      issued({ names: ['DNS:pay.example.com'] }),
      'authentication_missing',
    ],
    [
      'of a client that does not exist',
      'nobody',
      issued({ names: ['DNS:pay.example.com'] }),
      'authentication_missing',
    ],
    ['for a client that signs assertions', 'signer', OWN, 'authentication_missing'],
  ] as const)('F11 prove nothing: one %s', async (_, client, pem, failure) => {
    const broker = start()
    const verdict = refused('client_authentication_failed', 'invalid_client', 401)
    const witness = await expectVerdict(broker, from(client, pem)(broker), verdict)
    expect(witness.refusals).toMatchObject([{ detail: { failure } }])
    expect(broker.oneTime.spent.size).toBe(0)
  })

  it('F11 are no second method beside another: what was verified is what counts', async () => {
    const broker = start()
    const form = { client_assertion: 'a.b.c', client_assertion_type: 'x' }
    const both = from('dns', issued({ names: ['DNS:pay.example.com'] }), form)(broker)
    await expectVerdict(broker, both, refused('client_authentication_failed', 'invalid_client', 401))
    const basic = { Authorization: `Basic ${Buffer.from('dns:secret').toString('base64')}` }
    const header = { ...from('dns', issued({ names: ['DNS:pay.example.com'] }))(broker), headers: basic }
    await expectVerdict(broker, header, refused('client_authentication_failed', 'invalid_client', 401))
  })

  it('F11 let a client introspect and revoke, and nobody else', async () => {
    const endpoints = new RevocationEndpoints(start())
    const token = await endpoints.broker.ownToken()
    const form = { client_id: 'dns' }
    const good = {
      headers: { authorization: '' },
      form,
      certificate: issued({ names: ['DNS:pay.example.com'] }),
    }
    const bad = {
      headers: { authorization: '' },
      form,
      certificate: issued({ names: ['DNS:evil.example.com'] }),
    }
    expect(JSON.parse((await endpoints.introspect(token, good)).body)).toMatchObject({ active: true })
    for (const seen of [await endpoints.introspect(token, bad), await endpoints.revoke(token, bad)])
      expect([seen.status, seen.audit.join()]).toEqual([
        401,
        expect.stringContaining('client_authentication_failed'),
      ])
    expect((await endpoints.revoke(token, good)).status).toBe(200)
    expect(JSON.parse((await endpoints.introspect(token, good)).body)).toEqual({ active: false })
  })
})

/** The answer alone: where the broker asks places that the attacks do not know. */
async function post(broker: AttackedBroker, { form = {}, certificate: pem }: Presented) {
  const parts = { body: exchangeForm(form), ...(pem !== undefined && { certificate: pem }) }
  const answer = await broker.handler(tokenEvent(parts, 'request-1'), {})
  return { status: answer.statusCode, body: JSON.parse(answer.body) as Record<string, unknown> }
}

describe('tokens that are bound to a certificate', () => {
  freezeTime()
  const LEDGER = 'https://ledger.example.com'
  const PROOF_KEY = craftingKey('ES256', 'p')
  const pem = issued()
  const x5t = thumbprintOf(pem)
  const NEEDED = refused('certificate_not_acceptable')
  const TO_ANOTHER = refused('token_bound_to_key')
  const boundTo = (cnf: object, type = 'Bearer') =>
    granted(({ body, claims }) => {
      expect(body['token_type']).toBe(type)
      expect(claims['cnf']).toEqual(cnf)
    })

  let made = 0
  const proof = (htu: string) =>
    craftWithHeader(
      PROOF_KEY,
      { typ: 'dpop+jwt', alg: 'ES256', jwk: PROOF_KEY.jwk },
      { jti: `proof-of-certificates-${++made}`, htm: 'POST', htu, iat: NOW },
    )
  const ask = (broker: AttackedBroker, audience: string, subject_token = broker.token('pod')): Presented => ({
    form: { subject_token, audience },
  })

  it('are bound to the one that the client holds the connection by', async () => {
    const broker = start()
    await expectVerdict(broker, { ...ask(broker, LEDGER), certificate: pem }, boundTo({ 'x5t#S256': x5t }))
  })

  it('are bound to its key as well, where there is a proof, by either name of the endpoint', async () => {
    for (const base of [MTLS_URL, 'https://tokens.example.com']) {
      const broker = start()
      const presented = {
        ...ask(broker, LEDGER),
        certificate: pem,
        headers: { DPoP: proof(`${base}/token`) },
      }
      const jkt = expect.stringMatching(/^[\w-]{43}$/) as string
      await expectVerdict(broker, presented, boundTo({ jkt, 'x5t#S256': x5t }, 'DPoP'))
    }
  })

  it.each([
    ['no certificate', undefined, 'certificate_missing'],
    ['one that nobody can read', 'PEM', 'certificate_unreadable'],
    ['one that has expired', issued({ valid: [TODAY - DAY, TODAY - 1000] }), 'certificate_not_current'],
  ])('are not issued to %s', async (_, certificateOfClient, because) => {
    const broker = start()
    const presented = {
      ...ask(broker, LEDGER),
      ...(certificateOfClient !== undefined && { certificate: certificateOfClient }),
    }
    const witness = await expectVerdict(broker, presented, NEEDED)
    expect(witness.refusals).toMatchObject([{ detail: { because } }])
  })

  it('are not what a certificate alone makes: at that name everybody has one', async () => {
    const broker = start()
    const verdict = granted(({ claims }) => expect(claims).not.toHaveProperty('cnf'))
    await expectVerdict(broker, { ...ask(broker, PAYMENTS), certificate: pem }, verdict)
  })

  it('are exchanged by the same certificate, and bind what they are exchanged for', async () => {
    const broker = start()
    const token = await broker.ownToken({ cnf: { 'x5t#S256': x5t } })
    await expectVerdict(
      broker,
      { ...ask(broker, RECEIPTS, token), certificate: pem },
      boundTo({ 'x5t#S256': x5t }),
    )
  })

  it.each([
    ['no certificate', undefined, 'certificate_missing'],
    ['another certificate of the same key and name', issued(), 'another_certificate'],
    ['one that nobody can read', 'PEM', 'certificate_unreadable'],
  ])('are not exchanged by %s', async (_, other, because) => {
    const broker = start()
    const token = await broker.ownToken({ cnf: { 'x5t#S256': x5t } })
    const presented = { ...ask(broker, RECEIPTS, token), ...(other !== undefined && { certificate: other }) }
    const witness = await expectVerdict(broker, presented, TO_ANOTHER)
    expect(witness.refusals).toMatchObject([{ detail: { because } }])
  })

  it('come again under an idempotency key only for the same certificate', async () => {
    const broker = start()
    const headers = { 'Idempotency-Key': 'one-and-the-same-key' }
    const presented = { ...ask(broker, LEDGER), headers }
    await expectVerdict(broker, { ...presented, certificate: pem }, boundTo({ 'x5t#S256': x5t }))
    await expectVerdict(broker, { ...presented, certificate: issued() }, refused('token_replayed'))
    const { claims } = await witnessOf(broker, { ...presented, certificate: pem })
    expect(claims['cnf']).toEqual({ 'x5t#S256': x5t })
  })

  it('and to a key need both, the certificate and the proof', async () => {
    const broker = start()
    const { jwk } = PROOF_KEY
    const members = JSON.stringify({ crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y })
    const jkt = createHash('sha256').update(members).digest('base64url')
    const cnf = { jkt, 'x5t#S256': x5t }
    const withProof = async () => ({
      ...ask(broker, RECEIPTS, await broker.ownToken({ cnf })),
      headers: { DPoP: proof('https://tokens.example.com/token') },
    })
    await expectVerdict(broker, await withProof(), TO_ANOTHER)
    await expectVerdict(
      broker,
      { ...ask(broker, RECEIPTS, await broker.ownToken({ cnf })), certificate: pem },
      TO_ANOTHER,
    )
    await expectVerdict(broker, { ...(await withProof()), certificate: pem }, boundTo(cnf, 'DPoP'))
  })
})

describe('a connection with mutual TLS', () => {
  const real = { valid: [Date.now() - DAY, Date.now() + DAY] as const }
  const authority = certificate({ subject: CA_NAME, key: CA, isAuthority: true, ...real })
  const serverKey = newKey()
  const server = certificate({
    subject: [['CN', 'localhost']],
    key: serverKey,
    issuer: CA_NAME,
    signer: CA,
    names: ['IP:127.0.0.1'],
    ...real,
  })
  const pemOf = (key = KEY) => key.export({ format: 'pem', type: 'pkcs8' }).toString()

  /** The local API Gateway in front of the function, at the name where clients show certificates. */
  async function listen() {
    const broker = start()
    const api = await HttpApi.listen({
      port: 0,
      account: '111111111111',
      clock: Date.now,
      invoke: (_name, event) => broker.handler(event, {}),
      mutualTls: { key: pemOf(serverKey), cert: server, ca: authority },
    })
    onTestFinished(() => api.close())
    const route = {
      routeKey: 'ANY /token',
      functionName: 'exchange',
      timeoutMilliseconds: 5000,
      authorization: 'NONE',
    } as const
    api.serve({ id: 'api', routes: [route] } as never)
    return { broker, url: new URL('/token', api.mutualTlsUrl) }
  }

  function ask(url: URL, body: string, held: { readonly key?: string; readonly cert?: string }) {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    return new Promise<{ status: number; body: Record<string, unknown> }>((resolve, reject) => {
      const sent = request(
        url,
        { method: 'POST', ca: authority, headers, agent: false, ...held },
        (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              body: JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>,
            }),
          )
        },
      )
      sent.on('error', reject)
      sent.end(body)
    })
  }

  const now = Math.floor(Date.now() / 1000)
  const formOf = (broker: AttackedBroker) =>
    exchangeForm({
      subject_token: broker.token('pod', { iat: now, nbf: now, exp: now + 300 }),
      audience: 'https://ledger.example.com',
    })

  it('F11 binds the token to the certificate that the handshake proved', async () => {
    const { broker, url } = await listen()
    const cert = issued(real)
    const { status, body } = await ask(url, formOf(broker), { key: pemOf(), cert })
    expect([status, body['error_description']]).toEqual([200, undefined])
    const payload = String(body['access_token']).split('.')[1] ?? ''
    expect(JSON.parse(Buffer.from(payload, 'base64url').toString())).toMatchObject({
      cnf: { 'x5t#S256': thumbprintOf(cert) },
    })
  })

  it.each([
    ['nobody\u2019s certificate', {}],
    ['one of another authority', { key: pemOf(), cert: issued({ ...real, signer: newKey() }) }],
    ['one that signs itself', { key: pemOf(), cert: ownMade(real) }],
    ['an expired one', { key: pemOf(), cert: issued({ valid: [Date.now() - 2 * DAY, Date.now() - DAY] }) }],
  ])('F11 comes to no function with %s', async (_, held) => {
    const { broker, url } = await listen()
    await expect(ask(url, formOf(broker), held)).rejects.toThrow()
    expect(broker.calls).toEqual([])
  })
})
