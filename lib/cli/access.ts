import type { Explanation } from '../../functions/core/explain.ts'
import type { Rate, Target } from '../../functions/core/policy/compiled.ts'
import { visible } from '../../functions/core/policy/finding.ts'
import type { ReplayMode } from '../../functions/core/types.ts'

/** What somebody may get at one target, and all that they or the target can notice of it; named as in policy files. */
export interface Access {
  readonly grant: string
  readonly audience: string
  /** Those that may be asked for. */
  readonly scopes: readonly string[]
  /** Those of a request that asks for none. */
  readonly default_scopes: readonly string[]
  readonly lifetime_seconds: number
  readonly replay: ReplayMode
  readonly rate: Rate | undefined
  readonly actors: readonly string[]
  readonly claims: Readonly<Record<string, string>>
  /** The rest of the target: of tokens, or of a role's session with its values inserted. */
  readonly target: Readonly<Record<string, unknown>>
}

/** The access that an exchange was explained to give. */
export function accessOf({
  authorised,
  issuer,
}: Extract<Explanation, { readonly outcome: 'granted' }>): Access {
  const { grant, scopes, subject, target, session, mappedClaims, actors } = authorised
  const isHeld = (scope: string) => subject.scopes === undefined || subject.scopes.includes(scope)
  const longest = 'maxLifetimeSeconds' in target ? target.maxLifetimeSeconds : target.durationSeconds
  return {
    grant: grant.id,
    audience: target.audience,
    scopes: grant.scopes.filter(isHeld).toSorted(),
    default_scopes: scopes.toSorted(),
    lifetime_seconds: Math.min(grant.lifetimeSeconds, longest),
    replay: issuer.replay,
    rate: grant.rate,
    actors,
    claims: { ...mappedClaims },
    target: { ...(session ?? tokenFacts(target)) },
  }
}

function tokenFacts(target: Target): Readonly<Record<string, unknown>> {
  if (target.format === 'aws-credentials') return {}
  const { format, algorithm, signing, binding, dpopNonce, statusList } = target
  return { format, algorithm, signing, binding, dpop_nonce: dpopNonce, status_list: statusList }
}

/** The most of it, in one line. */
export function accessText(access: Access): string {
  const [allowed, byDefault] = [access.scopes.join(' '), access.default_scopes.join(' ')]
  const defaults = byDefault === allowed ? '' : ` (by default ${byDefault || 'none'})`
  return `${allowed || '(no scope)'}${defaults}, ${access.lifetime_seconds} s, by ${access.grant}`
}

/** A line for each other thing that is not as it was. */
export function detailLines(before: Access | undefined, after: Access | undefined): readonly string[] {
  if (before === undefined || after === undefined) return []
  const [was, is] = [new Map(detailsOf(before)), new Map(detailsOf(after))]
  return [...new Set([...was.keys(), ...is.keys()])].flatMap((name) => {
    const [old = 'nothing', next = 'nothing'] = [was.get(name), is.get(name)]
    return old === next ? [] : [visible(`${name} was ${old}, is ${next}`)]
  })
}

function detailsOf({ audience, replay, rate, actors, claims, target }: Access): readonly Leaf[] {
  return leavesOf({ audience, replay, rate, actors, claims, target }, [])
}

type Leaf = readonly [name: string, value: string]

/** Whatever is no map, with the names that lead to it. */
function leavesOf(value: object, path: readonly string[]): readonly Leaf[] {
  return Object.entries(value).flatMap(([name, child]: [string, unknown]) => {
    const at = [...path, name]
    if (typeof child === 'object' && child !== null && !Array.isArray(child)) return leavesOf(child, at)
    return child === undefined ? [] : [[at.join('.'), JSON.stringify(child)] as const]
  })
}
