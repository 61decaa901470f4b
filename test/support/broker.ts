import { importJWK } from 'jose'
import { compactJws } from '../../functions/core/access-token.ts'
import type { ExchangeDependencies, ExchangeOutcome } from '../../functions/core/exchange.ts'
import { exchange } from '../../functions/core/exchange.ts'
import type { CompiledPolicy } from '../../functions/core/policy/compiled.ts'
import { indexPolicy } from '../../functions/core/policy/decide.ts'
import type { StatusIndices } from '../../functions/core/ports.ts'
import { statusIndexOf } from '../../functions/core/status-list.ts'
import { TOKEN_EXCHANGE_GRANT, type TokenRequestInput } from '../../functions/core/token-request.ts'

import { makeClientSigners, testClients } from './clients.ts'
import {
  MemoryIssuerKeys,
  MemoryKeys,
  MemoryLedger,
  MemoryOneTimeLedger,
  MemoryRatePermits,
  MemoryReferenceTokens,
  MemoryRevocations,
  MemoryStatusEntries,
} from './fakes.ts'

import { createTestIssuer, type TestIssuer } from './tokens.ts'

export const NOW = 1_800_000_000
export const BROKER_ISSUER = 'https://tokens.example.com'
export const OUR_AUDIENCE = 'https://broker.example.com'
export const PAYMENTS = 'https://payments.example.com'
export const LEDGER = 'https://ledger.example.com'
export const RECEIPTS = 'https://receipts.example.com'
export const REPORTS = 'https://reports.example.com'

/**
 * A policy with one issuer per replay mode, one whose tokens only an authenticated client may exchange, an onward grant,
 * and a grant for one client.
 */
export function testPolicy(): CompiledPolicy {
  const issuer = (id: string, replay: string) => ({
    id,
    issuer: `https://${id}.example.com`,
    keys: { kind: 'discovery' },
    algorithms: ['RS256'],
    audiences: [OUR_AUDIENCE],
    maxLifetimeSeconds: 600,
    clockSkewSeconds: 30,
    replay,
    clientAuthentication: id === 'desk' ? 'required' : 'none',
    ...(id === 'ci' && { defaultTarget: 'payments-api' }),
  })
  const target = (id: string, audience: string, algorithm: string, format = 'jwt') => ({
    id,
    audience,
    resources: [`${audience}/v1`],
    scopes: ['payments.read', 'payments.write'],
    format,
    algorithm,
    maxLifetimeSeconds: 900,
  })
  const grant = (id: string, from: string, to: string) => ({
    id,
    issuer: from,
    when:
      from === 'broker'
        ? [{ path: ['aud'], anyOf: [PAYMENTS, REPORTS].map((value) => ({ kind: 'equals', value })) }]
        : [{ path: ['repository_id'], anyOf: [{ kind: 'equals', value: '123456' }] }],
    target: to,
    scopes: ['payments.read', 'payments.write'],
    defaultScopes: ['payments.read'],
    lifetimeSeconds: 300,
    claims: from === 'broker' ? {} : { repository: [{ path: ['repository'] }] },
  })
  return {
    format: 1,
    maxDelegationDepth: 3,
    digest: 'test-policy',
    issuers: [
      issuer('ci', 'single-use'),
      issuer('pod', 'reusable'),
      issuer('job', 'once-per-target'),
      issuer('desk', 'single-use'),
    ],
    clients: testClients(),
    targets: [
      target('payments-api', PAYMENTS, 'RS256'),
      target('ledger-api', LEDGER, 'ES256'),
      target('receipts-api', RECEIPTS, 'RS256'),
      target('reports-api', REPORTS, 'RS256', 'reference'),
    ],
    grants: [
      ...['ci', 'pod', 'job', 'desk'].flatMap((from) => [
        grant(`${from}-payments`, from, 'payments-api'),
        grant(`${from}-ledger`, from, 'ledger-api'),
        grant(`${from}-reports`, from, 'reports-api'),
      ]),
      grant('onward', 'broker', 'receipts-api'),
      grant('onward-reports', 'broker', 'reports-api'),
      { ...grant('checkout-receipts', 'pod', 'receipts-api'), client: 'checkout' },
    ],
  } as unknown as CompiledPolicy
}

type IssuerName = 'ci' | 'pod' | 'job' | 'desk'

export interface TestBroker {
  readonly world: ExchangeDependencies
  readonly ledger: MemoryLedger
  readonly permits: MemoryRatePermits
  readonly references: MemoryReferenceTokens
  readonly statuses: MemoryStatusEntries
  readonly statusIndices: StatusIndices
  readonly oneTime: MemoryOneTimeLedger
  readonly clientKeys: MemoryIssuerKeys
  readonly revocations: MemoryRevocations
  readonly keys: MemoryKeys
  readonly issuerKeys: MemoryIssuerKeys
  readonly issuers: Readonly<Record<IssuerName, TestIssuer>>
  /** What signs the assertions of a client. */
  readonly clients: Readonly<Record<'checkout' | 'billing', TestIssuer>>
  /** An acceptable subject token of an issuer, with claims changed; `undefined` leaves one out. */
  subjectToken(from?: IssuerName, changes?: Record<string, unknown>, header?: object): Promise<string>
  /** An acceptable assertion of a client, with claims changed; `undefined` leaves one out. */
  assertion(
    from?: 'checkout' | 'billing',
    changes?: Record<string, unknown>,
    header?: Record<string, unknown>,
  ): Promise<string>
  /** A token of our own for the payments API, signed by our active key, with claims changed. */
  own(changes: Record<string, unknown>): Promise<string>
  /** Presents a request: the valid one with form parameters changed; `undefined` leaves one out. */
  exchange(changes: Record<string, string | undefined>, more?: Partial<Asked>): Promise<ExchangeOutcome>
}

interface Asked extends TokenRequestInput {
  readonly now: number
}

/** Key pairs take long to make: one set serves every broker of a test file. */
const madeKeys = makeKeys()

async function makeKeys() {
  const keys = new MemoryKeys()
  await keys.activate('RS256')
  await keys.activate('ES256')
  const issuers = {
    ci: await createTestIssuer('https://ci.example.com'),
    pod: await createTestIssuer('https://pod.example.com'),
    job: await createTestIssuer('https://job.example.com'),
    desk: await createTestIssuer('https://desk.example.com'),
  }
  return { keys, issuers, clients: await makeClientSigners() }
}

/** A broker of real keys and in-memory stores. */
export async function createTestBroker(policy = testPolicy()): Promise<TestBroker> {
  const { keys: made, issuers, clients } = await madeKeys
  const keys = Object.assign(new MemoryKeys(), { private: made.private, active: new Map(made.active) })
  const active = [...keys.active.values()]
  const issuerKeys = new MemoryIssuerKeys()
  for (const { issuer, publicKey } of Object.values(issuers))
    issuerKeys.keys.set(issuer, new Map([['key-1', publicKey]]))
  const own = active.map(
    async ({ kid, algorithm, publicJwk }) =>
      [kid, (await importJWK({ ...publicJwk } as never, algorithm)) as never] as const,
  )
  issuerKeys.keys.set(BROKER_ISSUER, new Map(await Promise.all(own)))
  const clientKeys = new MemoryIssuerKeys()
  for (const [id, { publicKey }] of Object.entries(clients))
    clientKeys.keys.set(`client#${id}`, new Map([['client-key', publicKey]]))
  let ids = 0
  let secrets = 0
  let indices = 0
  const world = {
    issuer: BROKER_ISSUER,
    policy: indexPolicy(policy),
    issuerKeys,
    clientKeys,
    oneTime: new MemoryOneTimeLedger(),
    ledger: new MemoryLedger(),
    permits: new MemoryRatePermits(() => NOW * 1000),
    references: new MemoryReferenceTokens(),
    statuses: new MemoryStatusEntries(),
    statusIndices: { next: async () => statusIndexOf(indices++) },
    revocations: new MemoryRevocations(),
    signer: keys,
    randomId: () => `random-${++ids}`.padEnd(22, 'x'),
    randomSecret: () => `secret-${++secrets}-`.padEnd(43, 'A'),
  }
  let signed = 0
  return {
    ...world,
    world,
    keys,
    issuers,
    clients,
    assertion: (from = 'checkout', changes = {}, header = {}) =>
      clients[from].sign(
        { sub: from, aud: BROKER_ISSUER, iat: NOW, exp: NOW + 60, jti: `assertion-${++signed}`, ...changes },
        header,
      ),
    subjectToken: (from = 'ci', changes = {}, header = {}) =>
      issuers[from].sign(
        {
          sub: 'repo:octo/pay:ref:refs/heads/main',
          aud: OUR_AUDIENCE,
          iat: NOW,
          nbf: NOW,
          exp: NOW + 300,
          jti: `jti-${++signed}`,
          repository_id: '123456',
          repository: 'octo/pay',
          ...changes,
        },
        header as Record<string, unknown>,
      ),
    own: async (changes) => {
      const key = await keys.activeKey('RS256')
      const claims = {
        iss: BROKER_ISSUER,
        sub: 'ci:repo:octo/pay',
        client_id: 'ci:repo:octo/pay',
        aud: PAYMENTS,
        iat: NOW,
        nbf: NOW,
        exp: NOW + 200,
        jti: `own-${++signed}`,
        scope: 'payments.read',
        lineage: ['root'],
        txn: 'txn',
        idp: 'https://ci.example.com',
        ...changes,
      }
      const header = { alg: 'RS256', typ: 'at+jwt', kid: key.kid }
      const parts = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      return compactJws(parts.join('.'), await keys.sign(key, parts.join('.')))
    },
    exchange: (changes, more = {}) => {
      const form = {
        grant_type: TOKEN_EXCHANGE_GRANT,
        subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
        audience: PAYMENTS,
        ...changes,
      }
      const parameters = Object.entries(form).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, value] as const],
      )
      const input = { parameters, authorization: [], dpop: [], idempotencyKey: [], ...more }
      return exchange(input, { now: more.now ?? NOW, correlationId: 'correlation-1' }, world)
    },
  }
}
