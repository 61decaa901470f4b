/** Numbers in [0, 1), the same for the same seed (mulberry32). For faults that can be repeated, not for secrets. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The 99th percentile of the standard normal distribution. */
const Z99 = 2.326_347_874

/** Draws from the lognormal distribution with this median and 99th percentile. */
export function lognormal(random: () => number, p50: number, p99: number): number {
  const sigma = Math.log(p99 / p50) / Z99
  // Box-Muller; 1 - random() is never 0.
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  return p50 * Math.exp(sigma * normal)
}
