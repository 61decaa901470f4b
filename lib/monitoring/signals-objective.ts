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
  const queries = Object.entries(metrics).map(([name, metric]) => query(name, metric))
  const formula = (name: string, expression: string) => [
    ...queries.map((each) => ({ ...each, returnData: false })),
    { id: name, expression, returnData: true },
  ]
  new CfnServiceLevelObjective(scope, `Signals-${id}`, {
    name: `${prefix}-${id}`,
    description: `What the token broker promises of its ${id}`,
    goal: {
      attainmentGoal: targetPercent,
      interval: { rollingInterval: { duration: OBJECTIVE_DAYS, durationUnit: 'DAY' } },
    },
    requestBasedSli: {
      requestBasedSliMetric: {
        totalRequestCountMetric: formula('all', `${total} * 1`),
        monitoredRequestCountMetric: { badCountMetric: formula('bad', `${bad} * 1`) },
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
