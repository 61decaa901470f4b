import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ScanCommand } from '@aws-sdk/client-dynamodb'
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { runAsOperator } from '../cli/operator.ts'
import { startTestCloud, type TestCloud } from '../support/cloud.ts'

const ROLE = 'arn:aws:iam::111122223333:role/payments-deploy'
const SESSION = /^arn:aws:sts::111122223333:assumed-role\/payments-deploy\/(.+)$/
const folder = mkdtempSync(join(tmpdir(), 'aws-sdk-'))
const tokenFile = join(folder, 'token')

const PATIENT = { timeout: 15_000 }

const progress: string[] = []
let broker: TestCloud

/** A job of a release, whose run is known. */
async function writeToken(run: string): Promise<void> {
  const claims = { ref: 'refs/tags/v1.2.3', environment: 'production', run_id: run }
  writeFileSync(tokenFile, await broker.sign({ preset: 'github-actions', claims }))
}

const trail = () => broker.cloud.aws.cloudtrail.events
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
    await expect.poll(() => sessions().length, PATIENT).toBe(2)
    expect(sessions().map(({ tags }) => tags['run'])).toEqual(['1001', '1002'])
    const newest = sessions()[1]?.accessKeyId
    await expect.poll(async () => (await sts.config.credentials()).accessKeyId, PATIENT).toBe(newest)
    expect(await identityOf(sts)).toMatch(SESSION)
  })

  it('gets none for a token that was used, and says so', async () => {
    const failure = await identityOf(new STSClient()).catch((error: unknown) => error)
    expect(failure).toMatchObject({ name: 'CredentialsProviderError' })
    expect(String(failure)).not.toContain('eyJ')
  })
})

describe('a session', () => {
  it('leads back to repository, run and actor, and by the audit record to the exchange', async () => {
    await writeToken('1003')
    const [, sessionName = ''] = SESSION.exec(await identityOf(new STSClient())) ?? []
    expect(progress.at(-1)).toBe(`sts: AssumeRoleWithWebIdentity of ${ROLE} as ${sessionName}: ok`)
    const event = trail().at(-1)
    expect(event).toMatchObject({
      eventName: 'AssumeRoleWithWebIdentity',
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
    const { Items = [] } = await broker.dynamoDb.send(
      new ScanCommand({ TableName: broker.table('Exchanges') }),
    )
    const records: unknown[] = Items.map((item) => JSON.parse(item['event']?.S ?? '{}'))
    const aws_session = expect.objectContaining({
      role_arn: ROLE,
      session_name: sessionName,
      source_identity: 'octocat',
      tag_keys: ['repository', 'run'],
    })
    const record = { event: 'exchange_granted', grant: 'deploy-ci', target: 'deploy-prod', aws_session }
    expect(records).toContainEqual(expect.objectContaining(record))
  })
})

describe('token-broker aws credentials', () => {
  it('prints them for a credential_process', async () => {
    await writeToken('1004')
    const run = await runAsOperator(broker, ['aws', 'credentials', 'deploy-prod', '--token-file', tokenFile])
    expect(run).toMatchObject({ code: 0, err: '' })
    const { AccessKeyId, SecretAccessKey, SessionToken, ...rest } = JSON.parse(run.out) as Record<
      string,
      string
    >
    expect(rest).toEqual({ Version: 1, Expiration: expect.stringMatching(/Z$/) })
    const credentials = {
      accessKeyId: AccessKeyId ?? '',
      secretAccessKey: SecretAccessKey ?? '',
      sessionToken: SessionToken ?? '',
    }
    expect(await identityOf(new STSClient({ credentials }))).toMatch(SESSION)
  })
})
