import { auditLineage } from './audit-lineage.ts'
import { auditRepair } from './audit-repair.ts'
import { auditVerify } from './audit-verify.ts'
import { awsCredentials } from './aws-credentials.ts'
import { awsLint } from './aws-lint.ts'
import { awsSetup } from './aws-setup.ts'
import { clientsSecret } from './clients-secret.ts'
import type { Command } from './command.ts'
import { keysList } from './keys-list.ts'
import { keysReconcile } from './keys-reconcile.ts'
import { keysRevoke } from './keys-revoke.ts'
import { keysRotate } from './keys-rotate.ts'
import { policyDiff } from './policy-diff.ts'
import { policyExplain } from './policy-explain.ts'
import { policyLint } from './policy-lint.ts'
import { policyTest } from './policy-test.ts'
import { revoke } from './revoke.ts'

/** Every command of `token-broker`. */
export const COMMANDS: readonly Command[] = [
  keysList,
  keysRotate,
  keysRevoke,
  keysReconcile,
  revoke,
  clientsSecret,
  policyLint,
  policyTest,
  policyExplain,
  policyDiff,
  auditVerify,
  auditRepair,
  auditLineage,
  awsSetup,
  awsLint,
  awsCredentials,
]
