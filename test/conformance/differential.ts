import { isDeepStrictEqual } from 'node:util'
import type { WireAnswer } from './aws-wire.ts'

const MOST_CHARACTERS = 300

/** Requests for which the two sides may differ, and why. */
export interface ExplainedDifference {
  readonly requests: readonly string[]
  readonly reason: string
}

/** One request's answers by both sides, already reduced to what must be the same. */
export interface Compared {
  readonly request: string
  readonly ours: unknown
  readonly theirs: unknown
}

/** The problems: differences that nobody has explained, and explanations of differences that are gone. */
export function unexplained(
  compared: readonly Compared[],
  explained: readonly ExplainedDifference[],
): readonly string[] {
  const known = new Set(explained.flatMap(({ requests }) => requests))
  const different = compared.filter(({ ours, theirs }) => !isDeepStrictEqual(ours, theirs))
  const problems = different
    .filter(({ request }) => !known.has(request))
    .map(({ request, ours, theirs }) => `${request}: ours ${shown(ours)}, theirs ${shown(theirs)}`)
  const gone = [...known]
    .filter((request) => !different.some((one) => one.request === request))
    .map((request) => `${request}: explained as a difference, but both answer the same`)
  return [...problems, ...gone]
}

/** The run in a few words. */
export function summaryOf(compared: readonly Compared[], explained: readonly ExplainedDifference[]): string {
  const differences = explained.reduce((count, { requests }) => count + requests.length, 0)
  return `${compared.length} requests, ${compared.length - differences} answered the same, ${differences} explained`
}

/** One line for each explanation. */
export function notesOn(explained: readonly ExplainedDifference[]): readonly string[] {
  return explained.map(({ requests, reason }) => `${reason}: ${requests.join('; ')}`)
}

/** What a caller acts on: the status, and the error's code or else the output. */
export function essence({ status, code, body }: WireAnswer): unknown {
  return code === undefined ? { status, body } : { status, code }
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}…` : text
}
