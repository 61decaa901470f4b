import { LIMITS } from '../limits.ts'
import type { IssuerId, TargetId } from '../types.ts'
import { checkReference, type EntryReport, secondsOf, uniqueAmongEntries } from './checks.ts'
import { BROKER, type KeySource, SPIFFE_SCHEME, TARGET_SUBJECT, type TrustedIssuer } from './compiled.ts'
import { foundInsteadOf } from './finding.ts'
import type { Entry, MergedPolicy, Report } from './merge.ts'
import { type IssuerPreset, presetOf } from './presets.ts'
import { readPublicKeys } from './public-keys.ts'
import type { IssuerSource } from './schema.ts'
import { isAcceptableUrl } from './urls.ts'

/** At most as far as a cut-off reaches ahead (`revocation.ts`): what an issuer's clock dates later could not be revoked. */
const CLOCK_SKEW = { min: 0, max: LIMITS.clockSkewSeconds, otherwise: LIMITS.clockSkewSeconds } as const

/** The issuers of a policy, checked one by one and against each other. */
export function compileIssuers(
  merged: MergedPolicy,
  options: { readonly loopbackIssuers: boolean },
  report: Report,
): readonly TrustedIssuer[] {
  const checkUnique = uniqueAmongEntries(report)
  return [...merged.issuers.values()].map((entry) => {
    const reportHere: EntryReport = (path, message) => report(entry, path, message)
    checkReferences(entry, merged, reportHere)
    const issuer = compileIssuer(entry, options.loopbackIssuers, reportHere)
    if (issuer.issuer !== '') checkUnique(entry, ['issuer'], issuer.issuer)
    return issuer
  })
}

function checkReferences(
  { id, source }: Entry<IssuerSource>,
  { known }: MergedPolicy,
  report: EntryReport,
): void {
  if (id === BROKER)
    report([], 'found the issuer id broker, which is reserved for our own tokens; allowed: another id')
  // `target:<id>` is whom the roles of AWS targets trust: no subject of an issuer may be called alike.
  if (id === TARGET_SUBJECT)
    report([], 'found the issuer id target, with which roles know targets; allowed: another id')
  const { default_target: target } = source
  if (target !== undefined) checkReference(target, { path: ['default_target'], known: known.targets }, report)
}

function compileIssuer(
  { id, source }: Entry<IssuerSource>,
  loopback: boolean,
  report: EntryReport,
): TrustedIssuer {
  const preset = presetOf(source.preset)
  const { default_target: defaultTarget } = source
  const algorithms = algorithmsOf(source, preset, report)
  const max = {
    key: ['max_lifetime'],
    duration: source.max_lifetime,
    otherwise: LIMITS.maxLifetimeSeconds,
    min: 1,
    max: LIMITS.maxSubjectLifetimeSeconds,
  }
  const skew = { key: ['clock_skew'], duration: source.clock_skew, ...CLOCK_SKEW }
  return {
    id: id as IssuerId,
    issuer: issuerUrl(source, { preset, loopback }, report),
    keys: keySource(source, { preset, loopback, algorithms }, report),
    algorithms,
    audiences: source.audiences,
    maxLifetimeSeconds: secondsOf(max, report),
    clockSkewSeconds: secondsOf(skew, report),
    replay: source.replay ?? 'single-use',
    clientAuthentication: source.client_authentication ?? 'none',
    ...(defaultTarget !== undefined && { defaultTarget: defaultTarget as TargetId }),
    ...(source.preset !== undefined && { preset: source.preset }),
  }
}

interface IssuerContext {
  readonly preset: IssuerPreset | undefined
  readonly loopback: boolean
}

function issuerUrl(source: IssuerSource, { preset, loopback }: IssuerContext, report: EntryReport): string {
  const url = source.issuer ?? preset?.issuer
  const example = preset === undefined ? '' : `, for example ${preset.example}`
  if (url === undefined) report(['issuer'], foundInsteadOf(url, `the issuer URL${example}`))
  else if (source.preset === 'spiffe' && url.startsWith(SPIFFE_SCHEME)) checkTrustDomain(url, report)
  else if (!isAcceptableUrl(url, { loopback, query: false }))
    report(['issuer'], foundInsteadOf(url, 'an https URL without user, query, fragment and wildcard'))
  return url ?? ''
}

/** SPIFFE ID §2.1: the name of a trust domain, without a path. */
function checkTrustDomain(url: string, report: EntryReport): void {
  if (!/^spiffe:\/\/[a-z0-9._-]{1,255}$/.test(url))
    report(['issuer'], foundInsteadOf(url, 'a trust domain such as spiffe://example.org'))
}

function keySource(
  source: IssuerSource,
  { preset, loopback, algorithms }: IssuerContext & { readonly algorithms: readonly string[] },
  report: EntryReport,
): KeySource {
  const keys = source.keys ?? preset?.keys ?? 'discovery'
  if (keys === 'discovery') {
    if (source.issuer?.startsWith(SPIFFE_SCHEME))
      report(
        ['keys'],
        'found discovery, which trust domains do not have; allowed: the bundle, as jwks_uri or jwks',
      )
    return { kind: 'discovery' }
  }
  if ('jwks' in keys)
    return {
      kind: 'inline',
      keys: readPublicKeys(
        keys.jwks.keys,
        { path: ['keys', 'jwks', 'keys'], algorithms, owner: 'issuer' },
        report,
      ),
    }
  if (!isAcceptableUrl(keys.jwks_uri, { loopback, query: true }))
    report(['keys', 'jwks_uri'], foundInsteadOf(keys.jwks_uri, 'an https URL without user and fragment'))
  return { kind: 'jwks_uri', uri: keys.jwks_uri }
}

function algorithmsOf(
  source: IssuerSource,
  preset: IssuerPreset | undefined,
  report: EntryReport,
): TrustedIssuer['algorithms'] {
  const algorithms = source.algorithms ?? preset?.algorithms
  if (algorithms === undefined)
    report(['algorithms'], foundInsteadOf(undefined, 'a list of JWS algorithms, for example [RS256]'))
  return algorithms ?? []
}
