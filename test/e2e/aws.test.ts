import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { AWS_CREDENTIALS_TYPE } from '../../functions/core/token-request.ts'
import type { BrokerFacts } from '../../lib/aws-roles/target-trust.ts'
import {
  type AccountTemplate,
  parseTemplate,
  readAccountTemplates,
} from '../../lib/local/account-templates.ts'
import type { AwsCall } from '../../lib/local/aws/call-handling.ts'
import { LOCAL_OPERATOR } from '../../lib/local/cloud.ts'
import { outboundIssuers, policyAccounts } from '../../lib/local/policy-accounts.ts'
import { type Synthesis, synthesize } from '../../lib/local/synthesize.ts'
import { startTestCloud, type TestCloud } from '../support/cloud.ts'
import { functionEnvironment } from '../support/function-environment.ts'
import { RECIPES } from '../support/recipes.ts'

const ACCOUNT = '111122223333'
const DEPLOY = `arn:aws:iam::${ACCOUNT}:role/deploy`
const BATCH = `arn:aws:iam::${ACCOUNT}:role/batch`
const audiences = ['https://broker.example.com']
const statement = {
  Effect: 'Allow',
  Action: 's3:GetObject',
  Resource: 'arn:aws:s3:::releases/{repository}/*',
}
const POLICY = {
  issuers: {
    github: { preset: 'github-actions', audiences, max_lifetime: '10m', replay: 'single-use' },
    cluster: {
      preset: 'kubernetes',
      issuer: 'https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE0123456789ABCDEF',
      audiences,
      replay: 'reusable',
    },
  },
  targets: {
    deploy: {
      aws_role: DEPLOY,
      outlive: 'deadline',
      session_tags: { repository: '{repository}', run: '{run_id}' },
      transitive_tags: ['repository'],
      source_identity: '{actor}',
      session_policy: { Version: '2012-10-17', Statement: [statement] },
    },
    batch: {
      aws_role: BATCH,
      assume: 'role',
      external_id: 'token-broker',
      session_name: 'batch',
      session_tags: { namespace: '{/kubernetes.io/namespace}' },
      source_identity: '{/kubernetes.io/serviceaccount/name}',
    },
    stranger: { aws_role: `${DEPLOY}-of-others` },
  },
  grants: {
    ci: { issuer: 'github', when: { repository_id: '123456' }, target: 'deploy' },
    pod: {
      issuer: 'cluster',
      when: { 'kubernetes.io': { namespace: 'payments' } },
      target: 'batch',
      rate: { limit: 40, per: '1m', by: 'subject' },
    },
    stray: { issuer: 'cluster', when: { 'kubernetes.io': { namespace: 'payments' } }, target: 'stranger' },
  },
}

/** What an account does that trusts the broker. */
const roles = (issuer: string) => `
Resources:
  Broker:
    Type: AWS::IAM::OIDCProvider
    Properties: {Url: '${issuer}', ClientIdList: [sts.amazonaws.com]}
  Deploy:
    Type: AWS::IAM::Role
    Properties:
      RoleName: deploy
      AssumeRolePolicyDocument:
        Statement:
          - Effect: Allow
            Principal: {Federated: !Ref Broker}
            Action: [sts:AssumeRoleWithWebIdentity, sts:TagSession, sts:SetSourceIdentity]
            Condition:
              StringEquals:
                '${issuer.slice('http://'.length)}:aud': sts.amazonaws.com
                '${issuer.slice('http://'.length)}:sub': target:deploy
  Other:
    Type: AWS::IAM::Role
    Properties:
      RoleName: deploy-of-others
      AssumeRolePolicyDocument:
        Statement:
          - Effect: Allow
            Principal: {Federated: !Ref Broker}
            Action: [sts:AssumeRoleWithWebIdentity, sts:TagSession]
            Condition: {StringEquals: {'${issuer.slice('http://'.length)}:sub': target:other}}
  Batch:
    Type: AWS::IAM::Role
    Properties:
      RoleName: batch
      AssumeRolePolicyDocument:
        Statement:
          - Effect: Allow
            Principal: {AWS: 'arn:aws:iam::111111111111:root'}
            Action: [sts:AssumeRole, sts:TagSession, sts:SetSourceIdentity]
            Condition: {StringEquals: {sts:ExternalId: token-broker}}
`

const ABROAD = '444455556666'
const BUCKET = 'partner-reports'
const LAMBDA = new URL('../../docs/examples/lambda-to-another-organisation/', import.meta.url)

/** The account of another organisation after `aws setup`, and with what its role may do there. */
function abroad(facts: BrokerFacts): AccountTemplate {
  const [printed] = policyAccounts(synthesis.policy, facts).filter(({ account }) => account === ABROAD)
  const { Role: role, ...others } = printed?.template.Resources ?? {}
  if (printed === undefined || role === undefined) throw new Error('nothing is printed for it')
  const PolicyDocument = {
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Action: 's3:GetObject', Resource: `arn:aws:s3:::${BUCKET}/*` }],
  }
  const Policies = [{ PolicyName: 'reports', PolicyDocument }]
  const Role = { ...role, Properties: { ...role.Properties, Policies } }
  return { ...printed, template: { ...printed.template, Resources: { ...others, Role } } }
}

const folder = mkdtempSync(join(tmpdir(), 'token-broker-test-'))
const calls: AwsCall[] = []
let synthesis: Synthesis
let broker: TestCloud

beforeAll(async () => {
  writeFileSync(join(folder, 'policy.yaml'), JSON.stringify(POLICY))
  const recipe = RECIPES.find(({ title }) => title === 'AWS to another organisation')
  writeFileSync(join(folder, 'recipe.yaml'), recipe?.policy ?? '')
  synthesis = synthesize({ policyFolder: folder })
  broker = await startTestCloud({
    assemblyFolder: synthesis.assemblyFolder,
    issuers: synthesis.policy.issuers,
    outboundIssuers: outboundIssuers(synthesis.policy),
    accountTemplates: (facts) => [
      { name: 'roles', account: ACCOUNT, template: parseTemplate('roles', roles(facts.issuer)) },
      ...readAccountTemplates(LAMBDA.pathname),
      abroad(facts),
    ],
    onCall: (call) => void calls.push(call),
  })
})
afterAll(async () => {
  await broker.close()
  synthesis.dispose()
  rmSync(folder, { recursive: true, force: true })
})
afterEach(() => {
  broker.cloud.aws.faults.clear()
  expect(broker.defects).toEqual([])
})

const github = () => broker.sign({ preset: 'github-actions' })
const pod = (claims = {}) => broker.sign({ preset: 'kubernetes', claims })
const asked = { audience: DEPLOY, requested_token_type: AWS_CREDENTIALS_TYPE }
const sessions = () => broker.cloud.aws.sts.sessions

async function getCredentials(target: string, authorization: string) {
  const response = await fetch(`${broker.url}/aws/credentials/${target}`, { headers: { authorization } })
  const body = (await response.json()) as Record<string, string>
  return { status: response.status, headers: response.headers, body }
}

describe('AWS credentials over HTTP', () => {
  it('come from POST /token by way of the function that may start sessions', async () => {
    calls.length = 0
    const { status, headers, body } = await broker.exchange(await github(), asked)
    expect([status, body['token_type']]).toEqual([200, 'N_A'])
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('x-correlation-id')).toBeTruthy()
    const document = JSON.parse(body['access_token'] ?? '') as Record<string, string>
    const session = sessions().at(-1)
    expect(document['AccessKeyId']).toBe(session?.accessKeyId)
    expect(document['SessionToken']).toBe(session?.sessionToken)
    expect(session).toMatchObject({
      by: 'AssumeRoleWithWebIdentity',
      roleArn: DEPLOY,
      startedBy: 'target:deploy',
      tags: { repository: 'octo-org/payments' },
      transitiveTagKeys: ['repository'],
      sourceIdentity: 'octocat',
    })
    const [allowed] = (JSON.parse(session?.policy ?? '{}') as { Statement: Record<string, unknown>[] })
      .Statement
    expect(allowed).toMatchObject({
      Resource: ['arn:aws:s3:::releases/octo-org/payments/*'],
      Condition: { DateLessThan: { 'aws:CurrentTime': document['Expiration'] } },
    })
    const ofSts = calls.filter(({ service }) => service === 'sts' || service === 'lambda')
    expect(
      ofSts.map(({ principal, service }) => [service, principal?.replace(/.*(Exchange|Aws).*/, '$1')]),
    ).toEqual([
      ['sts', undefined],
      ['lambda', 'Exchange'],
    ])
  })

  it('come from GET /aws/credentials, again and again with a reusable token', async () => {
    const token = await pod()
    const [first, second] = [
      await getCredentials('batch', token),
      await getCredentials('batch', `Bearer ${token}`),
    ]
    expect([first.status, second.status]).toEqual([200, 200])
    expect(first.body['AccessKeyId']).not.toBe(second.body['AccessKeyId'])
    expect(first.body).toMatchObject({ RoleArn: BATCH, AccountId: ACCOUNT })
    expect(sessions().at(-1)).toMatchObject({
      by: 'AssumeRole',
      sessionName: 'batch',
      externalId: 'token-broker',
      tags: { namespace: 'payments' },
      sourceIdentity: 'worker',
    })
  })

  it('come once for a single-use token, whichever way it is presented', async () => {
    const token = await github()
    const answers = await Promise.all([
      broker.exchange(token, asked),
      getCredentials('deploy', token),
      broker.exchange(token, asked),
    ])
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 400, 400])
  })

  it('are not given of a role that trusts another target', async () => {
    const { status, body } = await getCredentials('stranger', await pod())
    expect([status, body['code']]).toEqual([400, 'invalid_target'])
  })

  it.each([
    ['down', { kind: 'error', code: 'ServiceUnavailable' } as const],
    ['throttling', { kind: 'throttle' } as const],
  ])('are not given by an STS that is %s, and come with a retry under the same key', async (_, fault) => {
    broker.cloud.aws.faults.set({ operation: 'sts:AssumeRoleWithWebIdentity', ...fault })
    const token = await github()
    const headers = { 'idempotency-key': 'the-same-exchange-again' }
    const failed = await broker.exchange(token, asked, headers)
    expect([failed.status, failed.headers.has('retry-after')]).toEqual([503, true])
    broker.cloud.aws.faults.clear()
    expect((await broker.exchange(token, asked, headers)).status).toBe(200)
  })

  it('leave no secret in any log', async () => {
    const { body } = await getCredentials('batch', await pod())
    const printed = broker.lines.join('\n')
    expect(printed).toContain('exchange_failed')
    for (const secret of [body['SecretAccessKey'], body['Token']]) expect(printed).not.toContain(secret)
    // At the beginning of a word: one in 10,000 digests has it somewhere.
    expect(printed).not.toMatch(/(?<![\w-])eyJ[\w-]{20}/)
  })

  it('every permission of the function was used by these tests, and none was missing', () => {
    const unused = broker.cloud.unusedPermissions()
    expect(unused.filter(({ principal }) => principal.includes('AwsCredentials'))).toEqual([
      // Subject tokens that are reference tokens: a policy may issue some, this one does not.
      expect.objectContaining({ action: 'dynamodb:GetItem', resource: expect.stringContaining('Exchanges') }),
    ])
    expect(unused.filter(({ action }) => action === 'lambda:InvokeFunction')).toEqual([])
  })
})

describe('a Lambda function without secrets', () => {
  const ROLE = `arn:aws:iam::${ACCOUNT}:role/report-collector`

  it('as the example has it, reads what a role of another organisation may read, and its own may not', async () => {
    const aws = { endpoint: broker.cloud.aws.url, region: 'eu-west-1' }
    const operator = new S3Client({ ...aws, credentials: LOCAL_OPERATOR })
    await broker.cloud.aws.s3.createBucket({ name: BUCKET, objectLock: undefined, denied: [] })
    await operator.send(new PutObjectCommand({ Bucket: BUCKET, Key: '2026/11', Body: 'all is well' }))
    const settings = {
      BROKER_URL: broker.url,
      BROKER_AUDIENCE: audiences[0],
      TARGET: 'partner-reports',
      BUCKET,
    }
    const environment = { ...(await functionEnvironment(broker, ROLE)), ...settings }
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value)
    try {
      const { handler } = (await import(new URL('index.mjs', LAMBDA).href)) as {
        handler(event: object): Promise<string>
      }
      expect(await handler({ key: '2026/11' })).toBe('all is well')
      const alone = new S3Client().send(new GetObjectCommand({ Bucket: BUCKET, Key: '2026/11' }))
      await expect(alone).rejects.toThrow(`assumed-role/report-collector/report-collector is not authorized`)
    } finally {
      vi.unstubAllEnvs()
    }
    expect(sessions().at(-1)).toMatchObject({
      roleArn: `arn:aws:iam::${ABROAD}:role/reports-reader`,
      startedBy: 'target:partner-reports',
      tags: { account: ACCOUNT },
      sourceIdentity: 'partner-reports',
    })
  })

  it('gets nothing abroad after its account has left its organisation', async () => {
    const claims = {
      sub: ROLE,
      'https://sts.amazonaws.com/': { aws_account: ACCOUNT, org_id: 'o-exampleorg2' },
    }
    const { status, body } = await getCredentials(
      'partner-reports',
      await broker.sign({ issuer: 'lambda', claims }),
    )
    expect([status, body['code']]).toEqual([400, 'invalid_request'])
  })
})
