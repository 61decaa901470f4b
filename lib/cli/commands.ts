import type { Command } from './command.ts'
import { keysList } from './keys-list.ts'
import { policyDiff } from './policy-diff.ts'
import { policyExplain } from './policy-explain.ts'
import { policyLint } from './policy-lint.ts'
import { policyTest } from './policy-test.ts'

/** Every command of `token-broker`. */
export const COMMANDS: readonly Command[] = [keysList, policyLint, policyTest, policyExplain, policyDiff]
