import type { AwsTarget, CompiledPolicy } from '../../functions/core/policy/compiled.ts'
import { isAwsTarget } from '../../functions/core/policy/target-kinds.ts'
import { partsOf, type RoleTemplate, roleTemplate } from '../aws-roles/role-template.ts'
import { trustStatement } from '../aws-roles/role-trust.ts'
import { type BrokerFacts, trustOfTarget } from '../aws-roles/target-trust.ts'
import type { AccountTemplate } from './account-templates.ts'
import type { Template } from './assembly.ts'

/** The accounts of a policy's AWS targets, each set up with what `token-broker aws setup` prints. Throws `BrokerRoleMissing`. */
export function policyAccounts(policy: CompiledPolicy, broker: BrokerFacts): readonly AccountTemplate[] {
  const targets = policy.targets.filter(isAwsTarget)
  const roles = new Set(targets.map(({ roleArn }) => roleArn))
  const withProvider = new Set<string>()
  return [...roles].map((roleArn) => {
    const { account } = partsOf(roleArn)
    const ofRole = targets.filter((target) => target.roleArn === roleArn)
    const hasProvider = withProvider.has(account)
    const template = templateOf(ofRole, broker, hasProvider)
    if ('TokenBroker' in template.Resources) withProvider.add(account)
    return {
      name: `aws setup ${ofRole.map(({ id }) => id).join(' ')}`,
      account,
      template: template as Template,
    }
  })
}

/** One role, for as many targets as name it: each has a statement of its own. */
function templateOf(targets: readonly AwsTarget[], broker: BrokerFacts, hasProvider: boolean): RoleTemplate {
  const [first, ...others] = [...targets].sort((a, b) => b.assume.localeCompare(a.assume))
  if (first === undefined) throw new Error('a role without target')
  const template = roleTemplate(first, broker, { hasProvider })
  const role = template.Resources['Role'] as RoleResource
  const more = others.map((target) => trustStatement(trustOfTarget(target, broker)))
  const document = role.Properties.AssumeRolePolicyDocument
  const statements = { ...document, Statement: [...document.Statement, ...more] }
  const Properties = { ...role.Properties, AssumeRolePolicyDocument: statements }
  return { ...template, Resources: { ...template.Resources, Role: { ...role, Properties } } }
}

interface RoleResource {
  readonly Type: string
  readonly Properties: { readonly AssumeRolePolicyDocument: { readonly Statement: readonly object[] } }
}

/** Which issuer of the policy signs for which AWS account: the one whose grants name the account. */
export function outboundIssuers({ issuers, grants }: CompiledPolicy): ReadonlyMap<string, string> {
  const ofAws = issuers.filter(({ preset }) => preset === 'aws-outbound')
  return new Map(
    ofAws.flatMap(({ id }) => {
      const conditions = JSON.stringify(grants.filter(({ issuer }) => issuer === id).map(({ when }) => when))
      return [...conditions.matchAll(/(?<!\d)\d{12}(?!\d)/g)].map(([account]) => [account, id] as const)
    }),
  )
}
