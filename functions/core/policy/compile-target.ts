import { isResourceUri } from '../resource-uri.ts'
import type { TargetId } from '../types.ts'
import {
  checkScopes,
  type EntryReport,
  LIFETIME,
  secondsOf,
  uniqueAmongEntries,
  withoutMutualTls,
} from './checks.ts'
import { AWS_KEYS, compileAwsTarget } from './compile-aws-target.ts'
import { STS_AUDIENCE, type Target, type TokenTarget } from './compiled.ts'
import { foundInsteadOf } from './finding.ts'
import type { Entry, MergedPolicy, Report } from './merge.ts'
import type { TargetSource } from './schema.ts'

/** The targets of a policy, checked one by one and against each other. */
export function compileTargets(
  merged: MergedPolicy,
  { mutualTls = false }: { readonly mutualTls?: boolean },
  report: Report,
): readonly Target[] {
  const checkAudience = uniqueAmongEntries(report)
  const checkResource = uniqueAmongEntries(report)
  return [...merged.targets.values()].map((entry) => {
    const reportHere: EntryReport = (path, message) => report(entry, path, message)
    const { aws_role: roleArn } = entry.source
    const target =
      roleArn === undefined
        ? compileTokenTarget(entry, reportHere)
        : compileAwsTarget(entry, roleArn, reportHere)
    if (entry.source.token?.binding === 'mtls' && !mutualTls)
      report(entry, ['token', 'binding'], withoutMutualTls('mtls', 'none, dpop'))
    if (target.audience !== '') checkAudience(entry, ['audience'], target.audience)
    target.resources.forEach((resource, at) => {
      checkResource(entry, ['resources', at], resource)
    })
    return target
  })
}

function compileTokenTarget({ id, source }: Entry<TargetSource>, report: EntryReport): TokenTarget {
  const { token, scopes = [], resources = [] } = source
  for (const key of AWS_KEYS)
    if (source[key] !== undefined)
      report([key], `found ${key}, but no aws_role; allowed: to leave it out, or to name the role`)
  if (source.audience === undefined)
    report(['audience'], foundInsteadOf(undefined, 'the `aud` of the tokens for this target'))
  // Roles that trust the broker trust what it tells STS: clients must not be able to say it themselves.
  if (source.audience === STS_AUDIENCE)
    report(['audience'], `found ${STS_AUDIENCE}, which tokens for AWS roles have; allowed: another audience`)
  checkScopes(scopes, 'scopes', report)
  resources.forEach((resource, at) => {
    if (!isResourceUri(resource))
      report(['resources', at], foundInsteadOf(resource, 'an absolute URI without fragment'))
  })
  const { format = 'jwt', algorithm = 'RS256', signing = 'kms' } = token ?? {}
  if (format === 'reference' && algorithm !== 'RS256')
    report(
      ['token', 'algorithm'],
      `found ${algorithm}, but nothing is signed in format reference; allowed: to leave it out`,
    )
  if (format === 'reference' && token?.status_list === true)
    report(
      ['token', 'status_list'],
      'found true, but format reference is told by introspection; allowed: to leave it out',
    )
  if (format === 'reference' && signing !== 'kms')
    report(
      ['token', 'signing'],
      `found ${signing}, but nothing is signed in format reference; allowed: to leave it out`,
    )
  // An RSA signature costs a function 18 times the CPU, and the key set has no room for a fourth ring.
  if (signing === 'delegated' && algorithm !== 'ES256')
    report(['token', 'signing'], foundInsteadOf(signing, 'kms, or delegated with algorithm: ES256'))
  const { binding = 'none', dpop_nonce: dpopNonce = false } = token ?? {}
  if (dpopNonce && binding !== 'dpop')
    report(['token', 'dpop_nonce'], `found true beside binding ${binding}; allowed: only with binding dpop`)
  const max = { key: ['token', 'max_lifetime'], duration: token?.max_lifetime, otherwise: LIFETIME.max }
  return {
    id: id as TargetId,
    audience: source.audience ?? '',
    resources,
    scopes,
    format,
    algorithm,
    signing,
    maxLifetimeSeconds: secondsOf({ ...max, ...LIFETIME }, report),
    binding,
    dpopNonce,
    statusList: token?.status_list ?? false,
  }
}
