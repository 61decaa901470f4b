import type { AwsConfig } from '../../cli/deployment.ts'
import type { Terminal } from '../../cli/terminal.ts'

/** What a command came to. */
export interface CommandResult {
  readonly done: boolean
  /** The plan, notes and errors, as a terminal would show them. */
  readonly text: string
  /** The result, which `--json` prints. */
  readonly result: unknown
}

/** Runs one command of `token-broker` as the local operator. Nobody is there to confirm: what changes something needs `--yes`. */
export async function runCommand(args: readonly string[], aws: AwsConfig): Promise<CommandResult> {
  // Loaded when the first button is pressed: the SDK's clients are no part of every start.
  const { runCli } = await import('../../cli/run.ts')
  const out: string[] = []
  const err: string[] = []
  const terminal: Terminal = {
    out: (line) => void out.push(line),
    err: (line) => void err.push(line),
    isInteractive: false,
    style: (_, text) => text,
    ask: async () => '',
    readInput: async () => '',
  }
  const now = () => Math.floor(Date.now() / 1000)
  const code = await runCli([...args, '--json'], { terminal, aws, now })
  return { done: code === 0, text: err.join('\n'), result: parse(out.join('\n')) }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
