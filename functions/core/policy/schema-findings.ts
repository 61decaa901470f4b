import type { z } from 'zod'
import { findingAt, foundInsteadOf, type PolicyFile, type PolicyFinding, type PolicyPath } from './finding.ts'
import { type PolicySource, policySchema } from './schema.ts'

type Issue = z.core.$ZodIssue

/** A file of the right form, or everything that is wrong with its form. */
export type ReadSource<Source> = { readonly source: Source } | { readonly findings: readonly PolicyFinding[] }

/** Reads a policy file. */
export function readPolicySource(file: PolicyFile): ReadSource<PolicySource> {
  return readSource(file, policySchema)
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
  return { findings: result.error.issues.flatMap((issue) => findingsFor(file, issue)) }
}

/** zod skips a map key `__proto__` without a word: what a reader of the file sees would not be in force. */
function prototypeKeys(value: unknown, path: PolicyPath): readonly PolicyPath[] {
  if (Array.isArray(value)) return value.flatMap((item, at) => prototypeKeys(item, [...path, at]))
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, child]) =>
    key === '__proto__' ? [[...path, key]] : prototypeKeys(child, [...path, key]),
  )
}

function findingsFor(file: PolicyFile, issue: Issue): readonly PolicyFinding[] {
  const { path, detail } = furthest(issue)
  if (detail.code === 'unrecognized_keys')
    return detail.keys.map((key) =>
      errorAt(
        file,
        [...path, key],
        `found the unknown key ${JSON.stringify(key)}; allowed: ${detail.message}`,
      ),
    )
  if (detail.code === 'invalid_key')
    return [errorAt(file, path, foundInsteadOf(path.at(-1), detail.issues[0]?.message ?? detail.message))]
  return [errorAt(file, path, foundInsteadOf(valueAt(file.document, path), detail.message))]
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
    .filter(({ path }) => path.length > 0)
    .map(({ path, detail }) => ({ path: [...own.path, ...path], detail }))
    .reduce((best, next) => (next.path.length > best.path.length ? next : best), own)
}

function valueAt(document: unknown, path: PolicyPath): unknown {
  return path.reduce<unknown>(
    (value, step) => (isRecord(value) && Object.hasOwn(value, step) ? value[step] : undefined),
    document,
  )
}

function isRecord(value: unknown): value is Readonly<Record<string | number, unknown>> {
  return typeof value === 'object' && value !== null
}

function errorAt(file: PolicyFile, path: PolicyPath, message: string): PolicyFinding {
  return findingAt(file, path, { severity: 'error', message })
}
