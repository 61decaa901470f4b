import { CfnServiceLevelObjective } from 'aws-cdk-lib/aws-applicationsignals'
import type { IMetric } from 'aws-cdk-lib/aws-cloudwatch'
import type { Construct } from 'constructs'
import { burnAlarms, OBJECTIVE_DAYS } from './burn-rate.ts'
import type { Objective } from './objective.ts'

const SECONDS = 60

/**
 * An objective as CloudWatch Application Signals shows it: for its console and its budget reports. No alarm depends on it.
 */
export function signalsObjective(scope: Construct, prefix: string, objective: Objective): void {
  const { id, targetPercent, count } = objective
  const { metrics, bad, total } = count(1)
  const counted = (formula: string) => {
    const metric = metrics[formula]
    if (metric !== undefined) return [{ ...query(formula, metric), returnData: true }]
    const parts = Object.entries(metrics).map(([name, part]) => ({ ...query(name, part), returnData: false }))
    return [...parts, { id: 'counted', expression: formula, returnData: true }]
  }
  new CfnServiceLevelObjective(scope, `Signals-${id}`, {
    name: `${prefix}-${id}`,
    description: `What the token broker promises of its ${id}`,
    goal: {
      attainmentGoal: targetPercent,
      interval: { rollingInterval: { duration: OBJECTIVE_DAYS, durationUnit: 'DAY' } },
    },
    requestBasedSli: {
      requestBasedSliMetric: {
        totalRequestCountMetric: counted(total),
        monitoredRequestCountMetric: { badCountMetric: counted(bad) },
      },
    },
    burnRateConfigurations: burnAlarms(targetPercent)
      .filter(({ windows }) => windows.length > 1)
      .map(({ windows: [long] }) => ({ lookBackWindowMinutes: long?.minutes ?? 1 })),
  })
}

function query(id: string, metric: IMetric): CfnServiceLevelObjective.MetricDataQueryProperty {
  const { metricStat } = metric.toMetricConfig()
  if (metricStat === undefined) throw new Error(`${id} is no metric`)
  const { namespace, metricName, dimensions = [], statistic, unitFilter } = metricStat
  return {
    id,
    metricStat: {
      metric: {
        namespace,
        metricName,
        dimensions: dimensions.map(({ name, value }) => ({ name, value: String(value) })),
      },
      period: SECONDS,
      stat: statistic,
      ...(unitFilter !== undefined && { unit: unitFilter }),
    },
  }
}
