import type { JsonObject } from '../aws-wire.ts'

/** One request, and what of its answer must be the same on both sides. */
export interface Outcome {
  readonly request: string
  readonly answer: unknown
}

/** An endpoint, with a queue and a bucket that keeps every version for a day, in COMPLIANCE mode. */
export interface Side {
  readonly url: string
  readonly bucket: string
  readonly queueUrl: string
}

/** An ARN with its changing parts removed. */
export function arnForm(arn: unknown): string {
  return typeof arn === 'string' ? arn.replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<id>') : ''
}

/** The member as an object; empty if it is none. */
export function objectAt(body: JsonObject, name: string): JsonObject {
  const value = body[name]
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}
}

/** The member as text; empty if it is none. */
export function textAt(body: JsonObject, name: string): string {
  const value = body[name]
  return typeof value === 'string' ? value : ''
}
