import { PayloadFormatVersion } from 'aws-cdk-lib/aws-apigatewayv2'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type AssemblyStack,
  type JsonValue,
  readAssembly,
  type TemplateResource,
} from '../../../lib/local/assembly.ts'
import type { CloudPlan } from '../../../lib/local/plan/cloud-plan.ts'
import { planCloud } from '../../../lib/local/plan/plan-cloud.ts'
import { resolveStacks } from '../../../lib/local/resolved-stacks.ts'
import { synthesizeFixture } from '../../support/fixture-cloud.ts'

const DEPLOYMENT = { account: '111111111111', region: 'eu-west-1', apiEndpoint: 'http://127.0.0.1:1' }
const planOf = (stacks: readonly AssemblyStack[]): CloudPlan => planCloud(resolveStacks(stacks, DEPLOYMENT))

describe('the plan of a template', () => {
  let stacks: readonly AssemblyStack[]
  beforeAll(() => {
    stacks = readAssembly(synthesizeFixture({}, 'strong'))
  })

  /** The fixture with its resources changed. */
  function changed(
    change: (id: string, resource: TemplateResource) => TemplateResource | undefined,
  ): CloudPlan {
    return planOf(
      stacks.map((stack) => {
        const resources = Object.entries(stack.template.Resources ?? {}).flatMap(([id, resource]) => {
          const result = change(id, resource)
          return result === undefined ? [] : [[id, result] as const]
        })
        return { ...stack, template: { ...stack.template, Resources: Object.fromEntries(resources) } }
      }),
    )
  }

  it('puts stacks after those that they depend on', () => {
    expect(stacks.map(({ name }) => name)).toEqual(['fixture-state', 'fixture-service'])
  })

  it('is the same for strong and for weak references', () => {
    const { eventSources, schedules } = planOf(readAssembly(synthesizeFixture({}, 'weak')))
    expect(eventSources).toEqual(planOf(stacks).eventSources)
    expect(schedules).toEqual(planOf(stacks).schedules)
  })

  it('has what the template says of table, stream, schedules and custom resource', () => {
    const plan = planOf(stacks)
    expect(plan.tables).toMatchObject([
      { definition: { TimeToLiveSpecification: { AttributeName: 'expires_at', Enabled: true } } },
    ])
    expect(plan.eventSources).toMatchObject([
      { batchSize: 3, retries: 2, bisect: true, reportsItemFailures: true },
    ])
    expect(plan.schedules).toMatchObject([
      { expression: 'rate(1 hour)', input: { from: 'rule' } },
      { expression: 'cron(30 2 * * ? *)', input: { from: 'scheduler' } },
    ])
    expect(plan.customResources).toMatchObject([{ properties: { Name: 'first' } }])
  })

  it('has the KMS keys that the template declares, each with the same id in every run', () => {
    const withKey = (properties: Record<string, JsonValue>) =>
      planOf(
        stacks.map((stack) => {
          const key = { Type: 'AWS::KMS::Key', Properties: properties }
          const resources = { ...stack.template.Resources, [`${stack.name}Key`]: key }
          return { ...stack, template: { ...stack.template, Resources: resources } } as AssemblyStack
        }),
      ).keys
    const declared = {
      Description: 'd',
      EnableKeyRotation: true,
      Tags: [{ Key: 'stage', Value: 'test' }],
      KeyPolicy: {},
    }
    const [one, two] = withKey(declared)
    expect(one).toMatchObject({
      id: expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
      definition: { Description: 'd', Tags: [{ TagKey: 'stage', TagValue: 'test' }] },
      rotated: true,
    })
    expect(two?.id).not.toBe(one?.id)
    expect(withKey(declared)[0]?.id).toBe(one?.id)
    for (const other of [{ Enabled: false }, { MultiRegion: true }, { Origin: 'EXTERNAL' }])
      expect(() => withKey({ ...declared, ...other })).toThrow(/does not run locally/)
  })

  it('gives each function the policies of its role', () => {
    const plan = planOf(stacks)
    const write = plan.functions.find(({ handler }) => handler === 'index.write')
    expect(JSON.stringify(write?.policies)).toContain('dynamodb:PutItem')
    const echo = plan.functions.find(({ handler }) => handler === 'index.echo')
    expect(JSON.stringify(echo?.policies)).not.toContain('dynamodb')
  })

  it('refuses payload format 2.0', () => {
    const folder = synthesizeFixture({ payloadFormat: PayloadFormatVersion.VERSION_2_0 })
    expect(() => planOf(readAssembly(folder))).toThrow('payload format 2.0, where the local API sends 1.0')
  })

  it('refuses a route whose function does not let the API invoke it', () => {
    const withoutPermissions = () =>
      changed((_, resource) => (resource.Type === 'AWS::Lambda::Permission' ? undefined : resource))
    expect(withoutPermissions).toThrow(/no AWS::Lambda::Permission lets apigateway.amazonaws.com invoke/)
  })

  describe('of a route to an alias', () => {
    const altered = (type: string, properties: Record<string, JsonValue>) => () =>
      changed((id, resource) =>
        resource.Type === type && !id.startsWith('Hourly')
          ? { ...resource, Properties: { ...resource.Properties, ...properties } }
          : resource,
      )

    it('runs its function', () => {
      const plan = planOf(stacks)
      const write = plan.functions.find(({ handler }) => handler === 'index.write')
      const route = plan.api?.routes.find(({ routeKey }) => routeKey === 'POST /write')
      expect(write?.aliases).toEqual(['live'])
      expect(route?.functionName).toBe(write?.name)
      expect(plan.functions.flatMap(({ aliases }) => aliases)).toHaveLength(1)
    })

    it('wants the permission for the alias: that for the function is for another ARN', () => {
      const onlyOfFunctions = () =>
        changed((_, resource) => {
          const { FunctionName } = resource.Properties ?? {}
          const [live] = JSON.stringify(FunctionName ?? '').match(/WriteLive\w+/) ?? []
          if (resource.Type !== 'AWS::Lambda::Permission' || live === undefined) return resource
          const ids = Object.keys(stacks[1]?.template.Resources ?? {})
          const write = ids.find((id) => /^Write[0-9A-F]{8}$/.test(id)) ?? ''
          return {
            ...resource,
            Properties: { ...resource.Properties, FunctionName: { 'Fn::GetAtt': [write, 'Arn'] } },
          }
        })
      expect(onlyOfFunctions).toThrow(/lets apigateway.amazonaws.com invoke .*:live$/)
    })

    it('refuses an alias of two versions, of a version that is not there, and one that is not there itself', () => {
      expect(altered('AWS::Lambda::Alias', { RoutingConfig: {} })).toThrow(
        /two versions does not run locally/,
      )
      expect(altered('AWS::Lambda::Alias', { FunctionVersion: '7' })).toThrow(/its version is none of/)
      expect(altered('AWS::Lambda::Version', { FunctionName: 'other' })).toThrow(/its version is none of/)
      const arn = 'arn:aws:lambda:eu-west-1:111111111111:function:gone:live'
      expect(altered('AWS::ApiGatewayV2::Integration', { IntegrationUri: arn })).toThrow(
        /gone:live is not a function of this app/,
      )
    })
  })

  it('refuses a rule whose function does not let EventBridge invoke it', () => {
    const withoutPermission = () =>
      changed((id, resource) => (id.startsWith('HourlyAllow') ? undefined : resource))
    expect(withoutPermission).toThrow(/no AWS::Lambda::Permission lets events.amazonaws.com invoke/)
  })

  it('refuses a schedule whose role may not invoke its function', () => {
    const withoutPolicy = () =>
      changed((id, resource) =>
        id.startsWith('SchedulerRole') && resource.Type === 'AWS::IAM::Policy' ? undefined : resource,
      )
    expect(withoutPolicy).toThrow(/its role does not allow lambda:InvokeFunction/)
  })

  it('refuses what would run differently on AWS', () => {
    const altered = (type: string, properties: Record<string, string>) => () =>
      changed((_, resource) =>
        resource.Type === type
          ? { ...resource, Properties: { ...resource.Properties, ...properties } }
          : resource,
      )
    expect(altered('AWS::Lambda::Function', { Runtime: 'python3.13' })).toThrow(
      /python3.13 does not run locally/,
    )
    expect(altered('AWS::Lambda::Function', { Layers: 'x' })).toThrow(/layers do not run locally/)
    expect(altered('AWS::ApiGatewayV2::Route', { AuthorizationType: 'JWT' })).toThrow(
      /routes with JWT authorization/,
    )
    expect(altered('AWS::ApiGatewayV2::Api', { CorsConfiguration: 'x' })).toThrow(/CORS does not run locally/)
    expect(altered('AWS::ApiGatewayV2::Stage', { StageName: 'v1' })).toThrow(/only the stage \$default/)
  })

  it('refuses a managed policy that it does not know', () => {
    const unknown = () =>
      changed((_, resource) =>
        resource.Type === 'AWS::IAM::Role'
          ? {
              ...resource,
              Properties: { ManagedPolicyArns: ['arn:aws:iam::aws:policy/AdministratorAccess'] },
            }
          : resource,
      )
    expect(unknown).toThrow('does not know the policy arn:aws:iam::aws:policy/AdministratorAccess')
  })
})
