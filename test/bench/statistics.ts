/** The value below which `share` of the sample lies. */
export function percentile(sample: readonly number[], share: number): number {
  const sorted = sample.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export function median(sample: readonly number[]): number {
  return percentile(sample, 0.5)
}

interface Interval {
  readonly startedAt: number
  readonly endedAt: number
}

/** How many calls had to wait for another to end: the longest chain of calls that follow one another. */
export function sequentialCalls(calls: readonly Interval[]): number {
  const longest = new Map<Interval, number>()
  for (const call of calls.toSorted((a, b) => a.startedAt - b.startedAt)) {
    const before = [...longest].filter(([earlier]) => earlier.endedAt <= call.startedAt)
    longest.set(call, 1 + Math.max(0, ...before.map(([, length]) => length)))
  }
  return Math.max(0, ...longest.values())
}
