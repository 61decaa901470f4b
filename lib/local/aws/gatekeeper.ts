import { AwsError } from './aws-error.ts'
import type { Cloud } from './cloud.ts'
import type { OnDefect } from './defect.ts'
import type { AccessRequest } from './iam.ts'
import { PolicyDefect } from './iam-conditions.ts'
import {
  denialMessage,
  Permissions,
  type Principal,
  principalArn,
  type UnusedPermission,
} from './permissions.ts'
import type { AwsRequest } from './request.ts'
import type { AwsService, Caller } from './service.ts'
import type { Sts } from './sts.ts'

const UNKNOWN_KEY = 'The security token included in the request is invalid.'
const EXPIRED_KEY = 'The security token included in the request is expired'

/** Decides which calls get in: who calls, and whether that principal may. */
export class Gatekeeper {
  readonly #cloud: Cloud
  readonly #principals: Map<string, Principal>
  readonly #sts: Sts
  readonly #onDefect: OnDefect
  readonly #permissions: Permissions

  constructor(cloud: Cloud, principals: Map<string, Principal>, sts: Sts, onDefect: OnDefect) {
    this.#cloud = cloud
    this.#principals = principals
    this.#sts = sts
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
      if (decision.kind === 'denied') {
        this.#onDefect({ kind: 'permission', principal: principal.name, action, resource })
      }
      return decision
    } catch (error) {
      if (!(error instanceof PolicyDefect)) throw error
      this.#onDefect({ kind: 'policy', principal: principal.name, message: error.message })
      return undefined
    }
  }

  #identifySigner(service: AwsService, called: AwsRequest): Caller {
    const { accessKeyId } = called
    const principal = accessKeyId === undefined ? undefined : this.#principals.get(accessKeyId)
    if (principal !== undefined) return { principal, arn: principalArn(principal, this.#cloud.account) }
    const caller = this.#identifySession(service, called)
    if (caller !== undefined) return caller
    this.#onDefect({ kind: 'credential', accessKeyId, operation: `${called.service}:${called.operation}` })
    throw new AwsError(service.unknownCaller.type, UNKNOWN_KEY, { status: service.unknownCaller.status })
  }

  /** A session that this STS started is known too; it has the policies of its role, if any principal runs as that. */
  #identifySession(service: AwsService, { accessKeyId, sessionToken }: AwsRequest): Caller | undefined {
    const session = accessKeyId === undefined ? undefined : this.#sts.session(accessKeyId)
    if (session === undefined || session.sessionToken !== sessionToken) return undefined
    const { type, status } = service.unknownCaller
    if (session.expiresAt <= this.#cloud.clock()) {
      const expired = status === 403 ? 'ExpiredToken' : type.replace('UnrecognizedClient', 'ExpiredToken')
      throw new AwsError(expired, EXPIRED_KEY, { status })
    }
    const sameRole = [...this.#principals.values()].find(({ roleArn }) => roleArn === session.roleArn)
    const { roleArn, sessionName: name, arn } = session
    return { principal: { name, roleArn, policies: sameRole?.policies ?? [] }, arn }
  }

  #notOffered(called: AwsRequest, caller: Caller | undefined): AwsError {
    const operation = `${called.service}:${called.operation}`
    const reason = called.operation.startsWith('Transact')
      ? 'transactions are not part of the design: one conditional write is'
      : 'the local cloud does not offer it'
    this.#onDefect({ kind: 'operation', principal: caller?.principal.name, operation, reason })
    const type =
      called.service === 'sts' || called.service === 'cloudformation'
        ? 'InvalidAction'
        : 'com.amazon.coral.service#UnknownOperationException'
    return new AwsError(type, `${operation}: ${reason}`)
  }

  /** What every request carries. */
  #withGlobals(request: AccessRequest, caller: Caller | undefined): AccessRequest {
    const globals = {
      'aws:PrincipalArn': caller?.principal.roleArn ?? caller?.arn,
      'aws:PrincipalAccount': this.#cloud.account,
      'aws:RequestedRegion': this.#cloud.region,
      // Loopback stands in for the TLS that every SDK would use.
      'aws:SecureTransport': 'true',
    }
    return { ...request, context: { ...globals, ...request.context } }
  }
}
