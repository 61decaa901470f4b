import { BrokerIssuerKeys } from '../../functions/adapters/broker-issuer-keys.ts'
import { CachedKeyManifests } from '../../functions/adapters/cached-key-manifests.ts'
import type { FetchJson } from '../../functions/adapters/fetch-json.ts'
import { FetchedIssuerKeys } from '../../functions/adapters/fetched-issuer-keys.ts'
import { epochSeconds } from '../../functions/compose.ts'
import { compactJws } from '../../functions/core/access-token.ts'
import type { ExchangeDependencies } from '../../functions/core/exchange.ts'
import { indexPolicy, type PolicyIndex } from '../../functions/core/policy/decide.ts'
import { statusIndexOf } from '../../functions/core/status-list.ts'
import { TOKEN_EXCHANGE_GRANT } from '../../functions/core/token-request.ts'
import { serveToken } from '../../functions/exchange/serve-token.ts'
import type { HttpAnswer } from '../../functions/http/answer.ts'
import { httpHandler } from '../../functions/http/rim.ts'
import { createTelemetry } from '../../functions/telemetry.ts'
import { compiled } from '../core/policy/policy-fixture.ts'
import { COUNTING } from '../support/emf.ts'
import {
  MemoryDpopNonces,
  MemoryKeyManifests,
  MemoryKeys,
  MemoryLedger,
  MemoryOneTimeLedger,
  MemoryRatePermits,
  MemoryReferenceTokens,
  MemoryRevocations,
  MemoryStatusEntries,
} from '../support/fakes.ts'
import { type CraftingKey, craft, craftingKey, encodePart, type Part } from './crafted-jws.ts'

export const NOW = 1_800_000_000
export const BROKER_ISSUER = 'https://tokens.example.com'
export const MTLS_URL = 'https://mtls.tokens.example.com'
export const OUR_AUDIENCE = 'https://broker.example.com'
export const PAYMENTS = 'https://payments.example.com'
export const LEDGER = 'https://ledger.example.com'
export const RECEIPTS = 'https://receipts.example.com'
export const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt'
export const SUBJECT = 'repo:octo/pay:ref:refs/heads/main'

const issuer = (id: string, more: object = {}) => ({
  issuer: issuerUrl(id),
  algorithms: ['RS256'],
  audiences: [OUR_AUDIENCE],
  max_lifetime: '10m',
  clock_skew: '30s',
  replay: 'reusable',
  ...more,
})

const target = (audience: string, algorithm: string) => ({
  audience,
  resources: [`${audience}/v1`],
  scopes: ['payments.read', 'payments.write'],
  token: { algorithm, max_lifetime: '15m' },
})

export const grant = (from: string, to: string, when: object = { repository_id: '123456' }) => ({
  issuer: from,
  when,
  target: to,
  scopes: ['payments.read', 'payments.write'],
  default_scopes: ['payments.read'],
  ...(from !== 'broker' && { claims: { repository: '{repository}' } }),
})

/** One issuer for each way in which tokens are replayed or signed, and grants onward from payments to receipts. */
export const POLICY = {
  issuers: {
    ci: issuer('ci', { replay: 'single-use', default_target: 'payments' }),
    pod: issuer('pod'),
    job: issuer('job', { replay: 'once-per-target' }),
    ec: issuer('ec', { replay: 'single-use', algorithms: ['ES256'] }),
    many: issuer('many', { algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'] }),
  },
  targets: {
    payments: target(PAYMENTS, 'RS256'),
    ledger: target(LEDGER, 'ES256'),
    receipts: target(RECEIPTS, 'RS256'),
  },
  grants: {
    ...Object.fromEntries(
      ['ci', 'pod', 'job', 'ec', 'many'].map((from) => [`${from}-payments`, grant(from, 'payments')]),
    ),
    'ci-ledger': grant('ci', 'ledger'),
    'job-ledger': grant('job', 'ledger'),
    onward: grant('broker', 'receipts', { aud: PAYMENTS }),
  },
} as const

export type IssuerName = keyof typeof POLICY.issuers

/** Making key pairs takes long: the brokers of a test file share them. */
const KEYS: Readonly<Record<IssuerName, CraftingKey>> = {
  ci: craftingKey('RS256', 'key-1'),
  pod: craftingKey('RS256', 'key-1'),
  job: craftingKey('RS256', 'key-1'),
  ec: craftingKey('ES256', 'key-1'),
  many: craftingKey('PS256', 'key-1'),
}
const BROKER_KEYS = new MemoryKeys()
await BROKER_KEYS.activate('RS256')
await BROKER_KEYS.activate('ES256')

/** Loggers and metrics are made once per function, as in Lambda. */
const TELEMETRY = createTelemetry('token', COUNTING)
const INDEXES = new WeakMap<object, PolicyIndex>()

function indexOf(policy: object): PolicyIndex {
  const known = INDEXES.get(policy) ?? indexPolicy(compiled(policy))
  INDEXES.set(policy, known)
  return known
}

export interface BrokerOptions {
  readonly policy?: object
  /** Instead of the documents in {@link AttackedBroker.published}. */
  readonly fetchJson?: FetchJson
}

/** One call of a port, in the order in which they were made: `fetch <url>`, `record`, `claim`, `cutOffs`, `sign`. */
export type PortCall = string

/** The whole exchange function over fakes of its ports that count, as one warm environment. */
export class AttackedBroker {
  readonly ledger = new MemoryLedger()
  readonly oneTime = new MemoryOneTimeLedger()
  readonly revocations = new MemoryRevocations()
  readonly manifests = new MemoryKeyManifests()
  readonly signer = Object.assign(new MemoryKeys(), {
    private: BROKER_KEYS.private,
    active: new Map(BROKER_KEYS.active),
  })
  readonly keys = KEYS
  readonly calls: PortCall[] = []
  /** What issuers serve, by URL. */
  readonly published = new Map<string, unknown>()
  readonly world: ExchangeDependencies
  readonly handler: (event: unknown, context: { getRemainingTimeInMillis?(): number }) => Promise<HttpAnswer>
  #ids = 0

  constructor({ policy = POLICY, fetchJson }: BrokerOptions = {}) {
    for (const ring of ['RS256', 'ES256'] as const) {
      const keys = [...this.signer.active.values()].filter(({ algorithm }) => algorithm === ring)
      this.manifests.manifests.set(ring, { ring, version: 1, pending: undefined, keys })
    }
    for (const name of Object.keys(KEYS) as IssuerName[]) this.publish(name, [KEYS[name].jwk])
    const fetched = new FetchedIssuerKeys(this.#counted('fetch', fetchJson ?? this.#fetch), epochSeconds)
    const ofClients = new FetchedIssuerKeys(this.#counted('fetch', fetchJson ?? this.#fetch), epochSeconds)
    const own = new CachedKeyManifests(this.manifests, Date.now)
    this.ledger.record = this.#counted('record', this.ledger.record.bind(this.ledger))
    this.oneTime.claim = this.#counted('claim', this.oneTime.claim.bind(this.oneTime))
    this.revocations.cutOffs = this.#counted('cutOffs', this.revocations.cutOffs.bind(this.revocations))
    this.signer.sign = this.#counted('sign', this.signer.sign.bind(this.signer))
    this.world = {
      issuer: BROKER_ISSUER,
      policy: indexOf(policy),
      issuerKeys: new BrokerIssuerKeys(own, fetched),
      clientKeys: ofClients,
      oneTime: this.oneTime,
      mtlsUrl: MTLS_URL,
      nonces: new MemoryDpopNonces(),
      ledger: this.ledger,
      permits: new MemoryRatePermits(),
      revocations: this.revocations,
      references: new MemoryReferenceTokens(),
      statuses: new MemoryStatusEntries(),
      statusIndices: { next: async () => statusIndexOf(++this.#ids) },
      signer: this.signer,
      randomId: () => `random-${++this.#ids}`.padEnd(22, 'x'),
      randomSecret: () => `secret-${++this.#ids}-`.padEnd(43, 'A'),
    }
    this.handler = httpHandler(serveToken(this.world, TELEMETRY), TELEMETRY)
  }

  /** Makes the issuer serve these keys. */
  publish(name: string, keys: readonly object[]): void {
    const url = issuerUrl(name)
    this.published.set(`${url}/.well-known/openid-configuration`, { issuer: url, jwks_uri: `${url}/jwks` })
    this.published.set(`${url}/jwks`, { keys })
  }

  /** A token that would be accepted, with claims and header changed; `undefined` leaves one out. */
  token(from: IssuerName = 'ci', changes: object = {}, header: Part = {}): string {
    return craft(KEYS[from], this.claims(from, changes), header)
  }

  claims(from: string = 'ci', changes: object = {}): Record<string, unknown> {
    return {
      iss: issuerUrl(from),
      sub: SUBJECT,
      aud: OUR_AUDIENCE,
      iat: NOW,
      nbf: NOW,
      exp: NOW + 300,
      jti: `jti-${++this.#ids}`,
      repository_id: '123456',
      repository: 'octo/pay',
      ...changes,
    }
  }

  /** A token signed by our own active key, as an earlier exchange would have issued it for payments. */
  async ownToken(changes: object = {}, header: object = {}): Promise<string> {
    const key = await this.signer.activeKey('RS256')
    const claims = {
      iss: BROKER_ISSUER,
      sub: `ci:${SUBJECT}`,
      aud: PAYMENTS,
      iat: NOW,
      nbf: NOW,
      exp: NOW + 200,
      jti: `own-${++this.#ids}`,
      client_id: `ci:${SUBJECT}`,
      scope: 'payments.read',
      grant: 'ci-payments',
      lineage: ['root'.padEnd(22, 'x')],
      txn: 'txn',
      idp: issuerUrl('ci'),
      ...changes,
    }
    const input = [{ alg: 'RS256', typ: 'at+jwt', kid: key.kid, ...header }, claims].map(encodePart).join('.')
    const signature = await this.signer.sign(key, input)
    this.calls.length = 0
    return compactJws(input, signature)
  }

  #fetch: FetchJson = async (url) => {
    if (!this.published.has(url)) throw new Error('down')
    return this.published.get(url)
  }

  #counted<Arguments extends readonly unknown[], Result>(
    name: string,
    call: (...args: Arguments) => Promise<Result>,
  ): (...args: Arguments) => Promise<Result> {
    return (...args) => {
      this.calls.push(name === 'fetch' ? `fetch ${String(args[0])}` : name)
      return call(...args)
    }
  }
}

export function issuerUrl(name: string): string {
  return `https://${name}.example.com`
}

/** The form of a valid exchange. Lists are repeated parameters; `undefined` leaves one out. */
export type FormChanges = Readonly<Record<string, string | readonly string[] | undefined>>

export function exchangeForm(changes: FormChanges): string {
  const form = {
    grant_type: TOKEN_EXCHANGE_GRANT,
    subject_token_type: JWT_TYPE,
    audience: PAYMENTS,
    ...changes,
  }
  const pairs = Object.entries(form).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((one) => [name, one] as [string, string]),
  )
  return new URLSearchParams(pairs).toString()
}
