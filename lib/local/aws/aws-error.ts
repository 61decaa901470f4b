/** A JSON object as it came in or will go out. */
export type JsonObject = Readonly<Record<string, unknown>>

/** An answer that AWS would give instead of a result: thrown anywhere, put on the wire in one place. */
export class AwsError extends Error {
  override readonly name = 'AwsError'
  /** As in `__type`, with its namespace where the service sends one. */
  readonly type: string
  readonly status: number
  /** What the error carries beside its message, such as the item that failed a condition. */
  readonly fields: JsonObject

  constructor(type: string, message: string, { status = 400, fields = {} as JsonObject } = {}) {
    super(message)
    this.type = type
    this.status = status
    this.fields = fields
  }

  /** The type without its namespace: what an SDK gives as the error's name. */
  get code(): string {
    return this.type.slice(this.type.indexOf('#') + 1)
  }
}

/** The wording that AWS generates for a value outside its model. */
export function constraintViolation(value: unknown, member: string, constraint: string): string {
  return `1 validation error detected: Value '${String(value)}' at '${member}' failed to satisfy constraint: ${constraint}`
}
