import { readFileSync } from 'node:fs'
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml'
import type { PolicyFile, PolicyFinding, PolicyPath } from '../functions/core/policy/finding.ts'
import { type YamlProblem, yamlSlip } from './yaml-slips.ts'

/** One file of YAML; or what is wrong with it, and what of it can be read all the same. */
export type ParsedFile =
  | { readonly file: PolicyFile }
  | {
      readonly findings: readonly PolicyFinding[]
      /** Without the parts that have findings: for mistakes elsewhere, and never to be put in force. */
      readonly rest: PolicyFile
    }

/** Parses the file at `path`, which is its name in findings. Throws where it cannot be read. */
export function readPolicyFile(path: string): ParsedFile {
  const bytes = readFileSync(path)
  try {
    return parsePolicyFile(path, new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    // What replaces them would be compared with claims, in silence.
    const message = 'found bytes that are no UTF-8; allowed: UTF-8'
    const finding = { severity: 'error', file: path, line: 1, column: 1, path: '', message } as const
    return { findings: [finding], rest: fileOf(path, readYaml('')) }
  }
}

/** Parses the text of one policy file, which is called `name` in findings: YAML 1.2, each key once, no alias. */
export function parsePolicyFile(name: string, text: string): ParsedFile {
  const whole = readYaml(text)
  if (whole.problems.length === 0) return { file: fileOf(name, whole) }
  const lines = text.split('\n')
  const parts = partsOf(lines).map((positions) => ({ positions, problems: problemsIn(positions, lines) }))
  const isBroken = (at: number) => (parts[at]?.problems.length ?? 0) > 0
  const sound = parts.filter(
    // What a key without anything should have below it is probably what cannot be read.
    ({ positions }, at) => !isBroken(at) && !(isBare(positions, lines) && isBroken(at + 1)),
  )
  // A slip makes the parser misread all that follows: each part is asked on its own, and answers for itself.
  const slips = whole.isMisread ? parts.flatMap(({ problems }) => problems) : []
  const findings = withoutRepetitions(slips.length > 0 ? slips : whole.problems).map(
    ({ place, message }): PolicyFinding => ({ severity: 'error', file: name, path: '', message, ...place }),
  )
  const kept = new Set(sound.flatMap(({ positions }) => positions))
  const rest = readYaml(lines.map((line, at) => (kept.has(at) ? line : '')).join('\n'))
  return { findings, rest: fileOf(name, rest.problems.length === 0 ? rest : readYaml('')) }
}

interface Place {
  readonly line: number
  readonly column: number
}

interface Problem {
  readonly place: Place
  readonly message: string
}

interface ReadYaml {
  readonly document: Document
  readonly lines: LineCounter
  readonly problems: readonly Problem[]
  /** Whether what stands there may be something else than what was read. */
  readonly isMisread: boolean
}

function readYaml(text: string): ReadYaml {
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
  const slip = yamlSlip(document, text)
  const found = slip
    ? [slip]
    : [...tagsIn(document), ...quotesIn(document), ...keyProblemsIn(document), ...aliasesIn(document)]
  const problems = found.map(({ offset, message }) => ({ place: placeOf(lines, offset), message }))
  return { document, lines, problems, isMisread: slip !== undefined }
}

function fileOf(name: string, { document, lines }: ReadYaml): PolicyFile {
  const locate = (path: PolicyPath) => placeOf(lines, offsetOf(document, path))
  return { name, document: document.toJS() ?? {}, locate }
}

/** Some lines of a file, by their positions: one entry of a section, below the line that begins the section. */
type Part = readonly number[]

/** The file, cut where keys of the first and the second level begin; a section in brackets is one part. */
function partsOf(lines: readonly string[]): readonly Part[] {
  return cutWhere([...lines.keys()], (at) => indentOf(lines[at]) === 0).flatMap(([head = 0, ...body]) => {
    const [indent] = body.flatMap((at) => indentOf(lines[at]) ?? [])
    if (indent === undefined || /[[{]/.test(lines[head] ?? '')) return [[head, ...body]]
    return cutWhere(body, (at) => indentOf(lines[at]) === indent).map((entry) => [head, ...entry])
  })
}

/** How far a line is indented; `undefined` for one with which nothing begins: a comment, a closing bracket, a directive. */
function indentOf(line = ''): number | undefined {
  const [, spaces] = /^( *)(?!---|%)[^\s#\]}]/.exec(line) ?? []
  return spaces?.length
}

/** Whether a part is a key with nothing below it. */
function isBare([, ...body]: Part, lines: readonly string[]): boolean {
  const [first, ...more] = body.filter((at) => indentOf(lines[at]) !== undefined)
  return first !== undefined && more.length === 0 && /:\s*(?:#.*)?$/.test(lines[first] ?? '')
}

/** Positions cut into runs, a new one where `begins` says so. */
function cutWhere(positions: readonly number[], begins: (at: number) => boolean): readonly Part[] {
  const runs: number[][] = []
  for (const at of positions) {
    if (runs.length === 0 || begins(at)) runs.push([])
    runs.at(-1)?.push(at)
  }
  return runs
}

/** The problems of a part as if the file had no other; their places are those in the file. */
function problemsIn(part: Part, lines: readonly string[]): readonly Problem[] {
  const { problems } = readYaml(part.map((at) => lines[at] ?? '').join('\n'))
  return problems.map(({ place: { line, column }, message }) => ({
    place: { line: (part[line - 1] ?? part.at(-1) ?? 0) + 1, column },
    message,
  }))
}

/** What begins a section stands in each of its parts. */
function withoutRepetitions(problems: readonly Problem[]): readonly Problem[] {
  return [...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values()]
}

function tagsIn(document: Document): readonly YamlProblem[] {
  return document.warnings.map(({ pos: [offset], message }) => ({
    offset,
    message: `found invalid YAML: ${message}; allowed: YAML 1.2`,
  }))
}

/** Keys by their text: `1` and `"1"` are one key to everybody who reads the data. */
function keyProblemsIn(document: Document): readonly YamlProblem[] {
  const problems: YamlProblem[] = []
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

/** Those of a web page or a word processor: to YAML they are part of the text, which then matches nothing. */
function quotesIn(document: Document): readonly YamlProblem[] {
  const problems: YamlProblem[] = []
  visit(document, {
    Scalar: (_, { type, value, range }) => {
      if (type === 'PLAIN' && /^[“”„‘’]/.test(String(value)))
        problems.push({ offset: range?.[0] ?? 0, message: 'found a typographic quote; allowed: " or \'' })
    },
  })
  return problems
}

/** What a grant says must stand where it is read; and nested aliases can grow without bound. */
function aliasesIn(document: Document): readonly YamlProblem[] {
  const offsets: number[] = []
  visit(document, {
    Alias: (_, alias) => {
      offsets.push(alias.range?.[0] ?? 0)
    },
  })
  return offsets.map((offset) => ({
    offset,
    message: 'found an alias; allowed: the value itself, in quotes if it begins with *',
  }))
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

function placeOf(lines: LineCounter, offset: number): Place {
  const { line, col } = lines.linePos(offset)
  return { line: Math.max(line, 1), column: Math.max(col, 1) }
}
