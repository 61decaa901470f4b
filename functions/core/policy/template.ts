import type { TemplatePart } from './compiled.ts'

const TEMPLATE = /^(?:[^{}]|\{[^{}]+\})*$/
const INSERTION = /\{([^{}]+)\}/
const BAD_ESCAPE = /~(?![01])/

/**
 * Cuts a claim template into literal text and claim paths: `{name}` is a top-level claim, `{/a/b}` a JSON Pointer
 * (RFC 6901). Returns `undefined` if a brace is unpaired, empty or nested, or a pointer has a bad `~` escape.
 */
export function parseTemplate(template: string): readonly TemplatePart[] | undefined {
  if (!TEMPLATE.test(template)) return undefined
  // Splitting at a group yields text and insertions by turns.
  const pieces = template.split(INSERTION)
  const pointers = pieces.filter((piece, at) => isInsertion(at) && piece.startsWith('/'))
  if (pointers.some((pointer) => BAD_ESCAPE.test(pointer))) return undefined
  return pieces.flatMap((piece, at): readonly TemplatePart[] => {
    if (isInsertion(at)) return [{ path: pathOf(piece) }]
    return piece === '' ? [] : [piece]
  })
}

function isInsertion(at: number): boolean {
  return at % 2 === 1
}

function pathOf(insertion: string): readonly string[] {
  if (!insertion.startsWith('/')) return [insertion]
  // ``~1` first: `~01` is a tilde and a one, not a slash (RFC 6901 §4).
  return insertion
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}
