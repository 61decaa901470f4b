import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { App } from 'aws-cdk-lib/core'
import type { CompiledPolicy } from '../../functions/core/policy/compiled.ts'
import { addBrokerStacks } from '../broker-app.ts'
import { parseConfig } from '../config.ts'
import { loadPolicy, policyWarnings } from '../policy-folder.ts'
import { projectContext } from '../project-context.ts'

export interface SynthesizeOptions {
  /** @default - that of the deployment config */
  readonly policyFolder?: string | undefined
}

export interface Synthesis {
  readonly assemblyFolder: string
  readonly policy: CompiledPolicy
  /** One line for each part of the policy that trusts more than was probably meant. */
  readonly warnings: readonly string[]
  /** Removes the assembly folder. */
  dispose(): void
}

/**
 * Synthesizes the broker for the local cloud. Throws `PolicyError` or `ConfigError`. The templates are those that deploy,
 * but for the custom domain and a layer, which only AWS has.
 */
export function synthesize({ policyFolder }: SynthesizeOptions = {}): Synthesis {
  const context = projectContext()
  const { domain: _, openTelemetryLayer: _layer, ...config } = parseConfig(context['broker'] ?? {})
  const folder = policyFolder ?? config.policyFolder
  // What needs a certificate is refused then, as where a client has none.
  const policy = loadPolicy(folder, { loopbackIssuers: true, mutualTls: true })
  const warnings = policyWarnings(folder, policy)
  const assemblyFolder = mkdtempSync(join(tmpdir(), 'token-broker-'))
  const dispose = () => rmSync(assemblyFolder, { recursive: true, force: true })
  try {
    const app = new App({
      outdir: assemblyFolder,
      context,
      // Validation reads the finished template and changes nothing in it: here it would only cost three seconds to load
      // the validator. `npm run synth`, the tests and every deployment do it.
      builtinCloudFormationValidation: false,
      analyticsReporting: false,
      treeMetadata: false,
    })
    addBrokerStacks(app, config, { loopbackIssuers: true, policy })
    app.synth()
  } catch (error) {
    dispose()
    throw error
  }
  return { assemblyFolder, policy, warnings, dispose }
}
