import { type Refused, refuse } from './refusal.ts'

/** The decoded pairs of a form, in the order in which they were sent. */
export type ParameterPairs = readonly (readonly [name: string, value: string])[]

/** The parameters of a request by name. */
export interface Parameters {
  one(name: string): string | undefined
  all(name: string): readonly string[]
}

/**
 * Collects parameters by name; an empty value counts as left out (RFC 6749 §3.1), and one that is repeated is refused,
 * unless it is among those that may be.
 */
export function gatherParameters(
  parameters: ParameterPairs,
  repeatable: ReadonlySet<string> = new Set(),
): Parameters | Refused {
  const values = new Map<string, string[]>()
  for (const [name, value] of parameters) {
    if (values.has(name) && !repeatable.has(name))
      return refuse({ kind: 'parameter_repeated', parameter: name })
    const known = values.get(name) ?? []
    values.set(name, value === '' ? known : [...known, value])
  }
  return { one: (name) => values.get(name)?.[0], all: (name) => values.get(name) ?? [] }
}
