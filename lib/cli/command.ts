import type { Deployment } from './deployment.ts'
import type { Terminal } from './terminal.ts'

/** How a command ended: done, failed or refused, called in a way that makes no sense. */
export type ExitCode = 0 | 1 | 2

/** One option of a command, as `node:util` parses it, with what `--help` says of it. */
export interface CommandOption {
  readonly type: 'string' | 'boolean'
  /** What stands for the value in `--help`, for example `TEXT`. */
  readonly value?: string
  readonly description: string
}

/** Which deployment a command is about. */
export const DEPLOYMENT_OPTIONS = {
  stage: { type: 'string', value: 'STAGE', description: 'the deployment (default: the one of cdk.json)' },
  region: {
    type: 'string',
    value: 'REGION',
    description: 'its AWS region (default: as the AWS CLI finds it)',
  },
} as const satisfies Readonly<Record<string, CommandOption>>

/** Of a command that shows a plan before it changes something. */
export const PLAN_OPTIONS = {
  yes: { type: 'boolean', description: 'carry the plan out without asking' },
} as const satisfies Readonly<Record<string, CommandOption>>

/** What a command was called with. */
export interface CommandContext {
  /** What follows the command's name. */
  readonly arguments: readonly string[]
  /** The value of a string option, or `undefined` if it was left out. */
  text(option: string): string | undefined
  /** Whether a boolean option was given. */
  flag(option: string): boolean
  readonly terminal: Terminal
  /** Finds the deployment that {@link DEPLOYMENT_OPTIONS} name. Throws {@link CommandFailed} if there is none. */
  deployment(): Promise<Deployment>
  /** Epoch seconds. */
  readonly now: () => number
}

export interface Command {
  /** For example `['keys', 'list']`. */
  readonly path: readonly string[]
  /** One line. */
  readonly summary: string
  /** Arguments in words for the usage line, for example `<kid>`. @default none are taken */
  readonly arguments?: string
  /** What to know before it is used. */
  readonly details?: string
  /** A whole command line that works as it stands, or nearly. */
  readonly example: string
  readonly options: Readonly<Record<string, CommandOption>>
  run(context: CommandContext): Promise<ExitCode>
}

/** The command line makes no sense. Exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** The command could not do what it was told, or refused to. Exit code 1. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed'
  /** What to do about it: a sentence, or a command to type. */
  readonly next: string

  constructor(message: string, next: string, options?: ErrorOptions) {
    super(message, options)
    this.next = next
  }
}
