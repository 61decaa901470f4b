import { readAssembly } from '../local/assembly.ts'
import { TemplateDefect } from '../local/intrinsics.ts'
import { describeStacks, type ResolvedResource, resolveStacks } from '../local/resolved-stacks.ts'
import { projectStage } from '../project-context.ts'
import type { AlarmDefinition } from './alarm-definition.ts'
import { MUTE_RULE, readAlarms } from './read-alarms.ts'

/** No alarm depends on where it is deployed. */
const DEPLOYMENT = {
  account: '111111111111',
  region: 'eu-west-1',
  apiEndpoint: 'https://api.example.com',
} as const

/** Whom a notification reaches. */
export type Audience = 'page' | 'ticket'

const TOPIC_OUTPUTS: Readonly<Record<Audience, string>> = { page: 'PageTopic', ticket: 'TicketTopic' }

/** What the app deploys of alarms. */
export interface AppAlarms {
  readonly alarms: readonly AlarmDefinition[]
  /** Windows of maintenance, which are not replayed. */
  readonly maintenanceWindows: number
  /** By the topic's ARN. */
  readonly audiences: ReadonlyMap<string, Audience>
  /** The part of an alarm's name that does not depend on the stage: its runbook is `docs/runbooks/<id>.md`. */
  idOf(alarmName: string): string
}

/** The resources of a cloud assembly, as alarms and dashboards are read from them. */
export function resourcesOfAssembly(folder: string): readonly ResolvedResource[] {
  return resolveStacks(readAssembly(folder), DEPLOYMENT)
}

/** The alarms of a cloud assembly. Throws `TemplateDefect` for what the replayer does not know, by its name. */
export function alarmsOfAssembly(folder: string, stage: string = projectStage()): AppAlarms {
  const stacks = readAssembly(folder)
  const outputs = describeStacks(stacks, DEPLOYMENT).flatMap((stack) => stack.outputs)
  const audiences = Object.entries(TOPIC_OUTPUTS).map(([audience, key]) => {
    const topic = outputs.find((output) => output.key === key)
    if (topic === undefined) throw new TemplateDefect('outputs', `there is no ${key}`)
    return [topic.value, audience as Audience] as const
  })
  const prefix = `token-broker-${stage}-`
  const resources = resolveStacks(stacks, DEPLOYMENT)
  return {
    alarms: readAlarms(resources),
    maintenanceWindows: resources.filter(({ type }) => type === MUTE_RULE).length,
    audiences: new Map(audiences),
    idOf: (name) => (name.startsWith(prefix) ? name.slice(prefix.length) : name),
  }
}
