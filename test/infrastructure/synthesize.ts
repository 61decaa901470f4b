import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Template } from 'aws-cdk-lib/assertions'
import { App, type Stack } from 'aws-cdk-lib/core'
import type { CloudAssembly } from 'aws-cdk-lib/cx-api'
import { afterAll } from 'vitest'
import type { CompiledPolicy } from '../../functions/core/policy/compiled.ts'
import { addBrokerStacks } from '../../lib/broker-app.ts'
import { parseConfig } from '../../lib/config.ts'
import { projectContext } from '../../lib/project-context.ts'

const FUNCTIONS = ['exchange', 'introspect', 'revoke', 'jwks', 'rotate-keys', 'export-audit']

const temporaryFolders: string[] = []
afterAll(() => {
  for (const folder of temporaryFolders) rmSync(folder, { recursive: true, force: true })
})

export const EMPTY_POLICY: CompiledPolicy = {
  format: 1,
  digest: 'none',
  issuers: [],
  clients: [],
  targets: [],
  grants: [],
}

export interface SynthesizedBroker {
  readonly state: Template
  readonly service: Template
  readonly assembly: CloudAssembly
  readonly stacks: { readonly state: Stack; readonly service: Stack }
}

/** Synthesizes the broker with trivial functions: what is looked at here is the infrastructure around them. */
export function synthesize(config: Readonly<Record<string, unknown>> = {}): SynthesizedBroker {
  const app = new App({
    context: projectContext(),
    outdir: temporaryFolder('assembly'),
    builtinCloudFormationValidation: false,
  })
  const stacks = addBrokerStacks(app, parseConfig(config), {
    loopbackIssuers: false,
    policy: EMPTY_POLICY,
    functionsFolder: trivialFunctions(),
  })
  const assembly = app.synth()
  const template = (stack: Stack) => Template.fromJSON(assembly.getStackArtifact(stack.artifactId).template)
  return { state: template(stacks.state), service: template(stacks.service), assembly, stacks }
}

/** A new folder, deleted after the tests of the file. */
export function temporaryFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `token-broker-${name}-`))
  temporaryFolders.push(folder)
  return folder
}

/** A functions folder whose handlers say their own name. */
export function trivialFunctions(): string {
  const folder = temporaryFolder('functions')
  for (const name of FUNCTIONS) {
    mkdirSync(join(folder, name))
    writeFileSync(join(folder, name, 'handler.ts'), `export const handler = async () => '${name}'\n`)
  }
  return folder
}

export interface Resource {
  readonly Type: string
  readonly Properties: Readonly<Record<string, unknown>>
  readonly DeletionPolicy?: string
  readonly UpdateReplacePolicy?: string
  readonly DependsOn?: readonly string[]
}

/** The template's resources of one type, by logical id. */
export function resources(template: Template, type: string): Readonly<Record<string, Resource>> {
  return template.findResources(type) as Record<string, Resource>
}

/** `value` without the random part of logical ids, and with joined strings written as one. */
export function readable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(readable)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value)
  const [name, argument] = entries[0] ?? []
  if (entries.length !== 1 || name === undefined)
    return Object.fromEntries(entries.map(([k, v]) => [k, readable(v)]))
  if (name === 'Ref') return `<${withoutHash(String(argument))}>`
  if (name === 'Fn::GetAtt') return `<${(argument as string[]).map(withoutHash).join('.')}>`
  if (name === 'Fn::ImportValue') return `<import ${withoutHash(String(argument))}>`
  if (name === 'Fn::Join') return (readable((argument as unknown[])[1]) as string[]).join('')
  return { [name]: readable(argument) }
}

function withoutHash(text: string): string {
  return text.replaceAll(/[0-9A-F]{8}/g, '')
}
