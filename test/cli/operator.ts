import { runCli } from '../../lib/cli/run.ts'
import { LOCAL_OPERATOR } from '../../lib/local/cloud.ts'
import type { TestCloud } from '../support/cloud.ts'
import { MemoryTerminal } from './memory-terminal.ts'

export interface CliRun {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs a command line against the local cloud as its operator. `time`: what the command takes the time to be, epoch seconds. */
export async function runAsOperator(
  { cloud }: TestCloud,
  args: readonly string[],
  { terminal = new MemoryTerminal(), time = Math.floor(Date.now() / 1000), secretAccessKey = '' } = {},
): Promise<CliRun> {
  const credentials = { ...LOCAL_OPERATOR, ...(secretAccessKey !== '' && { secretAccessKey }) }
  const aws = { endpoint: cloud.aws.url, region: 'eu-west-1', credentials, maxAttempts: 1 }
  const code = await runCli(args, { terminal, aws, now: () => time })
  return { code, out: terminal.outText, err: terminal.errText }
}
