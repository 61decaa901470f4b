import type { JsonObject, JsonValue } from './assembly.ts'

/** The template says something that the local cloud cannot do: named by stack, resource and path. */
export class TemplateDefect extends Error {
  override readonly name = 'TemplateDefect'

  constructor(where: string, problem: string) {
    super(`${where}: ${problem}`)
  }
}

/** What a template can refer to. Each function throws {@link TemplateDefect} for a name that does not exist. */
export interface Scope {
  readonly stack: string
  /** `Ref` to a pseudo parameter, a parameter or a resource; `undefined` is `AWS::NoValue`. */
  reference(name: string, where: string): JsonValue | undefined
  attribute(resource: string, attribute: string, where: string): JsonValue
  condition(name: string, where: string): boolean
  importValue(exportName: string, where: string): JsonValue
  stackOutput(stack: string, output: string, where: string): JsonValue
}

type Intrinsic = (argument: JsonValue, scope: Scope, where: string) => JsonValue | undefined

const INTRINSICS: Readonly<Record<string, Intrinsic>> = {
  Ref: (name, scope, where) => scope.reference(text(name, where), where),
  'Fn::GetAtt': (argument, scope, where) => {
    const [resource, ...attribute] =
      typeof argument === 'string' ? argument.split('.') : texts(argument, where)
    return scope.attribute(resource ?? '', attribute.join('.'), where)
  },
  'Fn::Join': (argument, scope, where) => {
    const [separator, parts] = list(argument, where)
    return texts(resolveRequired(parts, scope, where), where).join(text(separator, where))
  },
  'Fn::Sub': substitute,
  'Fn::Select': (argument, scope, where) => {
    const [index, items] = list(argument, where)
    const item = list(resolveRequired(items, scope, where), where)[
      Number(resolveRequired(index, scope, where))
    ]
    if (item === undefined)
      throw new TemplateDefect(where, 'Fn::Select takes an item that the list does not have')
    return item
  },
  'Fn::Split': (argument, scope, where) => {
    const [separator, source] = list(argument, where)
    return text(resolveRequired(source, scope, where), where).split(text(separator, where))
  },
  'Fn::ImportValue': (name, scope, where) =>
    scope.importValue(text(resolveRequired(name, scope, where), where), where),
  'Fn::GetStackOutput': (argument, scope, where) => {
    const { StackName, OutputName } = object(resolveRequired(argument, scope, where), where)
    return scope.stackOutput(text(StackName, where), text(OutputName, where), where)
  },
  'Fn::If': (argument, scope, where) => {
    const [condition, yes, no] = list(argument, where)
    const chosen = scope.condition(text(condition, where), where) ? yes : no
    return chosen === undefined ? undefined : resolve(chosen, scope, where)
  },
}

/**
 * `value` with every intrinsic function replaced by what it stands for; `undefined` is `AWS::NoValue`. Throws
 * {@link TemplateDefect} for a function or a name that it does not know.
 */
export function resolve(value: JsonValue, scope: Scope, where: string): JsonValue | undefined {
  if (Array.isArray(value)) {
    return (value as readonly JsonValue[])
      .map((item, index) => resolve(item, scope, `${where}[${index}]`))
      .filter((item) => item !== undefined)
  }
  if (!isObject(value)) return value
  const [name, ...more] = Object.keys(value)
  if (name !== undefined && more.length === 0 && (name === 'Ref' || name.startsWith('Fn::'))) {
    const intrinsic = INTRINSICS[name]
    if (intrinsic === undefined) throw new TemplateDefect(where, `${name} is not known to the local cloud`)
    return intrinsic(value[name] as JsonValue, scope, where)
  }
  const entries = Object.entries(value).map(
    ([key, item]) => [key, resolve(item, scope, `${where}.${key}`)] as const,
  )
  return Object.fromEntries(entries.filter((entry): entry is [string, JsonValue] => entry[1] !== undefined))
}

/** Evaluates a condition of the template's `Conditions`: Fn::Equals, Fn::And, Fn::Or, Fn::Not, Condition. */
export function evaluateCondition(value: JsonValue, scope: Scope, where: string): boolean {
  const [name = '', ...more] = Object.keys(object(value, where))
  const argument = object(value, where)[name] as JsonValue
  const operands = (): readonly boolean[] =>
    list(argument, where).map((item) => evaluateCondition(item, scope, where))
  switch (more.length === 0 ? name : '') {
    case 'Condition':
      return scope.condition(text(argument, where), where)
    case 'Fn::Equals': {
      const [left, right] = list(argument, where).map((item) => resolve(item, scope, where))
      return JSON.stringify(left) === JSON.stringify(right)
    }
    case 'Fn::And':
      return operands().every(Boolean)
    case 'Fn::Or':
      return operands().some(Boolean)
    case 'Fn::Not':
      return !operands()[0]
  }
  throw new TemplateDefect(where, `${name} is not a condition that the local cloud knows`)
}

function substitute(argument: JsonValue, scope: Scope, where: string): string {
  const [template, variables] = Array.isArray(argument) ? (argument as readonly JsonValue[]) : [argument, {}]
  const values = object(resolveRequired(variables, scope, where), where)
  return text(template, where).replaceAll(/\$\{(!?)([^}]+)\}/g, (_, literal: string, name: string) => {
    if (literal === '!') return `\${${name}}`
    if (name in values) return text(values[name], where)
    const [resource = '', ...attribute] = name.split('.')
    const value =
      attribute.length === 0
        ? scope.reference(name, where)
        : scope.attribute(resource, attribute.join('.'), where)
    return text(value, where)
  })
}

function resolveRequired(value: JsonValue | undefined, scope: Scope, where: string): JsonValue {
  const resolved = value === undefined ? undefined : resolve(value, scope, where)
  if (resolved === undefined) throw new TemplateDefect(where, 'an intrinsic function lacks an argument')
  return resolved
}

/** A resolved scalar as text; nothing for what is not a scalar. */
export function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : ''
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function object(value: JsonValue | undefined, where: string): JsonObject {
  if (!isObject(value)) throw new TemplateDefect(where, `expected an object, found ${JSON.stringify(value)}`)
  return value
}

function list(value: JsonValue | undefined, where: string): readonly JsonValue[] {
  if (!Array.isArray(value))
    throw new TemplateDefect(where, `expected a list, found ${JSON.stringify(value)}`)
  return value as readonly JsonValue[]
}

/** Text of a scalar: CloudFormation turns numbers and booleans into strings wherever it wants a string. */
function text(value: JsonValue | undefined, where: string): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  throw new TemplateDefect(where, `expected text, found ${JSON.stringify(value)}`)
}

function texts(value: JsonValue | undefined, where: string): readonly string[] {
  return list(value, where).map((item) => text(item, where))
}
