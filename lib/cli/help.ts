import type { Command, CommandOption } from './command.ts'

type Options = Readonly<Record<string, CommandOption>>

const EXIT_CODES = 'Exit codes: 0 done, 1 failed or refused, 2 wrong usage.'

/** Help for one command. */
export function commandHelp(command: Command, globals: Options): string {
  const { path, arguments: words, summary, details, example, options } = command
  const usage = ['npx token-broker', ...path, ...(words === undefined ? [] : [words]), '[options]']
  return [
    `Usage: ${usage.join(' ')}`,
    '',
    `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`,
    ...(details === undefined ? [] : ['', details]),
    ...(Object.keys(options).length === 0 ? [] : ['', 'Options:', ...optionLines(options)]),
    '',
    'Options of every command:',
    ...optionLines(globals),
    '',
    `Example: ${example}`,
    '',
    EXIT_CODES,
  ].join('\n')
}

/** Help for the commands that begin with `words`; all of them for none. */
export function groupHelp(words: readonly string[], commands: readonly Command[], globals: Options): string {
  const names = commands.map(({ path, arguments: own }) =>
    [...path, ...(own === undefined ? [] : [own])].join(' '),
  )
  const width = Math.max(...names.map(({ length }) => length))
  const [first] = commands
  const shared = sharedOptions(commands)
  return [
    `Usage: ${['npx token-broker', ...words, '<command>', '[options]'].join(' ')}`,
    '',
    'Commands:',
    ...commands.map(({ summary }, index) => `  ${(names[index] ?? '').padEnd(width)}  ${summary}`),
    ...(Object.keys(shared).length === 0 ? [] : ['', 'Options of all of them:', ...optionLines(shared)]),
    '',
    'Options of every command:',
    ...optionLines(globals),
    '',
    `Example: ${first?.example ?? ''}`,
    `More: npx token-broker ${(first?.path ?? []).join(' ')} --help`,
    '',
    EXIT_CODES,
  ].join('\n')
}

function sharedOptions([first, ...others]: readonly Command[]): Options {
  const shared = Object.entries(first?.options ?? {}).filter(([name]) =>
    others.every(({ options }) => Object.hasOwn(options, name)),
  )
  return Object.fromEntries(shared)
}

function optionLines(options: Options): readonly string[] {
  const entries = Object.entries(options).map(([name, { value, description }]) => ({
    name: `--${name}${value === undefined ? '' : ` ${value}`}`,
    description,
  }))
  const width = Math.max(...entries.map(({ name }) => name.length))
  return entries.map(({ name, description }) => `  ${name.padEnd(width)}  ${description}`)
}
