import type { Severity } from './burn-rate.ts'
import { type DashboardName, dashboardUrl } from './links.ts'

/** What an alarm tells whoever it calls; `{name}` stands for what the deployment calls it, or has chosen. */
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
  readonly region: string
  /** Every alarm's and dashboard's name begins so. */
  readonly prefix: string
  /** Where the runbooks are, without a slash at the end. */
  readonly runbookBaseUrl: string
  /** What texts name: the stage, log groups, queues, what a fast answer is. */
  readonly names: Readonly<Record<string, string>>
}

/** The description of an alarm, in Markdown. CloudWatch takes at most 1,024 characters. Throws for a name that is not known. */
export function describeAlarm(id: string, text: AlarmText, place: AlarmPlace): string {
  const { severity, because, summary, consequence, command, dashboard } = text
  const told = [
    `**${summary}**`,
    `Consequence: ${consequence}`,
    `First: \`${command}\``,
    `A ${severity}: ${because}`,
  ].join('\n\n')
  const links = `[Dashboard](${dashboardUrl(dashboard, place)}) · [Runbook](${place.runbookBaseUrl}/${id}.md)`
  return `${filledIn(told, { prefix: place.prefix, ...place.names })}\n\n${links}`
}

function filledIn(command: string, names: Readonly<Record<string, string>>): string {
  return command.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = names[name]
    if (value === undefined) throw new Error(`an alarm's text names ${name}, which nobody knows`)
    return value
  })
}
