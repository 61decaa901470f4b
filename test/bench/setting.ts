import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { SigningMode } from '../../functions/core/types.ts'
import { bundleFunction } from '../../lib/constructs/function-bundle.ts'
import type { AwsCall } from '../../lib/local/aws/call-handling.ts'
import { type LocalCloud, startLocalCloud } from '../../lib/local/cloud.ts'
import { FunctionProcess } from '../../lib/local/function-process.ts'
import { synthesize } from '../../lib/local/synthesize.ts'

/** The exchange function's construct path in the template. */
export const EXCHANGE = 'ExchangeFunction'

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
  close(): Promise<void>
}

const FUNCTIONS = fileURLToPath(new URL('../../functions', import.meta.url))

/**
 * Starts the broker, with the payments target signed in this way. The comparison is bundled as it is, and runs in a process
 * like its own, with its permissions.
 */
export async function createSetting(signing: SigningMode): Promise<Setting> {
  const folder = mkdtempSync(join(tmpdir(), 'token-broker-bench-'))
  const synthesis = synthesize({ policyFolder: signing === 'kms' ? 'policy' : delegatingPolicy(folder) })
  const calls: AwsCall[] = []
  const cloud = await startLocalCloud({
    assemblyFolder: synthesis.assemblyFolder,
    issuers: synthesis.policy.issuers,
    onCall: (call) => void calls.push(call),
  })
  bundleFunction(fileURLToPath(new URL('three-calls.ts', import.meta.url)), join(folder, 'three-calls'))
  const comparison = new FunctionProcess({
    folder: join(folder, 'three-calls'),
    handler: 'index.handler',
    timeoutMilliseconds: 10_000,
    environment: cloud.functions.environmentOf(EXCHANGE),
    onLine: (line) => process.stderr.write(`${line}\n`),
  })
  const event = await exchangeEvent(cloud)
  const exchange = async () => {
    const { statusCode, body } = (await cloud.invoke(EXCHANGE, event)) as {
      statusCode: number
      body: string
    }
    if (statusCode !== 200) throw new Error(`the exchange answered ${statusCode}: ${body}`)
  }
  await exchange()
  calls.length = 0
  await exchange()
  const tables = tablesAndKey(cloud, calls)
  return {
    cloud,
    calls,
    bundleBytes: bundleFunction(join(FUNCTIONS, 'exchange', 'handler.ts'), join(folder, 'exchange')).bytes,
    exchange,
    bareCalls: async () => void (await comparison.invoke(tables)),
    close: async () => {
      comparison.kill()
      await cloud.close()
      synthesis.dispose()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The example policy, but for how the payments API's tokens are signed. */
function delegatingPolicy(folder: string): string {
  const copy = join(folder, 'policy')
  cpSync('policy', copy, { recursive: true })
  const file = join(copy, 'targets.yaml')
  const targets = readFileSync(file, 'utf8')
  const changed = targets.replace('algorithm: RS256', 'algorithm: ES256, signing: delegated')
  if (changed === targets) throw new Error('the example policy has changed: found no target to change')
  writeFileSync(file, changed)
  return copy
}

async function exchangeEvent(cloud: LocalCloud): Promise<object> {
  const form = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    subject_token: await cloud.demoIssuer.sign({ preset: 'kubernetes' }),
    audience: 'https://payments.example.com',
  }
  const multiValueHeaders = { 'content-type': ['application/x-www-form-urlencoded'] }
  const body = new URLSearchParams(form).toString()
  return { version: '1.0', httpMethod: 'POST', path: '/token', multiValueHeaders, body }
}

/** What the comparison needs to make the calls that the exchange has just made. */
function tablesAndKey({ plan }: LocalCloud, calls: readonly AwsCall[]): object {
  const table = (id: string) => plan.tables.find(({ name }) => name.includes(id))?.name
  const sign = calls.findLast(({ operation }) => operation === 'Sign')
  return { exchanges: table('Exchanges'), revocations: table('Revocations'), keyArn: sign?.resource }
}
