import { randomBytes } from 'node:crypto'
import { AwsError, type JsonObject } from './aws-error.ts'
import type { Cloud } from './cloud.ts'
import type { CloudTrail } from './cloudtrail.ts'
import type { AccessRequest } from './iam.ts'
import { accountOf, type IamAccounts, providerName } from './iam-accounts.ts'
import { type OutboundIdentity, outboundAccess, webIdentityToken } from './outbound-identity.ts'
import { assumedRoleArn } from './permissions.ts'
import { type AwsService, type Caller, type ServiceCall, textAt } from './service.ts'
import { readEvent, type SessionAttempt, sessionEvent } from './sts-event.ts'
import {
  assumeRoleAccess,
  type SessionFacts,
  type StsSession,
  sessionActions,
  sessionContext,
} from './sts-session.ts'
import {
  packedPolicySize,
  type RoleRequest,
  readExternalId,
  readRoleRequest,
  readSessionTags,
  readSourceIdentity,
  readWebIdentityToken,
} from './sts-validation.ts'
import type { PresentedNames } from './trust-policy.ts'
import { audiencesOf, sourceIdentityOfClaims, tagsOfClaims } from './web-identity-claims.ts'

/** What the verification of a web identity token found. */
export type WebIdentityVerdict =
  /** The token is good, and the role trusts its issuer; these are its claims. */
  | { readonly kind: 'verified'; readonly claims: JsonObject }
  | {
      readonly kind: 'refused'
      readonly code:
        | 'InvalidIdentityToken'
        | 'ExpiredTokenException'
        | 'IDPCommunicationError'
        | 'IDPRejectedClaim'
        | 'AccessDenied'
      readonly message: string
    }

/** Stands in for IAM's OIDC provider. */
export type VerifyWebIdentity = (token: string, roleArn: string) => Promise<WebIdentityVerdict>

/** What STS is made with beside its cloud. */
export interface StsOptions {
  /** @default - refuses every token */
  readonly verifyWebIdentity?: VerifyWebIdentity | undefined
  /** Whose roles there are, and whom they trust. @default - roles are not looked at */
  readonly accounts?: IamAccounts | undefined
  /** Signs for callers of GetWebIdentityToken. @default - no account has an issuer */
  readonly outbound?: OutboundIdentity | undefined
  /** Told of every session, of every attempt to start one, and of who asks for its own name. */
  readonly trail: CloudTrail
}

interface NewSession extends SessionFacts {
  readonly by: StsSession['by']
  readonly startedBy: string
  readonly externalId: string | undefined
}

/** One way to ask for a role, as its trust policy sees it. */
interface Asking {
  readonly names: PresentedNames
  readonly context: JsonObject & Readonly<Record<string, string | readonly string[] | undefined>>
  /** What AWS answers to somebody whom the role does not trust. */
  readonly denial: (action: string) => string
}

/** What an attempt to start a session has come to, filled while it goes on: the trail is told of failures too. */
interface Progress {
  claims?: JsonObject
  session?: StsSession
  obstacles?: readonly string[]
}

const ROLE_CHAINING_SECONDS = 3600
const KEPT_MILLISECONDS = 3_600_000
/** Of the errors about a web identity token these two have another status than 400. */
const FORBIDDEN = new Set(['AccessDenied', 'IDPRejectedClaim'])

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
  readonly #options: StsOptions
  readonly #sessions = new Map<string, StsSession>()

  constructor(cloud: Cloud, options: StsOptions) {
    this.#cloud = cloud
    this.#options = options
  }

  /** Every session that was started and is not long over, oldest first. */
  get sessions(): readonly StsSession[] {
    return [...this.#sessions.values()]
  }

  /** The session to which an access key was given. */
  session(accessKeyId: string): StsSession | undefined {
    return this.#sessions.get(accessKeyId)
  }

  access(operation: string, input: JsonObject): readonly AccessRequest[] | undefined {
    if (operation === 'AssumeRole') return assumeRoleAccess(input)
    if (operation === 'GetWebIdentityToken') return outboundAccess(input)
    // AWS asks no permission for either: the one needs no credentials, the other cannot be denied.
    return operation === 'GetCallerIdentity' || this.unsigned.has(operation) ? [] : undefined
  }

  async call(call: ServiceCall): Promise<JsonObject> {
    const { operation, input, caller } = call
    if (operation === 'AssumeRoleWithWebIdentity')
      return this.#recorded(call, (progress) => this.#assumeRoleWithWebIdentity(input, progress))
    if (caller === undefined)
      throw new AwsError('MissingAuthenticationToken', 'Missing Authentication Token', { status: 403 })
    if (operation === 'GetCallerIdentity') return this.#callerIdentity(call, caller)
    if (operation === 'GetWebIdentityToken') return this.#webIdentityToken(input, caller)
    return this.#recorded(call, async (progress) => this.#assumeRole(input, caller, progress))
  }

  async #recorded(
    call: ServiceCall,
    attempt: (progress: Progress) => Promise<JsonObject>,
  ): Promise<JsonObject> {
    const progress: Progress = {}
    const record = (more: Partial<SessionAttempt>) =>
      this.#options.trail.add(sessionEvent({ call, ...progress, ...more }, this.#cloud))
    try {
      const output = await attempt(progress)
      record({})
      return output
    } catch (error) {
      if (error instanceof AwsError) record({ error })
      throw error
    }
  }

  #assumeRole(input: JsonObject, caller: Caller, progress: Progress): JsonObject {
    const request = readRoleRequest(input)
    const asked: NewSession = {
      by: 'AssumeRole',
      startedBy: caller.principal.name,
      sessionName: request.sessionName,
      sessionTags: readSessionTags(input),
      sourceIdentity: readSourceIdentity(textAt(input, 'SourceIdentity')),
      externalId: readExternalId(textAt(input, 'ExternalId')),
    }
    if (caller.principal.roleArn !== undefined && request.durationSeconds > ROLE_CHAINING_SECONDS) {
      throw new AwsError(
        'ValidationError',
        'The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.',
      )
    }
    this.#requireTrust(request, asked, askingCaller(caller, request.roleArn), progress)
    return this.#start(request, asked, progress)
  }

  async #assumeRoleWithWebIdentity(input: JsonObject, progress: Progress): Promise<JsonObject> {
    const request = readRoleRequest(input)
    const { verifyWebIdentity = refuseEveryToken } = this.#options
    const verdict = await verifyWebIdentity(readWebIdentityToken(input), request.roleArn)
    if (verdict.kind === 'refused') {
      const { code, message } = verdict
      throw new AwsError(code, message, { status: FORBIDDEN.has(code) ? 403 : 400 })
    }
    const { claims } = verdict
    progress.claims = claims
    const subject = String(claims['sub'])
    const asked: NewSession = {
      by: 'AssumeRoleWithWebIdentity',
      startedBy: subject,
      sessionName: request.sessionName,
      sessionTags: tagsOfClaims(claims),
      sourceIdentity: readSourceIdentity(sourceIdentityOfClaims(claims)),
      externalId: undefined,
    }
    this.#requireTrust(request, asked, askingWebIdentity(claims, request.roleArn), progress)
    return {
      ...this.#start(request, asked, progress),
      SubjectFromWebIdentityToken: subject,
      Provider: textAt(claims, 'iss'),
      Audience: audiencesOf(claims)[0],
    }
  }

  /** Throws as AWS answers if the role is not there, does not trust who asks, or gives no session that long. */
  #requireTrust(
    { roleArn, durationSeconds }: RoleRequest,
    asked: NewSession,
    { names, context, denial }: Asking,
    progress: Progress,
  ): void {
    const { accounts } = this.#options
    if (accounts === undefined) return
    const role = accounts.role(roleArn)
    for (const action of sessionActions(`sts:${asked.by}`, asked)) {
      const request = { action, names, context: { ...context, ...sessionContext(asked) } }
      if (role?.trust.allows(request) === true) continue
      progress.obstacles = role?.trust.obstacles(request) ?? [`there is no role ${roleArn}`]
      throw new AwsError('AccessDenied', denial(action), { status: 403 })
    }
    if (role !== undefined && durationSeconds > role.maxSessionSeconds)
      throw new AwsError(
        'ValidationError',
        'The requested DurationSeconds exceeds the MaxSessionDuration set for this role.',
      )
  }

  #callerIdentity(call: ServiceCall, caller: Caller): JsonObject {
    const { principal, arn } = caller
    this.#options.trail.add(readEvent(call, caller, this.#cloud))
    const id =
      principal.roleArn === undefined
        ? userIdOf('AIDA', principal.name)
        : roleUserId(principal.roleArn, principal.name)
    return { Arn: arn, UserId: id, Account: accountOf(arn) }
  }

  #webIdentityToken(input: JsonObject, caller: Caller): Promise<JsonObject> {
    const { accounts, outbound } = this.#options
    const organization = accounts?.organization(accountOf(caller.arn))
    const facts = { region: this.#cloud.region, now: this.#cloud.clock(), organization }
    return webIdentityToken(input, caller, facts, outbound)
  }

  /** What is long over, so that a cloud that runs for days does not grow: its key is then unknown, and no longer expired. */
  #forget(): void {
    const over = this.#cloud.clock() - KEPT_MILLISECONDS
    for (const [accessKeyId, { expiresAt }] of this.#sessions) {
      if (expiresAt > over) return
      this.#sessions.delete(accessKeyId)
    }
  }

  #start(request: RoleRequest, details: NewSession, progress: Progress): JsonObject {
    const { roleArn, sessionName, policy, policyArns } = request
    const { sessionTags, ...rest } = details
    const packed = packedPolicySize(policy, sessionTags)
    const startedAt = this.#cloud.clock()
    const session: StsSession = {
      ...rest,
      accessKeyId: `ASIA${base32(16)}`,
      secretAccessKey: randomBytes(30).toString('base64'),
      sessionToken: randomBytes(48).toString('base64'),
      roleArn,
      sessionName,
      arn: assumedRoleArn(roleArn, sessionName),
      tags: sessionTags.tags,
      transitiveTagKeys: sessionTags.transitive,
      policy,
      policyArns,
      startedAt,
      expiresAt: startedAt + request.durationSeconds * 1000,
    }
    this.#forget()
    this.#sessions.set(session.accessKeyId, session)
    progress.session = session
    return {
      Credentials: {
        AccessKeyId: session.accessKeyId,
        SecretAccessKey: session.secretAccessKey,
        SessionToken: session.sessionToken,
        Expiration: new Date(session.expiresAt).toISOString(),
      },
      AssumedRoleUser: { AssumedRoleId: roleUserId(roleArn, sessionName), Arn: session.arn },
      PackedPolicySize: packed,
      SourceIdentity: session.sourceIdentity,
    }
  }
}

/** A principal asks for a role: by its own ARN, its session's, or as one of its account. */
function askingCaller({ principal, arn }: Caller, roleArn: string): Asking {
  const account = accountOf(arn)
  const own = principal.roleArn === undefined ? [arn] : [principal.roleArn, arn]
  return {
    names: {
      AWS: [...own, `arn:aws:iam::${account}:root`],
      // Whoever runs the cloud stands in for AWS's services, which give roles to functions and machines.
      ...(principal.policies === undefined && { Service: ['*'] }),
    },
    context: { 'aws:PrincipalArn': principal.roleArn ?? arn, 'aws:PrincipalAccount': account },
    denial: (action) => `User: ${arn} is not authorized to perform: ${action} on resource: ${roleArn}`,
  }
}

function askingWebIdentity(claims: JsonObject, roleArn: string): Asking {
  const name = providerName(textAt(claims, 'iss') ?? '')
  const provider = `arn:aws:iam::${accountOf(roleArn)}:oidc-provider/${name}`
  return {
    names: { Federated: [provider] },
    context: {
      [`${name}:aud`]: audiencesOf(claims),
      [`${name}:sub`]: textAt(claims, 'sub'),
      'aws:FederatedProvider': provider,
    },
    denial: (action) => `Not authorized to perform ${action}`,
  }
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
