import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Plugin } from 'vite'
import { startVitest } from 'vitest/node'
import { PROJECT } from '../install.ts'

const STAND_IN = fileURLToPath(new URL('local-aws.ts', import.meta.url))
const CONTRACTS = join(PROJECT, 'test', 'contracts')
/** The cases that every implementation shares. Those about faults are of the adapter, whatever engine is behind it. */
const SHARED_CASES = '^an? [a-z -]+ in (DynamoDB|KMS) '

/** Gives the contract tests the stand-in where they import the local AWS endpoint. */
const onDynamoDbLocal: Plugin = {
  name: 'contracts-on-dynamodb-local',
  enforce: 'pre',
  resolveId: (source, importer) =>
    source.endsWith('/support/local-aws.ts') && importer?.startsWith(CONTRACTS) ? STAND_IN : undefined,
}

export interface ContractResults {
  readonly passed: readonly string[]
  readonly failed: readonly string[]
}

/** Runs the contract cases, unchanged, against DynamoDB Local. */
export async function runContracts(url: string): Promise<ContractResults> {
  const vitest = await startVitest(
    'test',
    [],
    {
      root: PROJECT,
      config: false,
      watch: false,
      include: ['test/contracts/*.test.ts'],
      testNamePattern: SHARED_CASES,
      // Nothing on the terminal: the results are read below.
      reporters: [{}],
      env: { DYNAMODB_LOCAL_URL: url, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
      testTimeout: 60_000,
      hookTimeout: 60_000,
    },
    { plugins: [onDynamoDbLocal] },
  )
  const modules = vitest.state.getTestModules()
  await vitest.close()
  // The run itself decides about the exit code.
  process.exitCode = undefined
  const cases = modules.flatMap((module) => [...module.children.allTests()])
  const named = (state: 'passed' | 'failed') =>
    cases.filter((test) => test.result().state === state).map((test) => test.fullName)
  const broken = modules.flatMap((module) =>
    module.errors().map((error) => `${module.moduleId}: ${error.message}`),
  )
  const messages = cases
    .filter((test) => test.result().state === 'failed')
    .map((test) => `${test.fullName}: ${test.result().errors?.[0]?.message ?? ''}`)
  return { passed: named('passed'), failed: [...messages, ...broken] }
}
