import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

const DEFAULT_TIMEOUT_MILLISECONDS = 10 * 60_000
const TERMINATION_MILLISECONDS = 3000
const POLL_MILLISECONDS = 100

export interface CommandOptions {
  /** @default - this process's */
  readonly cwd?: string
  /** Variables beside {@link baseEnvironment}. */
  readonly environment?: Readonly<Record<string, string>>
  /** @default - 10 minutes */
  readonly timeoutMilliseconds?: number
}

export interface CommandResult {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** A child process that serves until it is closed. */
export interface Server {
  /** What it has printed. */
  readonly log: () => string
  close(): Promise<void>
}

const running = new Set<ChildProcess>()

/** The shell's variables that installers and tools need, and nothing that could lead them to a real account. */
export function baseEnvironment(): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    ([name, value]) => value !== undefined && !/^(AWS|CDK|PYTHON|NODE_OPTIONS|VITEST)/.test(name),
  )
  return { ...(Object.fromEntries(kept) as Record<string, string>), AWS_EC2_METADATA_DISABLED: 'true' }
}

/** Runs a command to its end. Throws if it cannot be started or takes too long; a status is for the caller to judge. */
export async function run(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const child = start(command, args, options)
  const [stdout, stderr] = [textOf(child.stdout), textOf(child.stderr)]
  const limit = options.timeoutMilliseconds ?? DEFAULT_TIMEOUT_MILLISECONDS
  const timer = setTimeout(() => killGroup(child, 'SIGKILL'), limit)
  const [status, signal] = (await once(child, 'close')) as [number | null, string | null]
  clearTimeout(timer)
  if (status === null) throw new Error(`${command} was ended by ${signal} (limit ${limit / 1000} s)`)
  return { status, stdout: stdout(), stderr: stderr() }
}

/** {@link run} for a command that must succeed. Throws with the end of its output if it does not. */
export async function runOrThrow(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const result = await run(command, args, options)
  if (result.status === 0) return result
  const output = `${result.stdout}\n${result.stderr}`.trim().slice(-1500)
  throw new Error(`${command} ${args[0] ?? ''} ended with status ${result.status}: ${output}`)
}

/** Starts a server and waits until `url` answers anything at all. Throws, with what it printed, if it never does. */
export async function startServer(
  command: string,
  args: readonly string[],
  options: CommandOptions & { readonly url: string },
): Promise<Server> {
  const child = start(command, args, options)
  const [stdout, stderr] = [textOf(child.stdout), textOf(child.stderr)]
  const log = () => `${stdout()}\n${stderr()}`.trim()
  const server = { log, close: () => end(child) }
  try {
    await untilAnswers(options.url, child, options.timeoutMilliseconds ?? 60_000)
  } catch (cause) {
    await server.close()
    throw new Error(`${command} did not start: ${log().slice(-1500)}`, { cause })
  }
  return server
}

/** A port of 127.0.0.1 that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('found no free port')
  return address.port
}

/** Whether a command is on the path. */
export async function exists(command: string): Promise<boolean> {
  return run('sh', ['-c', `command -v ${command}`]).then(
    ({ status }) => status === 0,
    () => false,
  )
}

/** Ends every process that was started here. */
export function killAll(): void {
  for (const child of running) killGroup(child, 'SIGKILL')
}

function start(command: string, args: readonly string[], options: CommandOptions): ChildProcess {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...baseEnvironment(), ...options.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own: Maven, Gunicorn and the like start children, which must end with them.
    detached: true,
  })
  running.add(child)
  child.once('close', () => running.delete(child))
  return child
}

/** What the stream has given so far. */
function textOf(stream: Readable | null): () => string {
  const chunks: Buffer[] = []
  stream?.on('data', (chunk: Buffer) => chunks.push(chunk))
  return () => Buffer.concat(chunks).toString()
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return killGroup(child, 'SIGKILL')
  const exited = once(child, 'exit')
  killGroup(child, 'SIGTERM')
  await Promise.race([exited, sleep(TERMINATION_MILLISECONDS, undefined, { ref: false })])
  killGroup(child, 'SIGKILL')
  await exited
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // The whole group has ended.
  }
}

async function untilAnswers(url: string, child: ChildProcess, milliseconds: number): Promise<void> {
  const deadline = Date.now() + milliseconds
  while (Date.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`ended with status ${child.exitCode}`)
    const answered = await fetch(url, { signal: AbortSignal.timeout(2000) }).then(
      () => true,
      () => false,
    )
    if (answered) return
    await sleep(POLL_MILLISECONDS)
  }
  throw new Error(`${url} did not answer within ${milliseconds / 1000} s`)
}
