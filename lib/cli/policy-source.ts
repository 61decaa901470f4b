import type { CompiledPolicy } from '../../functions/core/policy/compiled.ts'
import { indexPolicy, type PolicyIndex } from '../../functions/core/policy/decide.ts'
import { loadPolicy, PolicyError } from '../policy-folder.ts'
import { projectPolicyFolder } from '../project-context.ts'
import { CommandFailed, type CommandOption } from './command.ts'

/** Every command about a policy takes it. */
export const POLICY_OPTION: Readonly<Record<'policy', CommandOption>> = {
  policy: {
    type: 'string',
    value: 'DIR',
    description: 'folder of the policy (default: the one of cdk.json)',
  },
}

/** A policy that compiles, ready for questions. */
export interface LoadedPolicy {
  readonly folder: string
  readonly policy: CompiledPolicy
  readonly index: PolicyIndex
}

/** Compiles the policy in `folder`. Throws {@link CommandFailed} with everything that is wrong with it. */
export function loadFor(folder: string = projectPolicyFolder()): LoadedPolicy {
  try {
    // Issuers on loopback too, and certificates: it is asked what the policy says, not what it is deployed as.
    const policy = loadPolicy(folder, { loopbackIssuers: true, mutualTls: true })
    return { folder, policy, index: indexPolicy(policy) }
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error
    throw new CommandFailed(error.message, `mend the policy in ${folder}, and run the command again`, {
      cause: error,
    })
  }
}
