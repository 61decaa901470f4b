import { randomUUID } from 'node:crypto'
import type { AwsError, JsonObject } from './aws-error.ts'
import type { Cloud } from './cloud.ts'
import type { TrailEvent } from './cloudtrail.ts'
import { accountOf, providerName } from './iam-accounts.ts'
import { type Caller, type ServiceCall, textAt } from './service.ts'
import type { StsSession } from './sts-session.ts'
import { audiencesOf } from './web-identity-claims.ts'

/** What is known of a call that wanted a session when it has ended. */
export interface SessionAttempt {
  readonly call: ServiceCall
  /** Of a web identity token that was verified. */
  readonly claims?: JsonObject | undefined
  readonly session?: StsSession | undefined
  readonly error?: AwsError | undefined
  /** What in the role's trust policy was in the way. Only this STS tells. */
  readonly obstacles?: readonly string[] | undefined
}

/** The event that CloudTrail keeps of it: who, what for, and what came of it. No token, no secret key. */
export function sessionEvent(attempt: SessionAttempt, cloud: Cloud): TrailEvent {
  const { call, session, error, obstacles } = attempt
  const roleArn = textAt(call.input, 'RoleArn') ?? ''
  return {
    eventVersion: '1.11',
    userIdentity: identityOf(attempt),
    eventTime: new Date(cloud.clock()).toISOString(),
    eventSource: 'sts.amazonaws.com',
    eventName: call.operation,
    awsRegion: cloud.region,
    requestParameters: parametersOf(attempt, roleArn),
    responseElements: session === undefined ? null : elementsOf(session, attempt),
    ...(error !== undefined && { errorCode: error.code, errorMessage: error.message }),
    ...(obstacles !== undefined && { additionalEventData: { trustPolicy: obstacles } }),
    requestID: call.requestId,
    eventID: randomUUID(),
    readOnly: true,
    resources: [{ accountId: accountOf(roleArn), type: 'AWS::IAM::Role', ARN: roleArn }],
    eventType: 'AwsApiCall',
    managementEvent: true,
    recipientAccountId: accountOf(roleArn) || cloud.account,
  }
}

/** The `userIdentity` of a caller with credentials. */
export function callerIdentity({ principal, arn }: Caller): JsonObject {
  const type = principal.roleArn === undefined ? 'IAMUser' : 'AssumedRole'
  return { type, arn, accountId: accountOf(arn), userName: principal.name }
}

function identityOf({ call, claims }: SessionAttempt): JsonObject {
  if (call.caller !== undefined) return callerIdentity(call.caller)
  if (claims === undefined) return { type: 'WebIdentityUser' }
  const account = accountOf(textAt(call.input, 'RoleArn') ?? '')
  const provider = `arn:aws:iam::${account}:oidc-provider/${providerName(textAt(claims, 'iss') ?? '')}`
  const subject = textAt(claims, 'sub')
  return {
    type: 'WebIdentityUser',
    principalId: `${provider}:${audiencesOf(claims)[0]}:${subject}`,
    userName: subject,
    identityProvider: provider,
  }
}

function parametersOf({ call: { input }, session }: SessionAttempt, roleArn: string): JsonObject {
  const seconds = textAt(input, 'DurationSeconds')
  return {
    roleArn,
    roleSessionName: textAt(input, 'RoleSessionName'),
    ...(seconds !== undefined && { durationSeconds: Number(seconds) }),
    ...(session?.policy !== undefined && { policy: session.policy }),
    ...(session !== undefined &&
      Object.keys(session.tags).length > 0 && {
        principalTags: session.tags,
        transitiveTagKeys: session.transitiveTagKeys,
      }),
    ...(session?.sourceIdentity !== undefined && { sourceIdentity: session.sourceIdentity }),
    ...(session?.externalId !== undefined && { externalId: session.externalId }),
  }
}

function elementsOf(session: StsSession, { claims }: SessionAttempt): JsonObject {
  const { accessKeyId, arn, expiresAt, sourceIdentity } = session
  return {
    credentials: { accessKeyId, expiration: new Date(expiresAt).toISOString() },
    assumedRoleUser: { arn },
    ...(sourceIdentity !== undefined && { sourceIdentity }),
    ...(claims !== undefined && {
      subjectFromWebIdentityToken: textAt(claims, 'sub'),
      provider: textAt(claims, 'iss'),
      audience: audiencesOf(claims)[0],
    }),
  }
}
