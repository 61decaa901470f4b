/** The CDK app: what `npx cdk deploy` deploys. */

import { App, Validations } from 'aws-cdk-lib/core'
import { AwsSolutionsChecks } from 'cdk-nag'
import { addBrokerStacks, hasMutualTls } from '../lib/broker-app.ts'
import { ConfigError, readConfig } from '../lib/config.ts'
import { loadPolicy, PolicyError, policyWarnings } from '../lib/policy-folder.ts'

function main(): void {
  // Not at exit, where a refused policy would leave an empty assembly behind.
  const app = new App({ autoSynth: false })
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app))
  const config = readConfig(app.node)
  const policy = loadPolicy(config.policyFolder, { loopbackIssuers: false, mutualTls: hasMutualTls(config) })
  for (const warning of policyWarnings(config.policyFolder, policy))
    process.stderr.write(`warning ${warning}\n`)
  addBrokerStacks(app, config, { loopbackIssuers: false, policy })
  app.synth()
}

try {
  main()
} catch (error) {
  if (!(error instanceof ConfigError || error instanceof PolicyError)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
}
