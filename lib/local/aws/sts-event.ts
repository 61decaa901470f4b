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
  const accountId = accountOf(roleArn)
  return {
    ...eventOf(call, cloud),
    userIdentity: identityOf(attempt),
    requestParameters: parametersOf(attempt, roleArn),
    responseElements: session === undefined ? null : elementsOf(session, attempt),
    ...(error !== undefined && { errorCode: error.code, errorMessage: error.message }),
    ...(obstacles !== undefined && { additionalEventData: { trustPolicy: obstacles } }),
    resources: [{ accountId, type: 'AWS::IAM::Role', ARN: roleArn }],
    recipientAccountId: accountId || cloud.account,
  }
}

/** The event of a call that was made with credentials and changed nothing. */
export function readEvent(call: ServiceCall, caller: Caller, cloud: Cloud): TrailEvent {
  return {
    ...eventOf(call, cloud),
    userIdentity: callerIdentity(caller),
    requestParameters: null,
    responseElements: null,
    recipientAccountId: accountOf(caller.arn),
  }
}

function eventOf({ operation, requestId }: ServiceCall, cloud: Cloud): TrailEvent {
  return {
    eventVersion: '1.11',
    eventTime: new Date(cloud.clock()).toISOString(),
    eventSource: 'sts.amazonaws.com',
    eventName: operation,
    awsRegion: cloud.region,
    requestID: requestId,
    eventID: randomUUID(),
    readOnly: true,
    eventType: 'AwsApiCall',
    managementEvent: true,
  }
}

/** Of a session by the role and the session's name: what its tags are, only the event says that has started it. */
function callerIdentity({ principal, accessKeyId, arn }: Caller): JsonObject {
  const { name, roleArn, session } = principal
  const known = { arn, accountId: accountOf(arn), accessKeyId }
  if (roleArn === undefined) return { type: 'IAMUser', ...known, userName: name }
  const sessionIssuer = { type: 'Role', arn: roleArn, accountId: accountOf(roleArn) }
  const { sourceIdentity } = session ?? {}
  const sessionContext = { sessionIssuer, ...(sourceIdentity !== undefined && { sourceIdentity }) }
  return { type: 'AssumedRole', ...known, sessionContext }
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
