import { expect, it } from 'vitest'
import { METRIC_UNITS, METRICS_NAMESPACE, type MetricName } from '../../functions/telemetry.ts'
import { publishedWhenHealthy } from '../../lib/alarms/healthy-broker.ts'
import { statisticOver } from '../../lib/alarms/statistic.ts'
import { parseConfig } from '../../lib/config.ts'
import { LATENCY_LIMITS } from '../../lib/monitoring-config.ts'

const LOAD = { requests: 1000, failed: 0.1, slow: 0.2 }

function publishedOf(name: MetricName, statistic: string): number | undefined {
  const metric = { namespace: METRICS_NAMESPACE, name, dimensions: {}, unit: METRIC_UNITS[name] }
  return statisticOver(statistic, [publishedWhenHealthy(metric)?.(LOAD, 0)], 1)[0]
}

it.each([LATENCY_LIMITS.shortest, parseConfig({}).monitoring.latencyMilliseconds, LATENCY_LIMITS.longest])(
  'a broker whose answers are fast within %d ms is as slow by its durations as by its count of fast ones',
  (latency) => {
    expect(publishedOf('Duration', `TC(:${latency})`)).toBe(publishedOf('Fast', 'Sum'))
    expect(publishedOf('Duration', `TC(${latency}:)`)).toBe(180)
    expect(publishedOf('Duration', 'SampleCount')).toBe(publishedOf('Fast', 'SampleCount'))
  },
)
