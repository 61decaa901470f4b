import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import { describe, expect, it } from 'vitest'
import { METRIC_UNITS } from '../../functions/telemetry.ts'
import { COMMANDS } from '../../lib/cli/commands.ts'
import { GLOBAL_OPTIONS } from '../../lib/cli/run.ts'
import { CAUSE_ALARM_TEXTS } from '../../lib/monitoring/cause-texts.ts'
import { INSIGHT_QUESTIONS } from '../../lib/monitoring/insight-rules.ts'
import { LOG_QUESTIONS } from '../../lib/monitoring/saved-queries.ts'
import { SLO_ALARM_TEXTS } from '../../lib/monitoring/slo-alarm-texts.ts'
import { resources, synthesize } from './synthesize.ts'

const FOLDER = 'docs/runbooks'
const text = (name: string) => readFileSync(`${FOLDER}/${name}`, 'utf8')
const INDEX = text('README.md')
const ON_CALL = `${FOLDER}/on-call.sh`
const ALARMS = { ...SLO_ALARM_TEXTS, ...CAUSE_ALARM_TEXTS }
const IDS = Object.keys(ALARMS) as (keyof typeof ALARMS)[]
/** Of tasks and not of alarms. */
const OTHERS = ['README', 'audit', 'revocation', 'signing-keys']
const SECTIONS = ['First', 'Which cause', 'Stop the damage', 'Confirm', 'Prevent']
/** One page. */
const MOST_LINES = 50

// Beside what a deployment has by itself, all that it may have.
const { service, state, monitoring } = synthesize({ probe: true })
const namesOf = (type: string, suffix: RegExp) =>
  Object.keys(resources(service, type)).map((id) => id.replace(suffix, ''))
const FUNCTIONS = namesOf('AWS::Logs::LogGroup', /Logs[0-9A-F]{8}$/)
const OUTPUTS = [service, state].flatMap((template) => Object.keys(template.toJSON()['Outputs'] as object))

/** The commands of a page: lines of its shell blocks, joined where they go on, and what stands in backquotes. */
function commandsIn(page: string): readonly string[] {
  const blocks = [...page.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, block = '']) => block)
  const lines = blocks
    .join('')
    .replaceAll('\\\n', ' ')
    .split(/\n| && /)
  const prose = page.replaceAll(/^```[\s\S]*?^```/gm, '')
  const inline = [...prose.matchAll(/`([^`\n]+)`/g)].map(([, words = '']) => words)
  return [
    ...lines,
    ...inline.filter((words) =>
      /^(?:npx token-broker|(?:ask|who|faults|metric|lambda|rings|output) )/.test(words),
    ),
  ]
    .map((line) => line.replace(/\s+#.*$/, '').trim())
    .filter((line) => line !== '')
}

const commandsOf = (id: string) => commandsIn(text(`${id}.md`))
const ALL = IDS.flatMap((id) => commandsOf(id).map((command) => [id, command] as const))

/** The first argument of every use of one command of on-call.sh, wherever it stands. */
const usesOf = (name: string) =>
  ALL.flatMap(([id, command]) =>
    [...command.matchAll(new RegExp(`(?:^|[(;&|] *)${name} ([\\w-]+)(?: (\\w+))?`, 'g'))].map(
      ([, first = '', second]) => ({ id, first, second }),
    ),
  )

/** Without the machine's locale: where that is not installed, bash complains of it. */
const bash = (args: readonly string[], input: string) =>
  spawnSync('bash', args, { input, encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } })

describe('every alarm that calls somebody', () => {
  it('has a runbook, and every runbook an alarm', () => {
    const names = readdirSync(FOLDER)
      .filter((name) => name.endsWith('.md'))
      .map((name) => name.slice(0, -'.md'.length))
    expect(names.toSorted()).toEqual([...IDS, ...OTHERS].toSorted())
  })

  it.each(IDS)('%s: the runbook has all its parts on one page, and the index knows it', (id) => {
    const page = text(`${id}.md`)
    expect(page.startsWith(`# Runbook: ${id}\n\n`)).toBe(true)
    expect([...page.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading)).toEqual(SECTIONS)
    expect(page.split('\n').length).toBeLessThanOrEqual(MOST_LINES)
    const { severity } = ALARMS[id]
    expect(INDEX).toMatch(new RegExp(`^\\| \\[${id}\\]\\(${id}\\.md\\) \\| ${severity}`, 'm'))
    for (const heading of SECTIONS)
      expect(page.split(`## ${heading}\n`)[1]?.split('\n## ')[0]?.trim(), heading).not.toBe('')
  })
})

describe('the commands of runbooks', () => {
  it('are there', () => {
    expect(ALL.length).toBeGreaterThan(120)
  })

  it('of token-broker exist, with the options that they are given', () => {
    const used = [...ALL, ...OTHERS.flatMap((id) => commandsOf(id).map((command) => [id, command] as const))]
    const ours = used.filter(([, command]) => command.startsWith('npx token-broker '))
    expect(ours.length).toBeGreaterThan(20)
    for (const [id, command] of ours) {
      const [, , ...words] = command.split(' ')
      const known = COMMANDS.find(({ path }) => path.every((word, at) => words[at] === word))
      if (known === undefined) throw new Error(`${id}: ${command}`)
      const options = Object.entries({ ...GLOBAL_OPTIONS, ...known.options }).map(
        ([name, { type }]) => [name, { type }] as const,
      )
      // Quotes are the shell's: what is in them is one word here.
      const args = (command.match(/"[^"]*"|\S+/g) ?? []).slice(2)
      const parse = () =>
        parseArgs({
          args,
          allowPositionals: true,
          options: Object.fromEntries(options) as ParseArgsOptionsConfig,
        })
      expect(parse, `${id}: ${command}`).not.toThrow()
    }
  })

  it('ask saved queries, insight rules, logs, metrics and outputs that exist', () => {
    const unknown = (name: string, known: readonly string[]) =>
      usesOf(name)
        .filter(({ first }) => !known.includes(first))
        .map(({ id, first }) => `${id}: ${name} ${first}`)
    expect(unknown('ask', Object.keys(LOG_QUESTIONS))).toEqual([])
    expect(unknown('who', Object.keys(INSIGHT_QUESTIONS))).toEqual([])
    expect(unknown('faults', FUNCTIONS)).toEqual([])
    expect(unknown('lambda', FUNCTIONS)).toEqual([])
    expect(usesOf('lambda').length).toBeGreaterThan(2)
    expect(unknown('metric', Object.keys(METRIC_UNITS))).toEqual([])
    expect(usesOf('ask').length).toBeGreaterThan(20)
    const outputs = usesOf('output')
    expect(outputs.length).toBeGreaterThan(1)
    expect(outputs.filter(({ second = '' }) => !OUTPUTS.includes(second))).toEqual([])
  })

  it('are shell', () => {
    const pages = IDS.map((id) =>
      [...text(`${id}.md`).matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, block]) => block),
    )
    // `<placeholder>` would be a redirection.
    const script = pages
      .flat()
      .join('\n')
      .replaceAll(/<[^>]*>/g, 'X')
    expect(bash(['-n'], script)).toMatchObject({
      status: 0,
      stderr: '',
    })
  })
})

/** Of `prod` are found by them things of `prod-eu` too. */
const LOOSE =
  /contains\(|(?:prefix[ =]|starts_with\(.*?,) ?["'`]?(?:token-broker-(?:prod|\$STAGE|\{stage\})|\{prefix\})(?!-(?:state|service|monitoring)\b|\/)/

it('nothing is looked up by a name that another stage’s begins with', () => {
  const shell = [...IDS, ...OTHERS].map((id) => [id, text(`${id}.md`)] as const)
  const alarms = IDS.map((id) => [id, ALARMS[id].command] as const)
  const all = [...shell, ...alarms, ['on-call.sh', text('on-call.sh')] as const]
  const loose = all.flatMap(([id, page]) =>
    page.split('\n').flatMap((line) => (LOOSE.test(line) ? [`${id}: ${line}`] : [])),
  )
  expect(loose).toEqual([])
  for (const line of [
    'list-queues --queue-name-prefix token-broker-prod',
    '--alarm-name-prefix "token-broker-$STAGE-"',
    "[?contains(Name,'x')]",
    '--name-prefix {prefix}',
  ])
    expect(line).toMatch(LOOSE)
  expect('--name-prefix {prefix}-service-').not.toMatch(LOOSE)
})

describe('on-call.sh', () => {
  /** What it calls AWS with, by a stand-in that prints its arguments. */
  function callsOf(command: string): string {
    const script = `aws() { printf 'aws'; printf ' [%s]' "$@"; printf '\\n'; }\n. ${ON_CALL} prod\n${command}`
    const { status, stdout, stderr } = bash(['-eu'], script)
    expect([status, stderr]).toEqual([0, ''])
    return stdout
  }

  it('does nothing by itself', () => {
    expect(callsOf('')).toBe('')
  })

  it.each([
    ['rings', ['[describe-alarms]', '[--alarm-types] [MetricAlarm] [CompositeAlarm]', '[ALARM]']],
    ['output state ExchangesTable', ['[token-broker-prod-state]', 'ExchangesTable']],
    ['log Exchange', ['[token-broker-prod-service]', "'ExchangeLogs'"]],
    ['lambda Exchange', ['[token-broker-prod-service]', "'ExchangeFunction'", 'Lambda::Function']],
    ['faults Exchange 1h', ['[tail]', '[1h]', '{ $.level = "ERROR" }']],
    [
      'metric KmsFailures Sum 30',
      ['[KmsFailures]', '[Sum]', '[Name=service,Value=token-broker]', '[Name=stage,Value=prod]'],
    ],
    ['who denied-clients', ['[get-insight-rule-report]', '[token-broker-prod-denied-clients]']],
  ])('%s asks AWS for the right thing', (command, parts) => {
    const calls = callsOf(command)
    for (const part of parts) expect(calls).toContain(part)
  })

  it('puts what is asked for into a saved query', () => {
    const calls = callsOf('ask request-by-correlation-id 30 c-1')
    expect(calls).toContain('[get-query-results]')
    expect(calls).not.toContain('PASTE-IT-HERE')
  })

  it('finds in the stack what it asks of: each function and its log, and every alarm', () => {
    const madeBy = (command: string) => {
      const asked = /\[(?:list-stack-resources)\].*ResourceType,'(.*?)'.*LogicalResourceId,'(.*?)'/g
      return [...callsOf(command).matchAll(asked)].map(([, type = '', id = '']) => [type, id] as const)
    }
    const found = (template: typeof service, [type, id]: readonly [string, string]) =>
      Object.entries(template.toJSON()['Resources'] as Record<string, { readonly Type: string }>).filter(
        ([logicalId, { Type }]) => Type.endsWith(type) && logicalId.startsWith(id),
      )
    const named = [...usesOf('faults'), ...usesOf('lambda')].map(({ first }) => first)
    for (const name of new Set(named))
      for (const command of ['log', 'lambda']) {
        const [asked] = madeBy(`${command} ${name}`)
        if (asked === undefined) throw new Error(command)
        expect(found(service, asked), `${command} ${name}`).toHaveLength(1)
      }
    // The names are asked for within the call, whose own line therefore has what the stand-in says.
    const alarms = callsOf('rings')
    const types = ['::CloudWatch::Alarm', '::CloudWatch::CompositeAlarm']
    for (const type of types) expect(alarms).toContain(`ResourceType,'${type}'`)
    expect(alarms.match(/token-broker-prod-monitoring/g)).toHaveLength(2)
    const counts = types.map((type) => found(monitoring, [type, '']).length)
    for (const count of counts) expect(count).toBeGreaterThan(5)
    // CloudWatch takes no more names in one call.
    expect(counts.reduce((sum, count) => sum + count)).toBeLessThanOrEqual(100)
  })

  it('only reads', () => {
    const verbs = [...readFileSync(ON_CALL, 'utf8').matchAll(/\baws [\w-]+ ([\w-]+)/g)].map(
      ([, verb = '']) => verb,
    )
    expect(verbs.length).toBeGreaterThan(6)
    expect(verbs.filter((verb) => !/^(?:get|list|describe|start-query|tail)/.test(verb))).toEqual([])
  })
})
