import type { z } from 'zod'
import {
  findingAt,
  foundAmong,
  foundInsteadOf,
  meantText,
  type PolicyFile,
  type PolicyFinding,
  type PolicyPath,
} from './finding.ts'
import type { ReadFile } from './merge.ts'
import { nearest } from './nearest.ts'
import { KEYS_RULE, type PolicySource, policySchema } from './schema.ts'

type Issue = z.core.$ZodIssue

/** A file of the right form, or everything that is wrong with its form. */
export type ReadSource<Source> = { readonly source: Source } | { readonly findings: readonly PolicyFinding[] }

/** Reads a policy file, as far as it is of the right form, with everything that is wrong with its form. */
export function readPolicySource(
  file: PolicyFile,
  isPart = false,
): ReadFile & { readonly findings: readonly PolicyFinding[] } {
  const read = readSource(file, policySchema)
  if ('source' in read) return { file, source: read.source, malformed: NONE, isPart, findings: [] }
  return { file, findings: read.findings, ...soundPart(file, isPart) }
}

const SECTIONS = ['issuers', 'clients', 'targets', 'grants'] as const
type Section = (typeof SECTIONS)[number]

const NONE = { issuers: [], clients: [], targets: [], grants: [] } as const

/** The entries that are right by themselves: what is wrong with one must not hide what is wrong with another. */
function soundPart(file: PolicyFile, isPart: boolean): Omit<ReadFile, 'file'> {
  const sections = isMap(file.document) ? file.document : {}
  const sourceOf = (document: unknown): PolicySource => {
    const read = readSource({ ...file, document }, policySchema)
    return 'source' in read ? read.source : {}
  }
  const malformed: Record<Section, string[]> = { issuers: [], clients: [], targets: [], grants: [] }
  const sound = SECTIONS.map((section) => {
    const content = sections[section]
    const entries = Object.entries(isMap(content) ? content : {}).filter(([id, entry]) => {
      const isSound = sourceOf({ [section]: { [id]: entry } })[section] !== undefined
      if (!isSound) malformed[section].push(id)
      return isSound
    })
    return [section, Object.fromEntries(entries)] as const
  })
  const { defaults } = sourceOf({ defaults: sections['defaults'] })
  const source = { ...sourceOf(Object.fromEntries(sound)), ...(defaults && { defaults }) }
  return { source, malformed, isPart: isPart || !hasSectionsOnly(file.document) }
}

/** Whether it is known which entries a file has, right or not: below a misspelt section there can be any. */
function hasSectionsOnly(document: unknown): boolean {
  if (!isMap(document)) return false
  return Object.entries(document).every(
    ([section, content]) => section === 'defaults' || (Object.hasOwn(NONE, section) && isMap(content)),
  )
}

/** Reads a file by a schema whose errors say what is allowed. */
export function readSource<Schema extends z.ZodType>(
  file: PolicyFile,
  schema: Schema,
): ReadSource<z.output<Schema>> {
  const forbidden = prototypeKeys(file.document, []).map((path) =>
    errorAt(file, path, 'found the key __proto__; allowed: any other name'),
  )
  if (forbidden.length > 0) return { findings: forbidden }
  const result = schema.safeParse(file.document)
  if (result.success) return { source: result.data }
  return { findings: findingsFor(file, result.error.issues.map(furthest)) }
}

/** zod skips a map key `__proto__` without a word: what a reader of the file sees would not be in force. */
function prototypeKeys(value: unknown, path: PolicyPath): readonly PolicyPath[] {
  if (Array.isArray(value)) return value.flatMap((item, at) => prototypeKeys(item, [...path, at]))
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, child]) =>
    key === '__proto__' ? [[...path, key]] : prototypeKeys(child, [...path, key]),
  )
}

function findingsFor(file: PolicyFile, issues: readonly Located[]): readonly PolicyFinding[] {
  const misspelt = new Set(issues.flatMap(keysMeant))
  return issues
    .filter(({ path }) => !misspelt.has(JSON.stringify(path)))
    .flatMap((issue) => findingsAbout(file, issue))
}

function findingsAbout(file: PolicyFile, { path, detail }: Located): readonly PolicyFinding[] {
  if (detail.code === 'unrecognized_keys')
    return detail.keys.map((key) => {
      const meant = meantText(nearest(key, keysAllowed(detail)))
      const message = `found the unknown key ${JSON.stringify(key)}; allowed: ${detail.message}${meant}`
      return errorAt(file, [...path, key], message)
    })
  if (detail.code === 'invalid_key')
    return [errorAt(file, path, foundInsteadOf(path.at(-1), detail.issues[0]?.message ?? detail.message))]
  const found = valueAt(file.document, path)
  if (detail.code === 'invalid_value')
    return [errorAt(file, path, foundAmong(found, detail.values.map(String), detail.message))]
  return [errorAt(file, path, `${foundInsteadOf(found, detail.message)}${tooDeepText(file.document, path)}`)]
}

/** The paths of keys that are there, misspelt: that each is missing need not be said as well. */
function keysMeant({ path, detail }: Located): readonly string[] {
  if (detail.code !== 'unrecognized_keys') return []
  return detail.keys.flatMap((key) => {
    const meant = nearest(key, keysAllowed(detail))
    return meant === undefined ? [] : [JSON.stringify([...path, meant])]
  })
}

function keysAllowed({ message }: Issue): readonly string[] {
  return message.startsWith(KEYS_RULE) ? message.slice(KEYS_RULE.length).split(', ') : []
}

/** Where a key is missing that something beside it has: the author sees it, and not that its column is wrong. */
function tooDeepText(document: unknown, path: PolicyPath): string {
  const key = path.at(-1)
  const parent = valueAt(document, path.slice(0, -1))
  if (key === undefined || !isMap(parent) || Object.hasOwn(parent, key)) return ''
  const owner = Object.keys(parent).find((name) => isMap(parent[name]) && Object.hasOwn(parent[name], key))
  return owner === undefined ? '' : `; ${owner} has one: is it indented too far?`
}

interface Located {
  readonly path: PolicyPath
  readonly detail: Issue
}

/** For a value that fits no alternative: the issue of the alternative that it came closest to. */
function furthest(issue: Issue): Located {
  const own = { path: issue.path.filter((step) => typeof step !== 'symbol'), detail: issue }
  if (issue.code !== 'invalid_union') return own
  return issue.errors
    .flat()
    .map(furthest)
    .filter(({ path, detail }) => path.length > 0 && !detail.message.startsWith('Invalid '))
    .map(({ path, detail }) => ({ path: [...own.path, ...path], detail }))
    .reduce((best, next) => (next.path.length > best.path.length ? next : best), own)
}

function valueAt(document: unknown, path: PolicyPath): unknown {
  return path.reduce<unknown>(
    (value, step) => (isRecord(value) && Object.hasOwn(value, step) ? value[step] : undefined),
    document,
  )
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return isRecord(value) && !Array.isArray(value)
}

function isRecord(value: unknown): value is Readonly<Record<string | number, unknown>> {
  return typeof value === 'object' && value !== null
}

function errorAt(file: PolicyFile, path: PolicyPath, message: string): PolicyFinding {
  return findingAt(file, path, { severity: 'error', message })
}
