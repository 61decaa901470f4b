import { type Dependency, DependencyUnavailable } from '../core/fault.ts'

/**
 * How every AWS client calls: two attempts at most, each of them short, so that a dependency that hangs becomes a 503
 * well within the total deadline. Retries happen here and nowhere else.
 */
export const AWS_CLIENT = {
  maxAttempts: 2,
  requestHandler: { connectionTimeout: 500, requestTimeout: 1000, throwOnRequestTimeout: true },
} as const

/** Awaits a call to AWS. Whatever way it fails, the dependency was of no use: throws {@link DependencyUnavailable}. */
export async function answerOf<T>(dependency: Dependency, call: Promise<T>): Promise<T> {
  try {
    return await call
  } catch (error) {
    throw new DependencyUnavailable(dependency, `${dependency}: ${errorName(error)}`, { cause: error })
  }
}

function errorName(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown error'
}
