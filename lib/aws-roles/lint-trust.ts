import { PolicyDefect, type RequestContext } from '../local/aws/iam-conditions.ts'
import { sessionActions, sessionContext } from '../local/aws/sts-session.ts'
import {
  compileTrust,
  meansPrincipal,
  statementsOf,
  type Trust,
  type TrustPolicy,
  type TrustStatement,
} from '../local/aws/trust-policy.ts'
import { type BrokerTrust, issuerName, STS_AUDIENCE, subjectOf, trustStatement } from './role-trust.ts'
import { type Asked, fits, json, probesFor, rootOf, type TrustFinding } from './trust-probes.ts'

export type { TrustFinding } from './trust-probes.ts'

/**
 * Judges a trust policy by asking it, as STS would, for the broker's own sessions and for sessions that nobody should get.
 * So every way to write a condition counts for what it does.
 */
export function lintTrust(policy: TrustPolicy, trust: BrokerTrust): readonly TrustFinding[] {
  let compiled: Trust
  try {
    compiled = compileTrust(policy)
  } catch (error) {
    if (!(error instanceof PolicyDefect)) throw error
    return [
      {
        severity: 'error',
        message: `cannot be judged: ${error.message}`,
        instead: json(trustStatement(trust)),
      },
    ]
  }
  const own = ownSession(policy, trust)
  const named = (key: string) => valuesNamed(policy, key)
  const wide = probesFor(own, trust, named).filter(
    ({ asked }) => refusedActions(compiled, asked, trust).length === 0,
  )
  return [
    ...refusalFindings(refusedActions(compiled, own, trust), trust),
    ...new Map(
      wide.map(({ severity, message, instead }) => [message, { severity, message, instead }]),
    ).values(),
    ...othersTrusted(policy, own),
  ]
}

interface RefusedAction {
  readonly action: string
  readonly obstacles: readonly string[]
}

function refusedActions(compiled: Trust, asked: Asked, trust: BrokerTrust): readonly RefusedAction[] {
  const facts = {
    sessionName: 'session',
    sessionTags: { tags: asked.tags, transitive: asked.transitiveTags },
    sourceIdentity: asked.sourceIdentity,
    externalId: asked.externalId,
  }
  const context = { ...identityContext(asked, trust), ...sessionContext(facts) }
  return sessionActions(asked.stranger === undefined ? wayOf(trust) : 'sts:AssumeRole', facts).flatMap(
    (action) => {
      const obstacles = compiled.obstacles({ action, names: asked.names, context })
      return obstacles.length === 0 ? [] : [{ action, obstacles }]
    },
  )
}

/** One for each reason, whichever actions it is in the way of. */
function refusalFindings(refused: readonly RefusedAction[], trust: BrokerTrust): readonly TrustFinding[] {
  const { Action, Condition } = trustStatement(trust)
  const reasons = new Map<string, readonly string[]>()
  for (const { action, obstacles } of refused) {
    const reason = obstacles.join('; ').replace(action, 'it')
    reasons.set(reason, [...(reasons.get(reason) ?? []), action])
  }
  return [...reasons].map(([reason, actions]) => ({
    severity: 'error',
    message: `refuses the broker’s own ${actions.join(', ')}: ${reason}`,
    instead: json(reason.includes('allows it') ? { Action } : { Condition }),
  }))
}

function wayOf({ assume }: BrokerTrust): string {
  return assume === 'role' ? 'sts:AssumeRole' : 'sts:AssumeRoleWithWebIdentity'
}

function identityContext({ audience, subject, stranger }: Asked, trust: BrokerTrust): RequestContext {
  if (stranger !== undefined) return { 'aws:PrincipalArn': stranger }
  if (trust.assume === 'role') return { 'aws:PrincipalArn': trust.brokerRole }
  const name = issuerName(trust.issuer)
  return {
    [`${name}:aud`]: audience,
    [`${name}:sub`]: subject,
    'aws:FederatedProvider': String(trust.provider),
  }
}

/** A session as the broker asks for it. Where the policy names values, they are taken if the target could have them. */
function ownSession(policy: TrustPolicy, trust: BrokerTrust): Asked {
  const valueFor = (key: string, pattern: string) => exampleFor(pattern, valuesNamed(policy, key))
  const tags = Object.entries(trust.tags).map(([key, pattern]) => [
    key,
    valueFor(`aws:RequestTag/${key}`, pattern),
  ])
  const isRole = trust.assume === 'role'
  return {
    names: isRole
      ? { AWS: [trust.brokerRole, rootOf(trust.brokerRole)] }
      : { Federated: [String(trust.provider)] },
    audience: STS_AUDIENCE,
    subject: isRole ? '' : subjectOf(trust.target),
    externalId: isRole ? trust.externalId : undefined,
    tags: Object.fromEntries(tags),
    transitiveTags: trust.transitiveTags,
    sourceIdentity:
      trust.sourceIdentity === undefined ? undefined : valueFor('sts:SourceIdentity', trust.sourceIdentity),
  }
}

/** The values that the policy wants a key to have: what is denied for not having them counts, too. */
function valuesNamed(policy: TrustPolicy, key: string): readonly string[] {
  const blocks = statementsOf(policy).flatMap(({ Effect, Condition = {} }) =>
    Object.entries(Condition).flatMap(([operator, keys]) =>
      operator.includes('Not') === (Effect === 'Deny') ? [keys] : [],
    ),
  )
  return blocks.flatMap((keys) =>
    Object.entries(keys)
      .filter(([name]) => name.toLowerCase() === key.toLowerCase())
      .flatMap(([, value]) => (typeof value === 'object' ? value.map(String) : [String(value)])),
  )
}

/** A text that fits the target's pattern: one that the policy names if there is one, the most exactly. */
function exampleFor(pattern: string, named: readonly string[]): string {
  const isPattern = (value: string) => /[*?]/.test(value)
  const patterns = named.filter(isPattern).toSorted((a, b) => b.length - a.length)
  const texts = named.filter((value) => !isPattern(value))
  const examples = [...texts, ...patterns].map((value) => value.replaceAll(/[*?]/g, 'x'))
  return examples.find((value) => fits(pattern, value)) ?? pattern.replaceAll('*', 'example')
}

/** Those whom the policy trusts beside the broker: perhaps on purpose, and nothing that the broker could vouch for. */
function othersTrusted(policy: TrustPolicy, own: Asked): readonly TrustFinding[] {
  return statementsOf(policy)
    .filter((statement) => statement.Effect === 'Allow' && meansOthers(statement, own))
    .map(({ Principal }) => ({
      severity: 'warning',
      message: `trusts somebody else too: ${json(Principal)}`,
      instead: 'a role of its own for each',
    }))
}

/** Whether somebody is named who is not the broker. Everybody, and an issuer beside the broker's, are for the probes. */
function meansOthers(statement: TrustStatement, { names }: Asked): boolean {
  if (!meansPrincipal(statement, names)) return true
  const { Principal } = statement
  if (Principal === '*') return false
  const besides = Object.entries(Principal).filter(([kind]) => kind !== 'Federated' || !(kind in names))
  return besides.some(([kind, meant]) =>
    [meant].flat().some((name) => !meansPrincipal({ ...statement, Principal: { [kind]: name } }, names)),
  )
}
