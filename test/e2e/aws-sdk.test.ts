import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { LineageNode } from '../../lib/cli/lineage.ts'
import { asObject, textAt } from '../../lib/local/aws/service.ts'
import { runAsOperator } from '../cli/operator.ts'
import { startTestCloud, type TestCloud } from '../support/cloud.ts'

const ROLE = 'arn:aws:iam::111122223333:role/payments-deploy'
const SESSION = /^arn:aws:sts::111122223333:assumed-role\/payments-deploy\/(.+)$/
const folder = mkdtempSync(join(tmpdir(), 'aws-sdk-'))
const tokenFile = join(folder, 'token')

const progress: string[] = []
let broker: TestCloud

/** A job of a release, whose run is known. */
async function writeToken(run: string, file = tokenFile): Promise<void> {
  const claims = { ref: 'refs/tags/v1.2.3', environment: 'production', run_id: run }
  writeFileSync(file, await broker.sign({ preset: 'github-actions', claims }))
}

/**
 * What a `credential_process` prints for a job. From a file of its own: the clients of other tests may still be asking for
 * credentials, with whatever is in theirs.
 */
async function credentialProcess(run: string): Promise<Record<string, string>> {
  const file = join(folder, `${run}-${randomUUID()}`)
  await writeToken(run, file)
  const { code, out, err } = await runAsOperator(broker, [
    'aws',
    'credentials',
    'deploy-prod',
    '--token-file',
    file,
  ])
  expect([code, err]).toEqual([0, ''])
  return JSON.parse(out) as Record<string, string>
}

/** An event that one session of a job leaves. Returns the session's name. */
async function workAs(run: string): Promise<string> {
  const { AccessKeyId, SecretAccessKey, SessionToken } = await credentialProcess(run)
  const credentials = {
    accessKeyId: AccessKeyId ?? '',
    secretAccessKey: SecretAccessKey ?? '',
    sessionToken: SessionToken ?? '',
  }
  const [, name = ''] = SESSION.exec(await identityOf(new STSClient({ credentials }))) ?? []
  return name
}

const trail = (name: string) =>
  broker.cloud.aws.cloudtrail.events.filter(({ eventName }) => eventName === name)
const sessions = () => broker.cloud.aws.sts.sessions
const identityOf = async (sts: STSClient) => (await sts.send(new GetCallerIdentityCommand())).Arn ?? ''

beforeAll(async () => {
  // The accounts are what `aws setup` prints for the policy that deploys.
  broker = await startTestCloud({ onProgress: (step) => void progress.push(step) })
})
beforeEach(() => {
  // Nothing but what a container is given: no key, no profile, no machine to ask.
  const environment = {
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `${broker.url}/aws/credentials/deploy-prod`,
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: tokenFile,
    AWS_ENDPOINT_URL: broker.cloud.aws.url,
    AWS_REGION: 'eu-west-1',
    AWS_CONFIG_FILE: join(folder, 'no-config'),
    AWS_SHARED_CREDENTIALS_FILE: join(folder, 'no-credentials'),
    AWS_EC2_METADATA_DISABLED: 'true',
  }
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value)
  for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_PROFILE'])
    vi.stubEnv(name, undefined)
})
afterEach(() => {
  vi.unstubAllEnvs()
  expect(broker.defects).toEqual([])
})
afterAll(async () => {
  rmSync(folder, { recursive: true })
  await broker.close()
})

describe('the AWS SDK for JavaScript, with two variables', () => {
  it('gets credentials that STS knows, and others before they end', async () => {
    const sts = new STSClient()
    await writeToken('1001')
    expect(await identityOf(sts)).toMatch(SESSION)
    await writeToken('1002')
    // They live as long as GitHub's token, less than the five minutes before the end in which the SDK asks again: beside
    // the next calls, which still go out with the old ones, and a second later where it was refused.
    expect(await identityOf(sts)).toMatch(SESSION)
    await expect.poll(() => sessions().length).toBe(2)
    expect(sessions().map(({ tags }) => tags['run'])).toEqual(['1001', '1002'])
    const newest = sessions()[1]?.accessKeyId
    await expect.poll(async () => (await sts.config.credentials()).accessKeyId).toBe(newest)
    expect(await identityOf(sts)).toMatch(SESSION)
  })

  it('gets none for a token that was used, and says so', async () => {
    const failure = await identityOf(new STSClient()).catch((error: unknown) => error)
    expect(failure).toMatchObject({ name: 'CredentialsProviderError' })
    expect(String(failure)).not.toContain('eyJ')
  })
})

describe('a session', () => {
  it('leads back to repository, run and who started it', async () => {
    const sessionName = await workAs('1003')
    expect(progress.at(-1)).toBe(`sts: AssumeRoleWithWebIdentity of ${ROLE} as ${sessionName}: ok`)
    expect(trail('AssumeRoleWithWebIdentity').at(-1)).toMatchObject({
      userIdentity: { userName: 'target:deploy-prod' },
      requestParameters: {
        roleArn: ROLE,
        roleSessionName: sessionName,
        principalTags: { repository: 'octo-org/payments', run: '1003' },
        transitiveTagKeys: ['repository'],
        sourceIdentity: 'octocat',
      },
      responseElements: { provider: broker.url, audience: 'sts.amazonaws.com' },
    })
  })

  it('leads from any of its events to the one exchange, by the steps of docs/aws.md', async () => {
    // Two exchanges of one subject for one role.
    for (const run of ['1004', '1004']) await workAs(run)
    const [event] = trail('GetCallerIdentity').slice(-1)
    expect(event?.['userIdentity']).toMatchObject({
      type: 'AssumedRole',
      accessKeyId: expect.stringMatching(/^ASIA/),
      sessionContext: { sessionIssuer: { arn: ROLE }, sourceIdentity: 'octocat' },
    })
    const [, name = ''] = SESSION.exec(textAt(asObject(event?.['userIdentity']), 'arn') ?? '') ?? []
    await broker.cloud.delivered()
    const found = await runAsOperator(broker, ['audit', 'lineage', name, '--json'])
    const trees = JSON.parse(found.out) as readonly LineageNode[]
    const exchanges = trees.flatMap(({ children }) => children)
    expect(exchanges).toMatchObject([
      { issued: { target: 'deploy-prod', grant: 'deploy-ci', session: { role: ROLE, name } } },
    ])
    const { issued } = exchanges[0] ?? {}
    expect(name).toBe(`1004@${issued?.jti}`)
    expect(issued?.subject).toMatch(/^github:repo:octo-org\/payments:/)
    const { out } = await runAsOperator(broker, ['audit', 'lineage', name])
    expect(out).toContain(`, as session ${name} of ${ROLE}, by grant deploy-ci`)
  })
})

describe('token-broker aws credentials', () => {
  it('prints them for a credential_process', async () => {
    const { AccessKeyId, SecretAccessKey, SessionToken, ...rest } = await credentialProcess('1005')
    expect(rest).toEqual({ Version: 1, Expiration: expect.stringMatching(/Z$/) })
    for (const part of [AccessKeyId, SecretAccessKey, SessionToken]) expect(part).toMatch(/.{16}/)
  })
})
