import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FixtureCloud, startFixture, synthesizeFixture } from '../../support/fixture-cloud.ts'

interface Answer {
  readonly pid: number
  readonly environment: Record<string, string>
  readonly functionName: string
  readonly awsRequestId: string
  readonly remainingMilliseconds: number
}

describe('functions', () => {
  let fixture: FixtureCloud
  beforeAll(async () => {
    process.env['LEAK'] = 'secret of the shell'
    fixture = await startFixture(synthesizeFixture(), { environments: 2 })
  })
  afterAll(() => fixture.cloud.close())

  const call = async (behaviour = ''): Promise<Answer> => {
    const event = { headers: { 'x-behave': behaviour } }
    const answer = (await fixture.cloud.invoke('Echo', event)) as { body: string }
    return JSON.parse(answer.body) as Answer
  }

  it('get exactly the environment of Lambda', async () => {
    const { environment } = await call()
    const name = fixture.cloud.functions.plan('Echo').name
    // macOS sets this one itself.
    const {
      __CF_USER_TEXT_ENCODING: _,
      NODE_CHANNEL_FD: __,
      NODE_CHANNEL_SERIALIZATION_MODE: ___,
      ...rest
    } = environment
    expect(rest).toEqual({
      PATH: process.env['PATH'],
      ITEMS_TABLE: 'fixture-state-Items5C12978B',
      API_URL: fixture.cloud.url,
      AWS_REGION: 'eu-west-1',
      AWS_DEFAULT_REGION: 'eu-west-1',
      AWS_ENDPOINT_URL: fixture.cloud.aws.url,
      AWS_LAMBDA_FUNCTION_NAME: name,
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '256',
      AWS_ACCESS_KEY_ID: expect.stringMatching(/^ASIA[0-9A-F]{16}$/),
      AWS_SECRET_ACCESS_KEY: 'local',
      AWS_SESSION_TOKEN: 'local',
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
      LAMBDA_TASK_ROOT: expect.stringContaining('asset.'),
      _X_AMZN_TRACE_ID: expect.stringMatching(/^Root=1-/),
    })
  })

  it('get the context of Lambda', async () => {
    const { functionName, awsRequestId, remainingMilliseconds } = await call()
    expect(functionName).toBe(fixture.cloud.functions.plan('Echo').name)
    expect(awsRequestId).toMatch(/^[0-9a-f-]{36}$/)
    expect(remainingMilliseconds).toBeGreaterThan(0)
    expect(remainingMilliseconds).toBeLessThanOrEqual(2000)
  })

  it('take turns in as many processes as asked for', async () => {
    const pids = [await call(), await call(), await call(), await call()].map(({ pid }) => pid)
    expect(new Set(pids).size).toBe(2)
    expect(pids[0]).toBe(pids[2])
  })

  it('answer simultaneous invocations in one process', async () => {
    // Three in each of the two, which wait for each other: one after the other they would wait for ever.
    await expect(Promise.all(Array.from({ length: 6 }, () => call('meet')))).resolves.toHaveLength(6)
  })

  it('fail with what the handler throws', async () => {
    await expect(call('throw')).rejects.toMatchObject({
      errorType: 'Error',
      message: 'the fixture was told to throw',
    })
  })

  it('are ended at the timeout of the template, without harm to other invocations', async () => {
    const { pid } = await call()
    await call()
    const hanging = failureOf(call('hang'))
    const [, slow] = await Promise.all([call(), call('slow')])
    expect(slow.pid).toBe(pid)
    expect(await hanging).toBe('Task timed out after 2.00 seconds')
    expect([(await call()).pid, (await call()).pid]).not.toContain(pid)
  })

  it('leave no process behind after a timeout', async () => {
    const [first, second] = [await call(), await call()]
    expect(await failureOf(call('hang'))).toContain('timed out')
    const alive = () => [first.pid, second.pid].filter(isAlive).length
    await expect.poll(alive).toBe(1)
  })

  it('start anew after a crash', async () => {
    await expect(call('exit')).rejects.toThrow('Runtime exited with error: exit status 3')
    await expect(Promise.all([call(), call()])).resolves.toHaveLength(2)
  })

  it('can be killed, and start anew', async () => {
    const before = [(await call()).pid, (await call()).pid]
    fixture.logged.length = 0
    const underWay = failureOf(call('hang'))
    await fixture.hanging()
    fixture.cloud.functions.kill('Echo', 'SIGKILL')
    expect(await underWay).toBe('Runtime exited with error: signal: SIGKILL')
    expect(before).not.toContain((await call()).pid)
  })

  it('tell how much CPU they used', async () => {
    await call()
    expect((await fixture.cloud.functions.cpuUsage('Echo')).user).toBeGreaterThan(1000)
  })

  it('log line by line', async () => {
    await call()
    const name = fixture.cloud.functions.plan('Echo').name
    expect(fixture.logged).toContainEqual({ functionName: name, entry: { message: 'echo' } })
  })

  it('are known by name, logical id and construct id, and by nothing else', () => {
    const { functions } = fixture.cloud
    const plan = functions.plan('Echo')
    expect(functions.plan(plan.name)).toBe(plan)
    expect(functions.plan(plan.logicalId)).toBe(plan)
    expect(() => functions.plan('Ech')).toThrow(/no function Ech among .*Echo/)
  })
})

function failureOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'no failure',
    (error: Error) => error.message,
  )
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
