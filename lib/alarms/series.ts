/** Some values that were published, or one value that was published `count` times. */
export interface Sample {
  readonly value: number
  /** Above 0; not necessarily whole: a scenario may say 0.12 failures a minute. */
  readonly count: number
}

/** Each minute's samples of one metric; `undefined` where nothing was published. Equal minutes may share one array. */
export type Series = readonly (readonly Sample[] | undefined)[]

/** One number per minute, `NaN` where there is none: CloudWatch's missing data point. */
export type Points = Float64Array

/** Whether a data point is missing. */
export const isMissing = Number.isNaN

/** The name of one metric, by which alarms and what was published find each other. */
export interface MetricId {
  readonly namespace: string
  readonly name: string
  readonly dimensions: Readonly<Record<string, string>>
  /** Where it is given, what is published in another unit is not seen. */
  readonly unit: string | undefined
}

/** `TokenBroker Failed {service=token-broker, stage=dev}`: the same text for the same metric. */
export function metricKey({ namespace, name, dimensions }: MetricId): string {
  const pairs = Object.entries(dimensions)
    .map(([key, value]) => `${key}=${value}`)
    .toSorted()
  return `${namespace} ${name}${pairs.length === 0 ? '' : ` {${pairs.join(', ')}}`}`
}

/**
 * The namespaces under which the replayer looks for what CloudWatch knows by itself; there they have none. What a rule of
 * Contributor Insights counts, the quota of a usage metric, and the upper edge of the band that is learned for a metric.
 */
export const KNOWN_TO_CLOUDWATCH = {
  insights: 'ContributorInsights',
  quotas: 'ServiceQuotas',
  bands: 'AnomalyDetection',
} as const
