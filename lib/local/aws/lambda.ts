import { AwsError, type JsonObject } from './aws-error.ts'
import { arnOf, type Cloud } from './cloud.ts'
import type { AccessRequest } from './iam.ts'
import type { RestOutput } from './s3.ts'
import type { RestRequest } from './s3-request.ts'
import { type AwsService, type ServiceCall, textAt } from './service.ts'

/** Runs a function, or an alias of it, and throws if it has no answer, or an {@link AwsError} if there is none. */
export type InvokeFunction = (functionName: string, event: unknown, alias?: string) => Promise<unknown>

interface LambdaInput extends JsonObject {
  readonly FunctionName: string
  readonly InvocationType: string
  readonly Payload: Buffer
}

const INVOCATIONS = /^\/2015-03-31\/functions\/([^/?]+)\/invocations(?:\?Qualifier=([^&]+))?$/
const FUNCTION = /^(?:arn:[a-z-]+:lambda:[a-z0-9-]+:\d{12}:function:)?([\w-]+)(?::([\w$-]+))?$/
const NOT_FOUND = { status: 404 }

/** That there is no such function, or no such alias of it. */
export function functionNotFound(): AwsError {
  return new AwsError('ResourceNotFoundException', 'Function not found', NOT_FOUND)
}

/** Reads an invocation, the only operation of Lambda's REST protocol here. */
export function readLambdaRequest({ method, url, headers, body }: RestRequest): {
  readonly operation: string
  readonly input: LambdaInput
} {
  const [, name, qualifier] = INVOCATIONS.exec(url) ?? []
  if (method !== 'POST' || name === undefined)
    throw new AwsError('UnknownOperationException', `${method} ${url}`, NOT_FOUND)
  const type = headers['x-amz-invocation-type']
  const input = {
    FunctionName: qualified(decodeURIComponent(name), qualifier && decodeURIComponent(qualifier)),
    InvocationType: typeof type === 'string' ? type : 'RequestResponse',
    Payload: body,
  }
  return { operation: 'Invoke', input }
}

/** Lambda, as far as one function calls another and waits for its answer. */
export class Lambda implements AwsService {
  readonly unsigned: ReadonlySet<string> = new Set<string>()
  readonly accessDenied = { type: 'AccessDeniedException', status: 403 }
  readonly unknownCaller = { type: 'UnrecognizedClientException', status: 403 }
  readonly #cloud: Cloud
  readonly #invoke: InvokeFunction | undefined

  constructor(cloud: Cloud, invoke: InvokeFunction | undefined) {
    this.#cloud = cloud
    this.#invoke = invoke
  }

  access(operation: string, input: JsonObject): readonly AccessRequest[] | undefined {
    if (operation !== 'Invoke') return undefined
    const resource = arnOf(this.#cloud, 'lambda', `function:${textAt(input, 'FunctionName') ?? ''}`)
    return [{ action: 'lambda:InvokeFunction', resource, context: {} }]
  }

  async call({ input: given }: ServiceCall): Promise<RestOutput> {
    const input = given as LambdaInput
    if (input.InvocationType !== 'RequestResponse')
      throw new AwsError('InvalidParameterValueException', 'only RequestResponse is offered here')
    if (this.#invoke === undefined) throw functionNotFound()
    const [name = '', alias] = input.FunctionName.split(':')
    return answerOf(this.#invoke(name, parsed(input.Payload), alias))
  }
}

/** A function that fails is an answer with status 200, and a header that says so. */
async function answerOf(running: Promise<unknown>): Promise<RestOutput> {
  const headers = { 'content-type': 'application/json', 'x-amz-executed-version': '$LATEST' }
  try {
    return { status: 200, headers, body: JSON.stringify(await running) ?? 'null' }
  } catch (error) {
    if (error instanceof AwsError) throw error
    const errorMessage = error instanceof Error ? error.message : String(error)
    const body = JSON.stringify({ errorType: 'Error', errorMessage })
    return { status: 200, headers: { ...headers, 'x-amz-function-error': 'Unhandled' }, body }
  }
}

function parsed(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString())
  } catch {
    throw new AwsError('InvalidRequestContentException', 'Could not parse request body into json')
  }
}

/** `name` or `name:alias`, of what may say the alias in either place. Throws if it says two. */
function qualified(function_: string, qualifier: string | undefined): string {
  const [, name, own] = FUNCTION.exec(function_) ?? []
  if (name === undefined || (own ?? qualifier) !== (qualifier ?? own))
    throw new AwsError('InvalidParameterValueException', 'The function and its qualifier do not match')
  const alias = own ?? qualifier
  return alias === undefined ? name : `${name}:${alias}`
}
