import {
  type Condition,
  type ConditionBlock,
  compileConditions,
  contextMap,
  PolicyDefect,
  type RequestContext,
  refuseVariables,
} from './iam-conditions.ts'
import { actionPattern, arnPattern, type Pattern } from './iam-match.ts'

type OneOrMore = string | readonly string[]

export interface PolicyStatement {
  readonly Sid?: string
  readonly Effect: string
  readonly Action?: OneOrMore
  readonly NotAction?: OneOrMore
  readonly Resource?: OneOrMore
  readonly NotResource?: OneOrMore
  readonly Condition?: ConditionBlock
}

/** An identity policy, all its intrinsic functions resolved to strings. */
export interface PolicyDocument {
  readonly Version?: string
  readonly Id?: string
  readonly Statement: PolicyStatement | readonly PolicyStatement[]
}

/** One thing that a call does, as IAM sees it. */
export interface AccessRequest {
  /** For example `kms:Sign`. */
  readonly action: string
  /** An ARN, or `*` for actions that know no resource. */
  readonly resource: string
  readonly context: RequestContext
}

/** A pair that an Allow statement names, as it is written there. */
export interface Permission {
  readonly action: string
  readonly resource: string
}

export type Decision =
  | { readonly kind: 'allowed'; readonly by: readonly Permission[] }
  | { readonly kind: 'denied'; readonly reason: 'no_allow' | 'explicit_deny' }

interface Statement {
  readonly actions: readonly Pattern[]
  readonly resources: readonly Pattern[]
  readonly conditions: readonly Condition[]
}

/** Policies in the form that {@link decide} reads. */
export interface CompiledPolicies {
  readonly allow: readonly Statement[]
  readonly deny: readonly Statement[]
}

const STATEMENT_KEYS = new Set([
  'Sid',
  'Effect',
  'Action',
  'NotAction',
  'Resource',
  'NotResource',
  'Condition',
])

/** Compiles identity policies. Throws {@link PolicyDefect} for anything that it does not understand. */
export function compilePolicies(documents: readonly PolicyDocument[]): CompiledPolicies {
  const allow: Statement[] = []
  const deny: Statement[] = []
  for (const statement of documents.flatMap((document) => asArray(document.Statement))) {
    const target = statement.Effect === 'Allow' ? allow : statement.Effect === 'Deny' ? deny : undefined
    if (target === undefined) throw new PolicyDefect(`unknown Effect "${statement.Effect}"`)
    target.push(compileStatement(statement))
  }
  return { allow, deny }
}

/** Explicit deny wins; what no statement allows is denied. */
export function decide(policies: CompiledPolicies, request: AccessRequest): Decision {
  const context = contextMap(request.context)
  if (policies.deny.some((statement) => permissionsUsed(statement, request, context).length > 0)) {
    return { kind: 'denied', reason: 'explicit_deny' }
  }
  const by = policies.allow.flatMap((statement) => permissionsUsed(statement, request, context))
  return by.length > 0 ? { kind: 'allowed', by } : { kind: 'denied', reason: 'no_allow' }
}

/** Every pair of an action and a resource that the Allow statements name. */
export function permissionsOf(policies: CompiledPolicies): readonly Permission[] {
  return policies.allow.flatMap(({ actions, resources }) => pairs(actions, resources))
}

function permissionsUsed(
  statement: Statement,
  { action, resource }: AccessRequest,
  context: ReadonlyMap<string, readonly string[]>,
): readonly Permission[] {
  const actions = statement.actions.filter((pattern) => pattern.matches(action))
  if (actions.length === 0) return []
  const resources = statement.resources.filter((pattern) => pattern.matches(resource))
  if (resources.length === 0 || !statement.conditions.every((holds) => holds(context))) return []
  return pairs(actions, resources)
}

function pairs(actions: readonly Pattern[], resources: readonly Pattern[]): readonly Permission[] {
  return actions.flatMap((action) =>
    resources.map((resource) => ({ action: action.text, resource: resource.text })),
  )
}

function compileStatement(statement: PolicyStatement): Statement {
  const unknown = Object.keys(statement).find((key) => !STATEMENT_KEYS.has(key))
  if (unknown !== undefined) throw new PolicyDefect(`unknown statement element "${unknown}"`)
  return {
    actions: patterns(statement, 'Action', actionPattern),
    resources: patterns(statement, 'Resource', arnPattern),
    conditions: compileConditions(statement.Condition ?? {}),
  }
}

/** The patterns of an element or, inverted and joined into one, those of its `Not…` form. */
function patterns(
  statement: PolicyStatement,
  element: 'Action' | 'Resource',
  compile: (text: string) => Pattern,
): readonly Pattern[] {
  const plain = statement[element]
  const inverted = statement[`Not${element}`]
  if ((plain === undefined) === (inverted === undefined)) {
    throw new PolicyDefect(`a statement needs either ${element} or Not${element}`)
  }
  const texts = asArray(plain ?? inverted ?? [])
  if (texts.length === 0) throw new PolicyDefect(`${element} is empty`)
  refuseUnresolved(texts)
  const compiled = texts.map(compile)
  if (plain !== undefined) return compiled
  const matches = (value: string) => !compiled.some((pattern) => pattern.matches(value))
  return [{ text: `not ${texts.join(', ')}`, matches }]
}

/** An intrinsic function that nobody resolved would otherwise compile to a pattern that matches nothing. */
function refuseUnresolved(texts: readonly unknown[]): asserts texts is readonly string[] {
  const unresolved = texts.find((text) => typeof text !== 'string')
  if (unresolved !== undefined) throw new PolicyDefect(`not resolved: ${JSON.stringify(unresolved)}`)
  refuseVariables(texts.filter((text) => typeof text === 'string'))
}

function asArray<Value>(value: Value | readonly Value[]): readonly Value[] {
  return Array.isArray(value) ? value : [value as Value]
}
