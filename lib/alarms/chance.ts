/** Above this mean the normal distribution is close enough, and drawing one by one too slow. */
const LARGE_MEAN = 30

/** How many of independent events happen that come `mean` at a time. */
export function poisson(random: () => number, mean: number): number {
  if (mean > LARGE_MEAN) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)))
  const limit = Math.exp(-mean)
  let drawn = 0
  for (let product = random(); product > limit; product *= random()) drawn += 1
  return drawn
}

/** Of so many, how many have what each has with this probability. */
export function binomial(random: () => number, of: number, probability: number): number {
  if (probability === 0) return 0
  if (probability === 1) return of
  // Rare or common: the rest is drawn then.
  if (probability > 0.5) return of - binomial(random, of, 1 - probability)
  const mean = of * probability
  const drawn =
    mean > LARGE_MEAN
      ? Math.round(mean + Math.sqrt(mean * (1 - probability)) * normal(random))
      : poisson(random, mean)
  return Math.min(of, Math.max(0, drawn))
}

/** Box-Muller; 1 - random() is never 0. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}
