import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Template } from 'aws-cdk-lib/assertions'
import { App, type Stack } from 'aws-cdk-lib/core'
import type { CloudAssembly } from 'aws-cdk-lib/cx-api'
import { afterAll } from 'vitest'
import type { CompiledPolicy } from '../../functions/core/policy/compiled.ts'
import type { SigningMode, TargetId } from '../../functions/core/types.ts'
import { addBrokerStacks } from '../../lib/broker-app.ts'
import { parseConfig } from '../../lib/config.ts'
import { projectContext } from '../../lib/project-context.ts'

const FUNCTIONS = [
  'exchange',
  'introspect',
  'revoke',
  'jwks',
  'rotate-keys',
  'status',
  'export-audit',
  'probe',
  'aws-credentials',
]

const temporaryFolders: string[] = []
afterAll(() => {
  for (const folder of temporaryFolders) rmSync(folder, { recursive: true, force: true })
})

export const EMPTY_POLICY: CompiledPolicy = {
  format: 1,
  maxDelegationDepth: 3,
  digest: 'none',
  issuers: [],
  clients: [],
  targets: [],
  grants: [],
}

/** A policy of targets whose tokens are signed in these ways. */
export function policyOf(...signing: readonly SigningMode[]): CompiledPolicy {
  const targets = signing.map((mode, at) => ({
    id: `target-${at}` as TargetId,
    audience: `https://target-${at}.example.com`,
    resources: [],
    scopes: [],
    format: 'jwt' as const,
    algorithm: 'ES256' as const,
    statusList: false,
    binding: 'none' as const,
    dpopNonce: false,
    signing: mode,
    maxLifetimeSeconds: 300,
  }))
  return { ...EMPTY_POLICY, targets }
}

export interface SynthesizedBroker {
  readonly state: Template
  readonly service: Template
  readonly monitoring: Template
  readonly assembly: CloudAssembly
  readonly stacks: Readonly<Record<'state' | 'service' | 'monitoring', Stack>>
}

/** Synthesizes the broker with trivial functions: what is looked at here is the infrastructure around them. */
export function synthesize(
  config: Readonly<Record<string, unknown>> = {},
  policy: CompiledPolicy = EMPTY_POLICY,
): SynthesizedBroker {
  const app = new App({
    context: projectContext(),
    outdir: temporaryFolder('assembly'),
    builtinCloudFormationValidation: false,
  })
  const stacks = addBrokerStacks(app, parseConfig(config), {
    loopbackIssuers: false,
    policy,
    functionsFolder: trivialFunctions(),
  })
  const assembly = app.synth()
  const template = (stack: Stack) => Template.fromJSON(assembly.getStackArtifact(stack.artifactId).template)
  return {
    state: template(stacks.state),
    service: template(stacks.service),
    monitoring: template(stacks.monitoring),
    assembly,
    stacks,
  }
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
