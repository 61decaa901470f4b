import type { Template } from 'aws-cdk-lib/assertions'
import { describe, expect, it } from 'vitest'
import { awsTarget } from '../support/aws-roles.ts'
import { EMPTY_POLICY, readable, resources, synthesize } from './synthesize.ts'

const canary = synthesize({ stage: 'test' })
const atOnce = synthesize({ stage: 'test', rollout: 'all-at-once' })
const ANSWERING = ['Exchange', 'Introspect', 'Jwks', 'Prober', 'Revoke', 'Status']

const propertiesOf = (template: Template, type: string) =>
  Object.values(resources(template, type)).map(({ Properties }) => readable(Properties) as Properties)
type Properties = Readonly<Record<string, unknown>>

interface Watching {
  readonly Alarms: readonly { readonly Name: string }[]
}

const alarmNames = (template: Template): readonly unknown[] =>
  propertiesOf(template, 'AWS::CloudWatch::Alarm').map(({ AlarmName }) => AlarmName)

function watchedBy(template: Template): readonly string[] {
  const [group = {}] = propertiesOf(template, 'AWS::CodeDeploy::DeploymentGroup')
  const { Alarms } = group['AlarmConfiguration'] as Watching
  return Alarms.map(({ Name }) => Name)
}

describe('a function that answers requests', () => {
  it.each([canary, atOnce])(
    'has an alias of the version that is deployed, and nothing else has',
    ({ service }) => {
      const aliases = propertiesOf(service, 'AWS::Lambda::Alias')
      expect(
        aliases.map(({ Name, FunctionName }) => `${String(Name)} ${String(FunctionName)}`).toSorted(),
      ).toEqual(ANSWERING.map((name) => `live <${name}Function>`))
      for (const { FunctionName, FunctionVersion } of aliases)
        expect(FunctionVersion).toContain(String(FunctionName).replace('>', 'CurrentVersion'))
    },
  )

  it('has the same version whenever the same sources are synthesized, and another one for another policy', () => {
    const versions = (policy = EMPTY_POLICY) =>
      Object.keys(resources(synthesize({ stage: 'test' }, policy).service, 'AWS::Lambda::Version')).toSorted()
    const known = Object.keys(resources(canary.service, 'AWS::Lambda::Version')).toSorted()
    expect(versions()).toEqual(known)
    const other = versions({ ...EMPTY_POLICY, digest: 'other' })
    const changed = other.filter((id) => !known.includes(id)).map((id) => id.replace(/Function.*/, ''))
    expect(changed).toEqual(['Exchange', 'Introspect', 'Revoke'])
  })

  it('keeps former versions where what it leaves is protected, so that somebody can go back', () => {
    const kept = ({ service }: typeof canary) =>
      new Set(Object.values(resources(service, 'AWS::Lambda::Version')).map((it) => it.DeletionPolicy))
    expect(kept(canary)).toEqual(new Set(['Retain']))
    expect(kept(synthesize({ removalProtection: false }))).toEqual(new Set(['Delete']))
  })
})

describe('a canary', () => {
  const groups = propertiesOf(canary.service, 'AWS::CodeDeploy::DeploymentGroup')

  it('gives each of them a tenth of the requests for five minutes, and goes back for alarms and when it is stopped', () => {
    expect(groups.map((it) => String(it['DeploymentGroupName'])).toSorted()).toEqual(ANSWERING)
    for (const group of groups) {
      expect(group).toMatchObject({
        ApplicationName: '<ReleasesApplication>',
        DeploymentConfigName: 'CodeDeployDefault.LambdaCanary10Percent5Minutes',
        DeploymentStyle: { DeploymentType: 'BLUE_GREEN', DeploymentOption: 'WITH_TRAFFIC_CONTROL' },
        AlarmConfiguration: { Enabled: true, IgnorePollAlarmFailure: false },
        AutoRollbackConfiguration: {
          Enabled: true,
          Events: ['DEPLOYMENT_FAILURE', 'DEPLOYMENT_STOP_ON_REQUEST', 'DEPLOYMENT_STOP_ON_ALARM'],
        },
        ServiceRoleArn: '<ReleasesRole.Arn>',
      })
    }
  })

  it('moves the alias of the function that it is named after', () => {
    const aliases = Object.entries(canary.service.findResources('AWS::Lambda::Alias'))
    for (const [id, { UpdatePolicy }] of aliases) {
      const { CodeDeployLambdaAliasUpdate: update } = UpdatePolicy as Record<string, unknown>
      const name = id.replace(/Live.*/, '')
      expect(readable(update)).toEqual({
        ApplicationName: '<ReleasesApplication>',
        DeploymentGroupName: `<Releases${name}Group>`,
      })
    }
  })

  it.each([
    ['all that a broker may have', {}],
    ['no probe', { probe: false }],
    ['the laxest objective', { monitoring: { availabilityPercent: 95 } }],
    ['the strictest objective', { monitoring: { availabilityPercent: 99.999 } }],
  ])('is judged by alarms of the monitoring stack on metrics of few minutes, with %s', (_, config) => {
    const { service, monitoring } = synthesize({ stage: 'test', ...config })
    const watched = watchedBy(service)
    // CodeDeploy takes at most ten.
    expect(watched.length).toBeLessThanOrEqual(10)
    expect(alarmNames(monitoring)).toEqual(expect.arrayContaining([...watched]))
    expect(watched).toEqual([
      'token-broker-test-availability-burn-1h-over-5m',
      'token-broker-test-gateway-burn-1h-over-5m',
      'token-broker-test-replay-accepted',
      'token-broker-test-retired-key-signing',
      ...('probe' in config ? [] : ['token-broker-test-negative-probe-accepted']),
    ])
  })

  it('ties the service stack to the monitoring stack by nothing that would have to be deployed first', () => {
    const [service] = canary.assembly.stacks.filter(({ stackName }) => stackName.endsWith('-service'))
    expect(service?.dependencies.map(({ id }) => id)).not.toContain('token-broker-test-monitoring')
  })

  it('has the permissions to move these aliases before it has to move any', () => {
    for (const { DependsOn } of Object.values(resources(canary.service, 'AWS::CodeDeploy::DeploymentGroup')))
      expect(DependsOn).toContainEqual(expect.stringMatching(/^ReleasesRoleDefaultPolicy/))
    const policies = resources(canary.service, 'AWS::IAM::Policy')
    const [, policy] = Object.entries(policies).find(([id]) => id.startsWith('ReleasesRole')) ?? []
    expect(JSON.stringify(policy)).not.toMatch(/Live|Group/)
  })

  it('also moves the alias of the function for AWS roles, where there is one', () => {
    const { service } = synthesize({ stage: 'test' }, { ...EMPTY_POLICY, targets: [awsTarget()] })
    const named = propertiesOf(service, 'AWS::CodeDeploy::DeploymentGroup').map((it) =>
      String(it['DeploymentGroupName']),
    )
    expect(named.toSorted()).toEqual(['AwsCredentials', ...ANSWERING])
    // Else it would wait for an alias that waits, by its update policy, for the role of releases, which waits for it.
    for (const type of ['AWS::Lambda::Function', 'AWS::IAM::Policy'])
      expect(JSON.stringify(resources(service, type))).not.toMatch(/"Ref":"\w+Live/)
  })
})

describe('a release of all at once', () => {
  it('needs nothing of CodeDeploy', () => {
    expect(JSON.stringify(atOnce.service.toJSON())).not.toMatch(/codedeploy/i)
    for (const alias of Object.values(atOnce.service.findResources('AWS::Lambda::Alias')))
      expect(alias).not.toHaveProperty('UpdatePolicy')
  })
})

describe('provisioned concurrency', () => {
  it('is had only where somebody asks for it', () => {
    expect(JSON.stringify(canary.service.toJSON())).not.toMatch(
      /ApplicationAutoScaling|ProvisionedConcurren(?!cyConfig")/,
    )
  })

  it('scales the live exchange function by how much of it is in use', () => {
    const { service } = synthesize({
      stage: 'test',
      provisionedConcurrency: { min: 2, max: 20, utilization: 0.6 },
    })
    expect(propertiesOf(service, 'AWS::ApplicationAutoScaling::ScalableTarget')).toMatchObject([
      {
        MinCapacity: 2,
        MaxCapacity: 20,
        ScalableDimension: 'lambda:function:ProvisionedConcurrency',
      },
    ])
    const [target] = Object.values(resources(service, 'AWS::ApplicationAutoScaling::ScalableTarget'))
    expect(JSON.stringify(target?.Properties['ResourceId'])).toMatch(/"function:".*ExchangeLive.*":live"/)
    expect(propertiesOf(service, 'AWS::ApplicationAutoScaling::ScalingPolicy')).toMatchObject([
      {
        TargetTrackingScalingPolicyConfiguration: {
          TargetValue: 0.6,
          PredefinedMetricSpecification: { PredefinedMetricType: 'LambdaProvisionedConcurrencyUtilization' },
        },
      },
    ])
  })
})
