import { findingAt, type PolicyFile, type PolicyFinding, type PolicyPath } from './finding.ts'

/** A part of the policy language that this version refuses. */
interface UnavailableFeature {
  /** Keys from the top of a file; `*` stands for any name. */
  readonly path: string
  /** The one value that is accepted all the same. */
  readonly except?: string
  /** The values that are refused, where the others are there. */
  readonly values?: readonly string[]
}

/** To make a feature available, implement it and delete its row. */
const UNAVAILABLE: readonly UnavailableFeature[] = [
  {
    path: 'clients.*.authentication.method',
    values: ['tls_client_auth', 'self_signed_tls_client_auth'],
  },
  { path: 'targets.*.token.binding', values: ['mtls'] },
  { path: 'targets.*.aws_role' },
]

interface Occurrence {
  readonly path: PolicyPath
  readonly value: unknown
}

/** A finding for each use of a feature that this version does not have. */
export function unavailableIn(file: PolicyFile): readonly PolicyFinding[] {
  return UNAVAILABLE.flatMap((feature) =>
    occurrences(file.document, feature.path.split('.'))
      .filter(({ value }) => isRefused(feature, value))
      .map(({ path, value }) =>
        findingAt(file, path, { severity: 'error', message: messageFor(feature, value) }),
      ),
  )
}

function isRefused({ except, values }: UnavailableFeature, value: unknown): boolean {
  if (values !== undefined) return values.some((refused) => refused === value)
  return except === undefined || value !== except
}

function messageFor({ path, except, values }: UnavailableFeature, value: unknown): string {
  const key = path.split('.').at(-1)
  if (values !== undefined)
    return `found ${key} ${JSON.stringify(value)}, which is not available in this version; allowed: another ${key}`
  if (except === undefined)
    return `found ${key}, which is not available in this version; allowed: to leave it out`
  return `found ${key} ${JSON.stringify(value)}, which is not available in this version; allowed: ${except}`
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
