import { claimAt } from '../../functions/core/policy/claims.ts'
import type {
  CompiledPolicy,
  Condition,
  Grant,
  Matcher,
  Target,
} from '../../functions/core/policy/compiled.ts'
import { decideGrant, indexPolicy, type PolicyIndex } from '../../functions/core/policy/decide.ts'
import { globMatcher } from '../../functions/core/policy/glob.ts'
import { renderClaims } from '../../functions/core/policy/render-claims.ts'
import type { JsonObject, JsonValue } from './assembly.ts'
import { DEMO_PRESETS } from './demo-claims.ts'
import { DEMO_ISSUER_PATH, JWT_TYPE, TOKEN_EXCHANGE } from './demo-exchange.ts'
import { type DemoIssuer, isReplaceable, type SignRequest } from './demo-issuer.ts'
import { isObject } from './intrinsics.ts'

/** An exchange that the policy grants, and how to ask for it. */
export interface ExampleExchange {
  readonly grant: string
  readonly signRequest: SignRequest
  readonly audience: string
}

/** An exchange for every grant that is open to a token of the demo issuer and to a client without credentials or keys. */
export function findExamples(policy: CompiledPolicy, demoIssuer: DemoIssuer): readonly ExampleExchange[] {
  const index = indexPolicy(policy)
  const open = policy.grants.filter(({ client }) => client === undefined)
  return open.map((grant) => exampleOf(grant, index, demoIssuer)).filter((example) => example !== undefined)
}

/** The first of them that gives a token, CI jobs on GitHub first; `undefined` if there is none. */
export function findExample(policy: CompiledPolicy, demoIssuer: DemoIssuer): ExampleExchange | undefined {
  const tokens = policy.targets.filter(({ format }) => format !== 'aws-credentials')
  const examples = findExamples(policy, demoIssuer).filter(({ audience }) =>
    tokens.some((target) => target.audience === audience),
  )
  return examples.find(({ signRequest }) => signRequest.preset === 'github-actions') ?? examples[0]
}

function exampleOf(grant: Grant, index: PolicyIndex, demoIssuer: DemoIssuer): ExampleExchange | undefined {
  const issuer = [...index.issuers.values()].find(({ id }) => id === grant.issuer)
  const target = index.targets.get(grant.target)
  if (issuer === undefined || target === undefined || !isReplaceable(issuer)) return undefined
  if (issuer.clientAuthentication === 'required' || needsKey(target)) return undefined
  const preset = Object.keys(DEMO_PRESETS).find((name) => DEMO_PRESETS[name]?.matches.test(issuer.issuer))
  const asPreset = preset !== undefined && demoIssuer.claims({ preset })['iss'] === issuer.issuer
  const signer: SignRequest = asPreset ? { preset } : { issuer: issuer.id }
  const claims = overridesFor(grant.when, demoIssuer.claims(signer))
  const signRequest = Object.keys(claims).length === 0 ? signer : { ...signer, claims }
  const signed = demoIssuer.claims(signRequest)
  const decided = decideGrant(index, { issuerId: issuer.id, claims: signed, target })
  if ('kind' in decided || decided.id !== grant.id) return undefined
  if (renderClaims(grant, signed).kind !== 'rendered') return undefined
  return { grant: grant.id, signRequest, audience: target.audience }
}

/** Whether its tokens are bound to a key or certificate that the client would have to have. */
function needsKey(target: Target): boolean {
  return target.format !== 'aws-credentials' && target.binding !== 'none'
}

/** Claims to set so that `defaults` meet the conditions. */
function overridesFor(conditions: readonly Condition[], defaults: JsonObject): JsonObject {
  const unmet = conditions.filter(({ path, anyOf }) => {
    const claim = claimAt(defaults, path)
    return claim === undefined || !anyOf.some((matcher) => isMet(matcher, claim))
  })
  const claims = unmet.reduce<JsonObject>(
    (known, { path, anyOf: [matcher] }) =>
      withClaim(known, path, matcher === undefined ? '' : sampleOf(matcher)),
    defaults,
  )
  const changed = new Set(unmet.map(({ path }) => path[0] ?? ''))
  return Object.fromEntries(Object.entries(claims).filter(([name]) => changed.has(name)))
}

function isMet(matcher: Matcher, claim: JsonValue): boolean {
  const values = Array.isArray(claim) ? (claim as readonly JsonValue[]) : [claim]
  if (matcher.kind === 'equals') return values.includes(matcher.value)
  const matches = globMatcher(matcher.pattern)
  return values.some((value) => typeof value === 'string' && matches(value))
}

function sampleOf(matcher: Matcher): JsonValue {
  return matcher.kind === 'equals' ? matcher.value : matcher.pattern.replaceAll(/\*+/g, 'example')
}

function withClaim(
  claims: JsonObject,
  [name = '', ...rest]: readonly string[],
  value: JsonValue,
): JsonObject {
  if (rest.length === 0) return { ...claims, [name]: value }
  const inner = claims[name]
  return { ...claims, [name]: withClaim(isObject(inner) ? inner : {}, rest, value) }
}

export interface ExchangeAnswer {
  readonly status: number
  readonly body: JsonObject
}

/** Signs a subject token and exchanges it. */
export async function performExample(
  url: string,
  { signRequest, audience }: ExampleExchange,
): Promise<ExchangeAnswer> {
  const signed = await fetch(`${url}${DEMO_ISSUER_PATH}sign`, {
    method: 'POST',
    body: JSON.stringify(signRequest),
  })
  const { token } = (await signed.json()) as { readonly token: string }
  const form = { grant_type: TOKEN_EXCHANGE, subject_token_type: JWT_TYPE, audience, subject_token: token }
  const response = await fetch(`${url}/token`, { method: 'POST', body: new URLSearchParams(form) })
  return { status: response.status, body: (await response.json()) as JsonObject }
}
