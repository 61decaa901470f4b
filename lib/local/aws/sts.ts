import { randomBytes } from 'node:crypto'
import { AwsError, type JsonObject } from './aws-error.ts'
import type { Cloud } from './cloud.ts'
import type { AccessRequest } from './iam.ts'
import { assumedRoleArn } from './permissions.ts'
import {
  type AwsService,
  asObject,
  type Caller,
  objectsAt,
  type ServiceCall,
  textAt,
  textsAt,
} from './service.ts'
import {
  checkSessionTags,
  packedPolicySize,
  type RoleRequest,
  readExternalId,
  readRoleRequest,
  readSessionTags,
  readSourceIdentity,
  readWebIdentityToken,
  type SessionTags,
} from './sts-validation.ts'

/** A session that this STS has started. */
export interface StsSession {
  readonly accessKeyId: string
  readonly sessionToken: string
  readonly roleArn: string
  readonly sessionName: string
  readonly arn: string
  readonly tags: Readonly<Record<string, string>>
  readonly transitiveTagKeys: readonly string[]
  readonly sourceIdentity: string | undefined
  /** The session policy as it was sent. */
  readonly policy: string | undefined
  readonly policyArns: readonly string[]
  readonly externalId: string | undefined
  readonly by: 'AssumeRole' | 'AssumeRoleWithWebIdentity'
  /** The caller's name, or the subject of the web identity. */
  readonly startedBy: string
  /** Epoch milliseconds. */
  readonly expiresAt: number
}

/** What the verification of a web identity token found. */
export type WebIdentityVerdict =
  /** The token is good, and the role trusts its issuer; these are its claims. */
  | { readonly kind: 'verified'; readonly claims: JsonObject }
  | {
      readonly kind: 'refused'
      readonly code: 'InvalidIdentityToken' | 'ExpiredTokenException' | 'IDPRejectedClaim' | 'AccessDenied'
      readonly message: string
    }

/** Stands in for IAM's OIDC provider and the role's trust policy. */
export type VerifyWebIdentity = (token: string, roleArn: string) => Promise<WebIdentityVerdict>

interface NewSession {
  readonly by: StsSession['by']
  readonly startedBy: string
  readonly sessionTags: SessionTags
  readonly sourceIdentity: string | undefined
  readonly externalId: string | undefined
}

const ROLE_CHAINING_SECONDS = 3600
const TAGS_CLAIM = 'https://aws.amazon.com/tags'
const SOURCE_IDENTITY_CLAIM = 'https://aws.amazon.com/source_identity'

const refuseEveryToken: VerifyWebIdentity = async () => ({
  kind: 'refused',
  code: 'InvalidIdentityToken',
  message: 'No OpenIDConnect provider found in your account',
})

/** STS, as strict as AWS about names, durations, policies and tags. */
export class Sts implements AwsService {
  readonly unsigned = new Set(['AssumeRoleWithWebIdentity'])
  readonly accessDenied = { type: 'AccessDenied', status: 403 }
  readonly unknownCaller = { type: 'InvalidClientTokenId', status: 403 }
  readonly #cloud: Cloud
  readonly #verifyWebIdentity: VerifyWebIdentity
  readonly #sessions = new Map<string, StsSession>()

  constructor(cloud: Cloud, verifyWebIdentity: VerifyWebIdentity = refuseEveryToken) {
    this.#cloud = cloud
    this.#verifyWebIdentity = verifyWebIdentity
  }

  /** Every session that was started, oldest first. */
  get sessions(): readonly StsSession[] {
    return [...this.#sessions.values()]
  }

  /** The session to which an access key was given. */
  session(accessKeyId: string): StsSession | undefined {
    return this.#sessions.get(accessKeyId)
  }

  access(operation: string, input: JsonObject): readonly AccessRequest[] | undefined {
    if (operation === 'AssumeRole') return assumeRoleAccess(input)
    // AWS asks no permission for either: the one needs no credentials, the other cannot be denied.
    return operation === 'GetCallerIdentity' || this.unsigned.has(operation) ? [] : undefined
  }

  async call({ operation, input, caller }: ServiceCall): Promise<JsonObject> {
    if (operation === 'AssumeRoleWithWebIdentity') return this.#assumeRoleWithWebIdentity(input)
    if (caller === undefined)
      throw new AwsError('MissingAuthenticationToken', 'Missing Authentication Token', { status: 403 })
    return operation === 'AssumeRole' ? this.#assumeRole(input, caller) : this.#callerIdentity(caller)
  }

  #assumeRole(input: JsonObject, caller: Caller): JsonObject {
    const request = readRoleRequest(input)
    const sourceIdentity = readSourceIdentity(textAt(input, 'SourceIdentity'))
    const externalId = readExternalId(textAt(input, 'ExternalId'))
    const sessionTags = readSessionTags(input)
    if (caller.principal.roleArn !== undefined && request.durationSeconds > ROLE_CHAINING_SECONDS) {
      throw new AwsError(
        'ValidationError',
        'The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.',
      )
    }
    const startedBy = caller.principal.name
    return this.#start(request, { by: 'AssumeRole', startedBy, sessionTags, sourceIdentity, externalId })
  }

  async #assumeRoleWithWebIdentity(input: JsonObject): Promise<JsonObject> {
    const request = readRoleRequest(input)
    const verdict = await this.#verifyWebIdentity(readWebIdentityToken(input), request.roleArn)
    if (verdict.kind === 'refused') {
      throw new AwsError(verdict.code, verdict.message, {
        status:
          verdict.code === 'InvalidIdentityToken' || verdict.code === 'ExpiredTokenException' ? 400 : 403,
      })
    }
    const { claims } = verdict
    const subject = String(claims['sub'])
    const output = this.#start(request, {
      by: 'AssumeRoleWithWebIdentity',
      startedBy: subject,
      sessionTags: tagsOfClaims(claims),
      sourceIdentity: readSourceIdentity(textAt(claims, SOURCE_IDENTITY_CLAIM)),
      externalId: undefined,
    })
    const audience = textAt(claims, 'aud') ?? textsAt(claims, 'aud')[0]
    return {
      ...output,
      SubjectFromWebIdentityToken: subject,
      Provider: textAt(claims, 'iss'),
      Audience: audience,
    }
  }

  #callerIdentity({ principal, arn }: Caller): JsonObject {
    const id =
      principal.roleArn === undefined
        ? userIdOf('AIDA', principal.name)
        : roleUserId(principal.roleArn, principal.name)
    return { Arn: arn, UserId: id, Account: arn.split(':')[4] }
  }

  #start(request: RoleRequest, details: NewSession): JsonObject {
    const { roleArn, sessionName, policy, policyArns } = request
    const { sessionTags, ...rest } = details
    const packed = packedPolicySize(policy, sessionTags)
    const session: StsSession = {
      ...rest,
      accessKeyId: `ASIA${base32(16)}`,
      sessionToken: randomBytes(48).toString('base64'),
      roleArn,
      sessionName,
      arn: assumedRoleArn(roleArn, sessionName),
      tags: sessionTags.tags,
      transitiveTagKeys: sessionTags.transitive,
      policy,
      policyArns,
      expiresAt: this.#cloud.clock() + request.durationSeconds * 1000,
    }
    this.#sessions.set(session.accessKeyId, session)
    return {
      Credentials: {
        AccessKeyId: session.accessKeyId,
        SecretAccessKey: randomBytes(30).toString('base64'),
        SessionToken: session.sessionToken,
        Expiration: new Date(session.expiresAt).toISOString(),
      },
      AssumedRoleUser: { AssumedRoleId: roleUserId(roleArn, sessionName), Arn: session.arn },
      PackedPolicySize: packed,
      SourceIdentity: session.sourceIdentity,
    }
  }
}

/** AssumeRole, and where the request asks for them, the right to tag and to set the source identity. */
function assumeRoleAccess(input: JsonObject): readonly AccessRequest[] {
  const resource = textAt(input, 'RoleArn') ?? ''
  const tags = objectsAt(input, 'Tags')
  const sourceIdentity = textAt(input, 'SourceIdentity')
  const requestTags = tags.map((tag) => [`aws:RequestTag/${textAt(tag, 'Key')}`, textAt(tag, 'Value')])
  const transitive = textsAt(input, 'TransitiveTagKeys')
  const context = {
    ...Object.fromEntries(requestTags),
    'aws:TagKeys': tags.length > 0 ? tags.map((tag) => textAt(tag, 'Key') ?? '') : undefined,
    'sts:TransitiveTagKeys': transitive.length > 0 ? transitive : undefined,
    'sts:RoleSessionName': textAt(input, 'RoleSessionName'),
    'sts:SourceIdentity': sourceIdentity,
    'sts:ExternalId': textAt(input, 'ExternalId'),
  }
  return [
    'sts:AssumeRole',
    ...(tags.length > 0 ? ['sts:TagSession'] : []),
    ...(sourceIdentity === undefined ? [] : ['sts:SetSourceIdentity']),
  ].map((action) => ({ action, resource, context }))
}

/** The session tags that a web identity token carries for AWS: each value is an array of one. */
function tagsOfClaims(claims: JsonObject): SessionTags {
  const claim = asObject(claims[TAGS_CLAIM])
  const tags = Object.entries(asObject(claim['principal_tags'])).map(
    ([key, values]) => [key, Array.isArray(values) ? String(values[0]) : String(values)] as const,
  )
  return checkSessionTags(tags, textsAt(claim, 'transitive_tag_keys'))
}

function roleUserId(roleArn: string, sessionName: string): string {
  return `${userIdOf('AROA', roleArn)}:${sessionName}`
}

/** A unique id as IAM makes them, here always the same for the same name. */
function userIdOf(prefix: string, name: string): string {
  const letters = Buffer.from(name).toString('hex').toUpperCase().padEnd(17, '0')
  return `${prefix}${letters.slice(-17)}`
}

function base32(length: number): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
  return [...randomBytes(length)].map((byte) => alphabet[byte & 31]).join('')
}
