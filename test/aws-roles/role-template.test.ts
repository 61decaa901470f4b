import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import type { AwsTarget } from '../../functions/core/policy/compiled.ts'
import { roleTemplate } from '../../lib/aws-roles/role-template.ts'
import { trustStatement } from '../../lib/aws-roles/role-trust.ts'
import { BrokerRoleMissing, trustOfTarget } from '../../lib/aws-roles/target-trust.ts'
import { accountsOf, parseTemplate } from '../../lib/local/account-templates.ts'
import { BROKER_ROLE, deployTarget, ISSUER, ownRoleTarget, ROLE } from './targets.ts'

const BROKER = { issuer: ISSUER, brokerRole: BROKER_ROLE }
const PROVIDER = 'arn:aws:iam::222222222222:oidc-provider/tokens.example.com'

/** IAM after the template, as it is printed, was deployed. */
function deployed(target: AwsTarget, options = {}) {
  const template = parseTemplate('printed', stringify(roleTemplate(target, BROKER, options)))
  return accountsOf([{ name: 'printed', account: '222222222222', template }], 'eu-west-1')
}

const session = (changes = {}) => ({
  'tokens.example.com:aud': 'sts.amazonaws.com',
  'tokens.example.com:sub': 'target:deploy-prod',
  'aws:RequestTag/repository': 'octo-org/app',
  'aws:RequestTag/environment': 'production',
  'aws:RequestTag/run': 'run-7',
  'aws:TagKeys': ['repository', 'environment', 'run'],
  'sts:TransitiveTagKeys': ['repository'],
  'sts:SourceIdentity': 'octocat',
  'sts:ExternalId': 'tenant-7',
  ...changes,
})

function allows(target: AwsTarget, action: string, changes = {}, names = {}): boolean {
  const presented = { Federated: [PROVIDER], AWS: [BROKER_ROLE], ...names }
  const request = { action, names: presented, context: session(changes) }
  return deployed(target).role(ROLE)?.trust.allows(request) === true
}

describe('the template of a role', () => {
  it('asks nothing where there is nothing to ask', () => {
    const bare = ownRoleTarget({ sessionTags: {}, transitiveTags: [] })
    const { externalId: _, sourceIdentity: __, ...target } = bare
    expect(trustStatement(trustOfTarget(target, BROKER)).Condition).toEqual({})
    const tagged = { ...target, sessionTags: { team: [{ path: ['team'] }] } }
    expect(trustStatement(trustOfTarget(tagged, BROKER)).Condition).toEqual({
      StringLike: { 'aws:RequestTag/team': '*' },
      'ForAllValues:StringEquals': { 'aws:TagKeys': ['team'], 'sts:TransitiveTagKeys': ['aws:none'] },
    })
  })

  it('lets no tag be passed on where none is transitive', () => {
    const target = deployTarget({ transitiveTags: [] })
    const passedOn = (keys: readonly string[] | undefined) =>
      allows(target, 'sts:TagSession', { 'sts:TransitiveTagKeys': keys })
    expect([passedOn(undefined), passedOn(['repository'])]).toEqual([true, false])
  })

  it('has the issuer with one audience, and the role by the name that the target gives it', () => {
    const accounts = deployed(deployTarget())
    expect(accounts.provider('222222222222', ISSUER)).toMatchObject({ clientIds: ['sts.amazonaws.com'] })
    expect(accounts.roles.map(({ arn }) => arn)).toEqual([ROLE])
  })

  it.each(['sts:AssumeRoleWithWebIdentity', 'sts:TagSession', 'sts:SetSourceIdentity'])(
    'lets the broker %s',
    (action) => {
      expect(allows(deployTarget(), action)).toBe(true)
    },
  )

  it.each([
    ['for another target', { 'tokens.example.com:sub': 'target:deploy-prod-2' }],
    ['for another audience', { 'tokens.example.com:aud': 'https://api.example.com' }],
    ['without a tag', { 'aws:RequestTag/repository': undefined }],
    ['with another value of a fixed tag', { 'aws:RequestTag/environment': 'staging' }],
    ['with another beginning of a tag', { 'aws:RequestTag/run': 'job-7' }],
    ['with a tag more', { 'aws:TagKeys': ['repository', 'environment', 'run', 'admin'] }],
    ['with a tag that is transitive all of a sudden', { 'sts:TransitiveTagKeys': ['repository', 'run'] }],
    ['without source identity', { 'sts:SourceIdentity': undefined }],
  ])('refuses a session %s', (_, changes) => {
    for (const action of ['sts:AssumeRoleWithWebIdentity', 'sts:TagSession', 'sts:SetSourceIdentity'])
      expect(allows(deployTarget(), action, changes)).toBe(false)
  })

  it('refuses other issuers, and other ways', () => {
    const other = { Federated: ['arn:aws:iam::222222222222:oidc-provider/other.example'] }
    expect(allows(deployTarget(), 'sts:AssumeRoleWithWebIdentity', {}, other)).toBe(false)
    expect(allows(deployTarget(), 'sts:AssumeRole')).toBe(false)
  })

  it('lets nobody tag or name a source where the target does not', () => {
    const { sourceIdentity: _, ...rest } = deployTarget()
    const plain = { ...rest, sessionTags: {}, transitiveTags: [] } as AwsTarget
    expect(allows(plain, 'sts:AssumeRoleWithWebIdentity')).toBe(true)
    expect(allows(plain, 'sts:TagSession')).toBe(false)
    expect(allows(plain, 'sts:SetSourceIdentity')).toBe(false)
  })

  it('trusts the broker’s own role with its external id where the target says assume: role', () => {
    expect(deployed(ownRoleTarget()).provider('222222222222', ISSUER)).toBeUndefined()
    expect(allows(ownRoleTarget(), 'sts:AssumeRole')).toBe(true)
    expect(allows(ownRoleTarget(), 'sts:AssumeRole', { 'sts:ExternalId': 'tenant-8' })).toBe(false)
    const root = { AWS: ['arn:aws:iam::111111111111:root'] }
    expect(allows(ownRoleTarget(), 'sts:AssumeRole', {}, root)).toBe(false)
    expect(() => roleTemplate(ownRoleTarget(), { issuer: ISSUER })).toThrow(BrokerRoleMissing)
  })

  it('leaves out the provider of an account that has it, and names it', () => {
    const { Resources } = roleTemplate(deployTarget(), BROKER, { hasProvider: true })
    expect(Object.keys(Resources)).toEqual(['Role'])
    expect(trustStatement(trustOfTarget(deployTarget(), BROKER)).Principal).toEqual({ Federated: PROVIDER })
    expect(JSON.stringify(Resources)).toContain(PROVIDER)
  })
})
