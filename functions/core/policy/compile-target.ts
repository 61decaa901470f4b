import { isResourceUri } from '../resource-uri.ts'
import type { TargetId } from '../types.ts'
import { checkScopes, type EntryReport, LIFETIME, secondsOf, uniqueAmongEntries } from './checks.ts'
import type { Target } from './compiled.ts'
import { foundInsteadOf } from './finding.ts'
import type { Entry, MergedPolicy, Report } from './merge.ts'
import type { TargetSource } from './schema.ts'

/** The targets of a policy, checked one by one and against each other. */
export function compileTargets(merged: MergedPolicy, report: Report): readonly Target[] {
  const checkAudience = uniqueAmongEntries(report)
  const checkResource = uniqueAmongEntries(report)
  return [...merged.targets.values()].map((entry) => {
    const target = compileTarget(entry, (path, message) => report(entry, path, message))
    if (target.audience !== '') checkAudience(entry, ['audience'], target.audience)
    target.resources.forEach((resource, at) => {
      checkResource(entry, ['resources', at], resource)
    })
    return target
  })
}

function compileTarget({ id, source }: Entry<TargetSource>, report: EntryReport): Target {
  const { token, scopes = [], resources = [] } = source
  if (source.audience === undefined && source.aws_role === undefined)
    report(['audience'], foundInsteadOf(undefined, 'the `aud` of the tokens for this target'))
  checkScopes(scopes, 'scopes', report)
  resources.forEach((resource, at) => {
    if (!isResourceUri(resource))
      report(['resources', at], foundInsteadOf(resource, 'an absolute URI without fragment'))
  })
  const { algorithm = 'RS256', signing = 'kms' } = token ?? {}
  // An RSA signature costs a function 18 times the CPU, and the key set has no room for a fourth ring.
  if (signing === 'delegated' && algorithm !== 'ES256')
    report(['token', 'signing'], foundInsteadOf(signing, 'kms, or delegated with algorithm: ES256'))
  const max = { key: ['token', 'max_lifetime'], duration: token?.max_lifetime, otherwise: LIFETIME.max }
  return {
    id: id as TargetId,
    audience: source.audience ?? '',
    resources,
    scopes,
    algorithm,
    signing,
    maxLifetimeSeconds: secondsOf({ ...max, ...LIFETIME }, report),
  }
}
