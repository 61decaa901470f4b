/** What the broker's tokens say to STS: the only audience that they are for. */
export const STS_AUDIENCE = 'sts.amazonaws.com'

/** What a role has to ask of a session that the broker starts. */
export interface SessionDemands {
  /** What each session tag must look like: text in which `*` is any run of characters. No other tag is let in. */
  readonly tags: Readonly<Record<string, string>>
  /** Keys of `tags` that stay when the session assumes a further role. */
  readonly transitiveTags: readonly string[]
  /** What the source identity must look like, likewise; without it none may be set. */
  readonly sourceIdentity?: string | undefined
}

/** A role that the broker assumes with a token that it signs (AssumeRoleWithWebIdentity). */
export interface WebIdentityTrust extends SessionDemands {
  readonly assume: 'web-identity'
  /** ARN of the account's OIDC provider for the broker, or what stands for it in a template. */
  readonly provider: unknown
  /** The broker's URL. */
  readonly issuer: string
  /** The target's id in the broker's policy. */
  readonly target: string
}

/** A role that the broker assumes by a role of its own (AssumeRole). */
export interface RoleTrust extends SessionDemands {
  readonly assume: 'role'
  /** ARN of the broker's role. */
  readonly brokerRole: string
  readonly externalId?: string | undefined
}

export type BrokerTrust = WebIdentityTrust | RoleTrust

/** The key of no tag: these cannot begin so. `Null` would not do, where AWS takes an empty list for a value. */
const NO_TAG = 'aws:none'

type Conditions = Record<string, Record<string, string | readonly string[]>>

/** A statement of a trust policy. */
export interface BrokerStatement {
  readonly Sid: string
  readonly Effect: 'Allow'
  readonly Principal: Readonly<Record<string, unknown>>
  readonly Action: readonly string[]
  readonly Condition: Readonly<Conditions>
}

/** The statement that lets the broker, and nobody else, start such sessions: for one target, with these tags and no others. */
export function trustStatement(trust: BrokerTrust): BrokerStatement {
  const { assume, tags, sourceIdentity } = trust
  return {
    Sid: 'TokenBroker',
    Effect: 'Allow',
    Principal: assume === 'role' ? { AWS: trust.brokerRole } : { Federated: trust.provider },
    Action: [
      assume === 'role' ? 'sts:AssumeRole' : 'sts:AssumeRoleWithWebIdentity',
      ...(sourceIdentity === undefined ? [] : ['sts:SetSourceIdentity']),
      ...(Object.keys(tags).length > 0 ? ['sts:TagSession'] : []),
    ],
    Condition: conditionsOf(trust),
  }
}

/** What the keys of its conditions begin with: the issuer's URL without the scheme. */
export function issuerName(issuer: string): string {
  return issuer.replace(/^https?:\/\//, '')
}

/** The `sub` of the tokens by which the broker asks for a role. */
export function subjectOf(target: string): string {
  return `target:${target}`
}

function conditionsOf(trust: BrokerTrust): Conditions {
  const { tags, transitiveTags, sourceIdentity } = trust
  const patterns: readonly (readonly [string, string])[] = [
    ...Object.entries(tags).map(([key, pattern]) => [`aws:RequestTag/${key}`, pattern] as const),
    ...(sourceIdentity === undefined ? [] : [['sts:SourceIdentity', sourceIdentity] as const]),
  ]
  const isFixed = ([, pattern]: readonly [string, string]) => !/[*?]/.test(pattern)
  const transitive = transitiveTags.length > 0 ? transitiveTags : [NO_TAG]
  // ForAllValues holds for a request without the key: there the tags are required one by one, above.
  const keys = { 'aws:TagKeys': Object.keys(tags), 'sts:TransitiveTagKeys': transitive }
  const conditions: Conditions = {
    StringEquals: { ...identityOf(trust), ...Object.fromEntries(patterns.filter(isFixed)) },
    StringLike: Object.fromEntries(patterns.filter((pattern) => !isFixed(pattern))),
    'ForAllValues:StringEquals': Object.keys(tags).length > 0 ? keys : {},
  }
  const asking = Object.entries(conditions).filter(([, asked]) => Object.keys(asked).length > 0)
  return Object.fromEntries(asking)
}

function identityOf(trust: BrokerTrust): Record<string, string> {
  if (trust.assume === 'role')
    return trust.externalId === undefined ? {} : { 'sts:ExternalId': trust.externalId }
  const name = issuerName(trust.issuer)
  return { [`${name}:aud`]: STS_AUDIENCE, [`${name}:sub`]: subjectOf(trust.target) }
}
