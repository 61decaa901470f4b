import type { AwsTarget } from '../../functions/core/policy/compiled.ts'
import { isAwsTarget } from '../../functions/core/policy/target-kinds.ts'
import { BROKER_ROLE_OUTPUT, type BrokerFacts } from '../aws-roles/target-trust.ts'
import {
  type CommandContext,
  CommandFailed,
  type CommandOption,
  DEPLOYMENT_OPTIONS,
  UsageError,
} from './command.ts'
import { loadFor, POLICY_OPTION } from './policy-source.ts'

/** Every command about the role of a target takes them. */
export const ROLE_OPTIONS = {
  ...POLICY_OPTION,
  ...DEPLOYMENT_OPTIONS,
  issuer: {
    type: 'string',
    value: 'URL',
    description: 'the broker’s own URL (default: that of the deployment)',
  },
  'broker-role': {
    type: 'string',
    value: 'ARN',
    description: 'the role with which it assumes others (default: that of the deployment)',
  },
} as const satisfies Readonly<Record<string, CommandOption>>

/** The AWS target that a command is about. Throws {@link UsageError} or {@link CommandFailed} if there is no such. */
export function awsTargetOf({ arguments: [id, more], text }: CommandContext): AwsTarget {
  if (id === undefined || more !== undefined) throw new UsageError('name one target of the policy')
  const { policy, folder } = loadFor(text('policy'))
  const targets = policy.targets.filter(isAwsTarget)
  const target = targets.find((it) => it.id === id)
  if (target !== undefined) return target
  const known = targets.map((it) => it.id).join(', ') || 'none'
  throw new CommandFailed(`${folder} has no target ${id} with aws_role`, `those with aws_role: ${known}`)
}

/** The broker as the target's account knows it: by the options, else by the deployment. */
export async function brokerFactsOf(context: CommandContext, { assume }: AwsTarget): Promise<BrokerFacts> {
  const [issuer, brokerRole] = [context.text('issuer'), context.text('broker-role')]
  const isEnough = assume === 'role' ? brokerRole !== undefined : issuer !== undefined
  if (isEnough) return { issuer: issuer ?? 'of this role', ...(brokerRole !== undefined && { brokerRole }) }
  const deployment = await context.deployment()
  return {
    issuer: issuer ?? deployment.issuer,
    ...(assume === 'role' && { brokerRole: brokerRole ?? deployment.output(BROKER_ROLE_OUTPUT) }),
  }
}
