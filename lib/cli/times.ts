/** A moment as operators read it: UTC, to the minute. `epochSeconds` since 1970. */
export function timeOf(epochSeconds: number): string {
  return `${new Date(epochSeconds * 1000).toISOString().slice(0, 16).replace('T', ' ')}Z`
}

const UNITS: readonly (readonly [seconds: number, name: string])[] = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
  [1, 's'],
]

/** A duration in its two largest units, for example `2 h 6 min`. */
export function durationOf(seconds: number): string {
  const first = UNITS.findIndex(([size]) => seconds >= size)
  if (first === -1) return '0 s'
  const parts: string[] = []
  let rest = seconds
  for (const [size, name] of UNITS.slice(first, first + 2)) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0) parts.push(`${count} ${name}`)
  }
  return parts.join(' ')
}

/** How long ago a moment was. */
export function ageOf(epochSeconds: number, now: number): string {
  return durationOf(Math.max(0, now - epochSeconds))
}
