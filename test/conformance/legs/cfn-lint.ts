import { basename, join } from 'node:path'
import { pythonEnvironment } from '../install.ts'
import { type Leg, type LegContext, type LegOutcome, outcomeOf } from '../leg.ts'
import { run } from '../processes.ts'
import { synthesizeTemplates, type Template } from '../templates.ts'

interface Match {
  readonly Level: string
  readonly Message: string
  readonly Rule: { readonly Id: string }
  readonly Location: { readonly Path?: readonly (string | number)[] }
}

/** Rules that CDK's own constructs break, and why it does not matter. */
const ACKNOWLEDGED: Readonly<Record<string, string>> = {
  W3005:
    'CDK writes DependsOn also where a reference already enforces the order: redundant, and not ours to change',
}

interface Finding {
  readonly rule: string
  readonly text: string
}

export const cfnLint: Leg = {
  name: 'cfn-lint',
  proves: 'the templates are valid CloudFormation by a second implementation of its rules',
  run: checkTemplates,
}

async function checkTemplates({ say, defer }: LegContext): Promise<LegOutcome> {
  const bin = await pythonEnvironment('cfn-lint', ['cfn-lint==1.58.0'])
  const { templates, dispose } = synthesizeTemplates()
  defer(dispose)
  const found: Finding[] = []
  for (const template of templates) {
    say(`${template.variant}: ${basename(template.file)}`)
    found.push(...(await lint(bin, template)))
  }
  const unknown = found.filter(({ rule }) => ACKNOWLEDGED[rule] === undefined)
  const gone = Object.keys(ACKNOWLEDGED).filter((known) => found.every(({ rule }) => rule !== known))
  return outcomeOf(
    [...unknown.map(({ text }) => text), ...gone.map((rule) => `acknowledged, but no longer found: ${rule}`)],
    `${templates.length} templates without error or warning`,
    Object.entries(ACKNOWLEDGED).map(([known, reason]) => {
      const count = found.filter(({ rule }) => rule === known).length
      return `${known}, ${count} times: ${reason}`
    }),
  )
}

async function lint(bin: string, { variant, file }: Template): Promise<readonly Finding[]> {
  const args = ['--format', 'json', '--include-checks', 'W', '--regions', 'eu-west-1', '--template', file]
  const { stdout, stderr } = await run(join(bin, 'cfn-lint'), args)
  if (!stdout.trim().startsWith('[')) throw new Error(`cfn-lint printed no result: ${stderr.slice(-300)}`)
  return (JSON.parse(stdout) as readonly Match[])
    .filter(({ Level }) => Level !== 'Informational')
    .map(({ Level, Rule, Message, Location }) => {
      const where = (Location.Path ?? []).join('/')
      const text = `${variant}: ${Rule.Id} ${Level.toLowerCase()} at ${basename(file)} ${where}: ${Message}`
      return { rule: Rule.Id, text }
    })
}
