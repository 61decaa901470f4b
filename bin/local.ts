/** `npm start`: the whole broker on loopback, from the template that deploys. */

import { accessSync, appendFileSync, constants, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { decodeJwt } from 'jose'
import { ConfigError } from '../lib/config.ts'
import { readAccountTemplates } from '../lib/local/account-templates.ts'
import { type LocalCloud, startLocalCloud } from '../lib/local/cloud.ts'
import { Console } from '../lib/local/console/console.ts'
import { curlLine, DEMO_ISSUER_PATH } from '../lib/local/demo-exchange.ts'
import { type ExampleExchange, findExample, performExample } from '../lib/local/example-exchange.ts'
import { isMeasurement, shortLogLine } from '../lib/local/log-line.ts'
import { outboundIssuers, policyAccounts } from '../lib/local/policy-accounts.ts'
import { type Synthesis, synthesize } from '../lib/local/synthesize.ts'
import { PolicyError } from '../lib/policy-folder.ts'

const USAGE = `Usage: npm start -- [options]

Runs the whole token broker on loopback, without an AWS account.

  --port PORT    port of the broker; 0 picks a free one (default 8080)
  --policy DIR   folder of the trust policy (default: that of cdk.json)
  --data DIR     keep tables and signing keys in DIR (default: in memory)
  --emf FILE     write to FILE what the functions measure, for npm run alarms
  --aws-accounts DIR
                 CloudFormation templates of the accounts whose roles the broker gives out
                 (default: what token-broker aws setup prints for each AWS target)
  --quiet        print the ready line and errors only
  --help         print this
`

/** After this the process ends, whatever still runs. */
const STOP_MILLISECONDS = 1900

interface Options {
  readonly port: number
  readonly policyFolder: string | undefined
  readonly dataFolder: string | undefined
  readonly emfFile: string | undefined
  readonly accountsFolder: string | undefined
  readonly quiet: boolean
  readonly help: boolean
}

class UsageError extends Error {
  override readonly name = 'UsageError'
}

function readOptions(args: readonly string[]): Options {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        port: { type: 'string', default: '8080' },
        policy: { type: 'string' },
        data: { type: 'string' },
        emf: { type: 'string' },
        'aws-accounts': { type: 'string' },
        quiet: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (!/^\d{1,5}$/.test(values.port) || Number(values.port) > 65_535) {
      throw new UsageError(`--port ${values.port}: allowed is a number from 0 to 65535`)
    }
    const { policy: policyFolder, data: dataFolder, emf: emfFile, quiet, help } = values
    const { 'aws-accounts': accountsFolder, port } = values
    return { port: Number(port), policyFolder, dataFolder, emfFile, accountsFolder, quiet, help }
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

/** A path that was named and cannot be used. */
class PathError extends Error {
  override readonly name = 'PathError'
}

/** Throws {@link PathError}, before anything is started. */
function tryPaths({ emfFile, dataFolder, accountsFolder }: Options): void {
  tryPath('--emf', emfFile, 'a file that can be written', (file) => writeFileSync(file, ''))
  tryPath('--data', dataFolder, 'a folder that can be made and written', (folder) => {
    mkdirSync(folder, { recursive: true })
    accessSync(folder, constants.W_OK)
  })
  tryPath('--aws-accounts', accountsFolder, 'a folder of CloudFormation templates', (folder) => {
    readdirSync(folder)
  })
}

function tryPath(
  option: string,
  path: string | undefined,
  wanted: string,
  use: (path: string) => void,
): void {
  if (path === undefined) return
  try {
    use(path)
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : ''
    throw new PathError(`${option} ${path} cannot be used${code}: name ${wanted}`, { cause })
  }
}

// The AWS SDK tells of its plans for Node, here when the console first asks AWS: nobody can do anything about them.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true'

const colours = process.stdout.isTTY && !process.env['NO_COLOR']
const dim = (text: string): string => (colours ? `\u001b[2m${text}\u001b[0m` : text)
const bold = (text: string): string => (colours ? `\u001b[1m${text}\u001b[0m` : text)
const print = (text: string): void => void process.stdout.write(`${text}\n`)
const printError = (text: string): void => void process.stderr.write(`${text}\n`)

async function run(options: Options): Promise<number> {
  const say = options.quiet ? () => {} : print
  const interruption = interruptible()
  tryPaths(options)
  say(dim('synthesizing the CDK app'))
  const synthesis = synthesize({ policyFolder: options.policyFolder })
  for (const warning of synthesis.warnings) say(`${bold('warning')} ${warning}`)
  const running = { interruption, synthesis, say, console: new Console(synthesis) }
  try {
    const cloud = await start(options, running)
    return await serve(cloud, running)
  } catch (error) {
    if (interruption.aborted) return 0
    throw error
  } finally {
    synthesis.dispose()
  }
}

interface Running {
  readonly interruption: AbortSignal
  readonly synthesis: Synthesis
  readonly say: (text: string) => void
  readonly console: Console
}

function start(options: Options, { interruption, synthesis, say, console }: Running): Promise<LocalCloud> {
  const { accountsFolder, emfFile } = options
  return startLocalCloud({
    assemblyFolder: synthesis.assemblyFolder,
    port: options.port,
    dataFolder: options.dataFolder,
    issuers: synthesis.policy.issuers,
    accountTemplates: (broker) =>
      accountsFolder === undefined
        ? policyAccounts(synthesis.policy, broker)
        : readAccountTemplates(accountsFolder),
    outboundIssuers: outboundIssuers(synthesis.policy),
    signal: interruption,
    onProgress: (step) => say(dim(`  ${step}`)),
    ...console.listeners,
    onLog: (functionName, line) => {
      console.listeners.onLog(functionName, line)
      if (emfFile !== undefined && isMeasurement(line)) appendFileSync(emfFile, `${line}\n`)
      const short = shortLogLine(line)
      if (short !== undefined) say(dim(`  ${functionName}: ${short}`))
    },
  })
}

async function serve(cloud: LocalCloud, { interruption, synthesis, say, console }: Running): Promise<number> {
  const consoleUrl = console.serve(cloud)
  const example = findExample(synthesis.policy, cloud.demoIssuer)
  await (example === undefined ? explain(cloud, say) : demonstrate(cloud, example, say))
  sayHowToOperate(cloud, say)
  say(`${bold('To watch it, in a browser:')} ${consoleUrl}\n`)
  print(`ready ${cloud.url}`)
  const interrupted = new Promise<undefined>((resolve) => {
    if (interruption.aborted) resolve(undefined)
    interruption.addEventListener('abort', () => resolve(undefined))
  })
  const defect = await Promise.race([interrupted, cloud.stopped])
  if (defect === undefined) sayUnusedPermissions(cloud, say)
  await cloud.close()
  if (defect !== undefined) throw defect
  return 0
}

async function demonstrate(
  cloud: LocalCloud,
  example: ExampleExchange,
  say: (text: string) => void,
): Promise<void> {
  const { status, body } = await performExample(cloud.url, example)
  const token = body['access_token']
  say(`\n${bold(`An exchange that grant ${example.grant} allows; repeat it with`)}\n`)
  say(`${curlLine(cloud.url, example)}\n`)
  const shortened = typeof token === 'string' ? { ...body, access_token: `${token.slice(0, 24)}…` } : body
  say(`${bold(`answer ${status}`)}\n${JSON.stringify(shortened, null, 2)}`)
  if (typeof token === 'string') say(`${bold('claims')}\n${JSON.stringify(decodeJwt(token), null, 2)}\n`)
}

function explain(cloud: LocalCloud, say: (text: string) => void): void {
  say(
    `\n${bold('No grant of this policy can be shown without credentials of a client. To sign a subject token:')}\n`,
  )
  say(`curl -s -d '{"issuer": "<issuer id>", "claims": {…}}' ${cloud.url}${DEMO_ISSUER_PATH}sign\n`)
  say(`${bold('To exchange one:')}\n`)
  say(`${curlLine(cloud.url, { signRequest: { issuer: '<issuer id>' }, audience: '<target audience>' })}\n`)
}

function sayHowToOperate({ operatorEnvironment }: LocalCloud, say: (text: string) => void): void {
  const variables = Object.entries(operatorEnvironment).map(([name, value]) => `${name}=${value}`)
  say(`${bold('To operate it from another terminal, as an AWS account:')}\n`)
  say(`export ${variables.join(' ')}`)
  say('npx token-broker keys list\n')
}

function sayUnusedPermissions(cloud: LocalCloud, say: (text: string) => void): void {
  const unused = cloud.unusedPermissions()
  say(unused.length === 0 ? 'every permission was used' : 'permissions that nothing used in this run:')
  for (const { principal, action, resource } of unused) say(`  ${principal}: ${action} on ${resource}`)
}

/** Aborts when somebody wants the process to end; whatever is not closed by then ends with it. */
function interruptible(): AbortSignal {
  const controller = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      controller.abort()
      setTimeout(() => process.exit(0), STOP_MILLISECONDS).unref()
    })
  }
  return controller.signal
}

/** Which of the errors that can be expected is which, in words for the person who typed the command. */
function explanationOf(error: unknown, { port }: Options): string {
  const saysItself = [PolicyError, ConfigError, PathError].some((kind) => error instanceof kind)
  if (saysItself && error instanceof Error) return error.message
  if (!(error instanceof Error)) return String(error)
  if ('code' in error && error.code === 'EADDRINUSE') {
    return `port ${port} is in use: stop what listens there, or choose another with --port (0 picks a free one)`
  }
  const expected = ['CloudDefectError', 'TemplateDefect', 'CustomResourceFailed'].includes(error.name)
  return expected ? `stopped, as it would fail on AWS: ${error.message}` : (error.stack ?? error.message)
}

async function main(): Promise<number> {
  let options: Options
  try {
    options = readOptions(process.argv.slice(2))
  } catch (error) {
    printError(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
    return 2
  }
  if (options.help) {
    print(USAGE)
    return 0
  }
  return run(options).catch((error: unknown) => {
    printError(explanationOf(error, options))
    return 1
  })
}

process.exit(await main())
