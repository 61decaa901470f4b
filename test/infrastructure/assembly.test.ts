import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CfnFunction } from 'aws-cdk-lib/aws-lambda'
import { CfnQueue } from 'aws-cdk-lib/aws-sqs'
import { App, Stack, Validations } from 'aws-cdk-lib/core'
import { AwsSolutionsChecks } from 'cdk-nag'
import { describe, expect, it } from 'vitest'
import { addBrokerStacks } from '../../lib/broker-app.ts'
import { parseConfig } from '../../lib/config.ts'
import { projectContext } from '../../lib/project-context.ts'
import { EMPTY_POLICY, synthesize, temporaryFolder, trivialFunctions } from './synthesize.ts'

const DOMAIN = {
  name: 'broker.example.com',
  certificateArn: 'arn:aws:acm:eu-west-1:111122223333:certificate/abc-123',
}

/** Every acknowledged finding, by construct. A new line here needs a reason that a reviewer accepts. */
const ACKNOWLEDGED = [
  'Api/HttpApi AwsSolutions-APIG4',
  'Audit/Bucket AwsSolutions-S1',
  'AuditExport/Undelivered AwsSolutions-SQS3',
  'Exchange/Role AwsSolutions-IAM5[Resource::*]',
  'Exchange/Role AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:kms:<AWS::Region>:<AWS::AccountId>:key/*]',
  'ExportAudit/Role AwsSolutions-IAM5[Resource::*]',
  'ExportAudit/Role AwsSolutions-IAM5[Resource::token-broker-dev-state:ExportsOutputFnGetAttAuditBucket7486E833Arn52E7AD47/audit/*]',
  'ExportAudit/Role AwsSolutions-IAM5[Resource::token-broker-dev-state:ExportsOutputFnGetAttAuditBucket7486E833Arn52E7AD47/checkpoints/*]',
  'Introspect/Role AwsSolutions-IAM5[Resource::*]',
  'Introspect/Role AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:kms:<AWS::Region>:<AWS::AccountId>:key/*]',
  'Jwks/Role AwsSolutions-IAM5[Resource::*]',
  'Prober/Role AwsSolutions-IAM5[Resource::*]',
  'Releases/Role AwsSolutions-IAM5[Resource::*]',
  'Revoke/Role AwsSolutions-IAM5[Resource::*]',
  'RotateKeys/Role AwsSolutions-IAM5[Resource::*]',
  'RotateKeys/Role AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:kms:<AWS::Region>:<AWS::AccountId>:key/*]',
  'Status/Role AwsSolutions-IAM5[Resource::*]',
  'Status/Role AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:kms:<AWS::Region>:<AWS::AccountId>:key/*]',
]

function templates(folder: string): Readonly<Record<string, string>> {
  const names = readdirSync(folder).filter((name) => /\.(?:template|assets)\.json$/.test(name))
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name), 'utf8')]))
}

/** Synthesizes as `cdk synth` does, validators included. Returns their findings. */
function findings(config: Readonly<Record<string, unknown>>, addTo: (app: App) => void = () => {}): unknown {
  const app = new App({ context: projectContext(), outdir: temporaryFolder('validated') })
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app))
  addBrokerStacks(app, parseConfig(config), {
    loopbackIssuers: false,
    policy: EMPTY_POLICY,
    functionsFolder: trivialFunctions(),
  })
  addTo(app)
  const { directory } = app.synth()
  const report: unknown = JSON.parse(readFileSync(join(directory, 'validation-report.json'), 'utf8'))
  return (report as { readonly pluginReports: unknown }).pluginReports
}

const MUTUAL_TLS = {
  name: 'mtls.example.com',
  certificateArn: DOMAIN.certificateArn,
  truststore: 's3://trust-bucket/clients.pem',
  truststoreVersion: 'v1',
}

describe('the assembly', () => {
  it('is the same, code included, whenever the same sources are synthesized', () => {
    expect(templates(synthesize().assembly.directory)).toEqual(templates(synthesize().assembly.directory))
  })

  it.each([
    ['the default config', {}],
    [
      'a custom domain and functions that are ready',
      { domain: DOMAIN, provisionedConcurrency: { min: 1, max: 2 } },
    ],
    [
      'every choice of monitoring',
      {
        monitoring: {
          pageSubscribers: ['on-call@example.com', 'arn:aws:sqs:eu-west-1:111122223333:pages'],
          maintenance: [{ cron: '0 2 * * SUN', minutes: 90 }],
          applicationSignals: true,
        },
      },
    ],
    ['a domain where clients show certificates', { domain: { ...DOMAIN, mutualTls: MUTUAL_TLS } }],
    ['a stage to throw away', { stage: 'pr-7', removalProtection: false, probe: false }],
  ])('of %s passes CloudFormation validation and AWS Solutions without a finding', (_, config) => {
    expect(findings(config)).toEqual([])
  })

  it.each<[string, (stack: Stack) => unknown]>([
    ['AwsSolutions-SQS4', (stack) => new CfnQueue(stack, 'Queue')],
    [
      'CloudFormation-Validate::F3003',
      (stack) => new CfnFunction(stack, 'Function', { code: { zipFile: 'x' }, role: 'x' }),
    ],
  ])('is refused for a finding such as %s', (id, defect) => {
    expect(() => findings({}, (app) => defect(new Stack(app, 'Defective')))).toThrow(id)
  })

  it('acknowledges these findings and no others, each with a reason', () => {
    const { stacks } = synthesize()
    const acknowledged = Object.values(stacks)
      .flatMap((stack) => stack.node.findAll())
      .flatMap((construct) =>
        construct.node.metadata
          .filter((entry) => entry.type === Validations.ACKNOWLEDGED_RULES_METADATA_KEY)
          .flatMap((entry) => Object.entries(entry.data as Record<string, string>))
          .map(([id, reason]) => {
            expect(reason.length).toBeGreaterThan(40)
            const path = construct.node.path.replace(/^token-broker-dev-(?:state|service|monitoring)\//, '')
            return `${path} ${id.replace(/^.*?::(?=AwsSolutions-)/, '')}`
          }),
      )
    expect([...new Set(acknowledged)].sort()).toEqual(ACKNOWLEDGED)
  })

  it('has stacks of one stage only, named after it', () => {
    const { assembly } = synthesize({ stage: 'prod' })
    expect(assembly.stacks.map((stack) => stack.stackName)).toEqual([
      'token-broker-prod-state',
      'token-broker-prod-service',
      'token-broker-prod-monitoring',
    ])
  })
})
