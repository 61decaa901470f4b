import type { AwsTarget } from '../../functions/core/policy/compiled.ts'
import { STS_AUDIENCE, trustStatement } from './role-trust.ts'
import { type BrokerFacts, trustOfTarget } from './target-trust.ts'

/** A CloudFormation template, as it is printed. */
export interface RoleTemplate {
  readonly AWSTemplateFormatVersion: '2010-09-09'
  readonly Description: string
  readonly Metadata: {
    readonly TokenBroker: { readonly Account: string; readonly Target: string; readonly Issuer: string }
  }
  readonly Resources: Readonly<Record<string, object>>
  readonly Outputs: Readonly<Record<string, object>>
}

export interface RoleTemplateOptions {
  /** Whether the account has an OIDC provider for the broker already: it can have only one. @default false */
  readonly hasProvider?: boolean | undefined
}

/**
 * The template of the role that an AWS target names, and of the OIDC provider by which its account knows the broker.
 * Throws `BrokerRoleMissing`.
 */
export function roleTemplate(
  target: AwsTarget,
  broker: BrokerFacts,
  { hasProvider = false }: RoleTemplateOptions = {},
): RoleTemplate {
  const { account, path, roleName } = partsOf(target.roleArn)
  const makesProvider = target.assume === 'web-identity' && !hasProvider
  const trust = trustOfTarget(target, broker, makesProvider ? { Ref: 'TokenBroker' } : undefined)
  return {
    AWSTemplateFormatVersion: '2010-09-09',
    Description: `Role ${roleName}, which the token broker ${broker.issuer} gives out for its target ${target.id}`,
    Metadata: { TokenBroker: { Account: account, Target: target.id, Issuer: broker.issuer } },
    Resources: {
      ...(makesProvider && { TokenBroker: providerResource(broker.issuer) }),
      Role: {
        Type: 'AWS::IAM::Role',
        Properties: {
          RoleName: roleName,
          ...(path !== '/' && { Path: path }),
          Description: `Given out by the token broker for its target ${target.id}`,
          AssumeRolePolicyDocument: { Version: '2012-10-17', Statement: [trustStatement(trust)] },
        },
      },
    },
    Outputs: { RoleArn: { Value: { 'Fn::GetAtt': ['Role', 'Arn'] } } },
  }
}

function providerResource(issuer: string): object {
  return { Type: 'AWS::IAM::OIDCProvider', Properties: { Url: issuer, ClientIdList: [STS_AUDIENCE] } }
}

/** What a role's ARN says of it. */
export function partsOf(roleArn: string): {
  readonly account: string
  readonly path: string
  readonly roleName: string
} {
  const [, , , , account = '', resource = ''] = roleArn.split(':')
  const [, path = '/', roleName = ''] = /^role(\/(?:.*\/)?)([^/]*)$/.exec(resource) ?? []
  return { account, path, roleName }
}
