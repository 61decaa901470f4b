import fc from 'fast-check'
import { importJWK } from 'jose'
import { compactJws } from '../../functions/core/access-token.ts'
import {
  type ExchangeDependencies,
  type ExchangeOutcome,
  exchange,
  type TokenAnswer,
} from '../../functions/core/exchange.ts'
import type { CompiledPolicy } from '../../functions/core/policy/compiled.ts'
import { indexPolicy } from '../../functions/core/policy/decide.ts'
import type { VerificationKey } from '../../functions/core/ports.ts'
import type { PresentedKeys } from '../../functions/core/possession.ts'
import { statusIndexOf } from '../../functions/core/status-list.ts'
import { TOKEN_EXCHANGE_GRANT, type TokenRequestInput } from '../../functions/core/token-request.ts'
import { type CraftingKey, craft, craftingKey, encodePart, type Part } from '../attacks/crafted-jws.ts'
import {
  MemoryIssuerKeys,
  MemoryKeys,
  MemoryLedger,
  MemoryOneTimeLedger,
  MemoryRatePermits,
  MemoryReferenceTokens,
  MemoryRevocations,
  MemoryStatusEntries,
} from '../support/fakes.ts'
import { AUDIENCE, issuerUrl, SCOPES, targetUrl } from './policies.ts'

export const NOW = 1_800_000_000
export const BROKER_ISSUER = 'https://tokens.example.com'

/** Cases of each property. A failure prints its seed and path: `fc.assert(…, { seed, path })` repeats it. */
const RUNS = Number(process.env['PROPERTY_RUNS'] ?? 10_000)

/** Holds the property to be true, over as many cases as CI tries, or a `share` of them where each costs much. */
export async function holds<T extends [unknown, ...unknown[]]>(
  property: fc.IAsyncPropertyWithHooks<T> | fc.IPropertyWithHooks<T>,
  share = 1,
): Promise<void> {
  await fc.assert(property as fc.IAsyncProperty<T>, { numRuns: Math.ceil(RUNS * share) })
}

const ISSUER_KEYS: Readonly<Record<string, CraftingKey>> = {
  one: craftingKey('ES256', 'key-1'),
  two: craftingKey('ES256', 'key-1'),
}
const BROKER_KEYS = new MemoryKeys()
await BROKER_KEYS.activate('ES256')
const VERIFICATION_KEYS = new Map<string, VerificationKey>()
for (const [name, key] of Object.entries(ISSUER_KEYS))
  VERIFICATION_KEYS.set(name, (await importJWK({ ...key.jwk } as never, 'ES256')) as VerificationKey)
const [OWN_KEY] = BROKER_KEYS.active.values()
const OWN_VERIFICATION_KEY = (await importJWK({ ...OWN_KEY?.publicJwk } as never, 'ES256')) as VerificationKey

/** The core over fakes that count: real tokens, really verified and really signed, with ES256 throughout. */
export class PropertyBroker {
  readonly ledger = new MemoryLedger()
  readonly revocations = new MemoryRevocations()
  readonly issuerKeys = new MemoryIssuerKeys()
  readonly calls: string[] = []
  readonly world: ExchangeDependencies
  #ids = 0

  constructor(policy: CompiledPolicy) {
    for (const [name, key] of VERIFICATION_KEYS)
      this.issuerKeys.keys.set(issuerUrl(name), new Map([['key-1', key]]))
    this.issuerKeys.keys.set(BROKER_ISSUER, new Map([[OWN_KEY?.kid ?? '', OWN_VERIFICATION_KEY]]))
    const count =
      <A extends readonly unknown[], R>(name: string, call: (...args: A) => R) =>
      (...args: A): R => {
        this.calls.push(name)
        return call(...args)
      }
    this.ledger.record = count('record', this.ledger.record.bind(this.ledger))
    this.revocations.cutOffs = count('cutOffs', this.revocations.cutOffs.bind(this.revocations))
    const signer = {
      activeKey: BROKER_KEYS.activeKey.bind(BROKER_KEYS),
      forget: BROKER_KEYS.forget.bind(BROKER_KEYS),
      sign: count('sign', BROKER_KEYS.sign.bind(BROKER_KEYS)),
    }
    this.world = {
      issuer: BROKER_ISSUER,
      policy: indexPolicy(policy),
      issuerKeys: this.issuerKeys,
      clientKeys: new MemoryIssuerKeys(),
      oneTime: new MemoryOneTimeLedger(),
      ledger: this.ledger,
      permits: new MemoryRatePermits(),
      references: new MemoryReferenceTokens(),
      statuses: new MemoryStatusEntries(),
      statusIndices: { next: async () => statusIndexOf(++this.#ids) },
      revocations: this.revocations,
      signer,
      randomId: () => `id-${++this.#ids}`.padEnd(22, '-'),
      randomSecret: () => `secret-${++this.#ids}`.padEnd(43, 'A'),
    }
  }

  present(
    form: FormFields,
    at: { now?: number; idempotencyKey?: string | undefined; keys?: PresentedKeys } = {},
  ): Promise<ExchangeOutcome> {
    const { now = NOW, idempotencyKey, keys = { dpop: [] } } = at
    return exchange(
      { ...inputOf(form, idempotencyKey), ...keys },
      { now, correlationId: 'c', traceId: undefined },
      this.world,
    )
  }
}

/** Parameters by name; lists are repeated. */
export type FormFields = Readonly<Record<string, string | readonly string[] | undefined>>

export function inputOf(form: FormFields, idempotencyKey?: string): TokenRequestInput {
  const fields = {
    grant_type: TOKEN_EXCHANGE_GRANT,
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    ...form,
  }
  return {
    parameters: Object.entries(fields).flatMap(([name, value]) =>
      [value ?? []].flat().map((one) => [name, one as string] as const),
    ),
    authorization: [],
    dpop: [],
    idempotencyKey: idempotencyKey === undefined ? [] : [idempotencyKey],
  }
}

/** A token of issuer `one` or `two` over exactly these claims. */
export function signed(from: string, claims: Part, header: Part = {}): string {
  const key = ISSUER_KEYS[from]
  if (key === undefined) throw new Error(`no issuer ${from}`)
  return craft(key, claims, header)
}

/** A token of our own over these claims, as an earlier exchange would have issued it. */
export async function ownToken(changes: object): Promise<string> {
  const claims = {
    iss: BROKER_ISSUER,
    sub: 'one:subject',
    aud: targetUrl('red'),
    iat: NOW,
    exp: NOW + 300,
    jti: 'own',
    client_id: 'one:subject',
    scope: SCOPES.join(' '),
    txn: 'txn',
    lineage: ['root'.padEnd(22, '-')],
    idp: issuerUrl('one'),
    ...changes,
  }
  const input = [{ alg: 'ES256', typ: 'at+jwt', kid: OWN_KEY?.kid }, claims].map(encodePart).join('.')
  return compactJws(input, await BROKER_KEYS.sign(await BROKER_KEYS.activeKey('ES256'), input))
}

export function subjectClaims(from: string, changes: object = {}): Record<string, unknown> {
  return {
    iss: issuerUrl(from),
    sub: 'subject',
    aud: AUDIENCE,
    iat: NOW,
    exp: NOW + 300,
    jti: 'jti',
    ...changes,
  }
}

export function grantedIn(outcome: ExchangeOutcome): TokenAnswer | undefined {
  return 'answer' in outcome ? outcome.answer : undefined
}

export function reasonIn(outcome: ExchangeOutcome): string {
  return 'answer' in outcome ? 'granted' : outcome.refused.kind
}

/** The claims of a token that was issued. */
export function claimsOf({ access_token }: TokenAnswer): Record<string, unknown> {
  return JSON.parse(Buffer.from(access_token.split('.')[1] ?? '', 'base64url').toString()) as Record<
    string,
    unknown
  >
}
