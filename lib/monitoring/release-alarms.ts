import type { DeploymentConfig } from '../config.ts'
import { burnAlarms } from './burn-rate.ts'
import type { CauseId } from './cause-texts.ts'
import { burnWindowName, monitoringPrefix } from './names.ts'
import { AVAILABILITY, GATEWAY } from './objective.ts'

/** One is too much, whatever part of the requests a release gets. */
const NEVER: readonly CauseId[] = ['replay-accepted', 'retired-key-signing']
const NEVER_OF_THE_PROBE: CauseId = 'negative-probe-accepted'

/**
 * Names of the alarms that roll a release back, so that no reference ties the service to the monitoring stack. Each looks
 * at few minutes: of a tenth of the requests, an hour's window would have seen too little when the tenth becomes all.
 */
export function releaseAlarmNames({
  stage,
  probe,
  monitoring,
}: Pick<DeploymentConfig, 'stage' | 'probe' | 'monitoring'>): readonly string[] {
  const prefix = monitoringPrefix(stage)
  const never = probe ? [...NEVER, NEVER_OF_THE_PROBE] : NEVER
  return [
    ...[AVAILABILITY, GATEWAY].flatMap((objective) =>
      shortestWindow(prefix, objective, monitoring.availabilityPercent),
    ),
    ...never.map((id) => `${prefix}-${id}`),
  ]
}

/** Of the fastest rule, which is the one that the gateway has too. */
function shortestWindow(prefix: string, objective: string, targetPercent: number): readonly string[] {
  return burnAlarms(targetPercent)
    .slice(0, 1)
    .flatMap((rule) =>
      rule.windows.slice(-1).map((window) => burnWindowName(prefix, objective, rule, window)),
    )
}
