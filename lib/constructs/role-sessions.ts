import { Grant } from 'aws-cdk-lib/aws-iam'
import type { AwsTarget } from '../../functions/core/policy/compiled.ts'
import type { BrokerFunction } from './broker-function.ts'

/**
 * Allows to assume the roles of these targets, each with no more than policy makes of it. Of those that take a web identity
 * nothing is granted: that call is not signed, and what the role trusts is the token.
 */
export function grantRoleSessions(grantee: BrokerFunction, targets: readonly AwsTarget[]): void {
  const assumed = targets.filter(({ assume }) => assume === 'role')
  const grants: readonly (readonly [action: string, of: readonly AwsTarget[]])[] = [
    ['sts:AssumeRole', assumed],
    ['sts:TagSession', assumed.filter(({ sessionTags }) => Object.keys(sessionTags).length > 0)],
    ['sts:SetSourceIdentity', assumed.filter(({ sourceIdentity }) => sourceIdentity !== undefined)],
  ]
  for (const [action, of] of grants) {
    const resourceArns = [...new Set(of.map(({ roleArn }) => roleArn))].toSorted()
    if (resourceArns.length > 0) Grant.addToPrincipal({ grantee, actions: [action], resourceArns })
  }
}
