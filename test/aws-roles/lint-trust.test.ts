import { describe, expect, it } from 'vitest'
import { lintTrust } from '../../lib/aws-roles/lint-trust.ts'
import { trustStatement } from '../../lib/aws-roles/role-trust.ts'
import { trustOfTarget } from '../../lib/aws-roles/target-trust.ts'
import type { TrustPolicy } from '../../lib/local/aws/trust-policy.ts'
import { BROKER_ROLE, deployTarget, ISSUER, ownRoleTarget } from './targets.ts'

const BROKER = { issuer: ISSUER, brokerRole: BROKER_ROLE }
const web = trustOfTarget(deployTarget(), BROKER)
const own = trustOfTarget(ownRoleTarget(), BROKER)
const PROVIDER = 'arn:aws:iam::222222222222:oidc-provider/tokens.example.com'

type Statement = ReturnType<typeof trustStatement>
type Changes = { readonly [Key in keyof Statement]?: unknown }

/** The statement that is printed, with changes. */
function policyWith(changes: Changes = {}, trust = web): TrustPolicy {
  return {
    Version: '2012-10-17',
    Statement: [{ ...trustStatement(trust), ...changes }],
  } as unknown as TrustPolicy
}

/** Its conditions without some keys. */
function without(...keys: readonly string[]) {
  const entries = Object.entries(trustStatement(web).Condition).map(([operator, block]) => [
    operator,
    Object.fromEntries(Object.entries(block).filter(([key]) => !keys.includes(key))),
  ])
  return { Condition: Object.fromEntries(entries) }
}

const found = (policy: TrustPolicy, trust = web) =>
  lintTrust(policy, trust).map(({ severity, message }) => `${severity}: ${message}`)

describe('the linter of trust policies', () => {
  it('has nothing against what is printed', () => {
    expect(lintTrust(policyWith(), web)).toEqual([])
    expect(lintTrust(policyWith({}, own), own)).toEqual([])
    const plain = trustOfTarget({ ...deployTarget(), sessionTags: {}, transitiveTags: [] }, BROKER)
    expect(lintTrust(policyWith({}, plain), plain)).toEqual([])
  })

  it('has nothing against what is narrower than what is printed', () => {
    const { Condition } = trustStatement(web)
    const narrow = {
      ...Condition,
      StringLike: {
        ...Condition['StringLike'],
        'aws:RequestTag/repository': 'octo-org/*',
        'aws:RequestTag/run': 'run-7',
      },
    }
    expect(found(policyWith({ Condition: narrow }))).toEqual([])
  })

  const sub = `${'tokens.example.com'}:sub`
  const aud = `${'tokens.example.com'}:aud`
  const anySub = 'error: other targets of the broker may take this role: its sub is not pinned'
  const { StringEquals } = trustStatement(web).Condition
  const withSub = (block: object) => ({ Condition: { ...without(sub).Condition, ...block } })
  it.each([
    ['no sub', without(sub), [anySub]],
    [
      'a sub by pattern',
      withSub({ StringLike: { ...trustStatement(web).Condition['StringLike'], [sub]: 'target:*' } }),
      [anySub],
    ],
    [
      'a sub that may go on',
      withSub({
        ArnLike: {},
        StringLike: { ...trustStatement(web).Condition['StringLike'], [sub]: 'target:deploy-prod*' },
      }),
      [anySub],
    ],
    ['no aud', without(aud), ['error: any audience is let in: its aud is not pinned']],
    [
      'no tag',
      without('aws:RequestTag/repository'),
      ['warning: a session without the tag repository is let in'],
    ],
    [
      'no value of a fixed tag',
      without('aws:RequestTag/environment'),
      [
        'warning: a session without the tag environment is let in',
        'warning: other values of the tag environment are let in',
      ],
    ],
    ['no list of tags', without('aws:TagKeys'), ['warning: tags that the target does not have are let in']],
    [
      'no source identity',
      without('sts:SourceIdentity'),
      ['warning: a session without source identity is let in'],
    ],
    [
      'every condition gone',
      { Condition: {} },
      expect.arrayContaining([anySub, 'error: any audience is let in: its aud is not pinned']),
    ],
    [
      'a condition that holds where nothing is asked',
      {
        Condition: {
          ...trustStatement(web).Condition,
          StringEquals: { [aud]: 'sts.amazonaws.com', 'aws:RequestTag/environment': 'production' },
          StringEqualsIfExists: { [sub]: 'target:deploy-prod' },
        },
      },
      [],
    ],
    ['anybody', { Principal: '*' }, ['error: tokens of any issuer are let in']],
    ['anybody of AWS', { Principal: { AWS: '*' } }, ['error: tokens of any issuer are let in']],
    [
      'another issuer too',
      { Principal: { Federated: [PROVIDER, 'arn:aws:iam::222222222222:oidc-provider/a.example'] } },
      [],
    ],
  ])('finds %s', (_, changes, expected) => {
    expect(found(policyWith(changes))).toEqual(expected)
  })

  it.each([
    ['the wrong issuer', { Principal: { Federated: `${PROVIDER}.evil` } }, 'no statement has the Principal'],
    [
      'no sts:TagSession',
      { Action: ['sts:AssumeRoleWithWebIdentity', 'sts:SetSourceIdentity'] },
      'sts:TagSession: no statement for this Principal allows it',
    ],
    [
      'no sts:SetSourceIdentity',
      { Action: ['sts:AssumeRoleWithWebIdentity', 'sts:TagSession'] },
      'sts:SetSourceIdentity: no statement',
    ],
    [
      'the wrong way',
      { Action: ['sts:AssumeRole', 'sts:TagSession'] },
      'sts:AssumeRoleWithWebIdentity, sts:SetSourceIdentity: no statement',
    ],
    [
      'another audience',
      { Condition: { StringEquals: { ...StringEquals, [aud]: 'sts.amazonaws.com.cn' } } },
      `${aud} wants "sts.amazonaws.com.cn", found "sts.amazonaws.com"`,
    ],
    [
      'a typing error in sub',
      { Condition: { StringEquals: { ...StringEquals, [sub]: 'target:deploy_prod' } } },
      `${sub} wants "target:deploy_prod", found "target:deploy-prod"`,
    ],
    [
      'the condition key of another host',
      { Condition: { StringEquals: { 'token.example.com:sub': 'target:deploy-prod' } } },
      'found nothing',
    ],
    [
      'a tag that the target does not have',
      { Condition: { StringEquals: { ...StringEquals, 'aws:RequestTag/team': 'a' } } },
      'aws:RequestTag/team',
    ],
    ['a denial', { Effect: 'Deny' }, 'denies'],
  ])('says that the broker is refused by %s, and what to write', (_, changes, message) => {
    const findings = lintTrust(policyWith(changes), web)
    expect(findings).toContainEqual({
      severity: 'error',
      message: expect.stringContaining(message),
      instead: expect.stringMatching(/^\{"(Action|Condition)":/),
    })
  })

  it('says what to write instead, with the target’s own values', () => {
    expect(lintTrust(policyWith(without(sub)), web)).toMatchObject([
      { instead: '{"Condition":{"StringEquals":{"tokens.example.com:sub":"target:deploy-prod"}}}' },
    ])
  })

  it('cannot judge what it does not understand, and says so', () => {
    const unknown = { Condition: { IpAddress: { 'aws:SourceIp': '192.0.2.0/24' } } }
    expect(found(policyWith(unknown))).toEqual([expect.stringMatching(/^error: cannot be judged: /)])
  })

  it('mentions whoever is trusted beside the broker', () => {
    const { Statement } = policyWith() as { readonly Statement: readonly object[] }
    const more = {
      Effect: 'Allow',
      Principal: { AWS: 'arn:aws:iam::222222222222:root' },
      Action: 'sts:AssumeRole',
    }
    const policy = { Statement: [...Statement, more] } as unknown as TrustPolicy
    expect(found(policy)).toEqual([
      'warning: trusts somebody else too: {"AWS":"arn:aws:iam::222222222222:root"}',
    ])
  })

  /** The statement that is printed, and a further one. */
  const policyAnd = (more: object, trust = web) => {
    const [printed] = policyWith({}, trust).Statement as readonly object[]
    return { Statement: [printed, { Effect: 'Allow', ...more }] } as unknown as TrustPolicy
  }
  const anyAccount = 'error: any account may take this role'

  it.each(['*', { AWS: '*' }])('finds a further statement that lets any account in: %j', (Principal) => {
    expect(found(policyAnd({ Principal, Action: 'sts:AssumeRole' }))).toEqual([anyAccount])
    expect(found(policyAnd({ Principal, Action: 'sts:AssumeRole' }, own), own)).toContain(anyAccount)
  })

  it('finds a further statement for sessions with neither tags nor source identity', () => {
    const { Principal, Condition } = trustStatement(web)
    const Action = 'sts:AssumeRoleWithWebIdentity'
    const audOnly = { StringEquals: { [aud]: Condition['StringEquals']?.[aud] } }
    expect(found(policyAnd({ Principal, Action, Condition: audOnly }))).toContain(anySub)
    const account = { AWS: BROKER_ROLE.replace(/role\/.*$/, 'root') }
    expect(found(policyAnd({ Principal: account, Action: 'sts:AssumeRole' }, own), own)).toContain(
      'error: any role of the broker’s account may take this role',
    )
  })

  it.each(['target:*-prod', 'target:deploy-pro?', 'target:other'])(
    'finds a sub that is let in beside the target’s own: %s',
    (value) => {
      const { Condition } = trustStatement(web)
      const StringLike = { ...Condition['StringLike'], [sub]: ['target:deploy-prod', value] }
      expect(found(policyWith(withSub({ StringLike })))).toEqual([anySub])
    },
  )

  it('finds a second audience, and a second external id', () => {
    const { Condition } = trustStatement(web)
    const two = { ...Condition, StringEquals: { ...StringEquals, [aud]: ['sts.amazonaws.com', 'x'] } }
    expect(found(policyWith({ Condition: two }))).toEqual([
      'error: any audience is let in: its aud is not pinned',
    ])
    const { Condition: owns } = trustStatement(own)
    const ids = { ...owns['StringEquals'], 'sts:ExternalId': ['tenant-7', 'tenant-8'] }
    expect(found(policyWith({ Condition: { ...owns, StringEquals: ids } }, own), own)).toEqual([
      'error: any external id is let in',
    ])
  })

  it.each([
    ['a second value of a fixed tag', 'StringEquals', 'environment', ['production', 'staging']],
    ['a pattern around a fixed tag', 'StringLike', 'environment', 'prod*'],
    ['a second pattern of a tag', 'StringLike', 'run', ['run-*', 'job-*']],
    ['a wider pattern of a tag', 'StringLike', 'run', 'r*'],
  ])('finds %s', (_, operator, key, value) => {
    const others = without(`aws:RequestTag/${key}`).Condition
    const Condition = { ...others, [operator]: { ...others[operator], [`aws:RequestTag/${key}`]: value } }
    expect(found(policyWith({ Condition }))).toEqual([`warning: other values of the tag ${key} are let in`])
  })

  it('finds a second source identity, and none where the target inserts a claim', () => {
    const bot = trustOfTarget(deployTarget({ sourceIdentity: ['release-bot'] }), BROKER)
    const two = { 'sts:SourceIdentity': ['release-bot', 'root'] }
    const conditionOf = (trust: typeof web) => {
      const { StringEquals: equal, ...others } = trustStatement(trust).Condition
      return { Condition: { ...others, StringEquals: { ...equal, ...two } } }
    }
    expect(found(policyWith(conditionOf(bot), bot), bot)).toEqual([
      'warning: other source identities are let in',
    ])
    expect(found(policyWith(conditionOf(web)))).toEqual([])
  })

  it('has nothing against values that are narrowed by a denial', () => {
    const [printed] = policyWith().Statement as readonly object[]
    const denial = (Condition: object) => {
      const more = { Effect: 'Deny', Principal: '*', Action: 'sts:*', Condition }
      return { Statement: [printed, more] } as unknown as TrustPolicy
    }
    const key = 'aws:RequestTag/repository'
    expect(found(denial({ StringNotLike: { [key]: 'octo-org/*' } }))).toEqual([])
    expect(found(denial({ StringEquals: { [key]: 'octo-org/bad' } }))).toEqual([])
  })

  it('finds tags that may be passed on to further roles, whether some are to be or none', () => {
    const passedOn = ['warning: tags may be passed on that are not transitive']
    expect(found(policyWith(without('sts:TransitiveTagKeys')))).toEqual(passedOn)
    const none = trustOfTarget(deployTarget({ transitiveTags: [] }), BROKER)
    expect(found(policyWith({}, none), none)).toEqual([])
    expect(found(policyWith(without('sts:TransitiveTagKeys'), none), none)).toEqual(passedOn)
    expect(found(policyWith({}, web), none)).toEqual(passedOn)
  })

  it('has nothing against an account of which one role is meant', () => {
    const { Condition } = trustStatement(own)
    const pinned = {
      Principal: { AWS: 'arn:aws:iam::111111111111:root' },
      Condition: { ...Condition, ArnEquals: { 'aws:PrincipalArn': BROKER_ROLE } },
    }
    expect(found(policyWith(pinned, own), own)).toEqual([])
  })

  it('mentions whoever is named beside the broker’s role in one statement', () => {
    const Principal = { AWS: [BROKER_ROLE, 'arn:aws:iam::999999999999:root'] }
    expect(found(policyWith({ Principal }, own), own)).toEqual([
      expect.stringMatching(/^warning: trusts somebody else too: .*999999999999/),
    ])
  })

  it.each([
    [
      'a whole account',
      { Principal: { AWS: 'arn:aws:iam::111111111111:root' } },
      ['error: any role of the broker’s account may take this role'],
    ],
    [
      'an account by its number',
      { Principal: { AWS: '111111111111' } },
      ['error: any role of the broker’s account may take this role'],
    ],
    [
      'anybody',
      { Principal: '*' },
      ['error: any role of the broker’s account may take this role', anyAccount],
    ],
  ])('finds %s where the broker comes with a role of its own', (_, changes, expected) => {
    expect(found(policyWith(changes, own), own)).toEqual(expected)
  })

  it('finds an external id that is not asked for', () => {
    const { 'sts:ExternalId': _, ...rest } = trustStatement(own).Condition['StringEquals'] as Record<
      string,
      string
    >
    const { StringEquals: __, ...others } = trustStatement(own).Condition
    expect(found(policyWith({ Condition: { ...others, StringEquals: rest } }, own), own)).toEqual([
      'error: any external id is let in',
    ])
  })

  it('finds tags and source identities that a target without them lets in', () => {
    const plain = trustOfTarget(
      { ...deployTarget(), sessionTags: {}, transitiveTags: [], sourceIdentity: [] },
      BROKER,
    )
    const bare = { ...plain, sourceIdentity: undefined }
    const Action = 'sts:*'
    expect(found(policyWith({ Action }, bare), bare)).toEqual([
      'warning: tags that the target does not have are let in',
      'warning: any source identity may be set',
    ])
  })
})
