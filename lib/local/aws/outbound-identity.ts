import { randomUUID } from 'node:crypto'
import { AwsError, constraintViolation, type JsonObject } from './aws-error.ts'
import type { AccessRequest } from './iam.ts'
import { accountOf } from './iam-accounts.ts'
import { type Caller, objectsAt, textAt, textsAt } from './service.ts'
import { readSessionTags } from './sts-validation.ts'

/** Signs for the accounts that have switched outbound identity federation on. */
export interface OutboundIdentity {
  /** Signs as the account's issuer, which fills in `iss`; `undefined` for an account that has none. */
  sign(account: string, claims: JsonObject, algorithm: string): Promise<string> | undefined
}

/** Where and when it is asked for. */
export interface OutboundFacts {
  readonly region: string
  /** Epoch milliseconds. */
  readonly now: number
  /** The organisation of the caller's account, if it is in one. */
  readonly organization: string | undefined
}

interface IdentityRequest {
  readonly audiences: readonly string[]
  readonly algorithm: string
  readonly seconds: number
  readonly tags: Readonly<Record<string, string>>
}

const DEFAULT_SECONDS = '300'
const ALGORITHMS = ['RS256', 'ES384']
const MOST_AUDIENCES = 10
const MOST_AUDIENCE_CHARACTERS = 1000
/** AWS keeps its own limit to itself. */
const MOST_PAYLOAD_BYTES = 8 * 1024

/** What GetWebIdentityToken asks of the caller's policies. The input has not been checked yet. */
export function outboundAccess(input: JsonObject): readonly AccessRequest[] {
  const tags = objectsAt(input, 'Tags').map((tag) => [textAt(tag, 'Key') ?? '', textAt(tag, 'Value') ?? ''])
  const audiences = textsAt(input, 'Audience')
  const context = {
    ...Object.fromEntries(tags.map(([key, value]) => [`aws:RequestTag/${key}`, value])),
    'aws:TagKeys': tags.length > 0 ? tags.map(([key = '']) => key) : undefined,
    'sts:IdentityTokenAudience': audiences.length > 0 ? audiences : undefined,
    'sts:DurationSeconds': textAt(input, 'DurationSeconds') ?? DEFAULT_SECONDS,
    'sts:SigningAlgorithm': textAt(input, 'SigningAlgorithm'),
  }
  const actions = ['sts:GetWebIdentityToken', ...(tags.length > 0 ? ['sts:TagGetWebIdentityToken'] : [])]
  return actions.map((action) => ({ action, resource: '*', context }))
}

/** GetWebIdentityToken: a token in which the caller's account says who the caller is. Throws as STS would answer. */
export async function webIdentityToken(
  input: JsonObject,
  caller: Caller,
  facts: OutboundFacts,
  outbound: OutboundIdentity | undefined,
): Promise<JsonObject> {
  const request = readIdentityRequest(input)
  const { principal } = caller
  const expiresAt = facts.now + request.seconds * 1000
  if (principal.session !== undefined && expiresAt > principal.session.expiresAt)
    throw new AwsError(
      'SessionDurationEscalationException',
      'The requested token duration would extend the session beyond its original expiration time.',
      { status: 403 },
    )
  const claims = claimsOf(request, caller, facts)
  if (Buffer.byteLength(JSON.stringify(claims)) > MOST_PAYLOAD_BYTES)
    throw new AwsError(
      'JWTPayloadSizeExceededException',
      'The requested token payload size exceeds the maximum.',
    )
  const account = accountOf(caller.arn)
  const token = await outbound?.sign(account, claims, request.algorithm)
  if (token === undefined)
    throw new AwsError(
      'OutboundWebIdentityFederationDisabledException',
      `Outbound web identity federation is not enabled for account ${account}.`,
      { status: 403 },
    )
  return { WebIdentityToken: token, Expiration: new Date(expiresAt).toISOString() }
}

function readIdentityRequest(input: JsonObject): IdentityRequest {
  const audiences = textsAt(input, 'Audience')
  if (audiences.length === 0 || audiences.length > MOST_AUDIENCES)
    throw invalid('[…]', 'audience', `Member must have length from 1 to ${MOST_AUDIENCES}`)
  const long = audiences.find(({ length }) => length === 0 || length > MOST_AUDIENCE_CHARACTERS)
  if (long !== undefined)
    throw invalid(long, 'audience', `Member must have length from 1 to ${MOST_AUDIENCE_CHARACTERS}`)
  const algorithm = textAt(input, 'SigningAlgorithm') ?? 'null'
  if (!ALGORITHMS.includes(algorithm))
    throw invalid(
      algorithm,
      'signingAlgorithm',
      `Member must satisfy enum value set: [${ALGORITHMS.join(', ')}]`,
    )
  const duration = textAt(input, 'DurationSeconds') ?? DEFAULT_SECONDS
  const seconds = Number(duration)
  if (!Number.isInteger(seconds) || seconds < 60 || seconds > 3600)
    throw invalid(duration, 'durationSeconds', 'Member must have value from 60 to 3600')
  return { audiences, algorithm, seconds, tags: readSessionTags(input).tags }
}

function claimsOf(
  { audiences, seconds, tags }: IdentityRequest,
  { principal, arn }: Caller,
  { region, now, organization }: OutboundFacts,
): JsonObject {
  const issuedAt = Math.floor(now / 1000)
  const principalTags = principal.session?.tags ?? {}
  return {
    sub: principal.roleArn ?? arn,
    aud: audiences.length === 1 ? audiences[0] : audiences,
    iat: issuedAt,
    exp: issuedAt + seconds,
    jti: randomUUID(),
    'https://sts.amazonaws.com/': {
      aws_account: accountOf(arn),
      source_region: region,
      ...(organization !== undefined && { org_id: organization }),
      ...(Object.keys(principalTags).length > 0 && { principal_tags: principalTags }),
      ...(Object.keys(tags).length > 0 && { request_tags: tags }),
    },
  }
}

function invalid(value: string, member: string, constraint: string): AwsError {
  return new AwsError('ValidationError', constraintViolation(value, member, constraint))
}
