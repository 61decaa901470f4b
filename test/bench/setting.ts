import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { SigningMode } from '../../functions/core/types.ts'
import { bundleFunction } from '../../lib/constructs/function-bundle.ts'
import type { AwsCall } from '../../lib/local/aws/call-handling.ts'
import { type LocalCloud, startLocalCloud } from '../../lib/local/cloud.ts'
import { FunctionProcess } from '../../lib/local/function-process.ts'
import { synthesize } from '../../lib/local/synthesize.ts'
import { policyWithClients } from '../support/policy-with-clients.ts'

/** The functions' construct paths in the template. */
export const EXCHANGE = 'ExchangeFunction'
const INTROSPECT = 'IntrospectFunction'

/** The running broker, and something to compare it with. */
export interface Setting {
  readonly cloud: LocalCloud
  /** Every call to AWS so far. */
  readonly calls: AwsCall[]
  /** Size of the exchange function's bundle. */
  readonly bundleBytes: number
  /** One exchange of a reusable token, by an invocation of the function. Throws unless it is granted. */
  exchange(): Promise<void>
  /** The same SDK calls with nothing around them, by an invocation of a function of their own. */
  bareCalls(): Promise<void>
  /** One introspection of an active token by a client with a secret. Throws unless it is found active. */
  introspect(): Promise<void>
  /** The one SDK call of an introspection, as {@link bareCalls}. */
  oneRead(): Promise<void>
  close(): Promise<void>
}

const FUNCTIONS = fileURLToPath(new URL('../../functions', import.meta.url))

/**
 * Starts the broker, with the payments target signed in this way. The comparison is bundled as it is, and runs in a process
 * like its own, with its permissions.
 */
export async function createSetting(signing: SigningMode): Promise<Setting> {
  const folder = mkdtempSync(join(tmpdir(), 'token-broker-bench-'))
  const clients = await policyWithClients()
  if (signing === 'delegated') delegatePayments(clients.folder)
  const synthesis = synthesize({ policyFolder: clients.folder })
  const calls: AwsCall[] = []
  const cloud = await startLocalCloud({
    assemblyFolder: synthesis.assemblyFolder,
    issuers: synthesis.policy.issuers,
    // The probe would take its turn among what is measured.
    schedules: false,
    onCall: (call) => void calls.push(call),
  })
  const comparisonOf = (name: string, functionName: string) => {
    bundleFunction(fileURLToPath(new URL(`${name}.ts`, import.meta.url)), join(folder, name))
    return new FunctionProcess({
      folder: join(folder, name),
      handler: 'index.handler',
      timeoutMilliseconds: 10_000,
      environment: cloud.functions.environmentOf(functionName),
      onLine: (line) => process.stderr.write(`${line}\n`),
    })
  }
  const bareCalls = comparisonOf('three-calls', EXCHANGE)
  const oneRead = comparisonOf('one-read', INTROSPECT)
  const event = await exchangeEvent(cloud)
  const answerOf = async (functionName: string, sent: object) => {
    const { statusCode, body } = (await cloud.invoke(functionName, sent)) as Answer
    if (statusCode !== 200) throw new Error(`${functionName} answered ${statusCode}: ${body}`)
    return JSON.parse(body) as Readonly<Record<string, unknown>>
  }
  const exchange = async () => answerOf(EXCHANGE, event)
  const { access_token: token } = await exchange()
  calls.length = 0
  await exchange()
  const introspection = formEvent('/introspect', { token: String(token) }, clients.authorization)
  const tables = tablesAndKey(cloud, calls)
  return {
    cloud,
    calls,
    bundleBytes: bundleFunction(join(FUNCTIONS, 'exchange', 'handler.ts'), join(folder, 'exchange')).bytes,
    exchange: async () => void (await exchange()),
    bareCalls: async () => void (await bareCalls.invoke(tables)),
    introspect: async () => {
      const { active } = await answerOf(INTROSPECT, introspection)
      if (active !== true) throw new Error('the token is not active')
    },
    oneRead: async () => void (await oneRead.invoke(tables)),
    close: async () => {
      bareCalls.kill()
      oneRead.kill()
      await cloud.close()
      synthesis.dispose()
      clients.dispose()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Changes how the payments API's tokens are signed. */
function delegatePayments(policyFolder: string): void {
  const file = join(policyFolder, 'targets.yaml')
  const targets = readFileSync(file, 'utf8')
  const changed = targets.replace('algorithm: RS256', 'algorithm: ES256, signing: delegated')
  if (changed === targets) throw new Error('the example policy has changed: found no target to change')
  writeFileSync(file, changed)
}

async function exchangeEvent(cloud: LocalCloud): Promise<object> {
  const form = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    subject_token: await cloud.demoIssuer.sign({ preset: 'kubernetes' }),
    audience: 'https://payments.example.com',
  }
  return formEvent('/token', form)
}

interface Answer {
  readonly statusCode: number
  readonly body: string
}

function formEvent(path: string, form: Record<string, string>, authorization?: string): object {
  const multiValueHeaders = {
    'content-type': ['application/x-www-form-urlencoded'],
    ...(authorization !== undefined && { authorization: [authorization] }),
  }
  const body = new URLSearchParams(form).toString()
  return { version: '1.0', httpMethod: 'POST', path, multiValueHeaders, body }
}

/** What the comparison needs to make the calls that the exchange has just made. */
function tablesAndKey({ plan }: LocalCloud, calls: readonly AwsCall[]): object {
  const table = (id: string) => plan.tables.find(({ name }) => name.includes(id))?.name
  const sign = calls.findLast(({ operation }) => operation === 'Sign')
  return { exchanges: table('Exchanges'), revocations: table('Revocations'), keyArn: sign?.resource }
}
