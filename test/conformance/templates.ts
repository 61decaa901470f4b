import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { App } from 'aws-cdk-lib/core'
import { addBrokerStacks } from '../../lib/broker-app.ts'
import { parseConfig } from '../../lib/config.ts'
import { projectContext } from '../../lib/project-context.ts'

const VARIANTS: Readonly<Record<string, object>> = {
  default: {},
  'custom-domain': {
    domain: {
      name: 'broker.example.com',
      certificateArn: 'arn:aws:acm:eu-west-1:111111111111:certificate/00000000-0000-4000-8000-000000000000',
    },
  },
  'throw-away': { stage: 'test', removalProtection: false },
}

export interface Template {
  /** Which of the configurations it was made from. */
  readonly variant: string
  readonly file: string
}

/** The templates that deploy, for every shape that the deployment config can give them. */
export function synthesizeTemplates(): { readonly templates: readonly Template[]; dispose(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'token-broker-templates-'))
  const templates = Object.entries(VARIANTS).flatMap(([variant, changes]) =>
    synthesizeVariant(join(folder, variant), changes).map((file) => ({ variant, file })),
  )
  return { templates, dispose: () => rmSync(folder, { recursive: true, force: true }) }
}

function synthesizeVariant(outdir: string, changes: object): readonly string[] {
  const context = projectContext()
  const config = parseConfig({ ...(context['broker'] as object), ...changes })
  // Validation has a test of its own, and would cost three seconds here.
  const app = new App({ outdir, context, builtinCloudFormationValidation: false, analyticsReporting: false })
  addBrokerStacks(app, config, { loopbackIssuers: false })
  app.synth()
  return readdirSync(outdir)
    .filter((name) => name.endsWith('.template.json'))
    .map((name) => join(outdir, name))
}
