import { SignatureV4 } from '@smithy/signature-v4'
import { DependencyUnavailable, NeverInvoked } from '../core/fault.ts'
import { LIMITS } from '../core/limits.ts'
import { defaultProvider } from './environment-credentials.ts'
import { NodeSha256 } from './node-sha256.ts'

const ARN = /^arn:(aws[a-z-]*):lambda:([a-z0-9-]+):\d{12}:function:([\w-]+)(?::([\w-]+))?$/

/**
 * Has another function serve an event, and waits for its answer. Once: a repeated event could be an exchange repeated. The
 * SDK's client for it would make the bundle a quarter larger. Throws {@link DependencyUnavailable} without an answer,
 * {@link NeverInvoked} where the function was not even asked.
 */
export class LambdaInvoker {
  private readonly url: URL
  private readonly signer: SignatureV4

  /** `endpoint` is where AWS is, other than at home. Throws for what is no ARN of a function or its alias. */
  constructor(functionArn: string, endpoint: string | undefined) {
    const [, partition = '', region = '', name, alias] = ARN.exec(functionArn) ?? []
    if (name === undefined) throw new Error(`${functionArn} is not the ARN of a function`)
    const suffix = partition === 'aws-cn' ? 'amazonaws.com.cn' : 'amazonaws.com'
    this.url = new URL(
      `/2015-03-31/functions/${name}/invocations`,
      endpoint ?? `https://lambda.${region}.${suffix}`,
    )
    if (alias !== undefined) this.url.searchParams.set('Qualifier', alias)
    this.signer = new SignatureV4({
      credentials: defaultProvider(),
      region,
      service: 'lambda',
      sha256: NodeSha256,
    })
  }

  async invoke(event: unknown): Promise<unknown> {
    try {
      return await this.answerTo(JSON.stringify(event))
    } catch (cause) {
      if (cause instanceof NeverInvoked) throw cause
      // Not the cause's own message: it may quote the answer.
      throw new DependencyUnavailable('aws-credentials', 'aws-credentials: no answer', { cause })
    }
  }

  private async answerTo(body: string): Promise<unknown> {
    const { url } = this
    const { headers } = await this.signer.sign({
      method: 'POST',
      protocol: url.protocol,
      hostname: url.hostname,
      ...(url.port !== '' && { port: Number(url.port) }),
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      headers: { host: url.host, 'content-type': 'application/json' },
      body,
    })
    const signal = AbortSignal.timeout(LIMITS.deadlineMilliseconds)
    const answer = await fetch(url, { method: 'POST', headers, body, redirect: 'error', signal })
    // Throttled, not allowed, not found: Lambda says so before it invokes anything.
    if (answer.status >= 400 && answer.status < 500)
      throw new NeverInvoked('aws-credentials', `aws-credentials: status ${answer.status}`)
    const failed = answer.headers.get('x-amz-function-error')
    if (answer.status !== 200 || failed !== null)
      throw new Error(`status ${answer.status}, ${failed ?? 'no function error'}`)
    return answer.json()
  }
}
