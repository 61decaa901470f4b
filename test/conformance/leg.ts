import type { Synthesis } from '../../lib/local/synthesize.ts'

/** How a leg ended. */
export type LegOutcome =
  | { readonly kind: 'passed'; readonly summary: string; readonly notes?: readonly string[] }
  | { readonly kind: 'failed'; readonly problems: readonly string[] }
  | { readonly kind: 'skipped'; readonly why: string }

/** What a leg is given. */
export interface LegContext {
  /** Reports progress. */
  say(text: string): void
  /** Calls `close` when the leg ends, however it ends; the last one first. */
  defer(close: () => unknown): void
  /** The broker as the local cloud runs it, synthesized once for all legs. */
  synthesis(): Synthesis
}

/** One independent check. */
export interface Leg {
  readonly name: string
  /** What it shows that the project's own tests cannot. */
  readonly proves: string
  run(context: LegContext): Promise<LegOutcome>
}

/** The leg cannot run here: a tool or a registry is missing. */
export class LegSkipped extends Error {
  override readonly name = 'LegSkipped'
}

/** `passed` with the summary if there is no problem, otherwise `failed`. */
export function outcomeOf(
  problems: readonly string[],
  summary: string,
  notes: readonly string[] = [],
): LegOutcome {
  return problems.length > 0 ? { kind: 'failed', problems } : { kind: 'passed', summary, notes }
}
