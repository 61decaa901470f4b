import {
  AuditChainFault,
  DependencyUnavailable,
  KeyRingFault,
  SessionRejected,
  SignedByRetiredKey,
  WrongSignature,
} from './core/fault.ts'

const OUR_FAULTS = [
  WrongSignature,
  SignedByRetiredKey,
  KeyRingFault,
  AuditChainFault,
  SessionRejected,
] as const

/**
 * What may be printed of a fault: our own faults' names and messages, of everything else the name, where it was thrown
 * and AWS's request id. Foreign messages can quote what they were given, and SDK errors carry whole requests.
 */
export function describeFault(fault: unknown): object {
  if (!(fault instanceof Error)) return { name: 'unknown' }
  if (fault instanceof DependencyUnavailable) {
    const { name, message, dependency, cause } = fault
    return { name, message, dependency, ...(cause instanceof Error && { cause: describeForeign(cause) }) }
  }
  return OUR_FAULTS.some((ours) => fault instanceof ours)
    ? { name: fault.name, message: fault.message }
    : { ...describeForeign(fault), at: placesIn(fault) }
}

function describeForeign(error: Error): object {
  const { $metadata: metadata } = error as { $metadata?: { httpStatusCode?: number; requestId?: string } }
  return { name: error.name, status: metadata?.httpStatusCode, aws_request_id: metadata?.requestId }
}

/** The stack without its first lines, which repeat the message. */
function placesIn({ stack = '' }: Error): readonly string[] {
  const places = stack.split('\n').filter((line) => /^ {4}at /.test(line))
  return places.slice(0, 5).map((line) => line.trim())
}
