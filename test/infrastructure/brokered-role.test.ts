import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { runInThisContext } from 'node:vm'
import { Template } from 'aws-cdk-lib/assertions'
import { ManagedPolicy, OidcProviderNative } from 'aws-cdk-lib/aws-iam'
import { Bucket } from 'aws-cdk-lib/aws-s3'
import { App, Duration, Lazy, Stack, Validations } from 'aws-cdk-lib/core'
import { AwsSolutionsChecks } from 'cdk-nag'
import { describe, expect, it } from 'vitest'
import type { AwsTarget } from '../../functions/core/policy/compiled.ts'
import { roleCdk } from '../../lib/aws-roles/role-cdk.ts'
import { roleTemplate } from '../../lib/aws-roles/role-template.ts'
import { BrokeredRole, type BrokeredRoleProps } from '../../lib/constructs/brokered-role.ts'
import { accountsOf } from '../../lib/local/account-templates.ts'
import type { Template as LocalTemplate } from '../../lib/local/assembly.ts'
import { projectContext } from '../../lib/project-context.ts'
import { BROKER_ROLE, deployTarget, ISSUER, ownRoleTarget, ROLE } from '../aws-roles/targets.ts'
import { resources, temporaryFolder } from './synthesize.ts'

const PROPS: BrokeredRoleProps = { target: 'deploy-prod', issuer: ISSUER }

function stackOf(make: (stack: Stack) => unknown): Stack {
  const app = new App({
    context: projectContext(),
    outdir: temporaryFolder('roles'),
    builtinCloudFormationValidation: false,
  })
  const stack = new Stack(app, 'Stack')
  make(stack)
  return stack
}

function templateOf(make: (stack: Stack) => unknown): Template {
  return Template.fromStack(stackOf(make))
}

const roleIn = (template: Template) => Object.values(resources(template, 'AWS::IAM::Role'))[0]?.Properties

declare function runPrinted(this: Stack, role: typeof BrokeredRole, provider: typeof OidcProviderNative): void

/** The printed lines, run in a stack. */
function fromPrinted(target: AwsTarget, options = {}): Template {
  const printed = roleCdk(target, { issuer: ISSUER, brokerRole: BROKER_ROLE }, options)
  const body = printed.replaceAll(/^import .*$/gm, '')
  const lines: typeof runPrinted = runInThisContext(
    `(function (BrokeredRole, OidcProviderNative) { ${body} })`,
  )
  return templateOf((stack) => lines.call(stack, BrokeredRole, OidcProviderNative))
}

/** A template without the logical ids, which are the CDK's own. */
function trustIn(template: Template | object): unknown {
  const { Resources } = (template instanceof Template ? template.toJSON() : template) as {
    Resources: Record<string, { Type: string; Properties: object }>
  }
  return Object.values(Resources).map(({ Type, Properties }) =>
    JSON.parse(
      JSON.stringify({ Type, Properties }, (key, value) =>
        key === 'Federated' && typeof value === 'object' ? 'the provider' : value,
      ),
    ),
  )
}

describe('BrokeredRole', () => {
  it('makes what `aws setup` prints for the same target', () => {
    const template = fromPrinted(deployTarget())
    const printed = roleTemplate(deployTarget(), { issuer: ISSUER })
    expect(trustIn(template)).toEqual(expect.arrayContaining(trustIn(printed) as unknown[]))
    const own = roleTemplate(ownRoleTarget(), { issuer: ISSUER, brokerRole: BROKER_ROLE })
    expect(trustIn(fromPrinted(ownRoleTarget()))).toEqual(trustIn(own))
    const imported = roleTemplate(deployTarget(), { issuer: ISSUER }, { hasProvider: true })
    expect(trustIn(fromPrinted(deployTarget(), { hasProvider: true }))).toEqual(trustIn(imported))
  })

  it('is imported from where it is, and needs one other file of this repository, as docs/aws.md says', () => {
    const file = 'lib/constructs/brokered-role.ts'
    const printed = roleCdk(deployTarget(), { issuer: ISSUER })
    expect(printed).toContain(`import { BrokeredRole } from 'token-broker/${file}'\n`)
    const importsOf = (from: string) =>
      [...readFileSync(from, 'utf8').matchAll(/ from '(\..+)'$/gm)].map(([, name = '']) =>
        join(dirname(from), name),
      )
    const other = 'lib/aws-roles/role-trust.ts'
    expect([importsOf(file), importsOf(other)]).toEqual([[other], []])
    const page = readFileSync('docs/aws.md', 'utf8')
    for (const name of [file, other]) expect(page).toContain(`\`${name}\``)
  })

  it('is a role that the local cloud can take from its template', () => {
    const template = fromPrinted(deployTarget()).toJSON() as LocalTemplate
    const accounts = accountsOf([{ name: 'stack', account: '222222222222', template }], 'eu-west-1')
    expect(accounts.roles.map(({ arn }) => arn)).toEqual([ROLE])
    expect(accounts.provider('222222222222', ISSUER)).toBeDefined()
  })

  it('shares one provider among the roles of a stack, and takes one that is there', () => {
    const twice = templateOf((stack) => {
      for (const id of ['One', 'Two']) new BrokeredRole(stack, id, PROPS)
    })
    twice.resourceCountIs('AWS::IAM::OIDCProvider', 1)
    twice.hasResourceProperties('AWS::IAM::OIDCProvider', {
      Url: ISSUER,
      ClientIdList: ['sts.amazonaws.com'],
    })
    const arn = 'arn:aws:iam::222222222222:oidc-provider/tokens.example.com'
    const imported = templateOf((stack) => {
      const provider = OidcProviderNative.fromOidcProviderArn(stack, 'Provider', arn)
      new BrokeredRole(stack, 'Role', { ...PROPS, provider })
    })
    imported.resourceCountIs('AWS::IAM::OIDCProvider', 0)
    expect(JSON.stringify(roleIn(imported))).toContain(arn)
  })

  it('takes permissions as any role, and passes on what roles have', () => {
    const template = templateOf((stack) => {
      const role = new BrokeredRole(stack, 'Role', {
        ...PROPS,
        maxSessionDuration: Duration.hours(2),
        path: '/team/',
        description: 'mine',
      })
      new Bucket(stack, 'Bucket').grantRead(role)
    })
    expect(roleIn(template)).toMatchObject({ MaxSessionDuration: 7200, Path: '/team/', Description: 'mine' })
    template.resourceCountIs('AWS::IAM::Policy', 1)
  })

  it.each<[string, string, Partial<BrokeredRoleProps>]>([
    ['neither issuer nor role', 'give either issuer or brokerRoleArn', { issuer: undefined as never }],
    ['both', 'give either issuer or brokerRoleArn', { brokerRoleArn: BROKER_ROLE }],
    ['an external id that nobody sends', 'externalId is for a role', { externalId: 'tenant-7' }],
    ['a transitive tag that is none', 'transitiveTags has run', { transitiveTags: ['run'] }],
    ['an issuer without TLS', 'issuer is http://', { issuer: 'http://tokens.example.com' }],
    ['an issuer with a slash at its end', 'issuer is https://', { issuer: `${ISSUER}/` }],
    [
      'an issuer that only CloudFormation knows',
      'as text',
      { issuer: Lazy.string({ produce: () => ISSUER }) },
    ],
  ])('refuses %s', (_, message, changes) => {
    expect(() => templateOf((stack) => new BrokeredRole(stack, 'Role', { ...PROPS, ...changes }))).toThrow(
      message,
    )
  })

  it.each([
    ['passes cdk-nag', {}, 0],
    [
      'fails it with a policy that cdk-nag does not like',
      { managedPolicies: [ManagedPolicy.fromAwsManagedPolicyName('AdministratorAccess')] },
      1,
    ],
  ])('%s', (_, changes, findings) => {
    const stack = stackOf(
      (it) => new BrokeredRole(it, 'Role', { ...PROPS, sessionTags: { run: '*' }, ...changes }),
    )
    const app = stack.node.root as App
    Validations.of(app).addPlugins(new AwsSolutionsChecks(app))
    const synth = () => app.synth()
    if (findings === 0) expect(synth).not.toThrow()
    else expect(synth).toThrow(/AwsSolutions-IAM4|alidation/)
  })
})
