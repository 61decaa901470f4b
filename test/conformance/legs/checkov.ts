import { basename, join } from 'node:path'
import { ACKNOWLEDGED, type Acknowledgement } from '../checkov-acknowledged.ts'
import { pythonEnvironment } from '../install.ts'
import { type Leg, type LegContext, type LegOutcome, outcomeOf } from '../leg.ts'
import { run } from '../processes.ts'
import { synthesizeTemplates, type Template } from '../templates.ts'

interface FailedCheck {
  readonly check_id: string
  readonly check_name: string
  /** `AWS::Lambda::Function.<logical id>` */
  readonly resource: string
}

interface Report {
  readonly results?: { readonly failed_checks?: readonly FailedCheck[] }
  readonly summary?: { readonly passed: number; readonly parsing_errors: number }
}

export const checkov: Leg = {
  name: 'checkov',
  proves: 'every finding of a broad security scanner is fixed, or acknowledged with a reason',
  run: scanTemplates,
}

async function scanTemplates({ say, defer }: LegContext): Promise<LegOutcome> {
  const bin = await pythonEnvironment('checkov', ['checkov==3.3.30'])
  const { templates, dispose } = synthesizeTemplates()
  defer(dispose)
  const problems: string[] = []
  const used = new Set<Acknowledgement>()
  let passed = 0
  // What is to be thrown away is not held to what protects data.
  for (const template of templates.filter(({ variant }) => variant !== 'throw-away')) {
    say(`${template.variant}: ${basename(template.file)}`)
    const report = await scan(bin, template)
    passed += report.summary?.passed ?? 0
    problems.push(...judge(template, report, used))
  }
  for (const { check, resource } of ACKNOWLEDGED.filter((entry) => !used.has(entry))) {
    problems.push(`acknowledged, but no longer found: ${check} on ${resource.source}`)
  }
  return outcomeOf(problems, `${passed} checks passed, ${used.size} kinds of finding acknowledged`)
}

function judge(template: Template, report: Report, used: Set<Acknowledgement>): readonly string[] {
  if (report.summary === undefined || report.summary.parsing_errors > 0) {
    return [`${template.variant}: checkov could not read ${basename(template.file)}`]
  }
  const unknown = (report.results?.failed_checks ?? []).filter(({ check_id, resource }) => {
    const entry = ACKNOWLEDGED.find((known) => known.check === check_id && known.resource.test(resource))
    if (entry !== undefined) used.add(entry)
    return entry === undefined
  })
  return unknown.map(
    ({ check_id, check_name, resource }) =>
      `${template.variant}: ${check_id} on ${resource}: ${check_name} (fix it, or acknowledge it with a reason)`,
  )
}

async function scan(bin: string, { file }: Template): Promise<Report> {
  const args = ['--framework', 'cloudformation', '--output', 'json', '--compact', '--quiet', '--file', file]
  const { stdout } = await run(join(bin, 'checkov'), [...args, '--skip-download'], {
    environment: { LOG_LEVEL: 'ERROR' },
  })
  return stdout.trim().startsWith('{') ? (JSON.parse(stdout) as Report) : {}
}
