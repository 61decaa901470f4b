import { AWS_RULES } from './aws-rules.ts'
import type { CompiledPolicy, Grant, TrustedIssuer } from './compiled.ts'
import type { PolicyPath } from './finding.ts'
import type { PresetName } from './presets.ts'
import { isAwsTarget } from './target-kinds.ts'

interface Warning {
  readonly path: PolicyPath
  readonly message: string
}

/** Platforms that sign a new token whenever a job asks: no job needs to present one twice. */
const ON_DEMAND: ReadonlySet<PresetName | undefined> = new Set<PresetName>(['github-actions', 'buildkite'])

/** Warns of roles that a grant's tokens get never, or only once. Paths from the top of the policy. */
export function lintRoles({ grants, issuers, targets }: CompiledPolicy): readonly Warning[] {
  const roles = new Map(targets.filter(isAwsTarget).map((target) => [target.id, target]))
  return grants.flatMap((grant) => {
    const target = roles.get(grant.target)
    const issuer = issuers.find(({ id }) => id === grant.issuer)
    if (target === undefined || issuer === undefined) return []
    return [
      ...(target.outlive === 'refuse' ? warnOfShortTokens(grant, issuer) : []),
      ...warnOfRefresh(grant, issuer),
    ]
  })
}

function warnOfShortTokens({ id, target }: Grant, issuer: TrustedIssuer): readonly Warning[] {
  if (issuer.maxLifetimeSeconds > AWS_RULES.session.min) return []
  const message = `found that no token of ${issuer.id} lives longer than ${issuer.maxLifetimeSeconds}s, and AWS gives no shorter session than ${AWS_RULES.session.min}s: every exchange is refused; allowed: outlive: deadline for ${target}, or a longer max_lifetime`
  return [{ path: ['grants', id, 'target'], message }]
}

/** An SDK that refreshes by `/aws/credentials` presents what is in its token file, again and again. */
function warnOfRefresh({ id, client }: Grant, issuer: TrustedIssuer): readonly Warning[] {
  if (client !== undefined || issuer.replay === 'reusable' || ON_DEMAND.has(issuer.preset)) return []
  const message = `found that a token of ${issuer.id} is good for one exchange (replay: ${issuer.replay}): an SDK that refreshes its credentials presents it again, and is refused; allowed, but to refresh: replay: reusable`
  return [{ path: ['grants', id, 'target'], message }]
}
