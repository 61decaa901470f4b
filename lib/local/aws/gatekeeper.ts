import { verifySigV4 } from '../sigv4.ts'
import { AwsError } from './aws-error.ts'
import type { Cloud } from './cloud.ts'
import type { OnDefect } from './defect.ts'
import type { AccessRequest, PolicyDocument } from './iam.ts'
import type { IamAccounts } from './iam-accounts.ts'
import { PolicyDefect } from './iam-conditions.ts'
import {
  denialMessage,
  Permissions,
  type PermissionUse,
  type Principal,
  principalArn,
  type UnusedPermission,
} from './permissions.ts'
import type { AwsRequest } from './request.ts'
import type { AwsService, Caller } from './service.ts'
import type { Sts } from './sts.ts'
import type { StsSession } from './sts-session.ts'

const UNKNOWN_KEY = 'The security token included in the request is invalid.'
const WRONG_SIGNATURE =
  'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.'
const EXPIRED_KEY = 'The security token included in the request is expired'

interface Parts {
  readonly cloud: Cloud
  readonly principals: Map<string, Principal>
  readonly sts: Sts
  /** Whose roles sessions may be of, beside those that principals run as. */
  readonly accounts: IamAccounts | undefined
  readonly onDefect: OnDefect
}

/** Decides which calls get in: who calls, and whether that principal may. */
export class Gatekeeper {
  readonly #cloud: Cloud
  readonly #principals: Map<string, Principal>
  readonly #sts: Sts
  readonly #accounts: IamAccounts | undefined
  readonly #onDefect: OnDefect
  readonly #permissions: Permissions

  constructor({ cloud, principals, sts, accounts, onDefect }: Parts) {
    this.#cloud = cloud
    this.#principals = principals
    this.#sts = sts
    this.#accounts = accounts
    this.#onDefect = onDefect
    this.#permissions = new Permissions(principals)
  }

  /** Makes an access key known. Throws {@link PolicyDefect} for a policy that is not understood. */
  register(accessKeyId: string, principal: Principal): void {
    this.#permissions.compile(principal)
    this.#principals.set(accessKeyId, principal)
  }

  /** The name behind an access key, for reports. */
  nameOf(accessKeyId: string | undefined): string | undefined {
    if (accessKeyId === undefined) return undefined
    return this.#principals.get(accessKeyId)?.name ?? this.#sts.session(accessKeyId)?.sessionName
  }

  /** Who calls; `undefined` for an unsigned operation. Throws as AWS answers to an unknown or expired key. */
  identify(service: AwsService, called: AwsRequest): Caller | undefined {
    return service.unsigned.has(called.operation) ? undefined : this.#identifySigner(service, called)
  }

  /** What the call needs. Throws as AWS answers to an operation that it does not know. */
  needs(service: AwsService, called: AwsRequest, caller: Caller | undefined): readonly AccessRequest[] {
    const needed = service.access(called.operation, called.input)
    if (needed === undefined) throw this.#notOffered(called, caller)
    return needed
  }

  /** Throws as AWS answers if the caller lacks any of the permissions. */
  require(service: AwsService, caller: Caller | undefined, needed: readonly AccessRequest[]): void {
    if (caller === undefined) return
    for (const request of needed) this.#requireOne(service, caller, this.#withGlobals(request, caller))
  }

  /** Checks and records one permission. A refusal is reported. */
  authorise(principal: Principal, request: AccessRequest): boolean {
    const arn = principalArn(principal, this.#cloud.account)
    const decision = this.#decide(principal, this.#withGlobals(request, { principal, arn }))
    return decision?.kind === 'allowed'
  }

  permissions(): readonly PermissionUse[] {
    return this.#permissions.uses()
  }

  unusedPermissions(): readonly UnusedPermission[] {
    return this.#permissions.unused()
  }

  #requireOne(service: AwsService, caller: Caller, request: AccessRequest): void {
    const decision = this.#decide(caller.principal, request)
    if (decision?.kind === 'allowed') return
    const { type, status } = service.accessDenied
    const denied = decision ?? { kind: 'denied', reason: 'no_allow' }
    throw new AwsError(type, denialMessage(caller.arn, request, denied), { status })
  }

  /** `undefined` if the policies are not understood, which allows nothing. */
  #decide(principal: Principal, request: AccessRequest) {
    const { action, resource } = request
    try {
      const decision = this.#permissions.check(principal, request)
      // What another account does not allow to its own sessions is nobody's mistake here.
      if (decision.kind === 'denied' && principal.session === undefined) {
        this.#onDefect({ kind: 'permission', principal: principal.name, action, resource })
      }
      return decision
    } catch (error) {
      if (!(error instanceof PolicyDefect)) throw error
      if (principal.session === undefined)
        this.#onDefect({ kind: 'policy', principal: principal.name, message: error.message })
      return undefined
    }
  }

  #identifySigner(service: AwsService, called: AwsRequest): Caller {
    const { accessKeyId } = called
    const principal = accessKeyId === undefined ? undefined : this.#principals.get(accessKeyId)
    if (principal !== undefined)
      return { principal, accessKeyId, arn: principalArn(principal, this.#cloud.account) }
    const caller = this.#identifySession(service, called)
    if (caller !== undefined) return caller
    this.#onDefect({ kind: 'credential', accessKeyId, operation: `${called.service}:${called.operation}` })
    throw new AwsError(service.unknownCaller.type, UNKNOWN_KEY, { status: service.unknownCaller.status })
  }

  /** A session that this STS started is known too. */
  #identifySession(service: AwsService, called: AwsRequest): Caller | undefined {
    const { accessKeyId, sessionToken } = called
    const session = accessKeyId === undefined ? undefined : this.#sts.session(accessKeyId)
    if (session === undefined || session.sessionToken !== sessionToken) return undefined
    const { type, status } = service.unknownCaller
    if (session.expiresAt <= this.#cloud.clock()) {
      const expired = status === 403 ? 'ExpiredToken' : type.replace('UnrecognizedClient', 'ExpiredToken')
      throw new AwsError(expired, EXPIRED_KEY, { status })
    }
    if (!isSignedWith(session, called))
      throw new AwsError('SignatureDoesNotMatch', WRONG_SIGNATURE, { status: 403 })
    return { principal: this.#principalOf(session), accessKeyId, arn: session.arn }
  }

  /** It may do what its role may, as far as the session policy lets it: what a managed one would, nobody here knows. */
  #principalOf({ roleArn, sessionName: name, policy, policyArns, ...session }: StsSession): Principal {
    const sameRole = [...this.#principals.values()].find((principal) => principal.roleArn === roleArn)
    const policies = this.#accounts?.role(roleArn)?.policies ?? sameRole?.policies ?? []
    const sessionPolicies = policy === undefined ? [] : [JSON.parse(policy) as PolicyDocument]
    const { tags, sourceIdentity, startedAt, expiresAt } = session
    const isNarrowed = sessionPolicies.length + policyArns.length > 0
    return {
      name,
      roleArn,
      policies,
      ...(isNarrowed && { sessionPolicies }),
      session: { tags, sourceIdentity, startedAt, expiresAt },
    }
  }

  #notOffered(called: AwsRequest, caller: Caller | undefined): AwsError {
    const operation = `${called.service}:${called.operation}`
    const reason = called.operation.startsWith('Transact')
      ? 'transactions are not part of the design: one conditional write is'
      : 'the local cloud does not offer it'
    if (caller?.principal.session === undefined)
      this.#onDefect({ kind: 'operation', principal: caller?.principal.name, operation, reason })
    const type =
      called.service === 'sts' || called.service === 'cloudformation'
        ? 'InvalidAction'
        : 'com.amazon.coral.service#UnknownOperationException'
    return new AwsError(type, `${operation}: ${reason}`)
  }

  /** What every request carries. */
  #withGlobals(request: AccessRequest, caller: Caller | undefined): AccessRequest {
    const session = caller?.principal.session
    const tags = Object.entries(session?.tags ?? {}).map(([key, value]) => [`aws:PrincipalTag/${key}`, value])
    const globals = {
      ...Object.fromEntries(tags),
      'aws:SourceIdentity': session?.sourceIdentity,
      'aws:TokenIssueTime': session && new Date(session.startedAt).toISOString(),
      'aws:CurrentTime': new Date(this.#cloud.clock()).toISOString(),
      'aws:EpochTime': String(Math.floor(this.#cloud.clock() / 1000)),
      'aws:PrincipalArn': caller?.principal.roleArn ?? caller?.arn,
      'aws:PrincipalAccount': caller?.arn.split(':')[4] ?? this.#cloud.account,
      'aws:RequestedRegion': this.#cloud.region,
      // Loopback stands in for the TLS that every SDK would use.
      'aws:SecureTransport': 'true',
    }
    return { ...request, context: { ...globals, ...request.context } }
  }
}

/**
 * A session's secret key is made here, so that its signatures can be checked, which shows that a client was given the
 * whole of it. S3 signs in a way of its own, and is let through.
 */
function isSignedWith(
  { accessKeyId, secretAccessKey }: StsSession,
  { service, signed }: AwsRequest,
): boolean {
  if (service === 's3') return true
  const scope = { service, region: signed.region, now: 'any', secretOf: () => secretAccessKey } as const
  return verifySigV4(signed, scope) === accessKeyId
}
