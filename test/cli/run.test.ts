import { describe, expect, it } from 'vitest'
import { type Command, CommandFailed, DEPLOYMENT_OPTIONS, UsageError } from '../../lib/cli/command.ts'
import { COMMANDS } from '../../lib/cli/commands.ts'
import { explain } from '../../lib/cli/explain.ts'
import { GLOBAL_OPTIONS, runCli } from '../../lib/cli/run.ts'
import { MemoryTerminal } from './memory-terminal.ts'

const greet: Command = {
  path: ['say', 'hello'],
  summary: 'greet somebody',
  arguments: '<name>',
  example: 'npx token-broker say hello Ada',
  options: { ...DEPLOYMENT_OPTIONS, tone: { type: 'string', value: 'TONE', description: 'how' } },
  run: async ({ arguments: [name = 'nobody'], text, flag, terminal }) => {
    if (name === 'error') throw new CommandFailed('no voice', 'drink tea')
    if (name === 'usage') throw new UsageError('not that name')
    if (name === 'defect') throw new TypeError('bug')
    terminal.out(`${text('tone') ?? 'plain'} ${name} ${flag('json')}`)
    return 0
  },
}
const silent: Command = {
  ...greet,
  path: ['say', 'nothing'],
  options: {},
  run: async () => 1,
}
const { arguments: _taken, ...strict } = { ...silent, path: ['strict'] }
const commands = [greet, silent, strict]

async function run(...args: string[]) {
  const terminal = new MemoryTerminal()
  const code = await runCli(args, { terminal, now: () => 0, commands })
  return { code, out: terminal.outText, err: terminal.errText }
}

describe('the command line', () => {
  it.each([`-${'U'.repeat(21)}`, `-${'U'.repeat(42)}`, `--${'U'.repeat(41)}`])(
    'takes an id for one although it begins with a hyphen: %s',
    async (id) => {
      expect(await run('say', 'hello', id, '--json', '--tone', 'warm')).toMatchObject({
        code: 0,
        out: `warm ${id} true\n`,
      })
      expect((await run('say', 'hello', `${id}U`)).code).toBe(2)
    },
  )

  it('runs the command with its arguments and options, wherever the global ones stand', async () => {
    expect(await run('--stage', 'prod', 'say', '--json', 'hello', 'Ada', '--tone', 'warm')).toEqual({
      code: 0,
      out: 'warm Ada true\n',
      err: '',
    })
  })

  it('gives the exit code of the command', async () => {
    expect((await run('say', 'nothing')).code).toBe(1)
  })

  it.each([
    [[], 'token-broker needs a command: say hello, say nothing, strict'],
    [['say'], 'token-broker say needs a command: say hello, say nothing'],
    [['sing'], 'there is no command sing'],
    [['say', 'helo'], 'there is no command say helo; did you mean say hello?'],
    [['sya'], 'there is no command sya; did you mean say?'],
    [['say', 'hello', '--volume', '3'], "Unknown option '--volume'"],
    [['say', 'hello', '--tone'], 'argument missing'],
    [['say', 'nothing', '--tone', 'warm'], "Unknown option '--tone'"],
    [['say', 'nothing', '--stage', 'prod'], "Unknown option '--stage'"],
    [['say', 'hello', '--yes'], "Unknown option '--yes'"],
    [['strict', 'word'], 'strict takes no arguments, found word'],
    [['--stage', 'Prod', 'say', 'hello'], '--stage Prod: allowed is a lower-case letter'],
    [['say', 'hello', 'usage'], 'not that name'],
  ])('refuses %j with exit code 2, and says what there is', async (args, message) => {
    const { code, out, err } = await run(...args)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(message)
    expect(err).toMatch(/npx token-broker .*--help/)
  })

  it('points to the help of the command that was meant', async () => {
    expect((await run('strict', 'word')).err).toContain('npx token-broker strict --help')
    expect((await run('sing')).err).toContain('npx token-broker --help')
  })

  it('says what failed and what to do next, with exit code 1', async () => {
    expect(await run('say', 'hello', 'error')).toEqual({
      code: 1,
      out: '',
      err: 'error no voice\nnext  drink tea\n',
    })
  })

  it('points to the local broker where no region is set', () => {
    expect(explain(new Error('no client', { cause: new Error('Region is missing') }))).toEqual({
      message: 'no AWS region is set',
      next: expect.stringMatching(/AWS_REGION; for npm start, paste the export line/),
    })
  })

  it('says it as JSON to machines', async () => {
    const { err } = await run('say', 'hello', 'error', '--json')
    expect(JSON.parse(err)).toEqual({ error: { message: 'no voice', next: 'drink tea' } })
  })

  it('does not dress up a defect as a failure', async () => {
    await expect(run('say', 'hello', 'defect')).rejects.toThrow('bug')
  })

  it.each([[['--help']], [['say', '--help']], [['say', 'hello', '--help']]])(
    'explains itself on %j, with an example',
    async (args) => {
      const { code, out } = await run(...args)
      expect(code).toBe(0)
      expect(out).toContain('Usage: npx token-broker')
      expect(out).toContain('Example: npx token-broker say hello Ada')
    },
  )

  it('lists the options of a command in its help, and no other', async () => {
    expect((await run('say', 'hello', '--help')).out).toContain('--stage STAGE')
    expect((await run('say', 'nothing', '--help')).out).not.toContain('--stage')
    expect((await run('say', '--help')).out).not.toContain('Options of all of them')
    expect((await run('--help')).out).not.toContain('--tone')
  })

  it('prints its version', async () => {
    expect((await run('--version')).out).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})

describe('the table of commands', () => {
  it('gives an option of one name one type: words are told from values before the command is known', () => {
    const types = new Map<string, string>()
    for (const { options } of [{ options: GLOBAL_OPTIONS }, ...COMMANDS])
      for (const [name, { type }] of Object.entries(options)) {
        expect(types.get(name) ?? type, name).toBe(type)
        types.set(name, type)
      }
  })

  it('says --stage and --yes of commands that know a deployment or show a plan, and of no other', () => {
    const having = (option: string) =>
      COMMANDS.filter(({ options }) => Object.hasOwn(options, option)).map(({ path }) => path.join(' '))
    expect(having('stage').filter((name) => /^(?:policy|clients) /.test(name))).toEqual([])
    expect(having('stage')).toEqual(having('region'))
    expect(having('yes')).toEqual(['keys rotate', 'keys revoke', 'revoke', 'audit repair'])
  })

  it('has an example of each command that begins with it', () => {
    for (const { path, example } of COMMANDS) expect(example).toContain(`npx token-broker ${path.join(' ')}`)
  })
})
