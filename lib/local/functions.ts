import { createHash } from 'node:crypto'
import { FunctionProcess, InitError } from './function-process.ts'
import type { FunctionPlan } from './plan/cloud-plan.ts'

export interface FunctionsOptions {
  readonly functions: readonly FunctionPlan[]
  readonly region: string
  /** Where the AWS endpoint answers. */
  readonly awsUrl: string
  /**
   * Processes per function, taken in turn.
   * @default 1
   */
  readonly environments?: number
  /**
   * Variables beside those of the template, for every function.
   * @default - none
   */
  readonly environment?: Readonly<Record<string, string>>
  readonly onLog: (functionName: string, line: string) => void
  /** A function could not initialise: on AWS every invocation of it would fail. */
  readonly onInitFailed: (functionName: string, error: InitError) => void
}

/** The access key that stands for a role: what a function signs with, and what the AWS endpoint knows it by. */
export function accessKeyIdOf(roleArn: string): string {
  return `ASIA${createHash('sha256').update(roleArn).digest('hex').slice(0, 16).toUpperCase()}`
}

/** Runs functions in child processes, each started when it is first needed. */
export class Functions {
  readonly #options: FunctionsOptions
  readonly #running = new Map<string, (FunctionProcess | undefined)[]>()
  readonly #turns = new Map<string, number>()
  /** Also those that have had their last invocation but still run. */
  readonly #alive = new Set<FunctionProcess>()
  #closed = false

  constructor(options: FunctionsOptions) {
    this.#options = options
  }

  /**
   * The function's answer. Throws {@link InvocationError} if it has none. `name` is the function's name, its logical id, or
   * the construct id that the logical id was made from.
   */
  async invoke(name: string, event: unknown, requestId?: string): Promise<unknown> {
    const plan = this.plan(name)
    try {
      return await this.#next(plan).invoke(event, requestId)
    } catch (error) {
      if (error instanceof InitError && !this.#closed) this.#options.onInitFailed(plan.name, error)
      throw error
    }
  }

  /** CPU time that the function's running processes have used. Microseconds. */
  async cpuUsage(name: string): Promise<NodeJS.CpuUsage> {
    const usages = await Promise.all(
      this.#processes(this.plan(name).name).map((process) => process.cpuUsage()),
    )
    return usages.reduce(
      (sum, { user, system }) => ({ user: sum.user + user, system: sum.system + system }),
      {
        user: 0,
        system: 0,
      },
    )
  }

  /** Kills the function's processes, as a crash would; its next invocation starts a new one. */
  kill(name: string, signal: NodeJS.Signals = 'SIGKILL'): void {
    for (const process of this.#processes(this.plan(name).name)) process.kill(signal)
  }

  /** What is known of a function. Throws if there is no such function, or more than one. */
  plan(name: string): FunctionPlan {
    const { functions } = this.#options
    const exact = functions.find((plan) => plan.name === name || plan.logicalId === name)
    // CDK appends a hash of eight digits to construct ids.
    const [found, another] = functions.filter(
      ({ logicalId }) => logicalId.replace(/[0-9A-F]{8}$/, '') === name,
    )
    const plan = exact ?? (another === undefined ? found : undefined)
    if (plan !== undefined) return plan
    throw new RangeError(
      `no function ${name} among ${functions.map(({ logicalId }) => logicalId).join(', ')}`,
    )
  }

  /** Ends every process. */
  async close(): Promise<void> {
    this.#closed = true
    const processes = [...this.#alive]
    for (const process of processes) process.kill()
    await Promise.all(processes.map((process) => process.exited))
  }

  #next(plan: FunctionPlan): FunctionProcess {
    if (this.#closed) throw new Error('the local cloud is closed')
    const pool = this.#running.get(plan.name) ?? []
    this.#running.set(plan.name, pool)
    const turn = (this.#turns.get(plan.name) ?? 0) % (this.#options.environments ?? 1)
    this.#turns.set(plan.name, turn + 1)
    const running = pool[turn]
    if (running?.usable === true) return running
    const started = this.#start(plan)
    pool[turn] = started
    return started
  }

  #start(plan: FunctionPlan): FunctionProcess {
    const started = new FunctionProcess({
      folder: plan.folder,
      handler: plan.handler,
      timeoutMilliseconds: plan.timeoutSeconds * 1000,
      environment: this.environmentOf(plan.name),
      onLine: (line) => this.#options.onLog(plan.name, line),
    })
    this.#alive.add(started)
    void started.exited.then(() => this.#alive.delete(started))
    return started
  }

  /** Exactly what Lambda would set, as far as anything here reads it: nothing of the developer's shell leaks in. */
  environmentOf(name: string): Record<string, string> {
    const plan = this.plan(name)
    const { region, awsUrl, environment = {} } = this.#options
    return {
      PATH: process.env['PATH'] ?? '',
      ...environment,
      ...plan.environment,
      AWS_REGION: region,
      AWS_DEFAULT_REGION: region,
      AWS_ENDPOINT_URL: awsUrl,
      AWS_LAMBDA_FUNCTION_NAME: plan.name,
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(plan.memoryMegabytes),
      AWS_ACCESS_KEY_ID: accessKeyIdOf(plan.roleArn),
      AWS_SECRET_ACCESS_KEY: 'local',
      AWS_SESSION_TOKEN: 'local',
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
      LAMBDA_TASK_ROOT: plan.folder,
      _X_AMZN_TRACE_ID: 'Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0',
    }
  }

  #processes(name: string): readonly FunctionProcess[] {
    return (this.#running.get(name) ?? []).filter((process) => process?.usable === true) as FunctionProcess[]
  }
}
