import {
  AssumeRoleCommand,
  AssumeRoleWithWebIdentityCommand,
  type Credentials,
  type STSClient,
} from '@aws-sdk/client-sts'
import type { AwsSession } from '../core/aws-session.ts'
import { DependencyUnavailable, SessionRejected } from '../core/fault.ts'
import type { AwsCredentials, CredentialIssuer, CredentialOutcome } from '../core/ports.ts'
import { answerOf } from './aws-client.ts'

/** The role's trust policy, or what it says of our claims. */
const DENIALS = new Set(['AccessDenied', 'IDPRejectedClaim'])
/** Client errors by status, that pass: STS could not reach our keys, or has had enough of us. */
const PASSING = new Set([
  'IDPCommunicationError',
  'RequestLimitExceeded',
  'RequestThrottled',
  'Throttled',
  'Throttling',
  'TooManyRequests',
])

/** Two attempts of {@link STS_CLIENT}, and the pause between them. */
const MAX_CALL_MS = 3900

/** STS may have to fetch our keys before it answers: an attempt has more time than another call's. */
export const STS_CLIENT = {
  maxAttempts: 2,
  requestHandler: {
    connectionTimeout: 500,
    requestTimeout: 1800,
    throwOnRequestTimeout: true,
    socketTimeout: 1800,
  },
} as const

/** Starts sessions with STS, at the endpoint of the client's region. */
export class StsCredentialIssuer implements CredentialIssuer {
  private readonly client: STSClient

  constructor(client: STSClient) {
    this.client = client
  }

  withWebIdentity(session: AwsSession, token: string): Promise<CredentialOutcome> {
    const command = new AssumeRoleWithWebIdentityCommand({ ...common(session), WebIdentityToken: token })
    return outcomeOf(session, this.client.send(command))
  }

  withOwnRole(session: AwsSession): Promise<CredentialOutcome> {
    const command = new AssumeRoleCommand({
      ...common(session),
      ExternalId: session.externalId,
      SourceIdentity: session.sourceIdentity,
      Tags: unlessEmpty(Object.entries(session.tags).map(([Key, Value]) => ({ Key, Value }))),
      TransitiveTagKeys: unlessEmpty([...session.transitiveTags]),
    })
    return outcomeOf(session, this.client.send(command))
  }
}

/** An empty list is sent as a parameter without a value: whether that asks for the right to tag, AWS does not say. */
function unlessEmpty<Item>(list: Item[]): Item[] | undefined {
  return list.length > 0 ? list : undefined
}

function common({ roleArn, sessionName, durationSeconds, policy }: AwsSession) {
  return {
    RoleArn: roleArn,
    RoleSessionName: sessionName,
    DurationSeconds: durationSeconds,
    Policy: policy,
  }
}

async function outcomeOf(
  { roleArn }: AwsSession,
  call: Promise<{ readonly Credentials?: Credentials | undefined }>,
): Promise<CredentialOutcome> {
  try {
    const { Credentials: credentials } = await answerOf('sts', call, MAX_CALL_MS)
    return { kind: 'issued', credentials: whole(credentials) }
  } catch (fault) {
    const error = fault instanceof DependencyUnavailable ? clientErrorOf(fault.cause) : undefined
    if (error === undefined || PASSING.has(error)) throw fault
    if (DENIALS.has(error)) return { kind: 'denied', code: error }
    throw new SessionRejected(`STS gives no session of ${roleArn}: ${error}`, { cause: fault })
  }
}

/** The code of an answer that finds fault with the request, without the ending that only some have. */
function clientErrorOf(cause: unknown): string | undefined {
  if (!(cause instanceof Error)) return undefined
  const { $metadata: metadata } = cause as { $metadata?: { httpStatusCode?: number } }
  const status = metadata?.httpStatusCode ?? 0
  return status >= 400 && status < 429 ? cause.name.replace(/Exception$/, '') : undefined
}

/** A part of credentials is none: whoever got it could not tell what is missing. */
function whole(credentials: Credentials | undefined): AwsCredentials {
  const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = credentials ?? {}
  const expiresAt = Math.floor((Expiration?.getTime() ?? Number.NaN) / 1000)
  if (!AccessKeyId || !SecretAccessKey || !SessionToken || !Number.isSafeInteger(expiresAt))
    throw new DependencyUnavailable('sts', 'sts: incomplete credentials')
  return { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken, expiresAt }
}
