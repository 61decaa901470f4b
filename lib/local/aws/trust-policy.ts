import { compilePolicies, decide, type PolicyStatement } from './iam.ts'
import { PolicyDefect, type RequestContext } from './iam-conditions.ts'

type OneOrMore = string | readonly string[]

/** Who may assume a role: statements with a `Principal` and without a `Resource`. */
export interface TrustPolicy {
  readonly Version?: string
  readonly Id?: string
  readonly Statement: TrustStatement | readonly TrustStatement[]
}

export interface TrustStatement extends Omit<PolicyStatement, 'Resource' | 'NotResource'> {
  readonly Principal: '*' | Readonly<Record<string, OneOrMore>>
}

/** Every name by which a policy may mean the one who asks, by the key of `Principal`. `*` stands for all of a key. */
export type PresentedNames = Readonly<Partial<Record<'AWS' | 'Federated' | 'Service', readonly string[]>>>

export interface TrustRequest {
  /** For example `sts:AssumeRoleWithWebIdentity`. */
  readonly action: string
  readonly names: PresentedNames
  readonly context: RequestContext
}

/** A trust policy that can be asked. */
export interface Trust {
  /** Whether a statement allows the request and none denies it. */
  allows(request: TrustRequest): boolean
  /** What is in the way of a request, a line for each statement that could allow it; one line if there is none. */
  obstacles(request: TrustRequest): readonly string[]
}

interface CompiledStatement {
  readonly source: TrustStatement
  decide(request: TrustRequest): 'allowed' | 'denied' | 'silent'
}

const PRINCIPAL_KEYS = new Set(['AWS', 'Federated', 'Service'])
const ACCOUNT = /^\d{12}$/

/** Compiles a role's trust policy. Throws {@link PolicyDefect} for anything that it does not understand. */
export function compileTrust(policy: TrustPolicy): Trust {
  const statements = statementsOf(policy).map(compileStatement)
  const allows = (request: TrustRequest) => {
    const decisions = statements.map((statement) => statement.decide(request))
    return decisions.includes('allowed') && !decisions.includes('denied')
  }
  return { allows, obstacles: (request) => (allows(request) ? [] : obstaclesOf(statements, request)) }
}

/** The statements of a trust policy. Throws {@link PolicyDefect} if it is not one. */
export function statementsOf({ Statement: statement }: TrustPolicy): readonly TrustStatement[] {
  const statements = (Array.isArray(statement) ? statement : [statement]) as readonly unknown[]
  if (!statements.every((it) => typeof it === 'object' && it !== null))
    throw new PolicyDefect('a trust policy needs a Statement')
  return statements as readonly TrustStatement[]
}

/** Whether the statement's `Principal` means the one who asks. */
export function meansPrincipal({ Principal: principal }: TrustStatement, names: PresentedNames): boolean {
  if (principal === '*') return true
  return Object.entries(principal).some(([key, meant]) => {
    const presented = names[key as keyof PresentedNames] ?? []
    return listOf(meant).some(
      (name) =>
        (key === 'AWS' && name === '*') || presented.includes('*') || presented.includes(accountRoot(name)),
    )
  })
}

function compileStatement(source: TrustStatement): CompiledStatement {
  const { Principal: principal, ...rest } = source
  refuseUnknownPrincipal(principal)
  // A trust policy has no Resource: the role that carries it is meant.
  if ('Resource' in rest || 'NotResource' in rest) throw new PolicyDefect('Has prohibited field Resource')
  const compiled = compilePolicies([{ Statement: { ...rest, Resource: '*' } }])
  return {
    source,
    decide: ({ action, names, context }) => {
      if (!meansPrincipal(source, names)) return 'silent'
      const decision = decide(compiled, { action, resource: '*', context })
      if (decision.kind === 'allowed') return 'allowed'
      return decision.reason === 'explicit_deny' ? 'denied' : 'silent'
    },
  }
}

function refuseUnknownPrincipal(principal: unknown): void {
  if (principal === '*') return
  if (typeof principal !== 'object' || principal === null)
    throw new PolicyDefect('a statement of a trust policy needs a Principal')
  const unknown = Object.keys(principal).find((key) => !PRINCIPAL_KEYS.has(key))
  if (unknown !== undefined) throw new PolicyDefect(`unknown kind of principal "${unknown}"`)
  const names = Object.values(principal).flatMap((meant) => listOf(meant as OneOrMore))
  const unresolved = names.find((name) => typeof name !== 'string')
  if (unresolved !== undefined) throw new PolicyDefect(`not resolved: ${JSON.stringify(unresolved)}`)
}

/** An account's number stands for whoever the account lets: so does its root. */
function accountRoot(name: string): string {
  return ACCOUNT.test(name) ? `arn:aws:iam::${name}:root` : name
}

function obstaclesOf(statements: readonly CompiledStatement[], request: TrustRequest): readonly string[] {
  const denying = statements.filter((statement) => statement.decide(request) === 'denied')
  if (denying.length > 0) return denying.map(({ source }) => `${nameOf(source)} denies ${request.action}`)
  const meant = statements.filter(
    ({ source }) => source.Effect === 'Allow' && meansPrincipal(source, request.names),
  )
  if (meant.length === 0)
    return [`no statement has the Principal ${Object.values(request.names).flat().join(' or ')}`]
  const acting = meant.filter(({ source }) => unconditional(source).decide(request) === 'allowed')
  if (acting.length === 0) return [`no statement for this Principal allows ${request.action}`]
  return acting.flatMap(({ source }) => failingConditions(source, request))
}

function failingConditions(source: TrustStatement, request: TrustRequest): readonly string[] {
  return Object.entries(source.Condition ?? {}).flatMap(([operator, keys]) =>
    Object.entries(keys).flatMap(([key, value]) => {
      const alone = compileStatement({ ...source, Condition: { [operator]: { [key]: value } } })
      if (alone.decide(request) === 'allowed') return []
      const found = valueAt(request.context, key)
      return [
        `${operator} ${key} wants ${JSON.stringify(value)}, found ${JSON.stringify(found) ?? 'nothing'}`,
      ]
    }),
  )
}

function unconditional(source: TrustStatement): CompiledStatement {
  return compileStatement({ ...source, Condition: {} })
}

/** Names of condition keys do not distinguish case. */
function valueAt(context: RequestContext, key: string): string | readonly string[] | undefined {
  return Object.entries(context).find(([name]) => name.toLowerCase() === key.toLowerCase())?.[1]
}

function nameOf({ Sid: sid }: TrustStatement): string {
  return sid === undefined ? 'a statement' : `statement ${sid}`
}

function listOf(value: OneOrMore): readonly string[] {
  return typeof value === 'string' ? [value] : value
}
