const ARN_PARTS = 6

/** A compiled pattern of a policy: says whether a value is meant. */
export interface Pattern {
  readonly text: string
  readonly matches: (value: string) => boolean
}

/** A pattern in which `*` is any run of characters and `?` any one. */
export function globPattern(text: string, flags = ''): Pattern {
  if (text === '*') return { text, matches: () => true }
  const source = text
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  const expression = new RegExp(`^${source}$`, `s${flags}`)
  return { text, matches: (value) => expression.test(value) }
}

/** An action pattern. Case does not count. */
export function actionPattern(text: string): Pattern {
  return globPattern(text, 'i')
}

/**
 * An ARN pattern. IAM compares the six parts one by one, so a wildcard never crosses from one into the next; parts left
 * out count as `*`.
 */
export function arnPattern(text: string): Pattern {
  if (!text.startsWith('arn:')) return globPattern(text)
  const given = arnParts(text)
  const parts = [...given, ...Array<string>(ARN_PARTS - given.length).fill('*')].map((part) =>
    globPattern(part),
  )
  const matches = (value: string) => {
    const values = arnParts(value)
    return values.length === ARN_PARTS && parts.every((part, index) => part.matches(values[index] ?? ''))
  }
  return { text, matches }
}

function arnParts(arn: string): string[] {
  const parts = arn.split(':')
  return parts.length <= ARN_PARTS
    ? parts
    : [...parts.slice(0, ARN_PARTS - 1), parts.slice(ARN_PARTS - 1).join(':')]
}
