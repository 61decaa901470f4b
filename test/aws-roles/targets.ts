import type { AwsTarget } from '../../functions/core/policy/compiled.ts'

export const ISSUER = 'https://tokens.example.com'
export const ROLE = 'arn:aws:iam::222222222222:role/team/deploy'
export const BROKER_ROLE = 'arn:aws:iam::111111111111:role/broker-AwsCredentialsRole'

/** A target with all that a role can be asked to demand. */
export function deployTarget(changes: Partial<AwsTarget> = {}): AwsTarget {
  return {
    id: 'deploy-prod',
    audience: ROLE,
    resources: [],
    scopes: [],
    format: 'aws-credentials',
    roleArn: ROLE,
    assume: 'web-identity',
    durationSeconds: 900,
    sessionTags: {
      repository: [{ path: ['repository'] }],
      environment: ['production'],
      run: ['run-', { path: ['run_id'] }],
    },
    transitiveTags: ['repository'],
    sourceIdentity: [{ path: ['actor'] }],
    outlive: 'refuse',
    ...changes,
  } as AwsTarget
}

/** The same, assumed by the broker's own role. */
export function ownRoleTarget(changes: Partial<AwsTarget> = {}): AwsTarget {
  return deployTarget({ assume: 'role', externalId: 'tenant-7', ...changes })
}
