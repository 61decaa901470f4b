import { preparseJwt } from '../../../functions/core/jwt-preparse.ts'
import { claimAt } from '../../../functions/core/policy/claims.ts'
import { BROKER, type CompiledPolicy, type Grant } from '../../../functions/core/policy/compiled.ts'
import type { PolicyIndex } from '../../../functions/core/policy/decide.ts'
import { PROBE, probeUrls } from '../../../functions/core/policy/probe.ts'
import { trustedIssuerOf } from '../../../functions/core/trusted-issuer.ts'
import type { JsonObject, JsonValue } from '../../../functions/core/types.ts'

/** A policy in both of its forms. */
export interface LoadedPolicy {
  readonly policy: CompiledPolicy
  readonly index: PolicyIndex
}

/** What an exchange asked for, without the tokens. */
export interface Presented {
  readonly claims?: JsonObject
  /** Of the actor's token, if there is one that can be read. */
  readonly actor?: JsonObject | undefined
  /** Why there are no claims. */
  readonly unread?: string
  readonly audiences: readonly string[]
  readonly resources: readonly string[]
  readonly scopes: readonly string[] | undefined
}

/** What every decision reads. */
const REGISTERED = ['iss', 'sub', 'aud', 'exp', 'iat', 'nbf', 'jti', 'act', 'may_act']
/** What the broker reads in its own tokens besides. */
const OWN = [
  'client_id',
  'scope',
  'grant',
  'txn',
  'idp',
  'lineage',
  'lineage_keys',
  'lineage_clients',
  'lineage_actors',
  'cnf',
  'status',
]
const MOST_CHARACTERS = 1000
const MOST_ITEMS = 50
/** What could be a token, whoever put it there: three parts with dots, or a handle. */
const TOKEN_LIKE = /[\w-]{16,}\.[\w-]{16,}\.|\brt_[\w-]{16,}/

/** Reads the form of an exchange. Of its tokens only the claims that the policy reads are kept. */
export function readPresented(body: Buffer, loaded: LoadedPolicy, brokerIssuer: string): Presented {
  const form = new URLSearchParams(body.toString())
  const scope = form.get('scope')
  const actor = claimsOf(form.get('actor_token') ?? '', loaded, brokerIssuer).claims
  return {
    ...(actor !== undefined && { actor }),
    ...claimsOf(form.get('subject_token') ?? '', loaded, brokerIssuer),
    audiences: form.getAll('audience').map(withoutTokens),
    resources: form.getAll('resource').map(withoutTokens),
    scopes: scope === null || scope === '' ? undefined : scope.split(' ').map(withoutTokens),
  }
}

function claimsOf(
  token: string,
  { policy, index }: LoadedPolicy,
  brokerIssuer: string,
): Pick<Presented, 'claims' | 'unread'> {
  if (token === '') return { unread: 'there is no subject token' }
  if (token.startsWith('rt_')) return { unread: 'it is a reference token: the broker keeps its claims' }
  const jwt = preparseJwt(token)
  if (typeof jwt === 'string')
    return { unread: `it is no token that is looked at: ${jwt.replaceAll('_', ' ')}` }
  const issuer = trustedIssuerOf(index, jwt.claims, brokerIssuer)
  const rules = policy.grants.flatMap((grant) => [grant, ...(grant.actors ?? [])])
  const paths = issuer === undefined ? [] : pathsRead(rules.filter((rule) => rule.issuer === issuer.id))
  const own = issuer?.id === BROKER ? OWN : []
  const names = [...REGISTERED, ...own].map((name) => [name])
  return { claims: shownClaims(jwt.claims, [...names, ...paths]) }
}

/** Whether the probe has sent a form, by the target or the client that is its own. What it sends is refused on purpose. */
export function isOfProbe(body: Buffer, brokerIssuer: string): boolean {
  const form = new URLSearchParams(body.toString())
  if (form.getAll('audience').includes(probeUrls(brokerIssuer).audience)) return true
  const assertion = preparseJwt(form.get('client_assertion') ?? '')
  return typeof assertion !== 'string' && assertion.claims['iss'] === PROBE
}

/** The claims that conditions and templates of grants and of their actors name. */
function pathsRead(rules: readonly (Pick<Grant, 'when'> & Partial<Grant>)[]): readonly (readonly string[])[] {
  return rules.flatMap(({ when, claims = {} }) => [
    ...when.map(({ path }) => path),
    ...Object.values(claims)
      .flat()
      .flatMap((part) => (typeof part === 'string' ? [] : [part.path])),
  ])
}

/** The claims at the paths and no others, in the token's own nesting, as they may be shown. */
function shownClaims(claims: JsonObject, paths: readonly (readonly string[])[]): JsonObject {
  return paths.reduce<JsonObject>((shown, path) => {
    const claim = claimAt(claims, path)
    return claim === undefined ? shown : withClaim(shown, path, withoutTokens(claim))
  }, {})
}

function withClaim(
  claims: JsonObject,
  [name = '', ...rest]: readonly string[],
  value: JsonValue,
): JsonObject {
  if (rest.length === 0) return { ...claims, [name]: value }
  const inner = Object.hasOwn(claims, name) ? claims[name] : undefined
  const known = typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? inner : {}
  return { ...claims, [name]: withClaim(known as JsonObject, rest, value) }
}

/** A value as the console may show it: whatever looks like a token is left out, whatever is very long is cut. */
export function withoutTokens<T extends JsonValue>(value: T): T {
  return shownValue(value) as T
}

function shownValue(value: JsonValue): JsonValue {
  if (typeof value === 'string') {
    if (TOKEN_LIKE.test(value)) return '(looks like a token: not shown)'
    return value.length > MOST_CHARACTERS ? `${value.slice(0, MOST_CHARACTERS)}…` : value
  }
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.slice(0, MOST_ITEMS).map(shownValue)
  const entries = Object.entries(value).map(([name, inner]) => [shownValue(name), shownValue(inner)])
  return Object.fromEntries(entries) as JsonObject
}
