import { stringify } from 'yaml'
import type { AwsTarget } from '../../functions/core/policy/compiled.ts'
import { roleCdk } from '../aws-roles/role-cdk.ts'
import { partsOf, roleTemplate } from '../aws-roles/role-template.ts'
import { awsTargetOf, brokerFactsOf, ROLE_OPTIONS } from './aws-target.ts'
import { type Command, type CommandContext, UsageError } from './command.ts'

const DETAILS = `Prints the role that the target names, and the OIDC provider by which its account knows the broker, as a
CloudFormation template or as lines of a CDK stack; nothing is changed in any account. The role trusts the broker for this
target alone, and demands its session tags and source identity. What it may do is for you to add.`

/** CloudFormation reads YAML 1.1, in which more words than `true` are no texts. */
const YAML_OF_CLOUDFORMATION = { version: '1.1', lineWidth: 0 } as const

export const awsSetup: Command = {
  path: ['aws', 'setup'],
  summary: 'print the role of a target, for the account that it is in',
  arguments: '<target>',
  details: DETAILS,
  example: 'npx token-broker aws setup deploy-prod > 111122223333-deploy.yaml',
  options: {
    ...ROLE_OPTIONS,
    format: { type: 'string', value: 'FORMAT', description: 'cloudformation (default) or cdk' },
    'existing-provider': {
      type: 'boolean',
      description: 'the account has an OIDC provider for the broker already: leave it out',
    },
  },
  run: async (context) => {
    const { text, flag, terminal } = context
    const format = text('format') ?? 'cloudformation'
    if (format !== 'cloudformation' && format !== 'cdk')
      throw new UsageError(`--format ${format}: allowed is cloudformation or cdk`)
    const target = awsTargetOf(context)
    const broker = await brokerFactsOf(context, target)
    const options = { hasProvider: flag('existing-provider') }
    const template = roleTemplate(target, broker, options)
    if (flag('json')) terminal.out(JSON.stringify(template, null, 2))
    else if (format === 'cdk') terminal.out(roleCdk(target, broker, options))
    else terminal.out(stringify(template, YAML_OF_CLOUDFORMATION).trimEnd())
    sayNext(context, target, format)
    return 0
  },
}

function sayNext({ flag, terminal, text }: CommandContext, target: AwsTarget, format: string): void {
  if (flag('json')) return
  const { account, roleName } = partsOf(target.roleArn)
  const deploy =
    format === 'cdk'
      ? `add it to a stack of account ${account}, give the role its permissions, and deploy the stack`
      : `give the role its permissions (Policies), then, in account ${account}: aws cloudformation deploy --template-file FILE --stack-name token-broker-${target.id.replaceAll('_', '-')} --capabilities CAPABILITY_NAMED_IAM`
  const policy = text('policy')
  const rest = policy === undefined ? '' : ` --policy ${policy}`
  terminal.err('')
  terminal.err(`${terminal.style('bold', 'next', 'err')}  ${deploy}`)
  terminal.err(
    `${terminal.style('bold', 'then', 'err')}  aws iam get-role --role-name ${roleName} > role.json && npx token-broker aws lint ${target.id}${rest} --trust-policy role.json`,
  )
}
