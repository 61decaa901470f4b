import { createHash } from 'node:crypto'
import { LIMITS } from '../limits.ts'
import { LIFETIME, secondsOf } from './checks.ts'
import { compileClients } from './compile-client.ts'
import { compileGrants } from './compile-grant.ts'
import { compileIssuers } from './compile-issuer.ts'
import { compileTargets } from './compile-target.ts'
import type { CompiledPolicy } from './compiled.ts'
import { compareText, inReadingOrder, type PolicyFile, type PolicyFinding } from './finding.ts'
import { type MergedPolicy, mergeFiles, type ReadFile, type Report, reportTo } from './merge.ts'
import { readPolicySource } from './schema-findings.ts'

export interface CompileOptions {
  /** Accept issuers on loopback over plain http: for the local run alone. */
  readonly loopbackIssuers: boolean
  /**
   * Whether the deployment has a domain where clients show certificates.
   * @default false
   */
  readonly mutualTls?: boolean
  /**
   * Whether the files are what is left of others that nobody can read: ids that none of them defines may be there all the same.
   * A part is checked, and never gives a policy.
   * @default false
   */
  readonly isPart?: boolean
}

export type CompileResult =
  | { readonly policy: CompiledPolicy }
  /** Errors in reading order: at least one, but of a part. */
  | { readonly findings: readonly PolicyFinding[] }

/** Compiles the files of a policy folder as one, or says everything that is wrong with them. */
export function compilePolicy(files: readonly PolicyFile[], options: CompileOptions): CompileResult {
  const read = files.map((file) => readPolicySource(file, options.isPart))
  const findings = read.flatMap((file) => file.findings)
  const policy = compileFiles(read, options, reportTo(findings))
  return findings.length > 0 || options.isPart === true ? { findings: inReadingOrder(findings) } : { policy }
}

function compileFiles(files: readonly ReadFile[], options: CompileOptions, report: Report): CompiledPolicy {
  const merged = mergeFiles(files, report)
  const lifetimeSeconds = defaultLifetime(merged, report)
  const maxDelegationDepth = merged.defaults?.source.max_delegation_depth ?? LIMITS.delegationDepth
  const content = {
    format: 1,
    maxDelegationDepth,
    issuers: compileIssuers(merged, options, report).toSorted(byId),
    clients: compileClients(merged, options, report).toSorted(byId),
    targets: compileTargets(merged, options, report).toSorted(byId),
    grants: compileGrants({ merged, lifetimeSeconds, maxDelegationDepth }, report).toSorted(byId),
  } as const
  return { ...content, digest: createHash('sha256').update(canonicalJson(content)).digest('base64url') }
}

function defaultLifetime({ defaults }: MergedPolicy, report: Report): number {
  const otherwise = LIMITS.defaultLifetimeSeconds
  if (defaults === undefined) return otherwise
  const rule = { key: ['lifetime'], duration: defaults.source.lifetime, otherwise, ...LIFETIME }
  return secondsOf(rule, (path, message) => report(defaults, path, message))
}

/** By id, so that how a policy is spread over files does not change it. */
function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  return compareText(a.id, b.id)
}

/** JSON with the members of every object in order of their names. */
function canonicalJson(content: unknown): string {
  return JSON.stringify(content, (_, value: unknown) => (isPlainObject(value) ? sortMembers(value) : value))
}

function sortMembers(object: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(object).toSorted(([a], [b]) => compareText(a, b)))
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
