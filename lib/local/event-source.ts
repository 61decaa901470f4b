import type { JsonObject, JsonValue } from './assembly.ts'
import { isObject, textOf } from './intrinsics.ts'
import type { EventSourcePlan } from './plan/cloud-plan.ts'

/** As far as delivery looks into a record. */
export interface SourceRecord {
  readonly dynamodb: {
    readonly SequenceNumber: string
    /** Epoch seconds. */
    readonly ApproximateCreationDateTime?: number
  }
}

export interface EventSourceOptions {
  readonly plan: EventSourcePlan
  readonly invoke: (event: { readonly Records: readonly SourceRecord[] }) => Promise<unknown>
  /** Records that Lambda would give up on after the last retry. */
  readonly onDiscarded: (records: readonly SourceRecord[], error: unknown) => void
  /** @default 100 ms, doubled with each retry */
  readonly retryMilliseconds?: number
  /** Epoch milliseconds. @default Date.now */
  readonly clock?: () => number
}

/**
 * Lambda's event source mapping: hands a stream's records to a function in order, in batches; a failed batch holds up the
 * rest until it succeeds or is given up.
 */
export class EventSource {
  readonly #options: EventSourceOptions
  readonly #queue: SourceRecord[] = []
  readonly #idle: (() => void)[] = []
  #working = false
  #closed = false
  #window: NodeJS.Timeout | undefined

  constructor(options: EventSourceOptions) {
    for (const filter of options.plan.filters) checkPattern(filter)
    this.#options = options
  }

  /** Takes a record from the stream. */
  add(record: SourceRecord): void {
    const { filters, windowSeconds } = this.#options.plan
    const wanted =
      filters.length === 0 ||
      filters.some((filter) => matchesPattern(record as unknown as JsonObject, filter))
    if (!wanted || this.#closed) return
    this.#queue.push(record)
    if (this.#working) return
    this.#working = true
    // Even without a window, records of one moment travel together.
    this.#window = setTimeout(() => void this.#work(), windowSeconds * 1000).unref()
  }

  /** Ends the batching window, so that what waits in it is delivered now. */
  flush(): void {
    if (this.#window === undefined) return
    clearTimeout(this.#window)
    void this.#work()
  }

  /** Settles when nothing is under way. */
  async settled(): Promise<void> {
    if (this.#working) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  /** Delivers nothing more. */
  close(): void {
    this.#closed = true
    this.#queue.length = 0
  }

  async #work(): Promise<void> {
    this.#window = undefined
    while (this.#queue.length > 0) {
      await this.#deliver(this.#queue.splice(0, this.#options.plan.batchSize), 0)
    }
    this.#working = false
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  async #deliver(batch: readonly SourceRecord[], attempt: number): Promise<void> {
    if (batch.length === 0 || this.#closed) return
    const { plan, invoke, onDiscarded, retryMilliseconds = 100 } = this.#options
    const failure = await invoke({ Records: batch }).then(
      (answer) => this.#failedFrom(batch, answer),
      (error: unknown) => ({ index: 0, error }),
    )
    if (failure === undefined) return
    const rest = batch.slice(failure.index)
    // Whatever was done before the failed item counts as progress: Lambda starts to count retries anew.
    const retries = failure.index > 0 ? 0 : attempt + 1
    if (retries > plan.retries || this.#isTooOld(rest)) return onDiscarded(rest, failure.error)
    await new Promise((resolve) =>
      setTimeout(resolve, retryMilliseconds * 2 ** Math.min(retries, 10)).unref(),
    )
    if (!plan.bisect || rest.length === 1) return this.#deliver(rest, retries)
    const middle = Math.ceil(rest.length / 2)
    await this.#deliver(rest.slice(0, middle), retries)
    await this.#deliver(rest.slice(middle), retries)
  }

  #isTooOld([oldest]: readonly SourceRecord[]): boolean {
    const { plan, clock = Date.now } = this.#options
    const createdAt = oldest?.dynamodb.ApproximateCreationDateTime ?? Number.POSITIVE_INFINITY
    return clock() / 1000 - createdAt > plan.maximumAgeSeconds
  }

  /** The first record that failed. An id that is not in the batch means that all of it failed. */
  #failedFrom(
    batch: readonly SourceRecord[],
    answer: unknown,
  ): { readonly index: number; readonly error: unknown } | undefined {
    if (!this.#options.plan.reportsItemFailures || typeof answer !== 'object' || answer === null)
      return undefined
    const failures =
      (answer as { readonly batchItemFailures?: readonly { readonly itemIdentifier?: string }[] })
        .batchItemFailures ?? []
    if (failures.length === 0) return undefined
    const positions = failures.map(({ itemIdentifier }) =>
      batch.findIndex((record) => record.dynamodb.SequenceNumber === itemIdentifier),
    )
    return {
      index: Math.max(0, Math.min(...positions)),
      error: new Error('the function reported batchItemFailures'),
    }
  }
}

const OPERATORS: Readonly<Record<string, (value: JsonValue | undefined, operand: JsonValue) => boolean>> = {
  exists: (value, operand) => (value !== undefined) === operand,
  prefix: (value, operand) => typeof value === 'string' && value.startsWith(textOf(operand)),
  suffix: (value, operand) => typeof value === 'string' && value.endsWith(textOf(operand)),
  'anything-but': (value, operand) =>
    value !== undefined &&
    !(Array.isArray(operand) ? (operand as readonly JsonValue[]) : [operand]).includes(value),
}

/** Whether `value` has everything that an event filter pattern asks for. */
export function matchesPattern(value: JsonValue | undefined, pattern: JsonObject): boolean {
  return Object.entries(pattern).every(([key, wanted]) => {
    const actual = isObject(value) ? value[key] : undefined
    if (isObject(wanted)) return matchesPattern(actual, wanted)
    return (wanted as readonly JsonValue[]).some((rule) => matchesRule(actual, rule))
  })
}

function matchesRule(actual: JsonValue | undefined, rule: JsonValue): boolean {
  if (!isObject(rule)) return actual === rule
  return Object.entries(rule).every(([name, operand]) => OPERATORS[name]?.(actual, operand) === true)
}

/** Throws for an operator that is not known: to ignore it would deliver the wrong records. */
function checkPattern(pattern: JsonObject): void {
  for (const wanted of Object.values(pattern)) {
    if (isObject(wanted)) checkPattern(wanted)
    else if (!Array.isArray(wanted)) throw new RangeError('an event filter needs a list of values')
    else for (const rule of wanted as readonly JsonValue[]) checkRule(rule)
  }
}

function checkRule(rule: JsonValue): void {
  const unknown = isObject(rule)
    ? Object.keys(rule).find((name) => !Object.hasOwn(OPERATORS, name))
    : undefined
  if (unknown !== undefined) throw new RangeError(`the local cloud does not know the event filter ${unknown}`)
}
