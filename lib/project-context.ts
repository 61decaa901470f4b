import { readFileSync } from 'node:fs'

/** What a stage may be called. */
export const STAGE_NAME = {
  pattern: /^[a-z][a-z0-9-]{0,15}$/,
  rule: 'a lower-case letter, then at most 15 lower-case letters, digits or hyphens',
  default: 'dev',
} as const

/** The context of `cdk.json`, for what runs without the `cdk` command: same flags, same templates. */
export function projectContext(): Record<string, unknown> {
  const file = readFileSync(new URL('../cdk.json', import.meta.url), 'utf8')
  return (JSON.parse(file) as { readonly context: Record<string, unknown> }).context
}

/** The stage that `cdk.json` deploys. */
export function projectStage(): string {
  const { stage } = (projectContext()['broker'] ?? {}) as { readonly stage?: string }
  return stage ?? STAGE_NAME.default
}

/** The policy folder that `cdk.json` deploys. */
export function projectPolicyFolder(): string {
  const { policyFolder } = (projectContext()['broker'] ?? {}) as { readonly policyFolder?: string }
  return policyFolder ?? 'policy'
}

/** The names of a stage's stacks. */
export function stackNames(stage: string): Readonly<Record<'state' | 'service' | 'monitoring', string>> {
  const prefix = `token-broker-${stage}`
  return { state: `${prefix}-state`, service: `${prefix}-service`, monitoring: `${prefix}-monitoring` }
}
