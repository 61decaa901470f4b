import { createHash } from 'node:crypto'
import {
  type AssemblyStack,
  inDependencyOrder,
  type JsonObject,
  type JsonValue,
  type TemplateResource,
} from './assembly.ts'
import type { StackDescription } from './aws/cloudformation.ts'
import { evaluateCondition, isObject, resolve, type Scope, TemplateDefect, textOf } from './intrinsics.ts'
import { CUSTOM_RESOURCE, type ResourceType, resourceType } from './resource-types.ts'

/** What differs from one deployment of the same template to another. */
export interface Deployment {
  readonly account: string
  readonly region: string
  /** Where the HTTP API answers, without a slash at the end. */
  readonly apiEndpoint: string
}

/** A resource whose properties are plain JSON. */
export interface ResolvedResource {
  /** Stack and logical id, for messages. */
  readonly where: string
  readonly stack: string
  readonly logicalId: string
  readonly type: string
  /** What `Ref` gives. */
  readonly reference: string
  readonly arn: string | undefined
  readonly name: string
  readonly properties: JsonObject
  readonly assets: ReadonlyMap<string, string>
}

/**
 * Every resource of `stacks` with its intrinsic functions resolved, in the order in which CloudFormation would create
 * them. Throws {@link TemplateDefect} for a resource type, function or name that it does not know.
 */
export function resolveStacks(
  stacks: readonly AssemblyStack[],
  deployment: Deployment,
): readonly ResolvedResource[] {
  const deployed = new Map<string, StackScope>()
  return stacks.flatMap((stack) => {
    const scope = new StackScope(stack, deployment, deployed)
    deployed.set(stack.name, scope)
    return scope.resources()
  })
}

/** The stacks with their outputs, as CloudFormation would tell of them. */
export function describeStacks(
  stacks: readonly AssemblyStack[],
  deployment: Deployment,
): readonly StackDescription[] {
  const deployed = new Map<string, StackScope>()
  return stacks.map((stack) => {
    const scope = new StackScope(stack, deployment, deployed)
    deployed.set(stack.name, scope)
    return scope.description()
  })
}

class StackScope implements Scope {
  readonly stack: string
  readonly #source: AssemblyStack
  readonly #deployment: Deployment
  readonly #deployed: ReadonlyMap<string, StackScope>
  /** Resources whose name is being resolved: a name that depends on itself must not recurse for ever. */
  readonly #naming = new Set<string>()

  constructor(source: AssemblyStack, deployment: Deployment, deployed: ReadonlyMap<string, StackScope>) {
    this.stack = source.name
    this.#source = source
    this.#deployment = deployment
    this.#deployed = deployed
  }

  resources(): readonly ResolvedResource[] {
    const wanted = Object.entries(this.#source.template.Resources ?? {}).filter(
      ([id, { Condition }]) => Condition === undefined || this.condition(Condition, this.#where(id)),
    )
    const entries = wanted.map(([id, resource]) => [id, { dependencies: dependenciesOf(resource) }] as const)
    return inDependencyOrder(Object.fromEntries(entries)).map((id) => this.#resolved(id))
  }

  description(): StackDescription {
    const { Description: description, Outputs = {} } = this.#source.template
    const outputs = Object.entries(Outputs).filter(
      ([name, { Condition }]) => Condition === undefined || this.condition(Condition, this.#where(name)),
    )
    return {
      name: this.stack,
      id: this.#stackId(),
      description,
      outputs: outputs.map(([key, output]) => ({
        key,
        value: textOf(this.output(key, this.stack)),
        description: output.Description,
        exportName:
          output.Export && textOf(resolve(output.Export.Name, this, `${this.stack}/Outputs.${key}`)),
      })),
    }
  }

  reference(name: string, where: string): JsonValue | undefined {
    if (name === 'AWS::NoValue') return undefined
    const pseudo = this.#pseudoParameters()[name]
    if (pseudo !== undefined) return pseudo
    const parameter = this.#source.template.Parameters?.[name]
    if (parameter?.Default !== undefined) return parameter.Default
    return this.#fill(name, this.#type(name, where).ref, where)
  }

  attribute(resource: string, attribute: string, where: string): JsonValue {
    const type = this.#type(resource, where)
    if (type === CUSTOM_RESOURCE) {
      throw new TemplateDefect(
        where,
        `what custom resource ${resource} answers is not known before it has run`,
      )
    }
    const template = type.attributes?.[attribute]
    if (template === undefined) throw new TemplateDefect(where, `${resource} has no attribute ${attribute}`)
    return this.#fill(resource, template, where)
  }

  condition(name: string, where: string): boolean {
    const condition = this.#source.template.Conditions?.[name]
    if (condition === undefined) throw new TemplateDefect(where, `there is no condition ${name}`)
    return evaluateCondition(condition, this, `${this.stack}/Conditions.${name}`)
  }

  importValue(exportName: string, where: string): JsonValue {
    for (const scope of this.#deployed.values()) {
      const found = Object.entries(scope.#source.template.Outputs ?? {}).find(
        ([, { Export }]) => Export !== undefined && resolve(Export.Name, scope, where) === exportName,
      )
      if (found !== undefined) return scope.output(found[0], where)
    }
    throw new TemplateDefect(where, `no stack exports ${exportName}`)
  }

  stackOutput(stack: string, output: string, where: string): JsonValue {
    const scope = this.#deployed.get(stack)
    if (scope === undefined) throw new TemplateDefect(where, `stack ${stack} is not deployed before this one`)
    return scope.output(output, where)
  }

  output(name: string, where: string): JsonValue {
    const output = this.#source.template.Outputs?.[name]
    const value = output && resolve(output.Value, this, `${this.stack}/Outputs.${name}`)
    if (value === undefined) throw new TemplateDefect(where, `stack ${this.stack} has no output ${name}`)
    return value
  }

  #resolved(logicalId: string): ResolvedResource {
    const where = this.#where(logicalId)
    const type = this.#type(logicalId, where)
    const { Type = '', Properties = {} }: Partial<TemplateResource> =
      this.#source.template.Resources?.[logicalId] ?? {}
    return {
      where,
      stack: this.stack,
      logicalId,
      type: Type,
      reference: this.#fill(logicalId, type.ref, where),
      arn: type.attributes?.['Arn'] && this.#fill(logicalId, type.attributes['Arn'], where),
      name: this.#name(logicalId, where),
      properties: type.started ? (resolve(Properties, this, `${where}.Properties`) as JsonObject) : {},
      assets: this.#source.assets,
    }
  }

  #type(logicalId: string, where: string): ResourceType {
    const type = this.#source.template.Resources?.[logicalId]?.Type
    if (type === undefined) throw new TemplateDefect(where, `there is nothing named ${logicalId}`)
    const known = resourceType(type)
    if (known === undefined) {
      throw new TemplateDefect(
        this.#where(logicalId),
        `the local cloud does not know the resource type ${type}`,
      )
    }
    return known
  }

  #name(logicalId: string, where: string): string {
    const { nameProperty } = this.#type(logicalId, where)
    const property = this.#source.template.Resources?.[logicalId]?.Properties?.[nameProperty ?? '']
    if (nameProperty === undefined || property === undefined) return `${this.stack}-${logicalId}`
    if (this.#naming.has(logicalId))
      throw new TemplateDefect(where, `the name of ${logicalId} depends on itself`)
    this.#naming.add(logicalId)
    const name = resolve(property, this, `${this.#where(logicalId)}.Properties.${nameProperty}`)
    this.#naming.delete(logicalId)
    return typeof name === 'string' ? name : `${this.stack}-${logicalId}`
  }

  #fill(logicalId: string, template: string, where: string): string {
    const { account, region, apiEndpoint } = this.#deployment
    const name = this.#name(logicalId, where)
    const values = {
      account,
      region,
      partition: 'aws',
      api: apiEndpoint,
      name,
      lower: name.toLowerCase(),
      host: name.replace(/^https?:\/\//, ''),
      path: textOf(this.#source.template.Resources?.[logicalId]?.Properties?.['Path']) || '/',
      uuid: uuidOf(name),
    }
    return template.replaceAll(/\{(\w+)\}/g, (_, key: string) =>
      key === 'function' ? this.#function(logicalId) : values[key as keyof typeof values],
    )
  }

  /** The name of the function that a resource is of, whether it says so by name or by ARN. */
  #function(logicalId: string): string {
    const where = `${this.#where(logicalId)}.Properties.FunctionName`
    const { FunctionName = '' } = this.#source.template.Resources?.[logicalId]?.Properties ?? {}
    const function_ = textOf(resolve(FunctionName, this, where))
    return function_.slice(function_.lastIndexOf(':') + 1)
  }

  #stackId(): string {
    const { account, region } = this.#deployment
    return `arn:aws:cloudformation:${region}:${account}:stack/${this.stack}/local`
  }

  #pseudoParameters(): Readonly<Record<string, string>> {
    const { account, region } = this.#deployment
    return {
      'AWS::AccountId': account,
      'AWS::Region': region,
      'AWS::Partition': 'aws',
      'AWS::URLSuffix': 'amazonaws.com',
      'AWS::StackName': this.stack,
      'AWS::StackId': this.#stackId(),
    }
  }

  #where(logicalId: string): string {
    return `${this.stack}/${logicalId}`
  }
}

/** The same for the same name, so that a KMS key kept from an earlier run is found again. */
function uuidOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5')
}

/** Logical ids that a resource names, by `DependsOn` or by any function in its properties. */
function dependenciesOf(resource: TemplateResource): readonly string[] {
  const declared = typeof resource.DependsOn === 'string' ? [resource.DependsOn] : (resource.DependsOn ?? [])
  return [...declared, ...referencesIn(resource.Properties ?? {})]
}

function referencesIn(value: JsonValue): readonly string[] {
  if (Array.isArray(value)) return (value as readonly JsonValue[]).flatMap(referencesIn)
  if (!isObject(value)) return []
  return Object.entries(value).flatMap(([key, item]) => {
    if (key === 'Ref') return [textOf(item)]
    if (key === 'Fn::GetAtt') return [textOf(Array.isArray(item) ? item[0] : item).split('.')[0] ?? '']
    const substituted = key === 'Fn::Sub' ? [...JSON.stringify(item).matchAll(/\$\{(\w+)/g)] : []
    return [...substituted.map(([, name]) => name ?? ''), ...referencesIn(item)]
  })
}
