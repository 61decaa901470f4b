import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'

/** What CloudFormation sends to the function behind a custom resource. */
export interface CustomResourceEvent {
  readonly RequestType: 'Create' | 'Update' | 'Delete'
  readonly ResponseURL: string
  readonly StackId: string
  readonly RequestId: string
  readonly LogicalResourceId: string
  readonly PhysicalResourceId?: string
}

/** IAM may take five minutes to learn a new key's tags: until then the role is refused the key that it has just made. */
const PATIENCE = { tries: 16, waitMs: 20_000 }

export function isCustomResourceEvent(event: unknown): event is CustomResourceEvent {
  return typeof event === 'object' && event !== null && 'ResponseURL' in event && 'RequestType' in event
}

/**
 * Does `work`, on `Delete` nothing (the keys stay: tokens that they signed are still out there), and tells
 * CloudFormation how it went. CloudFormation waits an hour for a function that never answers, so this one always does.
 */
export async function answerCustomResource(
  event: CustomResourceEvent,
  work: () => Promise<void>,
  patience = PATIENCE,
): Promise<void> {
  const failure = event.RequestType === 'Delete' ? undefined : await failureOf(work, patience)
  await put(event.ResponseURL, {
    Status: failure === undefined ? 'SUCCESS' : 'FAILED',
    ...(failure !== undefined && { Reason: failure }),
    PhysicalResourceId: event.PhysicalResourceId ?? event.LogicalResourceId,
    StackId: event.StackId,
    RequestId: event.RequestId,
    LogicalResourceId: event.LogicalResourceId,
  })
}

async function failureOf(
  work: () => Promise<void>,
  { tries, waitMs }: typeof PATIENCE,
): Promise<string | undefined> {
  for (let done = 1; ; done++) {
    try {
      await work()
      return undefined
    } catch (error) {
      if (done === tries) return error instanceof Error ? error.message.slice(0, 300) : 'unknown failure'
      await new Promise((resolve) => setTimeout(resolve, waitMs))
    }
  }
}

function put(url: string, answer: object): Promise<void> {
  const body = JSON.stringify(answer)
  const request = new URL(url).protocol === 'http:' ? httpRequest : httpsRequest
  // CloudFormation signs the URL without a content type: none may be sent.
  const options = {
    method: 'PUT',
    headers: { 'content-type': '', 'content-length': Buffer.byteLength(body) },
  }
  return new Promise((resolve, reject) => {
    const sent = request(url, options, (response) => {
      response.resume()
      response.on('end', resolve)
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
