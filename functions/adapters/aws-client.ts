import { type Dependency, DependencyUnavailable } from '../core/fault.ts'

/**
 * How every AWS client calls: two attempts at most, each of them short, so that a dependency that hangs becomes a 503
 * well within the total deadline. Retries happen here and nowhere else.
 */
export const AWS_CLIENT = {
  maxAttempts: 2,
  requestHandler: {
    connectionTimeout: 500,
    requestTimeout: 1000,
    throwOnRequestTimeout: true,
    // requestTimeout ends with the answer's headers; this one with its last byte.
    socketTimeout: 1000,
  },
} as const

/** For what nobody waits for: more attempts, and time for a body of a megabyte. */
export const BACKGROUND_AWS_CLIENT = {
  maxAttempts: 3,
  requestHandler: {
    connectionTimeout: 1000,
    requestTimeout: 5000,
    throwOnRequestTimeout: true,
    socketTimeout: 5000,
  },
} as const

/** Two attempts and the pause between them: an answer that drips in more slowly than this is none. */
const MAX_CALL_MS = 2500

/**
 * Awaits a call to AWS. Whatever way it fails, or if it takes over `maxMs` (2.5 s), the dependency was of no use: throws
 * {@link DependencyUnavailable}.
 */
export async function answerOf<T>(
  dependency: Dependency,
  call: Promise<T>,
  maxMs: number = MAX_CALL_MS,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const expiry = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('took too long')), maxMs)
  })
  try {
    return await Promise.race([call, expiry])
  } catch (error) {
    throw new DependencyUnavailable(dependency, `${dependency}: ${errorName(error)}`, { cause: error })
  } finally {
    clearTimeout(timer)
  }
}

function errorName(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown error'
}

/** Whether {@link answerOf} threw because AWS answered with one of these errors. */
export function isCausedBy(fault: unknown, errors: ReadonlySet<string>): boolean {
  return fault instanceof DependencyUnavailable && errors.has(errorName(fault.cause))
}
