/** Texts longer than this are no slips of one another. */
const MAX_CHARACTERS = 40
/** Among more words a guess is a gamble, and takes its time with each of many findings. */
const MAX_WORDS = 200

/** The one of `words` that `text` was probably meant to be; `undefined` if none is near. */
export function nearest(text: string, words: readonly string[]): string | undefined {
  if (text.length > MAX_CHARACTERS || words.length > MAX_WORDS) return undefined
  const measured = words
    .filter((word) => word.length <= MAX_CHARACTERS && isNearInLength(text, word))
    .map((word) => ({ word, distance: isPartOf(text, word) ? 1 : distance(folded(text), folded(word)) }))
    .filter(({ word, distance: away }) => away <= word.length / 3)
  return measured.reduce<(typeof measured)[number] | undefined>(
    (best, next) => (best === undefined || next.distance < best.distance ? next : best),
    undefined,
  )?.word
}

function isNearInLength(text: string, word: string): boolean {
  return isPartOf(text, word) || Math.abs(text.length - word.length) <= word.length / 3
}

/** `github` for `github-actions`. */
function isPartOf(text: string, word: string): boolean {
  return word.split(/[-_.]/).includes(folded(text))
}

function folded(text: string): string {
  return text.toLowerCase().replaceAll('-', '_')
}

/** Characters to insert, remove, replace or swap with the next (optimal string alignment). */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, at) => at)]
  const at = (row: number, column: number) => rows[row]?.[column] ?? Number.POSITIVE_INFINITY
  for (let row = 1; row <= a.length; row++) {
    const cells = [row]
    rows.push(cells)
    for (let column = 1; column <= b.length; column++) {
      const isSame = a[row - 1] === b[column - 1]
      const isSwapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      cells.push(
        Math.min(
          at(row - 1, column) + 1,
          at(row, column - 1) + 1,
          at(row - 1, column - 1) + (isSame ? 0 : 1),
          isSwapped ? at(row - 2, column - 2) + 1 : Number.POSITIVE_INFINITY,
        ),
      )
    }
  }
  return at(a.length, b.length)
}
