import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const RUNTIME = fileURLToPath(new URL('lambda-runtime.mjs', import.meta.url))
/** Lambda gives a function 10 s to initialise; a busy machine that starts many at once takes longer. */
const INIT_MILLISECONDS = 60_000

/** An invocation had no answer. `errorType` as Lambda names it. */
export class InvocationError extends Error {
  override readonly name = 'InvocationError'
  readonly errorType: string

  constructor(errorType: string, message: string) {
    super(message)
    this.errorType = errorType
  }
}

/** The function ended or threw before it could take an invocation. */
export class InitError extends InvocationError {}

interface ErrorDescription {
  readonly errorType: string
  readonly errorMessage: string
  readonly stack: string
}

type RuntimeMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'init-failed'; readonly error: ErrorDescription }
  | { readonly kind: 'answered'; readonly id: string; readonly value?: unknown }
  | { readonly kind: 'failed'; readonly id: string; readonly error: ErrorDescription }
  | { readonly kind: 'cpu'; readonly id: string; readonly usage: NodeJS.CpuUsage }

type RuntimeRequest =
  | { readonly kind: 'cpu'; readonly id: string }
  | {
      readonly kind: 'invoke'
      readonly id: string
      readonly event: unknown
      readonly requestId: string
      readonly deadline: number
    }

interface Pending {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: InvocationError) => void
}

export interface ProcessOptions {
  readonly folder: string
  readonly handler: string
  readonly timeoutMilliseconds: number
  readonly environment: Readonly<Record<string, string>>
  readonly onLine: (line: string) => void
}

/** One execution environment: a child process that has loaded the function's bundle. */
export class FunctionProcess {
  readonly #options: ProcessOptions
  readonly #child: ChildProcess
  readonly #pending = new Map<string, Pending>()
  readonly #ready: Promise<void>
  readonly exited: Promise<void>
  /** Whether it may be given another invocation. */
  usable = true

  constructor(options: ProcessOptions) {
    this.#options = options
    this.#child = fork(RUNTIME, [options.folder, options.handler], {
      cwd: options.folder,
      env: { ...options.environment },
      // Not the parent's: it may run under a TypeScript loader or a test runner.
      execArgv: [],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream !== null) forwardLines(stream, options.onLine)
    }
    this.exited = once(this.#child, 'exit').then(async ([code, signal]) => {
      await turn()
      this.#ended(code as number, signal as string)
    })
    // What the function printed before it answered or ended can be read by now, and is heard first.
    this.#child.on('message', (message) => void turn().then(() => this.#settle(message as RuntimeMessage)))
    this.#ready = this.#initialised()
    // Whoever invokes sees the failure; a process that nobody invokes must not crash the cloud.
    this.#ready.catch(() => {})
  }

  /** Gives the event to the handler. Throws {@link InvocationError} if it throws, ends or takes too long. */
  async invoke(event: unknown, requestId: string = randomUUID()): Promise<unknown> {
    await this.#ready
    const { timeoutMilliseconds } = this.#options
    const id = randomUUID()
    const deadline = Date.now() + timeoutMilliseconds
    const answer = this.#ask({ kind: 'invoke', id, event, requestId, deadline })
    const timer = setTimeout(() => this.#timedOut(id), timeoutMilliseconds)
    return answer.finally(() => {
      clearTimeout(timer)
      if (!this.usable && this.#pending.size === 0) this.kill()
    })
  }

  /** CPU time that the process has used. Microseconds. */
  async cpuUsage(): Promise<NodeJS.CpuUsage> {
    await this.#ready
    return (await this.#ask({ kind: 'cpu', id: randomUUID() })) as NodeJS.CpuUsage
  }

  /** Sends the signal; invocations that are under way fail. */
  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.usable = false
    this.#child.kill(signal)
  }

  async #initialised(): Promise<void> {
    const ready = new Promise((resolve, reject: Pending['reject']) => {
      this.#pending.set('init', { resolve, reject })
    })
    const timer = setTimeout(() => {
      this.#reject(
        'init',
        new InitError('Sandbox.Timedout', `initialisation took longer than ${INIT_MILLISECONDS} ms`),
      )
      this.kill()
    }, INIT_MILLISECONDS)
    await ready.finally(() => clearTimeout(timer))
  }

  #ask(message: RuntimeRequest): Promise<unknown> {
    return new Promise((resolve, reject: Pending['reject']) => {
      this.#pending.set(message.id, { resolve, reject })
      // A process that died a moment ago is reported by its `exit`, not here.
      this.#child.send(message, () => {})
    })
  }

  #settle(message: RuntimeMessage): void {
    switch (message.kind) {
      case 'ready':
        this.#resolve('init', undefined)
        break
      case 'init-failed':
        this.#options.onLine(message.error.stack)
        this.#reject('init', new InitError(message.error.errorType, message.error.errorMessage))
        this.kill()
        break
      case 'answered':
        this.#resolve(message.id, message.value)
        break
      case 'failed':
        this.#options.onLine(message.error.stack)
        this.#reject(message.id, new InvocationError(message.error.errorType, message.error.errorMessage))
        break
      case 'cpu':
        this.#resolve(message.id, message.usage)
        break
    }
  }

  /** Lambda kills the environment. Here it may hold other invocations, which on AWS have their own: they end first. */
  #timedOut(id: string): void {
    const seconds = (this.#options.timeoutMilliseconds / 1000).toFixed(2)
    this.usable = false
    this.#reject(id, new InvocationError('Sandbox.Timedout', `Task timed out after ${seconds} seconds`))
  }

  #ended(code: number | null, signal: string | null): void {
    this.usable = false
    const how = signal === null ? `exit status ${code}` : `signal: ${signal}`
    this.#reject('init', new InitError('Runtime.ExitError', `Runtime exited with error: ${how}`))
    this.#rejectAll(new InvocationError('Runtime.ExitError', `Runtime exited with error: ${how}`))
  }

  #resolve(id: string, value: unknown): void {
    this.#pending.get(id)?.resolve(value)
    this.#pending.delete(id)
  }

  #reject(id: string, error: InvocationError): void {
    this.#pending.get(id)?.reject(error)
    this.#pending.delete(id)
  }

  #rejectAll(error: InvocationError): void {
    for (const id of this.#pending.keys()) this.#reject(id, error)
  }
}

function forwardLines(stream: Readable, onLine: (line: string) => void): void {
  createInterface({ input: stream }).on('line', onLine)
}
