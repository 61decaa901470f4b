import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
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
  /** The same three SDK calls with nothing around them, by an invocation of a function of their own. */
  threeCalls(): Promise<void>
  /** One introspection of an active token by a client with a secret. Throws unless it is found active. */
  introspect(): Promise<void>
  /** The one SDK call of an introspection, as {@link threeCalls}. */
  oneRead(): Promise<void>
  close(): Promise<void>
}

const FUNCTIONS = fileURLToPath(new URL('../../functions', import.meta.url))

/** Starts the broker. The comparison is bundled as it is, and runs in a process like its own, with its permissions. */
export async function createSetting(): Promise<Setting> {
  const folder = mkdtempSync(join(tmpdir(), 'token-broker-bench-'))
  const clients = await policyWithClients()
  const synthesis = synthesize({ policyFolder: clients.folder })
  const calls: AwsCall[] = []
  const cloud = await startLocalCloud({
    assemblyFolder: synthesis.assemblyFolder,
    issuers: synthesis.policy.issuers,
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
  const threeCalls = comparisonOf('three-calls', EXCHANGE)
  const oneRead = comparisonOf('one-read', INTROSPECT)
  const event = await exchangeEvent(cloud)
  const answerOf = async (functionName: string, sent: object) => {
    const { statusCode, body } = (await cloud.invoke(functionName, sent)) as Answer
    if (statusCode !== 200) throw new Error(`${functionName} answered ${statusCode}: ${body}`)
    return JSON.parse(body) as Readonly<Record<string, unknown>>
  }
  const exchange = async () => answerOf(EXCHANGE, event)
  const { access_token: token } = await exchange()
  const introspection = formEvent('/introspect', { token: String(token) }, clients.authorization)
  const tables = tablesAndKey(cloud, calls)
  return {
    cloud,
    calls,
    bundleBytes: bundleFunction(join(FUNCTIONS, 'exchange', 'handler.ts'), join(folder, 'exchange')).bytes,
    exchange: async () => void (await exchange()),
    threeCalls: async () => void (await threeCalls.invoke(tables)),
    introspect: async () => {
      const { active } = await answerOf(INTROSPECT, introspection)
      if (active !== true) throw new Error('the token is not active')
    },
    oneRead: async () => void (await oneRead.invoke(tables)),
    close: async () => {
      threeCalls.kill()
      oneRead.kill()
      await cloud.close()
      synthesis.dispose()
      clients.dispose()
      rmSync(folder, { recursive: true, force: true })
    },
  }
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
