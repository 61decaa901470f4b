import fc from 'fast-check'
import type {
  ActorRule,
  CompiledPolicy,
  Condition,
  Grant,
  Matcher,
  Target,
  TrustedIssuer,
} from '../../functions/core/policy/compiled.ts'
import type { JsonScalar } from '../../functions/core/types.ts'

/** A small world: few names and values, so that what is drawn does meet. */
export const AUDIENCE = 'https://broker.example.com'
export const SCOPES = ['read', 'write', 'admin'] as const
export const TARGETS = ['red', 'green', 'blue'] as const
export const ISSUERS = ['one', 'two'] as const
const CLAIMS = ['a', 'b', 'c'] as const

export const issuerUrl = (id: string): string => `https://${id}.example.com`
export const targetUrl = (id: string): string => `https://${id}.example.com/api`

const scalar = fc.constantFrom<JsonScalar[]>('x', 'x', 'y', 'x/y', 'x:y', '1', 1, true, '')
export const scopeList = fc.subarray([...SCOPES])

const matcher: fc.Arbitrary<Matcher> = fc.oneof(
  scalar.map((value): Matcher => ({ kind: 'equals', value })),
  fc
    .constantFrom('**', '**', '*', 'x*', '*y', 'x/*', '*:*')
    .map((pattern): Matcher => ({ kind: 'glob', pattern })),
)

const condition: fc.Arbitrary<Condition> = fc.record({
  path: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...CLAIMS).map((name) => [name]) },
    {
      weight: 1,
      arbitrary: fc.tuple(fc.constantFrom(...CLAIMS), fc.constantFrom(...CLAIMS)).map((path) => [...path]),
    },
  ),
  anyOf: fc.array(matcher, { minLength: 1, maxLength: 3 }),
})

/** Claims as conditions look at them: texts, numbers, lists, nested. */
export const claimSet: fc.Arbitrary<Record<string, unknown>> = fc.dictionary(
  fc.constantFrom(...CLAIMS),
  fc.oneof(
    { weight: 2, arbitrary: scalar },
    { weight: 2, arbitrary: fc.array(scalar, { maxLength: 3 }) },
    { weight: 1, arbitrary: fc.dictionary(fc.constantFrom(...CLAIMS), scalar, { maxKeys: 3 }) },
  ),
  { minKeys: 2, maxKeys: 3 },
)

export interface GrantSketch {
  readonly issuer: string
  readonly target: string
  readonly when: readonly Condition[]
  readonly scopes: readonly string[]
  readonly defaults: readonly string[]
  readonly lifetime: number
  readonly actors?: readonly ActorRule[] | undefined
}

const actorRule: fc.Arbitrary<ActorRule> = fc.record({
  issuer: fc.constantFrom(...ISSUERS),
  when: fc.array(condition, { minLength: 1, maxLength: 2 }),
}) as never

export const grantSketch: fc.Arbitrary<GrantSketch> = fc
  .record({
    issuer: fc.constantFrom(...ISSUERS, 'broker'),
    target: fc.constantFrom(...TARGETS),
    when: fc.array(condition, { minLength: 1, maxLength: 2 }),
    scopes: scopeList,
    lifetime: fc.integer({ min: 1, max: 3600 }),
    actors: fc.option(fc.array(actorRule, { minLength: 1, maxLength: 2 }), { nil: undefined, freq: 2 }),
  })
  .chain((sketch) => fc.subarray([...sketch.scopes]).map((defaults) => ({ ...sketch, defaults })))

export function grantOf(sketch: GrantSketch, id: string): Grant {
  return {
    id,
    issuer: sketch.issuer,
    when: sketch.when,
    target: sketch.target,
    scopes: sketch.scopes,
    defaultScopes: sketch.defaults,
    lifetimeSeconds: sketch.lifetime,
    claims: {},
    ...(sketch.actors && { actors: sketch.actors }),
  } as unknown as Grant
}

export function issuerOf(id: string, changes: object = {}): TrustedIssuer {
  return {
    id,
    issuer: issuerUrl(id),
    keys: { kind: 'discovery' },
    algorithms: ['ES256'],
    audiences: [AUDIENCE],
    maxLifetimeSeconds: 3600,
    clockSkewSeconds: 30,
    replay: 'reusable',
    ...changes,
  } as unknown as TrustedIssuer
}

export function targetOf(id: string, changes: object = {}): Target {
  return {
    id,
    audience: targetUrl(id),
    resources: [`${targetUrl(id)}/v1`],
    scopes: SCOPES,
    algorithm: 'ES256',
    format: 'jwt',
    statusList: false,
    maxLifetimeSeconds: 3600,
    ...changes,
  } as unknown as Target
}

export function policyOf(parts: {
  readonly grants: readonly Grant[]
  readonly issuers?: readonly TrustedIssuer[]
  readonly targets?: readonly Target[]
}): CompiledPolicy {
  return {
    format: 1,
    maxDelegationDepth: 3,
    digest: 'property',
    clients: [],
    issuers: parts.issuers ?? ISSUERS.map((id) => issuerOf(id)),
    targets: parts.targets ?? TARGETS.map((id) => targetOf(id)),
    grants: parts.grants,
  }
}

/** Up to eight grants, in the order of their ids. */
export const grantList: fc.Arbitrary<readonly Grant[]> = fc
  .array(grantSketch, { maxLength: 8 })
  .map((sketches) => sketches.map((sketch, at) => grantOf(sketch, `grant-${at}`)))

/** Up to eight grants of one issuer for one target: often several of them match. */
export const rivalGrants: fc.Arbitrary<readonly Grant[]> = grantList.map((grants) =>
  grants.map((grant) => ({ ...grant, issuer: 'one', target: 'red' }) as unknown as Grant),
)

export const whenSubject: readonly Condition[] = [{ path: ['sub'], anyOf: [{ kind: 'glob', pattern: '**' }] }]
