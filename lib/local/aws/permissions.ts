import {
  type AccessRequest,
  type CompiledPolicies,
  compilePolicies,
  type Decision,
  decide,
  type Permission,
  type PolicyDocument,
  permissionsOf,
} from './iam.ts'

/** Whom an access key belongs to. */
export interface Principal {
  /** For example the function's name: the session name in ARNs, and how reports call it. */
  readonly name: string
  /** The role it runs as. Without one it is an IAM user. */
  readonly roleArn?: string | undefined
  /** The role's identity policies. `undefined` marks the local operator, who may do everything. */
  readonly policies?: readonly PolicyDocument[] | undefined
  /** Only what one of them allows too is left of the others. @default - nothing is narrowed */
  readonly sessionPolicies?: readonly PolicyDocument[]
  /** Of a session that STS has started: what conditions ask of it. @default - none */
  readonly session?: {
    readonly tags: Readonly<Record<string, string>>
    readonly sourceIdentity: string | undefined
    /** Epoch milliseconds. */
    readonly startedAt: number
    readonly expiresAt: number
  }
  /**
   * What the API checks signatures with. The AWS endpoint asks for none: loopback is trusted there.
   * @default - its signatures are not accepted by the API
   */
  readonly secretAccessKey?: string | undefined
}

/** A permission that a principal's policies give and that no call has needed. */
export interface UnusedPermission extends Permission {
  readonly principal: string
}

/** A permission that a principal's policies give, and whether a call has needed it. */
export interface PermissionUse extends UnusedPermission {
  readonly used: boolean
}

const ALLOWED: Decision = { kind: 'allowed', by: [] }

/** Decides calls by the principals' policies, and remembers which permissions were needed. */
export class Permissions {
  readonly #principals: ReadonlyMap<string, Principal>
  readonly #compiled = new WeakMap<Principal, CompiledPolicies>()
  readonly #used = new Map<string, Set<string>>()

  constructor(principals: ReadonlyMap<string, Principal>) {
    this.#principals = principals
  }

  /** Whether the principal may. Throws {@link PolicyDefect} if its policies hold something that is not understood. */
  check(principal: Principal, request: AccessRequest): Decision {
    if (principal.policies === undefined) return ALLOWED
    const decision = decide(this.compile(principal), request)
    if (decision.kind === 'denied') return decision
    const { sessionPolicies } = principal
    const narrowed =
      sessionPolicies === undefined ? ALLOWED : decide(compilePolicies(sessionPolicies), request)
    if (narrowed.kind === 'denied') return narrowed
    this.#remember(principal, decision.by)
    return decision
  }

  /** The principal's policies, compiled once. */
  compile(principal: Principal): CompiledPolicies {
    const known = this.#compiled.get(principal)
    if (known !== undefined) return known
    const compiled = compilePolicies(principal.policies ?? [])
    this.#compiled.set(principal, compiled)
    return compiled
  }

  /** Per principal, the pairs of its Allow statements. */
  uses(): readonly PermissionUse[] {
    const byName = new Map([...this.#principals.values()].map((principal) => [principal.name, principal]))
    return [...byName.values()].flatMap((principal) => {
      const used = this.#used.get(principal.name)
      const granted = principal.policies === undefined ? [] : permissionsOf(this.compile(principal))
      return granted.map((permission) => ({
        principal: principal.name,
        ...permission,
        used: used?.has(pairKey(permission)) === true,
      }))
    })
  }

  /** The pairs that no allowed call has needed. */
  unused(): readonly UnusedPermission[] {
    return this.uses().flatMap(({ used, ...permission }) => (used ? [] : [permission]))
  }

  #remember(principal: Principal, permissions: readonly Permission[]): void {
    const used = this.#used.get(principal.name) ?? new Set()
    this.#used.set(principal.name, used)
    for (const permission of permissions) used.add(pairKey(permission))
  }
}

/** The ARN by which AWS names the principal in errors and in GetCallerIdentity. */
export function principalArn(principal: Principal, account: string): string {
  if (principal.roleArn === undefined) return `arn:aws:iam::${account}:user/${principal.name}`
  return assumedRoleArn(principal.roleArn, principal.name)
}

/** The ARN of a session of a role. The role's path is left out, as AWS does. */
export function assumedRoleArn(roleArn: string, sessionName: string): string {
  const account = roleArn.split(':')[4]
  const roleName = roleArn.slice(roleArn.lastIndexOf('/') + 1)
  return `arn:aws:sts::${account}:assumed-role/${roleName}/${sessionName}`
}

/** AWS's sentence for a refused call. */
export function denialMessage(arn: string, request: AccessRequest, decision: Decision): string {
  const { action, resource } = request
  const because =
    decision.kind === 'denied' && decision.reason === 'explicit_deny'
      ? 'with an explicit deny in an identity-based policy'
      : `because no identity-based policy allows the ${action} action`
  return `User: ${arn} is not authorized to perform: ${action} on resource: ${resource} ${because}`
}

function pairKey({ action, resource }: Permission): string {
  return JSON.stringify([action, resource])
}
