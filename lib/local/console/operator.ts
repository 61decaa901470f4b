import type { AwsConfig, Deployment } from '../../cli/deployment.ts'
import type { Terminal } from '../../cli/terminal.ts'
import { projectStage } from '../../project-context.ts'
import type { LocalCloud } from '../cloud.ts'
import type { CommandResult } from './wire.ts'

/** The operator of a local cloud, as the command line signs in. */
export class Operator {
  readonly #aws: AwsConfig
  #deployment: Promise<Deployment> | undefined

  constructor({ operatorEnvironment: environment }: Pick<LocalCloud, 'operatorEnvironment'>) {
    this.#aws = {
      region: environment['AWS_REGION'] ?? '',
      endpoint: environment['AWS_ENDPOINT_URL'] ?? '',
      credentials: {
        accessKeyId: environment['AWS_ACCESS_KEY_ID'] ?? '',
        secretAccessKey: environment['AWS_SECRET_ACCESS_KEY'] ?? '',
      },
    }
  }

  /** What is deployed to the cloud. */
  deployment(): Promise<Deployment> {
    // The SDK's clients are loaded when they are first needed: they are no part of every start.
    this.#deployment ??= import('../../cli/deployment.ts').then(({ findDeployment }) =>
      findDeployment(projectStage(), this.#aws),
    )
    return this.#deployment
  }

  /** Runs one command of `token-broker`. Nobody is there to confirm: what changes something needs `--yes`. */
  async run(args: readonly string[]): Promise<CommandResult> {
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
    const code = await runCli([...args, '--json'], { terminal, aws: this.#aws, now })
    const error = code === 0 ? undefined : errorIn(err.pop())
    return {
      done: code === 0,
      notes: err.join('\n').trim(),
      ...(error !== undefined && { error }),
      result: parse(out.join('\n')),
    }
  }
}

/** With `--json` the error is the last line. */
function errorIn(line: string = ''): string {
  const { error } = (parse(line) ?? {}) as {
    readonly error?: { readonly message: string; readonly next?: string }
  }
  return error === undefined ? line : [error.message, error.next].filter(Boolean).join('\n')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
