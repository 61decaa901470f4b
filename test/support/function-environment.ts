import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts'
import { LOCAL_OPERATOR } from '../../lib/local/cloud.ts'
import type { TestCloud } from './cloud.ts'

/** What Lambda gives a function of an account: its role's credentials. Who runs the cloud stands in for Lambda. */
export async function functionEnvironment(
  { cloud }: TestCloud,
  roleArn: string,
): Promise<Readonly<Record<string, string>>> {
  const aws = { endpoint: cloud.aws.url, region: 'eu-west-1' }
  const lambda = new STSClient({ ...aws, credentials: LOCAL_OPERATOR })
  const RoleSessionName = roleArn.replace(/.*\//, '')
  const { Credentials } = await lambda.send(new AssumeRoleCommand({ RoleArn: roleArn, RoleSessionName }))
  return {
    AWS_ENDPOINT_URL: aws.endpoint,
    AWS_REGION: aws.region,
    AWS_ACCESS_KEY_ID: Credentials?.AccessKeyId ?? '',
    AWS_SECRET_ACCESS_KEY: Credentials?.SecretAccessKey ?? '',
    AWS_SESSION_TOKEN: Credentials?.SessionToken ?? '',
  }
}
