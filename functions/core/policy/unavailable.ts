import { findingAt, type PolicyFile, type PolicyFinding, type PolicyPath } from './finding.ts'

/**
 * The parts of the policy language that this version refuses: keys from the top of a file, `*` for any name. To make one
 * available, implement it and delete its row.
 */
const UNAVAILABLE: readonly string[] = ['targets.*.aws_role']

interface Occurrence {
  readonly path: PolicyPath
  readonly value: unknown
}

/** A finding for each use of a feature that this version does not have. */
export function unavailableIn(file: PolicyFile): readonly PolicyFinding[] {
  return UNAVAILABLE.flatMap((feature) =>
    occurrences(file.document, feature.split('.')).map(({ path }) => {
      const message = `found ${path.at(-1)}, which is not available in this version; allowed: to leave it out`
      return findingAt(file, path, { severity: 'error', message })
    }),
  )
}

function occurrences(document: unknown, steps: readonly string[]): readonly Occurrence[] {
  return steps.reduce<readonly Occurrence[]>(
    (found, step) =>
      found.flatMap(({ path, value }) =>
        childrenOf(value)
          .filter(([key]) => step === '*' || step === key)
          .map(([key, child]) => ({ path: [...path, key], value: child })),
      ),
    [{ path: [], value: document }],
  )
}

function childrenOf(value: unknown): readonly (readonly [string, unknown])[] {
  return typeof value === 'object' && value !== null ? Object.entries(value) : []
}
