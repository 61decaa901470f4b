import type { AwsTarget, Template } from '../../functions/core/policy/compiled.ts'
import { type BrokerTrust, issuerName, type SessionDemands } from './role-trust.ts'

/** Output of the service stack with the role of the function that assumes others. */
export const BROKER_ROLE_OUTPUT = 'AwsCredentialsRoleArn'

/** The broker as the accounts of its targets know it. */
export interface BrokerFacts {
  /** Its URL. */
  readonly issuer: string
  /** ARN of the role with which it assumes others; needed for targets with `assume: role`. */
  readonly brokerRole?: string | undefined
}

/** A target of `assume: role`, and nobody has said which role the broker has. */
export class BrokerRoleMissing extends Error {
  override readonly name = 'BrokerRoleMissing'
}

/**
 * What the role of a target has to trust. `provider` stands for the account's OIDC provider. Throws
 * {@link BrokerRoleMissing}.
 */
export function trustOfTarget(
  target: AwsTarget,
  { issuer, brokerRole }: BrokerFacts,
  provider: unknown = providerArn(target.roleArn, issuer),
): BrokerTrust {
  const { id, assume, externalId } = target
  const demands = demandsOf(target)
  if (assume === 'web-identity') return { assume, provider, issuer, target: id, ...demands }
  if (brokerRole === undefined)
    throw new BrokerRoleMissing(`target ${id} is assumed by the broker’s own role`)
  return { assume, brokerRole, ...(externalId !== undefined && { externalId }), ...demands }
}

/** The ARN that the OIDC provider for the broker has in the role's account. */
export function providerArn(roleArn: string, issuer: string): string {
  const [, partition = '', , , account = ''] = roleArn.split(':')
  return `arn:${partition}:iam::${account}:oidc-provider/${issuerName(issuer)}`
}

/** What the sessions of a target look like, whatever the claims of the subject. */
export function demandsOf({ sessionTags, transitiveTags, sourceIdentity }: AwsTarget): SessionDemands {
  const tags = Object.entries(sessionTags).map(([key, template]) => [key, patternOf(template)])
  return {
    tags: Object.fromEntries(tags),
    transitiveTags,
    ...(sourceIdentity !== undefined && { sourceIdentity: patternOf(sourceIdentity) }),
  }
}

/** Neither `*` nor `?` can be in a tag or a source identity, so that what is fixed needs no escape. */
function patternOf(template: Template): string {
  return template
    .map((part) => (typeof part === 'string' ? part : '*'))
    .join('')
    .replaceAll(/\*+/g, '*')
}
