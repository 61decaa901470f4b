import type { AwsTarget, Target } from './compiled.ts'

/** Whether the target stands for credentials of an AWS role, and not for tokens. */
export function isAwsTarget(target: Target): target is AwsTarget {
  return target.format === 'aws-credentials'
}

/** Whether proofs for the target's tokens need a nonce of ours. */
export function needsNonce(target: Target): boolean {
  return !isAwsTarget(target) && target.dpopNonce
}

/** Whether the target's tokens are signed with delegated keys. */
export function isDelegating(target: Target): boolean {
  return !isAwsTarget(target) && target.signing === 'delegated'
}
