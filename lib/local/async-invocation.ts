import { randomUUID } from 'node:crypto'
import type { AsyncInvocationPlan } from './plan/cloud-plan.ts'

export interface AsyncInvocationOptions {
  readonly invoke: (event: unknown) => Promise<unknown>
  /** Retries and destination, if the template sets any. @default two retries, then the event is lost */
  readonly plan: AsyncInvocationPlan | undefined
  /** Sends a message to the destination's queue, in the function's name. */
  readonly deliver: (queueName: string, message: string) => void
  readonly clock: () => number
  /** @default 1000, doubled with each retry; AWS waits one minute, then two */
  readonly retryMilliseconds?: number
}

/** Lambda's asynchronous invocation: retries what fails, then sends it where the template says. Never rejects. */
export async function invokeAsync(event: unknown, options: AsyncInvocationOptions): Promise<void> {
  const { invoke, plan, deliver, clock, retryMilliseconds = 1000 } = options
  const retries = plan?.retries ?? 2
  for (let attempt = 0; ; attempt++) {
    const failure = await invoke(event).then(
      () => undefined,
      (error: unknown) => error,
    )
    if (failure === undefined) return
    if (attempt === retries) {
      const message = failureMessage(event, { failure, attempts: attempt + 1, now: clock() })
      if (plan?.onFailure !== undefined) deliver(plan.onFailure.queueName, message)
      return
    }
    await new Promise((resolve) => setTimeout(resolve, retryMilliseconds * 2 ** attempt).unref())
  }
}

function failureMessage(
  requestPayload: unknown,
  { failure, attempts, now }: { readonly failure: unknown; readonly attempts: number; readonly now: number },
): string {
  return JSON.stringify({
    version: '1.0',
    timestamp: new Date(now).toISOString(),
    requestContext: {
      requestId: randomUUID(),
      condition: 'RetriesExhausted',
      approximateInvokeCount: attempts,
    },
    requestPayload,
    responseContext: { functionError: 'Unhandled' },
    responsePayload: { errorMessage: failure instanceof Error ? failure.message : String(failure) },
  })
}
