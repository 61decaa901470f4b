import { readFileSync } from 'node:fs'
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import { meantText } from '../../functions/core/policy/finding.ts'
import { nearest } from '../../functions/core/policy/nearest.ts'
import { projectStage, STAGE_NAME } from '../project-context.ts'
import {
  type Command,
  type CommandContext,
  type CommandOption,
  type ExitCode,
  UsageError,
} from './command.ts'
import { COMMANDS } from './commands.ts'
import { type AwsConfig, findDeployment } from './deployment.ts'
import { explain } from './explain.ts'
import { commandHelp, groupHelp } from './help.ts'
import type { Terminal } from './terminal.ts'

/** What every command takes. */
export const GLOBAL_OPTIONS: Readonly<Record<string, CommandOption>> = {
  json: { type: 'boolean', description: 'print JSON, for machines' },
  help: { type: 'boolean', description: 'print help, and do nothing' },
  version: { type: 'boolean', description: 'print the version, and do nothing' },
}

/** What the command line needs of the world. */
export interface CliWorld {
  readonly terminal: Terminal
  /** @default as the AWS CLI finds them */
  readonly aws?: AwsConfig
  /** Epoch seconds. */
  readonly now: () => number
  /** @default the commands of `token-broker` */
  readonly commands?: readonly Command[]
}

/** Runs one command line. Never throws but for a defect. */
export async function runCli(args: readonly string[], world: CliWorld): Promise<ExitCode> {
  const { terminal, commands = COMMANDS } = world
  const asksForJson = args.includes('--json')
  try {
    return await dispatch(idsLast(args, commands), commands, world)
  } catch (error) {
    if (error instanceof UsageError) {
      sayError(terminal, asksForJson, { message: error.message, next: helpFor(args, commands) })
      return 2
    }
    const explanation = explain(error)
    if (explanation === undefined) throw error
    sayError(terminal, asksForJson, explanation)
    return 1
  }
}

/** Of a kid, a token id or a txn one in 64 begins with a hyphen. */
const ID = /^-(?:[\w-]{21}|[\w-]{42})$/

/** The ids that look like options, where none is taken for one. */
function idsLast(args: readonly string[], commands: readonly Command[]): readonly string[] {
  const known = [GLOBAL_OPTIONS, ...commands.map(({ options }) => options)].flatMap(Object.keys)
  const isId = (arg: string) => ID.test(arg) && !known.includes(arg.slice(2))
  if (args.includes('--') || !args.some(isId)) return args
  return [...args.filter((arg) => !isId(arg)), '--', ...args.filter(isId)]
}

/** The help that is nearest to a wrong command line. */
function helpFor(args: readonly string[], commands: readonly Command[]): string {
  const { path = [] } = commandNamed(wordsIn(args, commands).words, commands) ?? {}
  return ['npx token-broker', ...path, '--help'].join(' ')
}

async function dispatch(
  args: readonly string[],
  commands: readonly Command[],
  world: CliWorld,
): Promise<ExitCode> {
  const { terminal } = world
  const { words, help, version } = wordsIn(args, commands)
  if (version) {
    terminal.out(projectVersion())
    return 0
  }
  const command = commandNamed(words, commands)
  if (command !== undefined) {
    if (help) terminal.out(commandHelp(command, GLOBAL_OPTIONS))
    return help ? 0 : command.run(contextOf(args, command, world))
  }
  const group = commands.filter(({ path }) => words.every((word, index) => path[index] === word))
  if (group.length === 0) {
    const meant = nearest(words.join(' '), commands.flatMap(namesOf))
    throw new UsageError(`there is no command ${words.join(' ')}${meantText(meant)}`)
  }
  if (help) {
    terminal.out(groupHelp(words, group, GLOBAL_OPTIONS))
    return 0
  }
  const names = group.map(({ path }) => path.join(' '))
  throw new UsageError(`${['token-broker', ...words].join(' ')} needs a command: ${names.join(', ')}`)
}

/** The words that are no options, whichever command they belong to. */
function wordsIn(args: readonly string[], commands: readonly Command[]) {
  const options = parseable(Object.assign({}, GLOBAL_OPTIONS, ...commands.map(({ options: own }) => own)))
  const { values, positionals } = parseArgs({
    args: [...args],
    options,
    allowPositionals: true,
    strict: false,
  })
  return { words: positionals, help: values['help'] === true, version: values['version'] === true }
}

/** Of a command, and of the group that it is in. */
function namesOf({ path }: Command): readonly string[] {
  return path.map((_, at) => path.slice(0, at + 1).join(' '))
}

function commandNamed(words: readonly string[], commands: readonly Command[]): Command | undefined {
  const matching = commands.filter(({ path }) => path.every((word, index) => words[index] === word))
  return matching.sort((a, b) => b.path.length - a.path.length)[0]
}

function contextOf(args: readonly string[], command: Command, world: CliWorld): CommandContext {
  const { values, positionals } = parsed(args, command)
  const text = (option: string) => {
    const value = values[option]
    return typeof value === 'string' ? value : undefined
  }
  const given = positionals.slice(command.path.length)
  if (given.length > 0 && command.arguments === undefined)
    throw new UsageError(`${command.path.join(' ')} takes no arguments, found ${given[0]}`)
  const stage = text('stage')
  if (stage !== undefined && !STAGE_NAME.pattern.test(stage))
    throw new UsageError(`--stage ${stage}: allowed is ${STAGE_NAME.rule}`)
  const region = text('region')
  return {
    arguments: given,
    text,
    flag: (option) => values[option] === true,
    terminal: world.terminal,
    deployment: () =>
      findDeployment(stage ?? projectStage(), { ...world.aws, ...(region !== undefined && { region }) }),
    now: world.now,
  }
}

function parsed(args: readonly string[], command: Command) {
  try {
    return parseArgs({
      args: [...args],
      options: parseable({ ...GLOBAL_OPTIONS, ...command.options }),
      allowPositionals: true,
    })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function parseable(options: Readonly<Record<string, CommandOption>>): ParseArgsOptionsConfig {
  return Object.fromEntries(Object.entries(options).map(([name, { type }]) => [name, { type }]))
}

function sayError(terminal: Terminal, asJson: boolean, error: { message: string; next: string }): void {
  if (asJson) {
    terminal.err(JSON.stringify({ error }))
    return
  }
  terminal.err(`${terminal.style('red', 'error', 'err')} ${error.message}`)
  terminal.err(`${terminal.style('bold', 'next', 'err')}  ${error.next}`)
}

function projectVersion(): string {
  const file = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(file) as { readonly version: string }).version
}
