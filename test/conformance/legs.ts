import type { Leg } from './leg.ts'
import { awsSdks } from './legs/aws-sdks.ts'
import { cfnLint } from './legs/cfn-lint.ts'
import { checkov } from './legs/checkov.ts'
import { dynamoDbLocal } from './legs/dynamodb-local.ts'
import { ministack } from './legs/ministack.ts'
import { moto } from './legs/moto.ts'
import { nodeVersions } from './legs/node-versions.ts'
import { verifiers } from './legs/verifiers.ts'

/** Every leg, in the order in which they run. */
export const LEGS: readonly Leg[] = [
  cfnLint,
  checkov,
  dynamoDbLocal,
  verifiers,
  awsSdks,
  moto,
  ministack,
  nodeVersions,
]
