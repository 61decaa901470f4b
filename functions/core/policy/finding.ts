import { nearest } from './nearest.ts'

/** Where something stands in a policy file: map keys and list positions from the top. */
export type PolicyPath = readonly (string | number)[]

/** One policy file, already parsed: the core knows no YAML. */
export interface PolicyFile {
  /** As it is shown to people, for example `policy/grants.yaml`. */
  readonly name: string
  /** Plain data, as `JSON.parse` would give it. */
  readonly document: unknown
  /** The place of the key or list item at `path`, or of its nearest ancestor that exists. Both count from 1. */
  locate(path: PolicyPath): { readonly line: number; readonly column: number }
}

/** Something wrong with a policy (`error`: it cannot be deployed) or unwise in it (`warning`). */
export interface PolicyFinding {
  readonly severity: 'error' | 'warning'
  readonly file: string
  readonly line: number
  readonly column: number
  readonly path: string
  /** What was found; what is allowed. */
  readonly message: string
}

/** What moves a cursor, turns the direction of text or cannot be seen: a policy under review may hold it. */
const NOT_SHOWN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\u00a0]/gu
const PLAIN_KEY = /^[\w-]+$/
const SHOWN_CHARACTERS = 60

/** The finding for `path` of `file`, with its place looked up. */
export function findingAt(
  file: PolicyFile,
  path: PolicyPath,
  about: Pick<PolicyFinding, 'severity' | 'message'>,
): PolicyFinding {
  return { ...about, file: file.name, path: formatPath(path), ...file.locate(path) }
}

/** `policy/grants.yaml:14:9 grants.payments-ci.when.ref: <what was found>; <what is allowed>`. */
export function formatFinding(finding: PolicyFinding): string {
  const { file, line, column, path, message } = finding
  return visible(`${file}:${line}:${column}${path && ` ${path}`}: ${message}`)
}

/** A text as a terminal may show it. */
export function visible(text: string): string {
  return text.replaceAll(NOT_SHOWN, escaped)
}

/** The message of a finding about `value`. Only scalars are shown, shortened: a key pasted by mistake stays unseen. */
export function foundInsteadOf(value: unknown, allowed: string): string {
  return `found ${describe(value)}; allowed: ${allowed}`
}

/** The same where only certain words are allowed: with the one that was probably meant. */
export function foundAmong(value: unknown, words: readonly string[], allowed = words.join(', ')): string {
  const meant = typeof value === 'string' ? nearest(value, words) : undefined
  return `${foundInsteadOf(value, allowed)}${meantText(meant)}`
}

/** The end of a message about a word that nobody knows. */
export function meantText(meant: string | undefined): string {
  return meant === undefined ? '' : `; did you mean ${meant}?`
}

/** Findings in the order in which a reader meets them. */
export function inReadingOrder(findings: readonly PolicyFinding[]): readonly PolicyFinding[] {
  return findings.toSorted(
    (a, b) =>
      compareText(a.file, b.file) || a.line - b.line || a.column - b.column || compareText(a.path, b.path),
  )
}

/** Orders texts by UTF-16 code units, the same on every machine. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function describe(value: unknown): string {
  if (value === undefined || value === null) return 'nothing'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (typeof value === 'object') return 'a map'
  const text = JSON.stringify(value) ?? typeof value
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text
}

function escaped(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
}

function formatPath(path: PolicyPath): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`
    if (!PLAIN_KEY.test(step)) return `${text}[${JSON.stringify(step)}]`
    return text === '' ? step : `${text}.${step}`
  }, '')
}
