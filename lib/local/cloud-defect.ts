import type { Defect } from './aws/defect.ts'

/** Who runs the local cloud, among its principals. */
export const OPERATOR_NAME = 'local-operator'

/** Something that would fail on AWS. */
export type CloudDefect =
  | Defect
  /** A function failed while it initialised: on AWS each of its invocations would. */
  | { readonly kind: 'function'; readonly functionName: string; readonly message: string }

/** A permission, table or variable is missing, which would fail on AWS too. */
export class CloudDefectError extends Error {
  override readonly name = 'CloudDefectError'
  readonly defect: CloudDefect

  constructor(defect: CloudDefect) {
    super(describeDefect(defect))
    this.defect = defect
  }
}

/** A call by whoever operates the cloud, or mistypes an access key: functions have the keys that they were given. */
export function isOfOperator(defect: CloudDefect): boolean {
  if (defect.kind === 'credential') return true
  if (defect.kind === 'operation' && defect.principal === undefined) return true
  return 'principal' in defect && defect.principal === OPERATOR_NAME
}

/** One sentence that says what is missing, and where. */
export function describeDefect(defect: CloudDefect): string {
  switch (defect.kind) {
    case 'permission':
      return `missing permission: ${defect.principal} may not ${defect.action} on ${defect.resource}`
    case 'table':
      return `missing table: ${defect.principal} calls ${defect.operation} on ${defect.table}, which the template does not have`
    case 'operation':
      return `${defect.principal ?? 'somebody unknown'} calls ${defect.operation}: ${defect.reason}`
    case 'credential':
      return `${defect.operation} is called with the unknown access key ${defect.accessKeyId ?? '(none)'}`
    case 'policy':
      return `a policy of ${defect.principal} cannot be checked: ${defect.message}`
    case 'internal':
      return `the local cloud failed in ${defect.operation}: ${String(defect.error)}`
    case 'function':
      return `function ${defect.functionName} does not start: ${defect.message}`
  }
}
