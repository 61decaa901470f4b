import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { LambdaInvoker } from '../../functions/adapters/lambda-invoker.ts'
import { DependencyUnavailable, NeverInvoked } from '../../functions/core/fault.ts'
import type { Defect } from '../../lib/local/aws/defect.ts'
import { type AwsEndpoint, startAwsEndpoint } from '../../lib/local/aws/endpoint.ts'

const ARN = 'arn:aws:lambda:eu-west-1:111111111111:function:AwsCredentialsFunction'
const EVENT = { path: '/token', multiValueHeaders: { a: ['ä', '😀'] }, body: 'x'.repeat(70_000) }

let aws: AwsEndpoint
const invoked: unknown[] = []
const defects: Defect[] = []
let answer: () => unknown = () => ({ statusCode: 200 })

beforeAll(async () => {
  aws = await startAwsEndpoint({
    region: 'eu-west-1',
    onDefect: (defect) => defects.push(defect),
    invoke: async (name, event, alias) => {
      invoked.push(alias === undefined ? [name, event] : [name, alias, event])
      return answer()
    },
  })
  const principal = (resource: string) => ({
    name: 'exchange',
    roleArn: 'arn:aws:iam::111111111111:role/exchange',
    policies: [{ Statement: { Effect: 'Allow', Action: 'lambda:InvokeFunction', Resource: resource } }],
  })
  aws.registerPrincipal('ASIAEXCHANGE', principal(ARN))
  aws.registerPrincipal('ASIALIVE', principal(`${ARN}:live`))
  aws.registerPrincipal('ASIAOTHER', principal(`${ARN}Other`))
})
beforeEach(() => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'ASIAEXCHANGE')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'local')
  vi.stubEnv('AWS_SESSION_TOKEN', 'local')
  answer = () => ({ statusCode: 200 })
})
afterEach(() => {
  vi.unstubAllEnvs()
  vi.unstubAllGlobals()
  aws.faults.clear()
  invoked.length = 0
  defects.length = 0
})
afterAll(() => aws.close())

const invoke = (event: unknown = EVENT) => new LambdaInvoker(ARN, aws.url).invoke(event)

describe('the invoker of a function', () => {
  it('hands the event over unchanged, and gives back the answer', async () => {
    answer = () => ({ statusCode: 400, headers: { a: 'b' }, body: 'ä' })
    expect(await invoke()).toEqual({ statusCode: 400, headers: { a: 'b' }, body: 'ä' })
    expect(invoked).toEqual([['AwsCredentialsFunction', EVENT]])
    expect(defects).toEqual([])
  })

  it('asks for an alias by its ARN, with the permission for just that', async () => {
    const alias = () => new LambdaInvoker(`${ARN}:live`, aws.url).invoke(EVENT)
    await expect(alias()).rejects.toThrow(DependencyUnavailable)
    expect(defects).toMatchObject([{ kind: 'permission', resource: `${ARN}:live` }])
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'ASIALIVE')
    expect(await alias()).toEqual({ statusCode: 200 })
    expect(invoked).toEqual([['AwsCredentialsFunction', 'live', EVENT]])
    await expect(invoke()).rejects.toThrow(DependencyUnavailable)
  })

  it('needs the permission for that function', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'ASIAOTHER')
    await expect(invoke()).rejects.toThrow(DependencyUnavailable)
    expect(invoked).toEqual([])
    expect(defects).toEqual([
      { kind: 'permission', principal: 'exchange', action: 'lambda:InvokeFunction', resource: ARN },
    ])
  })

  it.each([
    ['fails', () => Promise.reject(new Error('secret'))],
    ['times out', () => Promise.reject(new Error('Task timed out'))],
  ])('has no answer from a function that %s, and repeats nothing that it said', async (_, end) => {
    answer = end
    const fault = await invoke().catch((error: unknown) => error)
    expect(fault).toBeInstanceOf(DependencyUnavailable)
    expect(String(fault)).not.toContain('secret')
    expect(invoked).toHaveLength(1)
  })

  it.each([
    { kind: 'error', code: 'TooManyRequestsException', status: 429 } as const,
    { kind: 'reset' } as const,
  ])('never asks twice: $kind', async (fault) => {
    aws.faults.set({ operation: 'lambda:Invoke', times: 1, ...fault })
    await expect(invoke()).rejects.toThrow(DependencyUnavailable)
    expect(invoked).toEqual([])
  })

  it.each([
    ['TooManyRequestsException', 429, true],
    ['ResourceNotFoundException', 404, true],
    ['ServiceException', 500, false],
    ['EC2ThrottledException', 502, false],
  ])('says of %s (%i) whether the function cannot have been asked: %s', async (code, status, never) => {
    aws.faults.set({ operation: 'lambda:Invoke', times: 1, kind: 'error', code, status })
    const fault = await invoke().catch((error: unknown) => error)
    expect(fault).toMatchObject({ name: 'DependencyUnavailable', dependency: 'aws-credentials' })
    expect(fault instanceof NeverInvoked).toBe(never)
  })

  it('says nothing of the kind where the function failed, or its answer was lost', async () => {
    answer = () => Promise.reject(new Error('x'))
    expect(await invoke().catch((error: unknown) => error)).not.toBeInstanceOf(NeverInvoked)
    aws.faults.set({ operation: 'lambda:Invoke', times: 1, kind: 'reset' })
    expect(await invoke().catch((error: unknown) => error)).not.toBeInstanceOf(NeverInvoked)
  })

  it.each([
    [ARN, 'https://lambda.eu-west-1.amazonaws.com'],
    [`${ARN}:live`, 'https://lambda.eu-west-1.amazonaws.com', '?Qualifier=live'],
    [
      ARN.replace('aws:', 'aws-cn:').replace('eu-west-1', 'cn-north-1'),
      'https://lambda.cn-north-1.amazonaws.com.cn',
    ],
  ])('asks the region of %s', async (arn, origin, query = '') => {
    const asked = vi.fn<(url: URL) => Promise<Response>>(async () => new Response('{}'))
    vi.stubGlobal('fetch', asked)
    await new LambdaInvoker(arn, undefined).invoke({})
    expect(String(asked.mock.calls[0]?.[0])).toBe(
      `${origin}/2015-03-31/functions/AwsCredentialsFunction/invocations${query}`,
    )
  })

  it.each(['AwsCredentialsFunction', 'arn:aws:lambda:eu-west-1:111111111111:function:a/b', `${ARN}:`, ''])(
    'is none of %j',
    (arn) => {
      expect(() => new LambdaInvoker(arn, undefined)).toThrow('is not the ARN of a function')
    },
  )
})
