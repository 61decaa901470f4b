// What AWS runs around a handler: loads the bundle and answers invocations that come in over IPC. Plain JavaScript, so
// that the process starts without a loader and a function's memory and start-up time are its own.
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { InvokeStore, InvokeStoreBase } from '@aws/lambda-invoke-store'

const [, , folder = '.', handlerName = 'index.handler'] = process.argv
const dot = handlerName.lastIndexOf('.')

// A terminal sends Ctrl-C to the whole process group; only the local cloud decides when a function ends.
process.on('SIGINT', () => {})
process.on('disconnect', () => process.exit(0))

const send = (message) => process.connected && process.send?.(message)
const describe = (error) =>
  error instanceof Error
    ? { errorType: error.name, errorMessage: error.message, stack: error.stack ?? '' }
    : { errorType: 'Error', errorMessage: String(error), stack: '' }

// As Lambda's own runtime does it for environments that serve several invocations at a time: the AWS SDK in the bundle
// finds here which one it works for, and tells AWS by the trace id.
const invocations = await InvokeStore.getInstanceAsync(true)

const handler = await load().catch((error) => {
  send({ kind: 'init-failed', error: describe(error) })
})
if (handler !== undefined) {
  process.on('message', (message) => {
    if (message.kind === 'cpu') send({ kind: 'cpu', id: message.id, usage: process.cpuUsage() })
    else void invoke(message)
  })
  send({ kind: 'ready' })
}

async function load() {
  const file = await firstExisting(
    ['.mjs', '.js', '.cjs'].map((end) => join(folder, handlerName.slice(0, dot) + end)),
  )
  const name = handlerName.slice(dot + 1)
  const module = await import(pathToFileURL(file).href)
  const found = module[name] ?? module.default?.[name]
  if (typeof found !== 'function') throw new Error(`${handlerName} is undefined or not exported`)
  return found
}

async function firstExisting(files) {
  for (const file of files) {
    if (
      await access(file).then(
        () => true,
        () => false,
      )
    )
      return file
  }
  throw new Error(`Cannot find module '${handlerName.slice(0, dot)}'`)
}

async function invoke({ id, event, requestId, deadline }) {
  const context = {
    awsRequestId: requestId,
    callbackWaitsForEmptyEventLoop: true,
    functionName: process.env['AWS_LAMBDA_FUNCTION_NAME'],
    functionVersion: '$LATEST',
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
    invokedFunctionArn: '',
    logGroupName: '',
    logStreamName: '',
    memoryLimitInMB: process.env['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'],
  }
  const { REQUEST_ID, X_RAY_TRACE_ID } = InvokeStoreBase.PROTECTED_KEYS
  const invocation = { [REQUEST_ID]: requestId, [X_RAY_TRACE_ID]: traceIdOf(requestId) }
  try {
    const value = await invocations.run(invocation, () => handler(event, context))
    send({ kind: 'answered', id, value })
  } catch (error) {
    send({ kind: 'failed', id, error: describe(error) })
  }
}

/** A trace of its own for each invocation, by which its calls are recognised: the digits of the request id. */
function traceIdOf(requestId) {
  const digits = requestId.replaceAll('-', '')
  return `Root=1-${digits.slice(0, 8)}-${digits.slice(8)};Parent=${digits.slice(16)};Sampled=0`
}
