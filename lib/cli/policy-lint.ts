import { formatFinding } from '../../functions/core/policy/finding.ts'
import { lintPolicy } from '../../functions/core/policy/lint.ts'
import { readPolicyFolder } from '../policy-folder.ts'
import type { Command } from './command.ts'
import { loadFor, POLICY_OPTION } from './policy-source.ts'
import { asciiJson } from './terminal.ts'

export const policyLint: Command = {
  path: ['policy', 'lint'],
  summary: 'check a policy, and warn of trust that is wider than it looks',
  details: 'An error is what cannot be deployed. A warning can, and fails this command only with --strict.',
  example: 'npx token-broker policy lint --policy policy --strict',
  options: { ...POLICY_OPTION, strict: { type: 'boolean', description: 'fail for a warning too' } },
  run: async ({ text, flag, terminal }) => {
    const { folder, policy } = loadFor(text('policy'))
    const findings = lintPolicy(readPolicyFolder(folder), policy)
    if (flag('json')) terminal.out(asciiJson({ folder, findings }))
    else {
      for (const finding of findings)
        terminal.out(`${terminal.style('yellow', 'warning')} ${formatFinding(finding)}`)
      const { issuers, clients, targets, grants } = policy
      const counts = Object.entries({ issuers, clients, targets, grants, warnings: findings })
      terminal.out(`${folder}: ${counts.map(([name, { length }]) => `${name} ${length}`).join(', ')}`)
    }
    return flag('strict') && findings.length > 0 ? 1 : 0
  },
}
