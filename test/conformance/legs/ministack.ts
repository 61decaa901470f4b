import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import { ACCOUNT, authorization, REGION } from '../aws-wire.ts'
import { JWT_TYPE, TOKEN_EXCHANGE } from '../broker.ts'
import { PROJECT, pythonEnvironment } from '../install.ts'
import { type Leg, type LegContext, type LegOutcome, outcomeOf } from '../leg.ts'
import { auditTrailProblems } from '../ministack/audit-trail.ts'
import { type Deployment, synthesizeDeployment } from '../ministack/deployment.ts'
import { freePort, runOrThrow, startServer } from '../processes.ts'

const FUNCTIONS = '/2015-03-31/functions/'
const AUTHORIZED = authorization('lambda')
/** That are granted. */
const EXCHANGES_PER_TARGET = 2
const DEPLOY_MILLISECONDS = 4 * 60_000

/** What this leg cannot show, because MiniStack does not do it. */
const LIMITS: readonly string[] = [
  'its API Gateway sends payload format 2.0 whatever the integration says (ours says 1.0): it reaches the right ' +
    'function, but the exchange is an invocation of the deployed function with the event of format 1.0',
  'IAM is not enforced: the local cloud does that',
  'the functions run on this Node and this processor, not on nodejs24.x and arm64',
  'HTTP API throttling and access logs are stored, not carried out',
  'its CloudFormation makes buckets without Object Lock: that alone is found wrong with the audit trail',
  'it knows neither composite alarms nor metric math: the monitoring stack is not deployed',
  'its log subscriptions know no JSON patterns: refusals, which are exported from the log, do not reach the audit trail',
]

export const ministack: Leg = {
  name: 'ministack',
  proves:
    'cdk bootstrap and cdk deploy work with a CloudFormation that is not ours, and what they deploy issues tokens',
  run: deployAndExchange,
}

/** What is deployed. */
interface Deployed {
  readonly issuer: string
  /** Where MiniStack listens. */
  readonly port: number
}

interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
}

async function deployAndExchange(context: LegContext): Promise<LegOutcome> {
  const folder = mkdtempSync(join(tmpdir(), 'token-broker-ministack-'))
  context.defer(() => rmSync(folder, { recursive: true, force: true }))
  const port = await startMinistack(context, folder)
  const deployment = await synthesizeDeployment(folder)
  const issuer = await deploy(context, { port, folder, deployment })
  context.say('exchanges by the deployed functions')
  const deployed = { issuer, port }
  const problems = [...(await problemsOf(deployed, deployment)), ...(await routingProblems(deployed))]
  context.say('the audit trail of these exchanges, by token-broker audit verify')
  const audited = {
    environment: environmentFor(port, folder),
    records: EXCHANGES_PER_TARGET * deployment.targets.length,
    sign: () => invokeFunction(deployed, 'ExportAudit', { source: 'aws.events' }),
  }
  problems.push(...(await auditTrailProblems(audited)))
  return outcomeOf(
    problems,
    'bootstrapped, deployed state and service with their first keys; exchanged for RS256, ES256 and by a delegated key, refused ' +
      'the replays, introspected and revoked; their audit trail arrived and verifies',
    LIMITS.map((limit) => `not shown: ${limit}`),
  )
}

async function startMinistack({ say, defer }: LegContext, folder: string): Promise<number> {
  // Without cryptography its KMS makes keys and cannot sign.
  const bin = await pythonEnvironment('ministack', ['ministack==1.5.33', 'cryptography==50.0.2'])
  const port = await freePort()
  say('starting MiniStack')
  const server = await startServer(join(bin, 'ministack'), [], {
    url: `http://127.0.0.1:${port}/`,
    environment: {
      // It unpacks functions there and leaves them.
      TMPDIR: folder,
      STATE_DIR: join(folder, 'state'),
      BIND_HOST: '127.0.0.1',
      GATEWAY_PORT: String(port),
      LAMBDA_EXECUTOR: 'local',
      MINISTACK_ACCOUNT_ID: ACCOUNT,
      MINISTACK_REGION: REGION,
      // Listeners of their own, which nothing here needs.
      IOT_MTLS_ENABLED: '0',
      SFTP_ENABLED: '0',
    },
  })
  defer(server.close)
  return port
}

interface Stage {
  readonly port: number
  readonly folder: string
  readonly deployment: Deployment
}

/** Bootstraps and deploys. Returns the issuer, which is an output of the service stack. */
async function deploy({ say }: LegContext, { port, folder, deployment }: Stage): Promise<string> {
  const environment = environmentFor(port, folder)
  const outputs = join(folder, 'outputs.json')
  const cdk = (...args: readonly string[]) =>
    runOrThrow(join(PROJECT, 'node_modules', '.bin', 'cdk'), [...args, '--no-notices', '--ci'], {
      cwd: folder,
      environment,
      timeoutMilliseconds: DEPLOY_MILLISECONDS,
    })
  say('cdk bootstrap')
  await cdk('bootstrap', `aws://${ACCOUNT}/${REGION}`)
  say('cdk deploy')
  const app = ['--app', deployment.assemblyFolder, '--require-approval', 'never', '--outputs-file', outputs]
  await cdk('deploy', ...deployment.stacks, ...app)
  const stacks = JSON.parse(readFileSync(outputs, 'utf8')) as Record<string, Record<string, string>>
  const issuer = Object.values(stacks).find((stack) => stack['Issuer'] !== undefined)?.['Issuer']
  if (issuer === undefined) throw new Error('the deployment has no output Issuer')
  return issuer
}

/** Leads every AWS client to MiniStack. */
function environmentFor(port: number, folder: string): Record<string, string> {
  return {
    // Not the home: the CLI keeps caches there.
    HOME: folder,
    CI: 'true',
    CDK_DISABLE_CLI_TELEMETRY: 'true',
    AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
    AWS_REGION: REGION,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
  }
}

async function problemsOf(deployed: Deployed, deployment: Deployment): Promise<readonly string[]> {
  const problems: string[] = []
  const expect = (fact: boolean, text: string) => void (fact || problems.push(text))
  const jwks = await invoke(deployed, 'Jwks', '/.well-known/jwks.json')
  if (jwks.statusCode !== 200) return [`the JWKS answered ${jwks.statusCode}: ${jwks.body}`]
  const keys = createLocalJWKSet(JSON.parse(jwks.body) as JSONWebKeySet)
  for (const { id, algorithm, audience } of deployment.targets) {
    const form = { ...FORM, subject_token: await deployment.subjectToken(), audience }
    const answer = await invoke(deployed, 'Exchange', '/token', { form })
    expect(answer.statusCode === 200, `the exchange for ${id} answered ${answer.statusCode}: ${answer.body}`)
    if (answer.statusCode !== 200) continue
    const { access_token } = JSON.parse(answer.body) as { readonly access_token: string }
    await jwtVerify(access_token, keys, { issuer: deployed.issuer, audience, algorithms: [algorithm] })
    // Another scope: the very same request may be repeated for a while, and is no replay.
    const again = { ...form, scope: 'read' }
    const replay = await invoke(deployed, 'Exchange', '/token', { form: again })
    expect(replay.statusCode === 400, `the replay for ${id} answered ${replay.statusCode}: ${replay.body}`)
    // Refusals do not say why: the same request with a fresh token shows that nothing but the replay was wrong.
    const fresh = { ...again, subject_token: await deployment.subjectToken() }
    const control = await invoke(deployed, 'Exchange', '/token', { form: fresh })
    expect(
      control.statusCode === 200,
      `${id} with a fresh token answered ${control.statusCode}: ${control.body}`,
    )
    problems.push(...(await revocationProblems(deployed, deployment, { id, token: access_token })))
  }
  return problems
}

/** The token is active, is revoked, and is active no more. */
async function revocationProblems(
  deployed: Deployed,
  { authorization }: Deployment,
  { id, token }: { readonly id: string; readonly token: string },
): Promise<readonly string[]> {
  const request = { form: { token }, headers: { authorization } }
  const introspected = () => invoke(deployed, 'Introspect', '/introspect', request)
  const before = await introspected()
  const revoked = await invoke(deployed, 'Revoke', '/revoke', request)
  const after = await introspected()
  const active = ({ body }: ProxyAnswer) => (JSON.parse(body) as { readonly active?: boolean }).active
  const isRight = active(before) === true && revoked.statusCode === 200 && active(after) === false
  if (isRight) return []
  return [`${id}: introspection ${before.body}, revocation ${revoked.statusCode}, then ${after.body}`]
}

/** The routes lead to the functions, and these answer; more than that MiniStack's API Gateway cannot show. */
async function routingProblems({ issuer, port }: Deployed): Promise<readonly string[]> {
  const { host } = new URL(issuer)
  const paths = ['/token', '/.well-known/jwks.json', '/.well-known/openid-configuration']
  const problems: string[] = []
  for (const path of paths) {
    const { status, headers } = await send(port, { path, method: 'GET', headers: { host } })
    if (headers['x-correlation-id'] === undefined && headers['apigw-requestid'] === undefined) {
      problems.push(`${path}: no function of ours answered, status ${status}`)
    }
    if (path !== '/token' && status === 200) {
      problems.push(`${path}: MiniStack now sends payload format 1.0, so the exchanges can go through it`)
    }
  }
  return problems
}

const FORM = { grant_type: TOKEN_EXCHANGE, subject_token_type: JWT_TYPE }

interface ProxyRequest {
  readonly form?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
}

interface ProxyAnswer {
  readonly statusCode: number
  readonly body: string
}

/** Invokes the deployed function with the event that API Gateway would send. Throws if it has no answer. */
async function invoke(
  deployed: Deployed,
  functionId: string,
  path: string,
  request: ProxyRequest = {},
): Promise<ProxyAnswer> {
  return (await invokeFunction(deployed, functionId, proxyEvent(path, request))) as ProxyAnswer
}

async function invokeFunction({ port }: Deployed, functionId: string, event: object): Promise<unknown> {
  const list = await send(port, { path: FUNCTIONS, method: 'GET', headers: AUTHORIZED })
  const { Functions } = JSON.parse(list.text) as { readonly Functions: readonly { FunctionName: string }[] }
  const name = Functions.find(({ FunctionName }) =>
    FunctionName.includes(`${functionId}Function`),
  )?.FunctionName
  if (name === undefined) throw new Error(`found no function ${functionId}`)
  const target = `${FUNCTIONS}${name}/invocations`
  const options = { path: target, method: 'POST', headers: AUTHORIZED }
  const { text, headers } = await send(port, options, JSON.stringify(event))
  if (headers['x-amz-function-error'] !== undefined) throw new Error(`${name} failed: ${text}`)
  return JSON.parse(text)
}

/** Payload format 1.0, as far as the functions read it. */
function proxyEvent(path: string, { form, headers: more = {} }: ProxyRequest): object {
  const type = 'application/x-www-form-urlencoded'
  const headers: Record<string, string> = { ...more, ...(form !== undefined && { 'content-type': type }) }
  return {
    version: '1.0',
    httpMethod: form === undefined ? 'GET' : 'POST',
    path,
    headers,
    multiValueHeaders: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]])),
    queryStringParameters: null,
    multiValueQueryStringParameters: null,
    requestContext: { requestId: 'conformance' },
    body: form === undefined ? null : Buffer.from(String(new URLSearchParams(form))).toString('base64'),
    isBase64Encoded: form !== undefined,
  }
}

interface HttpOptions {
  readonly path: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
}

/** `fetch` lets nobody set `Host`, by which MiniStack tells APIs, and `*.localhost` resolves on some machines only. */
function send(port: number, options: HttpOptions, body?: string): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ hostname: '127.0.0.1', port, ...options }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text })
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
