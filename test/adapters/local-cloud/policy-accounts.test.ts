import { describe, expect, it } from 'vitest'
import type { AwsTarget, CompiledPolicy } from '../../../functions/core/policy/compiled.ts'
import { accountsOf } from '../../../lib/local/account-templates.ts'
import { outboundIssuers, policyAccounts } from '../../../lib/local/policy-accounts.ts'
import { BROKER_ROLE, deployTarget, ISSUER, ownRoleTarget, ROLE } from '../../aws-roles/targets.ts'
import { EMPTY_POLICY } from '../../infrastructure/synthesize.ts'

const OTHER_ROLE = 'arn:aws:iam::222222222222:role/read'
const BROKER = { issuer: ISSUER, brokerRole: BROKER_ROLE }
const PROVIDER = 'arn:aws:iam::222222222222:oidc-provider/tokens.example.com'

function accountsFor(...targets: readonly Partial<AwsTarget>[]) {
  const policy = { ...EMPTY_POLICY, targets: targets.map((changes) => ({ ...deployTarget(), ...changes })) }
  return accountsOf(policyAccounts(policy as CompiledPolicy, BROKER), 'eu-west-1')
}

const bare = { sessionTags: {}, transitiveTags: [] }

describe('the accounts of a policy', () => {
  it('have the role of each target, and one provider for all of an account', () => {
    const accounts = accountsFor({}, { id: 'read' as AwsTarget['id'], roleArn: OTHER_ROLE })
    expect(accounts.roles.map(({ arn }) => arn)).toEqual([ROLE, OTHER_ROLE])
    expect(accounts.provider('222222222222', ISSUER)?.arn).toBe(PROVIDER)
  })

  it('let every target have the role that it shares with another, each in its own way', () => {
    const read = { ...bare, id: 'read' as AwsTarget['id'] }
    const trust = accountsFor(ownRoleTarget(), read).role(ROLE)?.trust
    const context = {
      'tokens.example.com:aud': 'sts.amazonaws.com',
      'tokens.example.com:sub': 'target:read',
      'sts:SourceIdentity': 'octocat',
    }
    const request = { action: 'sts:AssumeRoleWithWebIdentity', names: { Federated: [PROVIDER] }, context }
    expect(trust?.allows(request)).toBe(true)
    const other = { ...context, 'tokens.example.com:sub': 'target:deploy-prod' }
    expect(trust?.allows({ ...request, context: other })).toBe(false)
    expect(
      trust?.obstacles({ action: 'sts:AssumeRole', names: { AWS: [BROKER_ROLE] }, context: {} }),
    ).toContainEqual(expect.stringContaining('sts:ExternalId'))
  })

  it('have the issuer whose grants name them', () => {
    const issuer = (id: string) => ({ id, preset: 'aws-outbound' })
    const grant = (of: string, value: string) => ({
      issuer: of,
      when: [{ path: ['sub'], anyOf: [{ kind: 'equals', value }] }],
    })
    const policy = {
      ...EMPTY_POLICY,
      issuers: [issuer('one'), issuer('two'), { id: 'github', preset: 'github-actions' }],
      grants: [grant('one', ROLE), grant('two', '111122223333'), grant('github', '999999999999')],
    } as unknown as CompiledPolicy
    expect([...outboundIssuers(policy)]).toEqual([
      ['222222222222', 'one'],
      ['111122223333', 'two'],
    ])
  })
})
