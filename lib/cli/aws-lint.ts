import { readFileSync } from 'node:fs'
import { lintTrust, type TrustFinding } from '../aws-roles/lint-trust.ts'
import { trustOfTarget } from '../aws-roles/target-trust.ts'
import type { TrustPolicy } from '../local/aws/trust-policy.ts'
import { awsTargetOf, brokerFactsOf, ROLE_OPTIONS } from './aws-target.ts'
import { type Command, CommandFailed, UsageError } from './command.ts'

const DETAILS = `Asks the trust policy, as STS would, for the broker's own sessions and for sessions that nobody should get, and
says for each mistake what to write instead. An error: the broker is refused, or somebody else is let in. A warning: a
session could carry a tag or a source identity that the broker did not put there.`

export const awsLint: Command = {
  path: ['aws', 'lint'],
  summary: 'check the trust policy of a target’s role',
  arguments: '<target>',
  details: DETAILS,
  example: 'npx token-broker aws lint deploy-prod --trust-policy role.json',
  options: {
    ...ROLE_OPTIONS,
    'trust-policy': {
      type: 'string',
      value: 'FILE',
      description: 'the trust policy as JSON, or what aws iam get-role prints',
    },
  },
  run: async (context) => {
    const { text, flag, terminal } = context
    const file = text('trust-policy')
    if (file === undefined) throw new UsageError('--trust-policy is missing')
    const target = awsTargetOf(context)
    const { policy, maxSessionSeconds } = readTrustPolicy(file)
    const findings = [
      ...lintTrust(policy, trustOfTarget(target, await brokerFactsOf(context, target))),
      ...durationFindings(maxSessionSeconds, target.durationSeconds),
    ]
    const errors = findings.filter(({ severity }) => severity === 'error').length
    if (flag('json')) terminal.out(JSON.stringify({ role: target.roleArn, findings }, null, 2))
    else {
      for (const { severity, message, instead } of findings) {
        terminal.out(`${terminal.style(severity === 'error' ? 'red' : 'yellow', severity)} ${message}`)
        terminal.out(`  ${terminal.style('bold', 'instead')} ${instead}`)
      }
      terminal.out(`${target.roleArn}: errors ${errors}, warnings ${findings.length - errors}`)
    }
    return errors > 0 ? 1 : 0
  },
}

interface ReadRole {
  readonly policy: TrustPolicy
  /** `undefined` where the file is only the policy. */
  readonly maxSessionSeconds: number | undefined
}

function readTrustPolicy(path: string): ReadRole {
  const value = parsed(path)
  const role = 'Role' in value && isObject(value['Role']) ? value['Role'] : value
  const document = role['AssumeRolePolicyDocument'] ?? role
  // The API, unlike the AWS CLI, gives it as encoded text.
  const policy = typeof document === 'string' ? jsonOf(path, decodeURIComponent(document)) : document
  if (!isObject(policy) || !('Statement' in policy))
    throw new CommandFailed(
      `${path} is no trust policy: it has no Statement`,
      'aws iam get-role --role-name NAME > role.json',
    )
  const seconds = role['MaxSessionDuration']
  return {
    policy: policy as unknown as TrustPolicy,
    maxSessionSeconds: typeof seconds === 'number' ? seconds : undefined,
  }
}

function parsed(path: string): Readonly<Record<string, unknown>> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new CommandFailed(`${path} cannot be read`, 'check the path', { cause })
  }
  const value = jsonOf(path, text)
  return isObject(value) ? value : {}
}

function jsonOf(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new CommandFailed(
      `${path} is not JSON`,
      'aws iam get-role --role-name NAME --output json > role.json',
      {
        cause,
      },
    )
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function durationFindings(maxSeconds: number | undefined, wantedSeconds: number): readonly TrustFinding[] {
  if (maxSeconds === undefined || maxSeconds >= wantedSeconds) return []
  return [
    {
      severity: 'error',
      message: `the target asks for sessions of ${wantedSeconds} s, and the role gives ${maxSeconds} s at most`,
      instead: `aws iam update-role --max-session-duration ${wantedSeconds}, or a shorter duration of the target`,
    },
  ]
}
