import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LOCAL_OPERATOR, startLocalCloud } from '../../../lib/local/cloud.ts'
import { policyAccounts } from '../../../lib/local/policy-accounts.ts'
import { synthesize } from '../../../lib/local/synthesize.ts'
import { PROJECT, pythonEnvironment } from '../install.ts'
import { type Leg, type LegContext, type LegOutcome, outcomeOf } from '../leg.ts'
import { runOrThrow } from '../processes.ts'

const SCRIPT = fileURLToPath(new URL('../aws-sdks/credentials.py', import.meta.url))
const BOTO3 = 'boto3==1.44.8'
const SESSION = 'arn:aws:sts::111122223333:assumed-role/reports/worker'
/** Less than what botocore wants to be left of credentials: it asks for others at each use. */
const TOKEN_SECONDS = 240

const POLICY = {
  issuers: {
    cluster: {
      preset: 'kubernetes',
      issuer: 'https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE0123456789ABCDEF',
      audiences: ['https://broker.example.com'],
      replay: 'reusable',
    },
  },
  targets: {
    reports: {
      aws_role: 'arn:aws:iam::111122223333:role/reports',
      outlive: 'deadline',
      session_name: '{/kubernetes.io/serviceaccount/name}',
      session_tags: { namespace: '{/kubernetes.io/namespace}' },
    },
  },
  grants: {
    worker: { issuer: 'cluster', when: { 'kubernetes.io': { namespace: 'payments' } }, target: 'reports' },
  },
}

/** What the script saw. */
interface Seen {
  readonly identities: readonly string[]
  readonly keys: readonly string[]
  readonly recorded: readonly string[]
  readonly namespaces: readonly string[]
}

export const awsSdks: Leg = {
  name: 'aws-sdks',
  proves:
    'botocore, unmodified, gets credentials of a role, gets others before they end, and finds them in CloudTrail',
  run: botocore,
}

async function botocore(context: LegContext): Promise<LegOutcome> {
  const bin = await pythonEnvironment('boto3', [BOTO3])
  const folder = mkdtempSync(join(tmpdir(), 'token-broker-botocore-'))
  context.defer(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'policy.yaml'), JSON.stringify(POLICY))
  const { assemblyFolder, policy, dispose } = synthesize({ policyFolder: folder })
  context.defer(dispose)
  const defects: unknown[] = []
  const cloud = await startLocalCloud({
    assemblyFolder,
    issuers: policy.issuers,
    accountTemplates: (broker) => policyAccounts(policy, broker),
    schedules: false,
    onDefect: (defect) => void defects.push(defect),
  })
  context.defer(() => cloud.close())
  const tokenFile = join(folder, 'token')
  const exp = Math.floor(Date.now() / 1000) + TOKEN_SECONDS
  writeFileSync(tokenFile, await cloud.demoIssuer.sign({ preset: 'kubernetes', claims: { exp } }))
  const command = [
    process.execPath,
    join(PROJECT, 'bin', 'token-broker.mjs'),
    'aws',
    'credentials',
    'reports',
  ]
  const credentialProcess = [...command, '--url', cloud.url, '--token-file', tokenFile].join(' ')
  const config = join(folder, 'config')
  writeFileSync(config, `[profile reports]\ncredential_process = ${credentialProcess}\n`)
  context.say(BOTO3)
  const { accessKeyId, secretAccessKey } = LOCAL_OPERATOR
  const { stdout } = await runOrThrow(join(bin, 'python'), [SCRIPT, accessKeyId, secretAccessKey], {
    environment: {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${cloud.url}/aws/credentials/reports`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: tokenFile,
      AWS_ENDPOINT_URL: cloud.aws.url,
      AWS_DEFAULT_REGION: 'eu-west-1',
      AWS_CONFIG_FILE: config,
      AWS_SHARED_CREDENTIALS_FILE: join(folder, 'none'),
    },
  })
  const problems = [
    ...problemsIn(JSON.parse(stdout) as Seen),
    ...defects.map((defect) => JSON.stringify(defect)),
  ]
  return outcomeOf(problems, `${BOTO3}: two variables, and a credential_process`)
}

function problemsIn({ identities, keys, recorded, namespaces }: Seen): readonly string[] {
  const strangers = identities.filter((arn) => arn !== SESSION)
  const unrecorded = keys.filter((key) => !recorded.includes(key))
  return [
    ...strangers.map((arn) => `not the session that was to be: ${arn}`),
    ...(new Set(keys).size === keys.length ? [] : [`not refreshed: ${keys.join(', ')}`]),
    ...unrecorded.map((key) => `CloudTrail does not know ${key}`),
    ...namespaces
      .filter((namespace) => namespace !== 'payments')
      .map((namespace) => `tag namespace is ${namespace}`),
  ]
}
