import { randomUUID } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { TemplateDefect } from './intrinsics.ts'
import type { LogSubscriptionPlan } from './plan/cloud-plan.ts'

export interface LogSubscriptionOptions {
  readonly plan: LogSubscriptionPlan
  readonly account: string
  /** Epoch milliseconds. */
  readonly clock: () => number
  readonly invoke: (event: { readonly awslogs: { readonly data: string } }) => Promise<unknown>
  /** What is sent together arrived within this time. @default 100 */
  readonly windowMilliseconds?: number
}

interface LogEvent {
  readonly id: string
  readonly timestamp: number
  readonly message: string
}

/** `{ $.a.b = "*" }`: lines that are JSON and have the property, whatever its value. */
const EXISTS = /^\{ \$((?:\.[a-zA-Z_]\w*)+) = "?\*"? \}$/

/** CloudWatch Logs' subscription filter: sends the lines that match its pattern to a function, in batches. */
export class LogSubscription {
  readonly #options: LogSubscriptionOptions
  readonly #path: readonly string[]
  #pending: LogEvent[] = []
  #timer: NodeJS.Timeout | undefined
  readonly #underWay = new Set<Promise<unknown>>()

  /** Throws {@link TemplateDefect} for a pattern that it does not know: to ignore it would send the wrong lines. */
  constructor(options: LogSubscriptionOptions) {
    const { filterPattern, filterName } = options.plan
    const path = EXISTS.exec(filterPattern)?.[1]
    if (path === undefined)
      throw new TemplateDefect(
        filterName,
        `the local cloud does not know the filter pattern ${filterPattern}`,
      )
    this.#options = options
    this.#path = path.slice(1).split('.')
  }

  /** Takes a line of the log group. */
  add(line: string): void {
    if (!this.#matches(line)) return
    const { clock, windowMilliseconds = 100 } = this.#options
    this.#pending.push({ id: randomUUID(), timestamp: clock(), message: line })
    this.#timer ??= setTimeout(() => this.#send(), windowMilliseconds).unref()
  }

  /** Sends what waits, and settles when it has been handled. */
  async flush(): Promise<void> {
    this.#send()
    await Promise.all(this.#underWay)
  }

  #matches(line: string): boolean {
    let value = parsed(line)
    for (const name of this.#path) {
      if (typeof value !== 'object' || value === null) return false
      value = (value as Readonly<Record<string, unknown>>)[name]
    }
    return value !== undefined
  }

  #send(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const logEvents = this.#pending
    this.#pending = []
    if (logEvents.length === 0) return
    const { plan, account, invoke } = this.#options
    const message = {
      messageType: 'DATA_MESSAGE',
      owner: account,
      logGroup: plan.logGroup,
      logStream: 'local',
      subscriptionFilters: [plan.filterName],
      logEvents,
    }
    const data = gzipSync(JSON.stringify(message)).toString('base64')
    const sending = invoke({ awslogs: { data } }).finally(() => this.#underWay.delete(sending))
    this.#underWay.add(sending)
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
