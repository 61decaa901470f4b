import { findingAt, type PolicyFile, type PolicyFinding, type PolicyPath } from './finding.ts'
import type {
  ClientSource,
  DefaultsSource,
  GrantSource,
  IssuerSource,
  PolicySource,
  TargetSource,
} from './schema.ts'

/** One named part of a policy and where it stands. */
export interface Entry<Source> {
  readonly id: string
  readonly source: Source
  readonly file: PolicyFile
  readonly path: PolicyPath
}

type Entries<Source> = ReadonlyMap<string, Entry<Source>>

/** What a reference may name. */
export interface KnownIds {
  readonly ids: ReadonlySet<string>
  /** Whether there may be others, in parts of the policy that nobody can read. */
  readonly isPart: boolean
}

type Section = 'issuers' | 'clients' | 'targets' | 'grants'

/** All files of a policy as one. */
export interface MergedPolicy {
  readonly defaults: Entry<DefaultsSource> | undefined
  readonly issuers: Entries<IssuerSource>
  readonly clients: Entries<ClientSource>
  readonly targets: Entries<TargetSource>
  readonly grants: Entries<GrantSource>
  readonly known: Readonly<Record<Section, KnownIds>>
}

/** A file, as far as it is of the right form. */
export interface ReadFile {
  readonly file: PolicyFile
  readonly source: PolicySource
  /** The entries that are not, by section. */
  readonly malformed: Readonly<Record<Section, readonly string[]>>
  /** Whether it may have further entries. */
  readonly isPart: boolean
}

/** Adds a finding about the part of `entry` at `path` below it. */
export type Report = (entry: Entry<unknown>, path: PolicyPath, message: string) => void

/** A {@link Report} that collects errors in `findings`. */
export function reportTo(findings: PolicyFinding[]): Report {
  return (entry, path, message) => {
    findings.push(findingAt(entry.file, [...entry.path, ...path], { severity: 'error', message }))
  }
}

/** Merges files; an id that two of them define is reported with both places. */
export function mergeFiles(files: readonly ReadFile[], report: Report): MergedPolicy {
  const defaults = files.flatMap(({ file, source }) =>
    source.defaults === undefined
      ? []
      : [{ id: 'defaults', source: source.defaults, file, path: ['defaults'] }],
  )
  const known = (section: Section): KnownIds => ({
    ids: new Set(
      files.flatMap(({ source, malformed }) => [
        ...Object.keys(source[section] ?? {}),
        ...malformed[section],
      ]),
    ),
    isPart: files.some(({ isPart }) => isPart),
  })
  return {
    known: {
      issuers: known('issuers'),
      clients: known('clients'),
      targets: known('targets'),
      grants: known('grants'),
    },
    defaults: unique(defaults, report).get('defaults'),
    issuers: unique(files.flatMap(entriesOf('issuers', (source) => source.issuers)), report),
    clients: unique(files.flatMap(entriesOf('clients', (source) => source.clients)), report),
    targets: unique(files.flatMap(entriesOf('targets', (source) => source.targets)), report),
    grants: unique(files.flatMap(entriesOf('grants', (source) => source.grants)), report),
  }
}

/** Where an entry stands, for a finding elsewhere that refers to it. */
export function placeOf(entry: Entry<unknown>): string {
  const { line, column } = entry.file.locate(entry.path)
  return `${entry.path.join('.')} (${entry.file.name}:${line}:${column})`
}

type EntrySources<Source> = Readonly<Record<string, Source>> | undefined

function entriesOf<Source>(name: string, sectionOf: (source: PolicySource) => EntrySources<Source>) {
  return ({ file, source }: ReadFile): readonly Entry<Source>[] =>
    Object.entries(sectionOf(source) ?? {}).map(([id, part]) => ({
      id,
      source: part,
      file,
      path: [name, id],
    }))
}

function unique<Source>(entries: readonly Entry<Source>[], report: Report): Entries<Source> {
  const byId = new Map<string, Entry<Source>>()
  for (const entry of entries) {
    const first = byId.get(entry.id)
    if (first === undefined) byId.set(entry.id, entry)
    else report(entry, [], `found a second ${placeOf(first)}; allowed: each of them once in all files`)
  }
  return byId
}
