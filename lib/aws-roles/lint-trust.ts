import { PolicyDefect, type RequestContext } from '../local/aws/iam-conditions.ts'
import { sessionActions, sessionContext } from '../local/aws/sts-session.ts'
import {
  compileTrust,
  meansPrincipal,
  type PresentedNames,
  statementsOf,
  type Trust,
  type TrustPolicy,
} from '../local/aws/trust-policy.ts'
import {
  type BrokerTrust,
  issuerName,
  type RoleTrust,
  type SessionDemands,
  STS_AUDIENCE,
  subjectOf,
  trustStatement,
  type WebIdentityTrust,
} from './role-trust.ts'

/** What is wrong with a trust policy, and what to write instead. */
export interface TrustFinding {
  /** An error: the broker gets no session, or somebody else would. A warning: a session could say what it should not. */
  readonly severity: 'error' | 'warning'
  readonly message: string
  readonly instead: string
}

/** A session that somebody could ask for. */
interface Asked extends SessionDemands {
  readonly names: PresentedNames
  readonly audience: string
  readonly subject: string
  readonly externalId: string | undefined
}

interface Probe {
  readonly severity: TrustFinding['severity']
  readonly asked: Asked
  readonly message: string
  readonly instead: string
}

const OTHER = 'token-broker-lint-other'

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
  const wide = probesFor(own, trust).filter(
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
  return sessionActions(wayOf(trust), facts).flatMap((action) => {
    const obstacles = compiled.obstacles({ action, names: asked.names, context })
    return obstacles.length === 0 ? [] : [{ action, obstacles }]
  })
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

function identityContext({ audience, subject }: Asked, trust: BrokerTrust): RequestContext {
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

function valuesNamed(policy: TrustPolicy, key: string): readonly string[] {
  const blocks = statementsOf(policy).flatMap(({ Condition = {} }) => Object.values(Condition))
  return blocks.flatMap((keys) =>
    Object.entries(keys)
      .filter(([name]) => name.toLowerCase() === key.toLowerCase())
      .flatMap(([, value]) => (typeof value === 'object' ? value.map(String) : [String(value)])),
  )
}

/** A text that fits the target's pattern: one that the policy names if there is one. */
function exampleFor(pattern: string, named: readonly string[]): string {
  const fits = new RegExp(`^${pattern.split('*').map(escaped).join('.*')}$`, 's')
  const examples = named.map((value) => value.replaceAll(/[*?]/g, 'x'))
  return examples.find((value) => fits.test(value)) ?? pattern.replaceAll('*', 'example')
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

function probesFor(own: Asked, trust: BrokerTrust): readonly Probe[] {
  return [...identityProbes(own, trust), ...tagProbes(own, trust), ...sourceIdentityProbes(own, trust)]
}

/** Who else would get the role. */
function identityProbes(own: Asked, trust: BrokerTrust): readonly Probe[] {
  return trust.assume === 'role' ? roleProbes(own, trust) : webIdentityProbes(own, trust)
}

function roleProbes(own: Asked, trust: RoleTrust): readonly Probe[] {
  const { Principal, Condition } = trustStatement(trust)
  const severity = 'error'
  const root = rootOf(trust.brokerRole)
  const names = { AWS: [root.replace(/root$/, `role/${OTHER}`), root] }
  const anyRole: Probe = {
    severity,
    asked: { ...own, names },
    message: 'any role of the broker’s account may take this role',
    instead: json({ Principal }),
  }
  if (trust.externalId === undefined) return [anyRole]
  const instead = json({ Condition: only(Condition, 'sts:ExternalId') })
  const message = 'any external id is let in'
  return [anyRole, { severity, asked: { ...own, externalId: OTHER }, message, instead }]
}

function webIdentityProbes(own: Asked, trust: WebIdentityTrust): readonly Probe[] {
  const { Principal, Condition } = trustStatement(trust)
  const severity = 'error'
  const [aud, sub] = ['aud', 'sub'].map((claim) => {
    return json({ Condition: only(Condition, `${issuerName(trust.issuer)}:${claim}`) })
  })
  const foreign = { Federated: ['arn:aws:iam::000000000000:oidc-provider/other.example'] }
  // The last are what a pattern around the target's id would let in.
  const subjects = [OTHER, subjectOf(OTHER), `${own.subject}-${OTHER}`, `${OTHER}-${own.subject}`]
  const anySubject = 'other targets of the broker may take this role: its sub is not pinned'
  return [
    ...subjects.map((subject): Probe => {
      return { severity, asked: { ...own, subject }, message: anySubject, instead: sub ?? '' }
    }),
    {
      severity,
      asked: { ...own, audience: OTHER },
      message: 'any audience is let in: its aud is not pinned',
      instead: aud ?? '',
    },
    {
      severity,
      asked: { ...own, names: foreign },
      message: 'tokens of any issuer are let in',
      instead: json({ Principal }),
    },
  ]
}

/** What sessions could be tagged with. */
function tagProbes(own: Asked, trust: BrokerTrust): readonly Probe[] {
  const severity = 'warning'
  const { Condition } = trustStatement(trust)
  const changed = Object.entries(trust.tags).flatMap(([key, pattern]): Probe[] => {
    const { [key]: _own, ...rest } = own.tags
    const instead = json({ Condition: only(Condition, `aws:RequestTag/${key}`) })
    const transitiveTags = own.transitiveTags.filter((transitive) => transitive !== key)
    const without = { ...own, tags: rest, transitiveTags }
    const other = { ...own, tags: { ...own.tags, [key]: OTHER } }
    return [
      { severity, asked: without, message: `a session without the tag ${key} is let in`, instead },
      ...(pattern === '*'
        ? []
        : [{ severity, asked: other, message: `any value of the tag ${key} is let in`, instead } as const]),
    ]
  })
  const more = { ...own, tags: { ...own.tags, [OTHER]: 'x' } }
  const keys = json({ Condition: only(Condition, 'aws:TagKeys') })
  const none = 'leave sts:TagSession out of Action: the target has no session_tags'
  const isTagged = Object.keys(trust.tags).length > 0
  const message = 'tags that the target does not have are let in'
  return [...changed, { severity, asked: more, message, instead: isTagged ? keys : none }]
}

function sourceIdentityProbes(own: Asked, trust: BrokerTrust): readonly Probe[] {
  const severity = 'warning'
  const instead = json({ Condition: only(trustStatement(trust).Condition, 'sts:SourceIdentity') })
  const other = { ...own, sourceIdentity: OTHER }
  if (trust.sourceIdentity === undefined) {
    const leave = 'leave sts:SetSourceIdentity out of Action: the target has no source_identity'
    return [{ severity, asked: other, message: 'any source identity may be set', instead: leave }]
  }
  const without = { ...own, sourceIdentity: undefined }
  const missing = {
    severity,
    asked: without,
    message: 'a session without source identity is let in',
    instead,
  } as const
  if (trust.sourceIdentity === '*') return [missing]
  return [missing, { severity, asked: other, message: 'any source identity is let in', instead }]
}

/** Those whom the policy trusts beside the broker: perhaps on purpose, and nothing that the broker could vouch for. */
function othersTrusted(policy: TrustPolicy, own: Asked): readonly TrustFinding[] {
  return statementsOf(policy)
    .filter((statement) => statement.Effect === 'Allow' && !meansPrincipal(statement, own.names))
    .map(({ Principal }) => ({
      severity: 'warning',
      message: `trusts somebody else too: ${json(Principal)}`,
      instead: 'a role of its own for each',
    }))
}

/** Stands for whoever the role's account lets. */
function rootOf(roleArn: string): string {
  return roleArn.replace(/:role\/.*$/, ':root')
}

/** The part of the conditions that is about one key. */
function only(
  conditions: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  key: string,
): Record<string, Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(conditions).flatMap(([operator, keys]) =>
      key in keys ? [[operator, { [key]: keys[key] }]] : [],
    ),
  )
}

function json(value: unknown): string {
  return JSON.stringify(value)
}
