import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
  type YAMLError,
} from 'yaml'
import { type CompileOptions, compilePolicy } from '../functions/core/policy/compile.ts'
import type { CompiledPolicy } from '../functions/core/policy/compiled.ts'
import {
  formatFinding,
  inReadingOrder,
  type PolicyFile,
  type PolicyFinding,
  type PolicyPath,
} from '../functions/core/policy/finding.ts'
import { lintPolicy } from '../functions/core/policy/lint.ts'

/** A policy folder cannot be used. The message has a line for each finding. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError'
  /** Empty if there is no folder to find anything in. */
  readonly findings: readonly PolicyFinding[]

  constructor(
    message: string,
    options: ErrorOptions & { readonly findings?: readonly PolicyFinding[] } = {},
  ) {
    super(message, options)
    this.findings = options.findings ?? []
  }
}

/** Reads and compiles the policy in `folder`. Throws {@link PolicyError} with everything that is wrong with it. */
export function loadPolicy(folder: string, options: CompileOptions): CompiledPolicy {
  const result = compilePolicy(readPolicyFolder(folder), options)
  if ('policy' in result) return result.policy
  throw errorFor(result.findings)
}

/** One line for everything in `folder` that compiles to `policy` but trusts more than was probably meant. */
export function policyWarnings(folder: string, policy: CompiledPolicy): readonly string[] {
  return inReadingOrder(lintPolicy(readPolicyFolder(folder), policy)).map(formatFinding)
}

/**
 * Parses every `*.yaml` and `*.yml` directly in `folder`, but not `*.test.yaml`. Throws {@link PolicyError} if there is none, or if one is not
 * YAML 1.2, has a key twice or uses an alias.
 */
export function readPolicyFolder(folder: string): readonly PolicyFile[] {
  const names = policyFileNames(folder)
  if (names.length === 0)
    throw new PolicyError(
      `${folder}: found no policy file; write the policy to ${join(folder, 'policy.yaml')}`,
    )
  const parsed = names.map((name) =>
    parsePolicyFile(join(folder, name), readFileSync(join(folder, name), 'utf8')),
  )
  const findings = parsed.flatMap((file) => ('findings' in file ? file.findings : []))
  if (findings.length > 0) throw errorFor(findings)
  return parsed.flatMap((file) => ('file' in file ? [file.file] : []))
}

type ParsedFile = { readonly file: PolicyFile } | { readonly findings: readonly PolicyFinding[] }

/** Parses the text of one policy file, which is called `name` in findings. */
export function parsePolicyFile(name: string, text: string): ParsedFile {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    // A `%YAML 1.1` line would otherwise make `no` a boolean and `<<` a merge.
    schema: 'core',
    resolveKnownTags: false,
    // Looked for below: the parser would compare each key with every other, and take seconds over a long file.
    uniqueKeys: false,
    logLevel: 'error',
  })
  const problems = [...document.errors, ...document.warnings].map(problemOf)
  const findings = [...problems, ...keyProblemsIn(document), ...aliasesIn(document)].map(
    ({ offset, message }): PolicyFinding => {
      return { severity: 'error', file: name, path: '', message, ...placeOf(lines, offset) }
    },
  )
  if (findings.length > 0) return { findings }
  const locate = (path: PolicyPath) => placeOf(lines, offsetOf(document, path))
  return { file: { name, document: document.toJS() ?? {}, locate } }
}

interface Problem {
  readonly offset: number
  readonly message: string
}

function problemOf({ pos, message }: YAMLError): Problem {
  return { offset: pos[0], message: `found invalid YAML: ${message}; allowed: YAML 1.2` }
}

/** Keys by their text: `1` and `"1"` are one key to everybody who reads the data. */
function keyProblemsIn(document: Document): readonly Problem[] {
  const problems: Problem[] = []
  visit(document, {
    Map: (_, map) => {
      const texts = new Set<string>()
      for (const { key } of map.items) {
        const offset = startOf(key)
        const text = isScalar(key) ? String(key.value) : undefined
        if (text === undefined)
          problems.push({ offset, message: 'found a list or a map for a key; allowed: a text' })
        else if (texts.has(text))
          problems.push({ offset, message: 'found a key twice; allowed: each key once' })
        else texts.add(text)
      }
    },
  })
  return problems
}

/** What a grant says must stand where it is read; and nested aliases can grow without bound. */
function aliasesIn(document: Document): readonly Problem[] {
  const offsets: number[] = []
  visit(document, {
    Alias: (_, alias) => {
      offsets.push(alias.range?.[0] ?? 0)
    },
  })
  return offsets.map((offset) => ({ offset, message: 'found an alias; allowed: the value itself' }))
}

/** Examples beside the policy, for `policy test`. */
export const TEST_FILE = /\.test\.ya?ml$/

function policyFileNames(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => /\.ya?ml$/.test(name) && !TEST_FILE.test(name))
      .toSorted()
  } catch (cause) {
    throw new PolicyError(
      `${folder}: found no folder; make it and write the policy to ${join(folder, 'policy.yaml')}`,
      {
        cause,
      },
    )
  }
}

/** Where the key or item at `path` begins, or the nearest thing above it. */
function offsetOf(document: Document, path: PolicyPath): number {
  let node: unknown = document.contents
  let offset = 0
  for (const step of path) {
    const found = childOf(node, step)
    if (found === undefined) return offset
    offset = found.offset
    node = found.node
  }
  return offset
}

function childOf(
  node: unknown,
  step: string | number,
): { readonly node: unknown; readonly offset: number } | undefined {
  if (isSeq(node)) {
    const item = node.items[Number(step)]
    return { node: item, offset: startOf(item) }
  }
  if (!isMap(node)) return undefined
  const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step))
  return pair && { node: pair.value, offset: startOf(pair.key) }
}

function startOf(node: unknown): number {
  return (isMap(node) || isSeq(node) || isScalar(node) || isAlias(node) ? node.range?.[0] : undefined) ?? 0
}

function placeOf(lines: LineCounter, offset: number): { readonly line: number; readonly column: number } {
  const { line, col } = lines.linePos(offset)
  return { line: Math.max(line, 1), column: Math.max(col, 1) }
}

function errorFor(findings: readonly PolicyFinding[]): PolicyError {
  return new PolicyError(inReadingOrder(findings).map(formatFinding).join('\n'), { findings })
}
