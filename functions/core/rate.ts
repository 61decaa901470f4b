import type { Authorised } from './authorise.ts'
import { digestOf } from './token-id.ts'

/** At most `limit` exchanges in any `perSeconds`, counted together under `key`. */
export interface RateRule {
  readonly key: string
  readonly limit: number
  readonly perSeconds: number
}

/**
 * How permits are handed out: `leases` at a time, each good for `permits` exchanges until it is `lifetimeMs` old. A lease
 * is given back when none of its permits can lie in a window with a new one.
 */
export interface LeasePlan {
  readonly leases: number
  readonly permits: number
  readonly lifetimeMs: number
  readonly givenBackAfterMs: number
}

/** Up to this limit each permit is a lease of its own, and the limit is exact. */
const MAX_LEASES = 50
/** Of the window: what a lease may live longer is capacity that lies idle. */
const LEASE_LIFETIME = 1 / 10

/**
 * The rule that a grant sets for this exchange, if any. Whoever is counted is digested: a subject may be longer than a
 * key. With other numbers in the policy the counting begins anew.
 */
export function rateRuleFor({ grant, subject, clientId }: Authorised): RateRule | undefined {
  if (grant.rate === undefined) return undefined
  const { limit, perSeconds, by } = grant.rate
  const counted = { subject: subject.subject, client: clientId, grant: '' }[by]
  const key = `${grant.id}#${by}#${digestOf(counted)}#${limit}/${perSeconds}`
  return { key, limit, perSeconds }
}

/**
 * Plans the leases of a rule. In any window of `perSeconds` there are at most `limit` exchanges: those that fall into it
 * hold permits of leases from the window or from one lifetime before it, and of such leases there are never more than
 * `leases` at a time.
 */
export function leasePlan({ limit, perSeconds }: RateRule): LeasePlan {
  const permits = Math.ceil(limit / MAX_LEASES)
  const lifetimeMs = permits === 1 ? 0 : Math.floor(perSeconds * 1000 * LEASE_LIFETIME)
  return {
    leases: Math.floor(limit / permits),
    permits,
    lifetimeMs,
    givenBackAfterMs: perSeconds * 1000 + lifetimeMs,
  }
}
