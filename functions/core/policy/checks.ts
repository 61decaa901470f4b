import { LIMITS } from '../limits.ts'
import { durationSeconds } from './duration.ts'
import { foundAmong, foundInsteadOf, type PolicyPath } from './finding.ts'
import { type Entry, type KnownIds, placeOf, type Report } from './merge.ts'

/** A {@link Report} about one entry. */
export type EntryReport = (path: PolicyPath, message: string) => void

/** One duration of an entry, its default and its bounds in seconds, both inclusive. */
export interface DurationRule {
  readonly key: PolicyPath
  readonly duration: string | undefined
  readonly otherwise: number
  readonly min: number
  readonly max: number
}

/** Bounds of every lifetime. */
export const LIFETIME = { min: 1, max: LIMITS.maxLifetimeSeconds } as const

/** The seconds of a duration or of its default; reports one that is out of bounds. */
export function secondsOf({ key, duration, otherwise, min, max }: DurationRule, report: EntryReport): number {
  const seconds = duration === undefined ? otherwise : durationSeconds(duration)
  if (seconds < min || seconds > max) report(key, foundInsteadOf(duration, `${min}s to ${max}s`))
  return seconds
}

/** `scope-token` of RFC 6749 §3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/

/** Reports scopes that are malformed, repeated or too many. */
export function checkScopes(scopes: readonly string[], key: string, report: EntryReport): void {
  if (scopes.length > LIMITS.scopes)
    report([key], `found ${scopes.length} scopes; allowed: at most ${LIMITS.scopes}`)
  scopes.forEach((scope, at) => {
    if (!SCOPE.test(scope))
      report([key, at], foundInsteadOf(scope, 'printable ASCII without space, " and \\ (RFC 6749)'))
    if (scopes.indexOf(scope) < at) report([key, at], `found ${JSON.stringify(scope)} twice; allowed: once`)
  })
}

/** Reports a value that an earlier entry already has, naming that entry. Call it with every entry in turn. */
export function uniqueAmongEntries(
  report: Report,
): (entry: Entry<unknown>, path: PolicyPath, value: string) => void {
  const owners = new Map<string, Entry<unknown>>()
  return (entry, path, value) => {
    const owner = owners.get(value)
    if (owner === undefined) owners.set(value, entry)
    else
      report(
        entry,
        path,
        `found ${JSON.stringify(value)}, which ${placeOf(owner)} has; allowed: one of its own`,
      )
  }
}

/** For what needs certificates, in a deployment where nobody shows one. */
export function withoutMutualTls(found: string, allowed: string): string {
  return `found ${found}, but the deployment has no domain where clients show certificates; allowed: ${allowed}, or domain.mutualTls in cdk.json`
}

/** Most ids that a finding lists. */
const LISTED_IDS = 12

/** Reports the id of an entry that the policy does not have. */
export function checkReference(
  id: string,
  {
    path,
    known: { ids, isPart },
    also,
  }: { readonly path: PolicyPath; readonly known: KnownIds; readonly also?: string },
  report: EntryReport,
): void {
  if (isPart || ids.has(id) || id === also) return
  const others = also === undefined ? [] : [also]
  report(
    path,
    foundAmong(
      id,
      [...ids, ...others],
      [listOf(ids), ...others.map((other) => `or ${other} for our own tokens`)].join(', '),
    ),
  )
}

function listOf(ids: ReadonlySet<string>): string {
  if (ids.size === 0) return 'nothing: the policy defines none'
  const listed = [...ids].slice(0, LISTED_IDS).join(', ')
  return ids.size > LISTED_IDS ? `${listed}, and ${ids.size - LISTED_IDS} more` : listed
}
