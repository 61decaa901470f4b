import type { AwsTarget } from '../../functions/core/policy/compiled.ts'
import type { TargetId } from '../../functions/core/types.ts'
import { awsTarget } from '../support/aws-roles.ts'

export const ISSUER = 'https://tokens.example.com'
export const ROLE = 'arn:aws:iam::222222222222:role/team/deploy'
export const BROKER_ROLE = 'arn:aws:iam::111111111111:role/broker-AwsCredentialsRole'

/** A target with all that a role can be asked to demand. */
export function deployTarget(changes: Partial<AwsTarget> = {}): AwsTarget {
  return awsTarget({
    id: 'deploy-prod' as TargetId,
    audience: ROLE,
    roleArn: ROLE,
    sessionTags: {
      repository: [{ path: ['repository'] }],
      environment: ['production'],
      run: ['run-', { path: ['run_id'] }],
    },
    sourceIdentity: [{ path: ['actor'] }],
    ...changes,
  })
}

/** The same, assumed by the broker's own role. */
export function ownRoleTarget(changes: Partial<AwsTarget> = {}): AwsTarget {
  return deployTarget({ assume: 'role', externalId: 'tenant-7', ...changes })
}
