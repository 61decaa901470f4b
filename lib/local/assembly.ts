import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject
export interface JsonObject {
  readonly [name: string]: JsonValue
}

/** One resource of a template, its properties still full of intrinsic functions. */
export interface TemplateResource {
  readonly Type: string
  readonly Properties?: JsonObject
  readonly Condition?: string
  readonly DependsOn?: string | readonly string[]
}

export interface Template {
  readonly Description?: string
  readonly Metadata?: JsonObject
  readonly Resources?: Readonly<Record<string, TemplateResource>>
  readonly Outputs?: Readonly<
    Record<
      string,
      {
        readonly Value: JsonValue
        readonly Description?: string
        readonly Export?: { readonly Name: JsonValue }
        readonly Condition?: string
      }
    >
  >
  readonly Parameters?: Readonly<Record<string, { readonly Type: string; readonly Default?: JsonValue }>>
  readonly Conditions?: JsonObject
}

/** A synthesized stack. */
export interface AssemblyStack {
  readonly name: string
  readonly template: Template
  /** Folders and files to upload, by the S3 object key that the template names. */
  readonly assets: ReadonlyMap<string, string>
}

interface Artifact {
  readonly type: string
  readonly dependencies?: readonly string[]
  readonly properties?: {
    readonly templateFile?: string
    readonly stackName?: string
    readonly file?: string
    readonly directoryName?: string
  }
}

interface AssetManifest {
  readonly files?: Readonly<
    Record<
      string,
      {
        readonly source: { readonly path: string }
        readonly destinations: Readonly<Record<string, { readonly objectKey: string }>>
      }
    >
  >
}

/** The stacks of a cloud assembly folder, each after the stacks that it depends on. */
export function readAssembly(folder: string): readonly AssemblyStack[] {
  const artifacts =
    readJson<{ artifacts?: Record<string, Artifact> }>(join(folder, 'manifest.json')).artifacts ?? {}
  const assets = readAssets(folder, Object.values(artifacts))
  return inDependencyOrder(artifacts).flatMap((id) => {
    const { type, properties } = artifacts[id] as Artifact
    if (type === 'cdk:cloud-assembly') return readAssembly(join(folder, properties?.directoryName ?? ''))
    if (type !== 'aws:cloudformation:stack') return []
    const template = readJson<Template>(join(folder, properties?.templateFile ?? ''))
    return [{ name: properties?.stackName ?? id, template, assets }]
  })
}

/** `ids` so that everything comes after what it depends on; otherwise in the order given. */
export function inDependencyOrder(
  entries: Readonly<Record<string, { readonly dependencies?: readonly string[] }>>,
): readonly string[] {
  const ordered = new Set<string>()
  const visit = (id: string, path: readonly string[]): void => {
    if (ordered.has(id)) return
    if (path.includes(id)) throw new Error(`circular dependency: ${[...path, id].join(' → ')}`)
    for (const dependency of entries[id]?.dependencies ?? []) {
      if (dependency in entries) visit(dependency, [...path, id])
    }
    ordered.add(id)
  }
  for (const id of Object.keys(entries)) visit(id, [])
  return [...ordered]
}

function readAssets(folder: string, artifacts: readonly Artifact[]): ReadonlyMap<string, string> {
  const manifests = artifacts.filter((artifact) => artifact.type === 'cdk:asset-manifest')
  return new Map(
    manifests.flatMap((artifact) => {
      const { files = {} } = readJson<AssetManifest>(join(folder, artifact.properties?.file ?? ''))
      return Object.values(files).flatMap(({ source, destinations }) =>
        Object.values(destinations).map(({ objectKey }) => [objectKey, join(folder, source.path)] as const),
      )
    }),
  )
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8')) as T
}
