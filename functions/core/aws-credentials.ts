import type { AwsSession } from './aws-session.ts'
import type { Released } from './mint.ts'
import type { AwsCredentials } from './ports.ts'

/** What AWS SDKs and the AWS CLI read from a `credential_process`. */
export interface CredentialProcessDocument {
  readonly Version: 1
  readonly AccessKeyId: string
  readonly SecretAccessKey: string
  readonly SessionToken: string
  readonly Expiration: string
}

/** Says that the credentials end where the session policy ends them, so that SDKs get others before. */
export function credentialProcessDocument(
  { accessKeyId, secretAccessKey, sessionToken, expiresAt }: AwsCredentials,
  { deadline = expiresAt }: Pick<AwsSession, 'deadline'>,
): Released {
  const end = Math.min(expiresAt, deadline)
  const document: CredentialProcessDocument = {
    Version: 1,
    AccessKeyId: accessKeyId,
    SecretAccessKey: secretAccessKey,
    SessionToken: sessionToken,
    Expiration: new Date(end * 1000).toISOString().replace('.000Z', 'Z'),
  }
  return { text: JSON.stringify(document), tokenType: 'N_A', expiresAt: end }
}
