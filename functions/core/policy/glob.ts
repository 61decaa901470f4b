/** Patterns longer than this are refused: with a token of 16 KiB they bound the work of one match. */
export const MAX_GLOB_CHARACTERS = 1024

/** Whether a condition's text is a pattern. */
export function isGlob(text: string): boolean {
  return text.includes('*')
}

/**
 * A matcher of whole texts: `*` is any run of characters but `/` and `:`, `**` is any run, the rest is literal. It
 * walks the text once and needs pattern × text steps at most: there is no backtracking that a token could provoke.
 */
export function globMatcher(pattern: string): (text: string) => boolean {
  const parts = partsOf(pattern)
  return (text) => {
    let reached: readonly boolean[] = partsMatchingNothing(parts)
    for (let at = 0; at < text.length; at++) {
      reached = step(parts, reached, text.charAt(at))
      if (!reached.includes(true)) return false
    }
    return reached[parts.length] === true
  }
}

function partsOf(pattern: string): readonly string[] {
  return pattern.split(/(\*\*)/).flatMap((piece) => (piece === '**' ? [piece] : piece.split('')))
}

/** `reached[n]`: the first `n` parts match the text so far. */
function partsMatchingNothing(parts: readonly string[]): readonly boolean[] {
  const literalAt = parts.findIndex((part) => !isGlob(part))
  const wildcards = literalAt === -1 ? parts.length : literalAt
  return [true, ...parts.map((_, at) => at < wildcards)]
}

function step(parts: readonly string[], reached: readonly boolean[], character: string): readonly boolean[] {
  const next = [false]
  parts.forEach((part, at) => {
    const canEnd = isGlob(part)
      ? next[at] === true || (reached[at + 1] === true && crosses(part, character))
      : reached[at] === true && part === character
    next.push(canEnd)
  })
  return next
}

function crosses(wildcard: string, character: string): boolean {
  return wildcard === '**' || (character !== '/' && character !== ':')
}
