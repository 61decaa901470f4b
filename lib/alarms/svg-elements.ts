/** Attributes of an element; numbers are rounded to what can be seen. */
export type Attributes = Readonly<Record<string, string | number>>

/** One element of SVG, its attributes escaped; `content` is markup already. */
export function element(name: string, attributes: Attributes, content = ''): string {
  const written = Object.entries(attributes).map(
    ([key, value]) => ` ${key}="${escaped(typeof value === 'number' ? rounded(value) : value)}"`,
  )
  return `<${name}${written.join('')}${content === '' ? '/>' : `>${content}</${name}>`}`
}

/** A line of text. */
export function text(x: number, y: number, words: string, attributes: Attributes = {}): string {
  return element('text', { x, y, ...attributes }, escaped(words))
}

/** The path through points. */
export function pathThrough(points: readonly (readonly [number, number])[]): string {
  return points.map(([x, y], at) => `${at === 0 ? 'M' : 'L'}${rounded(x)} ${rounded(y)}`).join('')
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** Words where markup is wanted. */
export function plain(words: string): string {
  return escaped(words)
}

function escaped(words: string): string {
  return words.replaceAll(/[&<>"]/g, (character) => ESCAPES[character] ?? '')
}

function rounded(value: number): string {
  return String(Math.round(value * 10) / 10)
}
