import type { ClientId, GrantId, IssuerId, TargetId } from '../types.ts'
import { checkReference, checkScopes, type EntryReport, LIFETIME, secondsOf } from './checks.ts'
import { sessionSecondsOf } from './compile-aws-target.ts'
import { type ActorRule, BROKER, type Grant, type Rate, type Template } from './compiled.ts'
import { compileConditions } from './conditions.ts'
import { foundInsteadOf } from './finding.ts'
import type { Entry, MergedPolicy, Report } from './merge.ts'
import { isMisleading } from './render-claims.ts'
import type { GrantSource } from './schema.ts'
import { parseTemplate } from './template.ts'

/** Claims that the broker sets itself, or that would change what kind of token this is. No grant may write them. */
const RESERVED_CLAIMS: ReadonlySet<string> = new Set([
  ...['iss', 'sub', 'aud', 'exp', 'iat', 'nbf', 'jti'],
  ...[
    'client_id',
    'scope',
    'grant',
    'txn',
    'lineage',
    'lineage_keys',
    'lineage_clients',
    'lineage_actors',
    'idp',
    'act',
    'cnf',
    'may_act',
    'status',
  ],
  // Answers of introspection (RFC 7662 §2.2).
  ...['active', 'token_type'],
  // Marks of an ID token (OpenID Connect Core §2).
  ...['nonce', 'at_hash'],
])

type RateSource = NonNullable<GrantSource['rate']>
const RATE = { maxLimit: 1_000_000, per: { min: 1, max: 24 * 60 * 60 } } as const

/** Session tags and source identity in a web identity token (AWS STS), nested or flattened. */
const AWS_CLAIMS = 'https://aws.amazon.com/'

export interface GrantContext {
  readonly merged: MergedPolicy
  /** For grants that name none. */
  readonly lifetimeSeconds: number
  readonly maxDelegationDepth: number
}

/** The grants of a policy, each checked on its own and against what it refers to. */
export function compileGrants(context: GrantContext, report: Report): readonly Grant[] {
  return [...context.merged.grants.values()].map((entry) => {
    const reportHere: EntryReport = (path, message) => report(entry, path, message)
    checkReferences(entry.source, context.merged, reportHere)
    checkGrantScopes(entry.source, context.merged, reportHere)
    checkEarlierActors(entry.source, reportHere)
    checkDelegation(entry.source, context, reportHere)
    return compileGrant(entry, lifetimeOf(entry.source, context, reportHere), reportHere)
  })
}

/** The lifetime where the grant has none. For a role it is the target's matter, and nothing is issued to put claims into. */
function lifetimeOf(source: GrantSource, context: GrantContext, report: EntryReport): number {
  const target = context.merged.targets.get(source.target)?.source
  if (target?.aws_role === undefined) return context.lifetimeSeconds
  for (const key of ['lifetime', 'claims'] as const)
    if (source[key] !== undefined)
      report([key], `found ${key}, but the target is an AWS role; allowed: to leave it out`)
  return sessionSecondsOf(target)
}

function checkReferences(source: GrantSource, { known }: MergedPolicy, report: EntryReport): void {
  checkReference(source.issuer, { path: ['issuer'], known: known.issuers, also: BROKER }, report)
  checkReference(source.target, { path: ['target'], known: known.targets }, report)
  if (source.client !== undefined)
    checkReference(source.client, { path: ['client'], known: known.clients }, report)
}

function checkGrantScopes(source: GrantSource, merged: MergedPolicy, report: EntryReport): void {
  const { scopes = [], default_scopes: defaultScopes = [] } = source
  checkScopes(scopes, 'scopes', report)
  checkScopes(defaultScopes, 'default_scopes', report)
  const target = merged.targets.get(source.target)
  if (target !== undefined)
    checkSubset(scopes, { key: 'scopes', whole: target.source.scopes ?? [], of: 'its target' }, report)
  checkSubset(defaultScopes, { key: 'default_scopes', whole: scopes, of: 'the grant' }, report)
}

/**
 * Whom an `act` names decides nothing (RFC 8693 §4.1), but for the current actor in a token of our own: nobody has verified
 * the others, and an issuer can write there what it likes.
 */
function checkEarlierActors({ issuer, when }: GrantSource, report: EntryReport): void {
  const { act } = when
  if (act === undefined) return
  if (issuer !== BROKER)
    report(['when', 'act'], `found a condition on act; allowed: only in grants for ${BROKER}`)
  else if (typeof act === 'object' && 'act' in act)
    report(['when', 'act', 'act'], 'found a condition on an earlier actor; allowed: on the current one')
}

function checkDelegation(
  { delegation }: GrantSource,
  { merged, maxDelegationDepth }: GrantContext,
  report: EntryReport,
): void {
  if (delegation === undefined) return
  if (maxDelegationDepth === 0)
    report(['delegation'], 'found delegation, but max_delegation_depth is 0; allowed: to leave it out')
  delegation.actors.forEach(({ issuer, when }, at) => {
    const path = ['delegation', 'actors', at, 'issuer']
    checkReference(issuer, { path, known: merged.known.issuers, also: BROKER }, report)
    // Such a token is refused whatever policy says: who presents it is not its subject.
    for (const name of ['act', 'may_act'])
      if (name in when)
        report(
          ['delegation', 'actors', at, 'when', name],
          `found a condition on ${name}; allowed: none, an actor acts for itself`,
        )
  })
}

interface SubsetRule {
  readonly key: string
  readonly whole: readonly string[]
  readonly of: string
}

function checkSubset(part: readonly string[], { key, whole, of }: SubsetRule, report: EntryReport): void {
  part.forEach((scope, at) => {
    if (!whole.includes(scope))
      report([key, at], foundInsteadOf(scope, `the scopes of ${of}: ${whole.join(', ') || 'it has none'}`))
  })
}

function compileGrant({ id, source }: Entry<GrantSource>, otherwise: number, report: EntryReport): Grant {
  const { scopes = [], default_scopes: defaultScopes = scopes, client } = source
  return {
    id: id as GrantId,
    issuer: source.issuer as IssuerId,
    when: compileConditions(source.when, report),
    ...(client !== undefined && { client: client as ClientId }),
    target: source.target as TargetId,
    scopes,
    defaultScopes,
    lifetimeSeconds: secondsOf(
      { key: ['lifetime'], duration: source.lifetime, otherwise, ...LIFETIME },
      report,
    ),
    claims: compileClaims(source.claims ?? {}, report),
    ...(source.rate !== undefined && { rate: compileRate(source.rate, report) }),
    ...(source.delegation !== undefined && { actors: compileActors(source.delegation, report) }),
  }
}

function compileActors(
  { actors }: NonNullable<GrantSource['delegation']>,
  report: EntryReport,
): readonly ActorRule[] {
  return actors.map(({ issuer, when }, at) => ({
    issuer: issuer as IssuerId,
    when: compileConditions(when, (path, message) => report(['delegation', 'actors', at, ...path], message)),
  }))
}

function compileRate({ limit, per, by }: RateSource, report: EntryReport): Rate {
  if (limit > RATE.maxLimit)
    report(['rate', 'limit'], foundInsteadOf(limit, `a whole number from 1 to ${RATE.maxLimit}`))
  const perSeconds = secondsOf({ key: ['rate', 'per'], duration: per, otherwise: 0, ...RATE.per }, report)
  return { limit, perSeconds, by }
}

function compileClaims(templates: Readonly<Record<string, string>>, report: EntryReport): Grant['claims'] {
  const compiled = Object.entries(templates).map(([name, template]): [string, Template] => {
    if (RESERVED_CLAIMS.has(name) || name.startsWith(AWS_CLAIMS))
      report(['claims', name], `found the claim ${name}, which only the broker sets; allowed: any other name`)
    const parts = parseTemplate(template)
    if (parts === undefined)
      report(
        ['claims', name],
        foundInsteadOf(template, 'text with {claim} or {/pointer/to/claim} in it, braces in pairs'),
      )
    if (isMisleading(template))
      report(['claims', name], foundInsteadOf(template, 'text without line ends and other controls'))
    return [name, parts ?? []]
  })
  return Object.fromEntries(compiled)
}
