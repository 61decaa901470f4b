import { type AttributeValue, ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb'

/** An item of a table, as DynamoDB has it. */
export type Item = Record<string, AttributeValue>

/**
 * Of a write that asked for `ALL_OLD`: the item that stood in its way, or the error again if it failed for another reason
 * than its condition.
 */
export function itemInTheWay(error: unknown): Item {
  failUnlessCondition(error)
  return error.Item ?? {}
}

/** Throws the error again unless it says that a write's condition did not hold. */
export function failUnlessCondition(error: unknown): asserts error is ConditionalCheckFailedException {
  if (!(error instanceof ConditionalCheckFailedException)) throw error
}
