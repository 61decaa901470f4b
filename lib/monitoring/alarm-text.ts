import type { Severity } from './burn-rate.ts'
import { type DashboardName, dashboardUrl } from './links.ts'

/** What an alarm tells whoever it calls. `{prefix}` and `{stage}` stand for those of the deployment. */
export interface AlarmText {
  readonly severity: Severity
  /** Why it wakes somebody, or why it need not. */
  readonly because: string
  /** What is so: one sentence. */
  readonly summary: string
  /** What it does to whom, if nothing is done. */
  readonly consequence: string
  /** The first command to type. */
  readonly command: string
  /** Where to look. */
  readonly dashboard: DashboardName
}

export interface AlarmPlace {
  readonly stage: string
  readonly region: string
  /** Every alarm's and dashboard's name begins so. */
  readonly prefix: string
  /** Where the runbooks are, without a slash at the end. */
  readonly runbookBaseUrl: string
}

/** The description of an alarm, in Markdown. CloudWatch takes at most 1,024 characters. */
export function describeAlarm(id: string, text: AlarmText, place: AlarmPlace): string {
  const { severity, because, summary, consequence, command, dashboard } = text
  const filled = command.replaceAll('{prefix}', place.prefix).replaceAll('{stage}', place.stage)
  return [
    `**${summary}**`,
    `Consequence: ${consequence}`,
    `First: \`${filled}\``,
    `A ${severity}: ${because}`,
    `[Dashboard](${dashboardUrl(dashboard, place)}) · [Runbook](${place.runbookBaseUrl}/${id}.md)`,
  ].join('\n\n')
}
