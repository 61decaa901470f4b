const SECONDS_IN = { s: 1, m: 60, h: 3600 } as const

/** The seconds in a duration such as `30s`, `5m` or `1h`, which the schema has already checked. */
export function durationSeconds(duration: string): number {
  const unit = duration.at(-1)
  const factor = unit === 'h' || unit === 'm' ? SECONDS_IN[unit] : SECONDS_IN.s
  return Number(duration.slice(0, -1)) * factor
}
