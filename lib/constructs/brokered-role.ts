import {
  type IAssumeRolePrincipal,
  type IManagedPolicy,
  type IOidcProvider,
  OidcProviderNative,
  type PolicyDocument,
  PolicyStatement,
  PrincipalBase,
  PrincipalPolicyFragment,
  Role,
} from 'aws-cdk-lib/aws-iam'
import { type Duration, Stack, Token } from 'aws-cdk-lib/core'
import type { Construct } from 'constructs'
import { type BrokerTrust, STS_AUDIENCE, trustStatement } from '../aws-roles/role-trust.ts'

export interface BrokeredRoleProps {
  /** Id of the target in the broker's policy: nothing else that the broker gives out is this role. */
  readonly target: string
  /**
   * The broker's URL, for a target with `assume: web-identity`.
   * @default - none: `brokerRoleArn` is given
   */
  readonly issuer?: string
  /**
   * The account's OIDC provider for the broker, where there is one already: an account can have only one.
   * @default - one is made, and shared by the roles of the stack
   */
  readonly provider?: IOidcProvider
  /**
   * ARN of the broker's own role, for a target with `assume: role`.
   * @default - none: `issuer` is given
   */
  readonly brokerRoleArn?: string
  /**
   * The target's `external_id`.
   * @default - none
   */
  readonly externalId?: string
  /**
   * Every session tag of the target, with what its value must look like: `*` is any run of characters.
   * @default - sessions have no tags
   */
  readonly sessionTags?: Readonly<Record<string, string>>
  /**
   * The target's `transitive_tags`.
   * @default - none
   */
  readonly transitiveTags?: readonly string[]
  /**
   * What the source identity must look like; `*` where the target inserts a claim.
   * @default - sessions have none
   */
  readonly sourceIdentity?: string
  /**
   * Must be that of the target's `aws_role`.
   * @default - CloudFormation chooses one, and the target names it
   */
  readonly roleName?: string
  /** @default / */
  readonly path?: string
  /** @default - says which target it is for */
  readonly description?: string
  /** @default Duration.hours(1), the longest that the broker asks for */
  readonly maxSessionDuration?: Duration
  /** @default - none */
  readonly managedPolicies?: IManagedPolicy[]
  /** @default - none */
  readonly inlinePolicies?: { [name: string]: PolicyDocument }
  /** @default - none */
  readonly permissionsBoundary?: IManagedPolicy
}

/**
 * A role that the broker gives out for one target, and for no other: give it permissions as any role
 * (`bucket.grantRead(role)`). Throws if it cannot be told how the broker proves itself.
 */
export class BrokeredRole extends Role {
  constructor(scope: Construct, id: string, props: BrokeredRoleProps) {
    const { roleName, path, maxSessionDuration, managedPolicies, inlinePolicies, permissionsBoundary } = props
    super(scope, id, {
      assumedBy: new BrokerPrincipal(trustOf(scope, props)),
      description: props.description ?? `Given out by the token broker for its target ${props.target}`,
      ...(roleName !== undefined && { roleName }),
      ...(path !== undefined && { path }),
      ...(maxSessionDuration !== undefined && { maxSessionDuration }),
      ...(managedPolicies !== undefined && { managedPolicies }),
      ...(inlinePolicies !== undefined && { inlinePolicies }),
      ...(permissionsBoundary !== undefined && { permissionsBoundary }),
    })
  }
}

/** The broker, as the one who assumes a role. */
class BrokerPrincipal extends PrincipalBase implements IAssumeRolePrincipal {
  readonly #trust: BrokerTrust

  constructor(trust: BrokerTrust) {
    super()
    this.#trust = trust
  }

  get policyFragment(): PrincipalPolicyFragment {
    const { Principal } = trustStatement(this.#trust)
    const names = Object.entries(Principal).map(([kind, name]) => [kind, [String(name)]])
    return new PrincipalPolicyFragment(Object.fromEntries(names))
  }

  /** Each has conditions of its own. */
  dedupeString(): undefined {
    return undefined
  }

  override addToAssumeRolePolicy(document: PolicyDocument): void {
    document.addStatements(PolicyStatement.fromJson(trustStatement(this.#trust)))
  }
}

function trustOf(scope: Construct, props: BrokeredRoleProps): BrokerTrust {
  const { target, issuer, brokerRoleArn, externalId } = props
  if ((issuer === undefined) === (brokerRoleArn === undefined))
    throw new Error(`BrokeredRole for ${target}: give either issuer or brokerRoleArn`)
  const demands = {
    tags: props.sessionTags ?? {},
    transitiveTags: props.transitiveTags ?? [],
    sourceIdentity: props.sourceIdentity,
  }
  const unknown = demands.transitiveTags.find((key) => !Object.hasOwn(demands.tags, key))
  if (unknown !== undefined)
    throw new Error(
      `BrokeredRole for ${target}: transitiveTags has ${unknown}, which is no key of sessionTags`,
    )
  if (brokerRoleArn !== undefined)
    return { assume: 'role', brokerRole: brokerRoleArn, externalId, ...demands }
  if (externalId !== undefined)
    throw new Error(`BrokeredRole for ${target}: externalId is for a role that is assumed by brokerRoleArn`)
  const known = checkedIssuer(issuer ?? '', target)
  const provider = (props.provider ?? sharedProvider(scope, known)).oidcProviderArn
  return { assume: 'web-identity', provider, issuer: known, target, ...demands }
}

function checkedIssuer(issuer: string, target: string): string {
  // Keys of conditions are made of it, and CloudFormation fills in no keys.
  if (Token.isUnresolved(issuer) || !/^https:\/\/[^?#]+[^/?#]$/.test(issuer))
    throw new Error(
      `BrokeredRole for ${target}: issuer is ${issuer}, allowed is the broker’s URL as text, https and without a slash at the end`,
    )
  return issuer
}

/** One for each issuer and stack. */
function sharedProvider(scope: Construct, issuer: string): IOidcProvider {
  const stack = Stack.of(scope)
  const id = `TokenBroker-${issuer.replaceAll(/[^a-zA-Z0-9]+/g, '-')}`
  const known = stack.node.tryFindChild(id)
  if (known !== undefined) return known as OidcProviderNative
  return new OidcProviderNative(stack, id, { url: issuer, clientIds: [STS_AUDIENCE] })
}
