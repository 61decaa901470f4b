import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { readBody } from './http-api.ts'
import type { CustomResourcePlan } from './plan/cloud-plan.ts'

/** CloudFormation waits this long unless the resource sets `ServiceTimeout`. */
const DEFAULT_TIMEOUT_SECONDS = 3600
const MAX_ANSWER_BYTES = 4096

/** A custom resource could not be created: on AWS the deployment would be rolled back. */
export class CustomResourceFailed extends Error {
  override readonly name = 'CustomResourceFailed'
}

export interface CustomResourceOptions {
  readonly account: string
  readonly region: string
  readonly invoke: (functionName: string, event: unknown) => Promise<unknown>
}

/**
 * Creates the custom resource as CloudFormation would: sends `Create` to its function and waits for what the function
 * puts to the ResponseURL. Throws {@link CustomResourceFailed} with the reason.
 */
export async function createCustomResource(
  plan: CustomResourcePlan,
  { account, region, invoke }: CustomResourceOptions,
): Promise<void> {
  const listener = await listenForAnswer()
  const { ServiceToken, ServiceTimeout } = plan.properties
  const event = {
    RequestType: 'Create',
    RequestId: randomUUID(),
    ResponseURL: listener.url,
    ResourceType: plan.type,
    LogicalResourceId: plan.logicalId,
    StackId: `arn:aws:cloudformation:${region}:${account}:stack/${plan.stack}/local`,
    ServiceToken,
    ResourceProperties: plan.properties,
  }
  const seconds = Number(ServiceTimeout ?? DEFAULT_TIMEOUT_SECONDS)
  // CloudFormation only waits; here a function that ended without an answer need not be waited for.
  const invocation = invoke(plan.functionName, event).then(
    () => listener.answerSoon(),
    (error: unknown) => ({
      Status: 'FAILED',
      Reason: error instanceof Error ? error.message : String(error),
    }),
  )
  const timer = AbortSignal.timeout(seconds * 1000)
  const timeout = new Promise<Answer>((resolve) => {
    timer.onabort = () => resolve({ Status: 'FAILED', Reason: `no answer within ${seconds} seconds` })
  })
  const answer = await Promise.race([listener.answer, invocation, timeout]).finally(() => listener.close())
  if (answer.Status === 'SUCCESS') return
  throw new CustomResourceFailed(`${plan.where}: ${answer.Reason ?? 'it failed without a reason'}`)
}

interface Answer {
  readonly Status?: string
  readonly Reason?: string
}

interface AnswerListener {
  readonly url: string
  readonly answer: Promise<Answer>
  /** The answer, or a failure if it has not come by the time the function is done. */
  answerSoon(): Promise<Answer>
  close(): void
}

async function listenForAnswer(): Promise<AnswerListener> {
  const { promise: answer, resolve } = withResolvers<Answer>()
  const path = `/${randomUUID()}`
  const server = createServer((request, response) => {
    void readBody(request, MAX_ANSWER_BYTES).then((body) => {
      response.writeHead(request.method === 'PUT' && request.url === path ? 200 : 403).end()
      if (request.method === 'PUT' && request.url === path) resolve(readAnswer(body))
    })
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    answer,
    answerSoon: () => {
      const missing = { Status: 'FAILED', Reason: 'its function ended without an answer to the ResponseURL' }
      return Promise.race([
        answer,
        new Promise<Answer>((late) => setTimeout(() => late(missing), 1000).unref()),
      ])
    },
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

function readAnswer(body: Buffer | undefined): Answer {
  if (body === undefined)
    return { Status: 'FAILED', Reason: `its answer is longer than ${MAX_ANSWER_BYTES} bytes` }
  try {
    return JSON.parse(body.toString()) as Answer
  } catch {
    return { Status: 'FAILED', Reason: 'its answer is not JSON' }
  }
}

function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>((fulfil) => {
    resolve = fulfil
  })
  return { promise, resolve }
}
