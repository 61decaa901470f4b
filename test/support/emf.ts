/** What tests count requests by: no deployment's default, so that a test sees which of the two is used. */
export const COUNTING = { stage: 'test', latencyMilliseconds: 150 } as const

/** A line in CloudWatch's embedded metric format, as far as tests look at it. */
export interface EmfLine extends Readonly<Record<string, unknown>> {
  readonly _aws: {
    readonly CloudWatchMetrics: readonly {
      readonly Namespace: string
      readonly Dimensions: readonly (readonly string[])[]
      readonly Metrics: readonly { readonly Name: string; readonly Unit: string }[]
    }[]
  }
}

/** The lines among `printed` that carry metrics. */
export function emfLinesIn(printed: string): readonly EmfLine[] {
  return printed
    .split('\n')
    .filter((line) => line.includes('"_aws"'))
    .map((line) => JSON.parse(line) as EmfLine)
}

/** The series that CloudWatch makes of the lines: one for each metric and each set of dimensions with their values. */
export function seriesOf(lines: readonly EmfLine[]): ReadonlySet<string> {
  return new Set(
    lines.flatMap((line) =>
      line._aws.CloudWatchMetrics.flatMap(({ Namespace, Dimensions, Metrics }) =>
        Dimensions.flatMap((names) => {
          const dimensions = names.toSorted().map((name) => `${name}=${String(line[name])}`)
          return Metrics.map(({ Name }) => [Namespace, Name, ...dimensions].join(' '))
        }),
      ),
    ),
  )
}
