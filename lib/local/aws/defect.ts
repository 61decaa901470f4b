/** Something that would fail on AWS, or that this cloud cannot stand in for: reported, so that nobody overlooks it. */
export type Defect =
  /** The principal's policies do not allow the call. */
  | {
      readonly kind: 'permission'
      readonly principal: string
      readonly action: string
      readonly resource: string
    }
  /** An item operation on a table that does not exist. */
  | {
      readonly kind: 'table'
      readonly principal: string | undefined
      readonly operation: string
      readonly table: string
    }
  /** An operation that this cloud does not offer, or that the design forbids. */
  | {
      readonly kind: 'operation'
      readonly principal: string | undefined
      readonly operation: string
      readonly reason: string
    }
  /** An access key that nobody registered. */
  | { readonly kind: 'credential'; readonly accessKeyId: string | undefined; readonly operation: string }
  /** A policy that holds something the evaluator does not understand. */
  | { readonly kind: 'policy'; readonly principal: string; readonly message: string }
  /** A mistake in this cloud, or in a listener on it. */
  | { readonly kind: 'internal'; readonly operation: string; readonly error: unknown }

export type OnDefect = (defect: Defect) => void
