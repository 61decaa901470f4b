import { fileURLToPath } from 'node:url'
import type { App, StackProps } from 'aws-cdk-lib/core'
import type { CompiledPolicy } from '../functions/core/policy/compiled.ts'
import type { DeploymentConfig } from './config.ts'
import { loadPolicy } from './policy-folder.ts'
import { stackNames } from './project-context.ts'
import { MonitoringStack } from './stacks/monitoring-stack.ts'
import { ServiceStack } from './stacks/service-stack.ts'
import { StateStack } from './stacks/state-stack.ts'

export interface BrokerAppOptions {
  /** Whether the policy may trust issuers on loopback over http: in the local cloud alone. */
  readonly loopbackIssuers: boolean
  /**
   * Trust policy, compiled.
   * @default - compiled from the config's policy folder
   */
  readonly policy?: CompiledPolicy
  /**
   * Folder with a `<name>/handler.ts` for each function.
   * @default - the functions of this project
   */
  readonly functionsFolder?: string
}

export interface BrokerStacks {
  readonly state: StateStack
  readonly service: ServiceStack
  readonly monitoring: MonitoringStack
}

/** Adds the stacks of one deployment to `app`. Throws `PolicyError`, before anything is written, if the policy is wrong. */
export function addBrokerStacks(app: App, config: DeploymentConfig, options: BrokerAppOptions): BrokerStacks {
  const policy =
    options.policy ??
    loadPolicy(config.policyFolder, {
      loopbackIssuers: options.loopbackIssuers,
      mutualTls: hasMutualTls(config),
    })
  const common = commonProps(config)
  const names = stackNames(config.stage)
  const state = new StateStack(app, names.state, {
    ...common,
    description: `Token broker (${config.stage}): tables, audit trail`,
    removalProtection: config.removalProtection,
    auditRetentionDays: config.auditRetentionDays,
    stage: config.stage,
  })
  const service = new ServiceStack(app, names.service, {
    ...common,
    description: `Token broker (${config.stage}): API, functions, key rotation`,
    config,
    state,
    policy,
    functionsFolder: options.functionsFolder ?? fileURLToPath(new URL('../functions', import.meta.url)),
  })
  const monitoring = new MonitoringStack(app, names.monitoring, {
    ...common,
    description: `Token broker (${config.stage}): alarms, dashboards`,
    config,
    state,
    service,
  })
  return { state, service, monitoring }
}

/** Whether clients can show certificates: only then may the policy rely on any. */
export function hasMutualTls({ domain }: Pick<DeploymentConfig, 'domain'>): boolean {
  return domain?.mutualTls !== undefined
}

function commonProps(config: DeploymentConfig): StackProps {
  const account = process.env['CDK_DEFAULT_ACCOUNT']
  const region = process.env['CDK_DEFAULT_REGION']
  return {
    ...(account && region && { env: { account, region } }),
    tags: { application: 'token-broker', stage: config.stage },
  }
}
