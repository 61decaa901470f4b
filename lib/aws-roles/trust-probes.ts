import type { PresentedNames } from '../local/aws/trust-policy.ts'
import {
  type BrokerTrust,
  issuerName,
  type RoleTrust,
  type SessionDemands,
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
export interface Asked extends SessionDemands {
  readonly names: PresentedNames
  /** ARN of whoever else asks by AssumeRole. */
  readonly stranger?: string
  readonly audience: string
  readonly subject: string
  readonly externalId: string | undefined
}

export interface Probe {
  readonly severity: TrustFinding['severity']
  readonly asked: Asked
  readonly message: string
  readonly instead: string
}

const OTHER = 'token-broker-lint-other'

type ValuesNamed = (key: string) => readonly string[]

/** Sessions that nobody should get. `named` gives the values that the policy names for a condition key. */
export function probesFor(own: Asked, trust: BrokerTrust, named: ValuesNamed): readonly Probe[] {
  return [
    ...identityProbes(own, trust, named).flatMap(withLess),
    ...tagProbes(own, trust, named),
    ...sourceIdentityProbes(own, trust, named),
  ]
}

/** Who else would get the role. */
function identityProbes(own: Asked, trust: BrokerTrust, named: ValuesNamed): readonly Probe[] {
  const account = 'arn:aws:iam::000000000000'
  const stranger = `${account}:role/${OTHER}`
  const anybody: Probe = {
    severity: 'error',
    asked: { ...own, names: { AWS: [stranger, `${account}:root`] }, stranger },
    message: 'any account may take this role',
    instead: json({ Principal: trustStatement(trust).Principal }),
  }
  return [
    ...(trust.assume === 'role' ? roleProbes(own, trust, named) : webIdentityProbes(own, trust, named)),
    anybody,
  ]
}

/** The same without tags, and without source identity: a statement may let in who does not ask to set them. */
function withLess(probe: Probe): readonly Probe[] {
  const untagged = { tags: {}, transitiveTags: [] }
  const unnamed = { sourceIdentity: undefined }
  return [{}, untagged, unnamed, { ...untagged, ...unnamed }].map((less) => ({
    ...probe,
    asked: { ...probe.asked, ...less },
  }))
}

function roleProbes(own: Asked, trust: RoleTrust, named: ValuesNamed): readonly Probe[] {
  const { Principal, Condition } = trustStatement(trust)
  const severity = 'error'
  const root = rootOf(trust.brokerRole)
  const stranger = root.replace(/root$/, `role/${OTHER}`)
  const anyRole: Probe = {
    severity,
    asked: { ...own, names: { AWS: [stranger, root] }, stranger },
    message: 'any role of the broker’s account may take this role',
    instead: json({ Principal }),
  }
  if (trust.externalId === undefined) return [anyRole]
  const instead = json({ Condition: only(Condition, 'sts:ExternalId') })
  const message = 'any external id is let in'
  const others = [OTHER, ...besides(own.externalId, named('sts:ExternalId'))]
  return [
    anyRole,
    ...others.map((externalId): Probe => ({ severity, asked: { ...own, externalId }, message, instead })),
  ]
}

/** What a policy lets in beside the right value: its other values, and of a pattern something that it matches. */
function besides(own: string | undefined, values: readonly string[]): readonly string[] {
  const examples = values.map((value) => value.replaceAll('*', OTHER).replaceAll('?', 'x'))
  return examples.filter((value) => value !== own)
}

function webIdentityProbes(own: Asked, trust: WebIdentityTrust, named: ValuesNamed): readonly Probe[] {
  const { Principal, Condition } = trustStatement(trust)
  const severity = 'error'
  const [aud, sub] = ['aud', 'sub'].map((claim) => {
    return json({ Condition: only(Condition, `${issuerName(trust.issuer)}:${claim}`) })
  })
  const foreign = { Federated: ['arn:aws:iam::000000000000:oidc-provider/other.example'] }
  const namedBeside = (claim: string, value: string | undefined) =>
    besides(value, named(`${issuerName(trust.issuer)}:${claim}`))
  // Two are what a pattern around the target's id would let in, the last what the policy itself names.
  const around = [`${own.subject}-${OTHER}`, `${OTHER}-${own.subject}`]
  const subjects = [OTHER, subjectOf(OTHER), ...around, ...namedBeside('sub', own.subject)]
  const audiences = [OTHER, ...namedBeside('aud', own.audience)]
  const anySubject = 'other targets of the broker may take this role: its sub is not pinned'
  return [
    ...subjects.map((subject): Probe => {
      return { severity, asked: { ...own, subject }, message: anySubject, instead: sub ?? '' }
    }),
    ...audiences.map((audience): Probe => {
      const message = 'any audience is let in: its aud is not pinned'
      return { severity, asked: { ...own, audience }, message, instead: aud ?? '' }
    }),
    {
      severity,
      asked: { ...own, names: foreign },
      message: 'tokens of any issuer are let in',
      instead: json({ Principal }),
    },
  ]
}

/** What sessions could be tagged with. */
function tagProbes(own: Asked, trust: BrokerTrust, named: ValuesNamed): readonly Probe[] {
  const severity = 'warning'
  const { Condition } = trustStatement(trust)
  const changed = Object.entries(trust.tags).flatMap(([key, pattern]): Probe[] => {
    const { [key]: _own, ...rest } = own.tags
    const instead = json({ Condition: only(Condition, `aws:RequestTag/${key}`) })
    const transitiveTags = own.transitiveTags.filter((transitive) => transitive !== key)
    const without = { ...own, tags: rest, transitiveTags }
    const message = `other values of the tag ${key} are let in`
    return [
      { severity, asked: without, message: `a session without the tag ${key} is let in`, instead },
      ...strangeTo(pattern, named(`aws:RequestTag/${key}`)).map((value): Probe => {
        return { severity, asked: { ...own, tags: { ...own.tags, [key]: value } }, message, instead }
      }),
    ]
  })
  const more = { ...own, tags: { ...own.tags, [OTHER]: 'x' } }
  const keys = json({ Condition: only(Condition, 'aws:TagKeys') })
  const none = 'leave sts:TagSession out of Action: the target has no session_tags'
  const isTagged = Object.keys(trust.tags).length > 0
  const message = 'tags that the target does not have are let in'
  const surplus: Probe = { severity, asked: more, message, instead: isTagged ? keys : none }
  const passedOn = Object.keys(own.tags).filter((key) => !own.transitiveTags.includes(key))
  return [
    ...changed,
    surplus,
    ...passedOn.map((key): Probe => {
      const transitiveTags = [...own.transitiveTags, key]
      const instead = json({ Condition: only(Condition, 'sts:TransitiveTagKeys') })
      const asked = { ...own, transitiveTags }
      return { severity, asked, message: 'tags may be passed on that are not transitive', instead }
    }),
  ]
}

function sourceIdentityProbes(own: Asked, trust: BrokerTrust, named: ValuesNamed): readonly Probe[] {
  const severity = 'warning'
  const instead = json({ Condition: only(trustStatement(trust).Condition, 'sts:SourceIdentity') })
  const withIdentity = (sourceIdentity: string) => ({ ...own, sourceIdentity })
  if (trust.sourceIdentity === undefined) {
    const leave = 'leave sts:SetSourceIdentity out of Action: the target has no source_identity'
    const message = 'any source identity may be set'
    return [{ severity, asked: withIdentity(OTHER), message, instead: leave }]
  }
  const without = { ...own, sourceIdentity: undefined }
  const message = 'other source identities are let in'
  return [
    { severity, asked: without, message: 'a session without source identity is let in', instead },
    ...strangeTo(trust.sourceIdentity, named('sts:SourceIdentity')).map((value): Probe => {
      return { severity, asked: withIdentity(value), message, instead }
    }),
  ]
}

/** Texts that the target never gives, which the policy may let in: any, and those that it names. */
function strangeTo(pattern: string, named: readonly string[]): readonly string[] {
  return besides(undefined, [OTHER, ...named]).filter((value) => !fits(pattern, value))
}

/** Whether a text is one of the target's pattern, in which `*` is any run of characters. */
export function fits(pattern: string, text: string): boolean {
  return new RegExp(`^${pattern.split('*').map(escaped).join('.*')}$`, 's').test(text)
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

/** Stands for whoever the role's account lets. */
export function rootOf(roleArn: string): string {
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

/** On one line. */
export function json(value: unknown): string {
  return JSON.stringify(value)
}
