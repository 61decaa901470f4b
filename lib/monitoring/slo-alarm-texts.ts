import type { AlarmText } from './alarm-text.ts'

const ALARMS_NOW = '. docs/runbooks/on-call.sh {stage} && rings'

/** The alarms on the objectives, by their ids: the runbook of each is `docs/runbooks/<id>.md`. */
export const SLO_ALARM_TEXTS = {
  'availability-burn-fast': {
    severity: 'page',
    because: 'at this rate the 30 days’ budget is gone within days, or a whole day’s within minutes',
    summary: 'The broker fails requests much faster than its objective allows.',
    consequence: 'Jobs and functions get no token: what they were to do does not happen.',
    command: ALARMS_NOW,
    dashboard: 'on-call',
  },
  'availability-burn-slow': {
    severity: 'ticket',
    because: 'the budget lasts for days at this rate, and nobody has to get up for it',
    summary: 'The broker fails requests somewhat faster than its objective allows.',
    consequence: 'The objective of the 30 days is missed if it goes on; clients see it as retries.',
    command: ALARMS_NOW,
    dashboard: 'on-call',
  },
  'latency-burn-fast': {
    severity: 'page',
    because: 'at this rate the 30 days’ budget is gone within days; what times out fails next',
    summary:
      'The broker takes longer than {latencyMilliseconds} ms much more often than its objective allows.',
    consequence: 'Whoever waits for a token waits, and introspection slows every request behind it.',
    command: ALARMS_NOW,
    dashboard: 'on-call',
  },
  'latency-burn-slow': {
    severity: 'ticket',
    because: 'the budget lasts for days at this rate, and everybody is answered',
    summary:
      'The broker takes longer than {latencyMilliseconds} ms somewhat more often than its objective allows.',
    consequence: 'The objective of the 30 days is missed if it goes on.',
    command: ALARMS_NOW,
    dashboard: 'on-call',
  },
} as const satisfies Readonly<Record<string, AlarmText>>
