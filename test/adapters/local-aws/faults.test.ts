import { createHash, createPublicKey, verify } from 'node:crypto'
import { GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb'
import { CreateKeyCommand, GetPublicKeyCommand, SignCommand } from '@aws-sdk/client-kms'
import { AssumeRoleCommand } from '@aws-sdk/client-sts'
import { describe, expect, test, vi } from 'vitest'
import { Faults } from '../../../lib/local/aws/faults.ts'
import { failureOf, startRig, table } from './support.ts'

const Key = { pk: { S: 'a' } }
const get = () => new GetItemCommand({ TableName: 'things', Key, ConsistentRead: true })
const put = () => new PutItemCommand({ TableName: 'things', Item: Key })

async function rigWithTable() {
  const rig = await startRig()
  await rig.endpoint.dynamodb.createTable(table('things'))
  return rig
}

describe('injected faults', () => {
  test('throttling is each service’s own error', async () => {
    const { dynamodb, kms, sts, endpoint } = await rigWithTable()
    for (const operation of ['dynamodb:GetItem', 'kms:CreateKey', 'sts:AssumeRole']) {
      endpoint.faults.set({ operation, kind: 'throttle' })
    }
    const throttled = { $metadata: { httpStatusCode: 400 } }
    expect(await failureOf(dynamodb.send(get()))).toMatchObject({
      ...throttled,
      name: 'ProvisionedThroughputExceededException',
    })
    const create = kms.send(new CreateKeyCommand({}))
    expect(await failureOf(create)).toMatchObject({ ...throttled, name: 'ThrottlingException' })
    const RoleArn = 'arn:aws:iam::222222222222:role/deploy'
    const assume = sts.send(new AssumeRoleCommand({ RoleArn, RoleSessionName: 'session' }))
    expect(await failureOf(assume)).toMatchObject({ ...throttled, name: 'Throttling' })
  })

  test('an error comes with its code, status and message', async () => {
    const { dynamodb, endpoint } = await rigWithTable()
    endpoint.faults.set({
      operation: 'dynamodb:GetItem',
      kind: 'error',
      code: 'InternalServerError',
      times: 1,
    })
    endpoint.faults.set({
      operation: 'dynamodb:GetItem',
      kind: 'error',
      code: 'X',
      status: 418,
      message: 'tea',
    })
    const first = await failureOf(dynamodb.send(get()))
    expect(first).toMatchObject({ name: 'InternalServerError', $metadata: { httpStatusCode: 500 } })
    const second = await failureOf(dynamodb.send(get()))
    expect(second).toMatchObject({ name: 'X', message: 'tea', $metadata: { httpStatusCode: 418 } })
  })

  test('a dropped write was applied, a reset one was not', async () => {
    const { dynamodb, endpoint, calls } = await rigWithTable()
    endpoint.faults.set({ operation: 'dynamodb:PutItem', kind: 'reset', times: 1 })
    expect(await failureOf(dynamodb.send(put()))).toMatchObject({ code: 'ECONNRESET' })
    expect((await dynamodb.send(get())).Item).toBeUndefined()
    endpoint.faults.clear()
    endpoint.faults.set({ operation: 'dynamodb:PutItem', kind: 'drop-after-apply', times: 1 })
    expect(await failureOf(dynamodb.send(put()))).toMatchObject({ code: 'ECONNRESET' })
    expect((await dynamodb.send(get())).Item).toEqual(Key)
    await dynamodb.send(put())
    const outcomes = calls.filter((call) => call.operation === 'PutItem').map((call) => call.outcome)
    expect(outcomes).toEqual(['reset', 'drop-after-apply', 'ok'])
  })

  test('a write that hangs after it was applied was applied, and is answered by nobody', async () => {
    const { dynamodb, endpoint, calls } = await rigWithTable()
    endpoint.faults.set({ operation: 'dynamodb:PutItem', kind: 'hang-after-apply', times: 1 })
    const patience = new AbortController()
    const call = failureOf(dynamodb.send(put(), { abortSignal: patience.signal }))
    await expect.poll(() => calls[0]?.outcome).toBe('hang-after-apply')
    patience.abort()
    expect(await call).toMatchObject({ name: 'AbortError' })
    expect((await dynamodb.send(get())).Item).toEqual(Key)
  })

  test('a hanging call is released when the endpoint closes', async () => {
    const { dynamodb, endpoint, calls } = await rigWithTable()
    endpoint.faults.set({ operation: 'dynamodb:GetItem', kind: 'hang' })
    let ended = false
    const call = failureOf(dynamodb.send(get())).finally(() => {
      ended = true
    })
    await expect.poll(() => calls[0]?.outcome).toBe('hang')
    await new Promise((resolve) => setTimeout(resolve, 150))
    expect(ended).toBe(false)
    await endpoint.close()
    expect(await call).toMatchObject({ code: 'ECONNRESET' })
  })

  test('a delayed call is released when the endpoint closes', async () => {
    const { dynamodb, endpoint } = await rigWithTable()
    endpoint.faults.set({ operation: 'dynamodb:GetItem', kind: 'latency', milliseconds: 600_000 })
    const strike = vi.spyOn(endpoint.faults, 'strike')
    const call = failureOf(dynamodb.send(get()))
    await expect.poll(() => strike.mock.calls).toHaveLength(1)
    await endpoint.close()
    expect(await call).toMatchObject({ code: 'ECONNRESET' })
  })

  test('latency delays the call and does not fail it', async () => {
    const { dynamodb, endpoint, calls } = await rigWithTable()
    endpoint.faults.set({ operation: 'dynamodb:GetItem', kind: 'latency', milliseconds: 80 })
    await dynamodb.send(get())
    const [call] = calls
    expect((call?.endedAt ?? 0) - (call?.startedAt ?? 0)).toBeGreaterThanOrEqual(79)
    expect(call?.outcome).toBe('ok')
  })

  test('a garbled signature never verifies, and a clear one does again', async () => {
    const { kms, endpoint } = await startRig()
    const spec = { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' } as const
    const { KeyMetadata } = await kms.send(new CreateKeyCommand(spec))
    const KeyId = KeyMetadata?.KeyId
    const { PublicKey } = await kms.send(new GetPublicKeyCommand({ KeyId }))
    const key = createPublicKey({ key: Buffer.from(PublicKey ?? []), format: 'der', type: 'spki' })
    const message = Buffer.from('message')
    const Message = createHash('sha256').update(message).digest()
    const verifies = async () => {
      const input = { KeyId, Message, MessageType: 'DIGEST', SigningAlgorithm: 'ECDSA_SHA_256' } as const
      const { Signature } = await kms.send(new SignCommand(input))
      return verify('sha256', message, key, Buffer.from(Signature ?? []))
    }
    endpoint.faults.set({ operation: 'kms:Sign', kind: 'garble' })
    const garbled = await Promise.all(Array.from({ length: 100 }, verifies))
    expect(garbled.some(Boolean)).toBe(false)
    endpoint.faults.clear('kms:Sign')
    expect(await verifies()).toBe(true)
  })
})

describe('plans', () => {
  const strikes = (faults: Faults, count: number) =>
    Array.from({ length: count }, () => faults.strike('kms', 'Sign').end !== undefined)

  test('strike every n-th call, so many times, and only their operation', () => {
    const faults = new Faults()
    faults.set({ operation: 'kms:Sign', kind: 'reset', every: 3, times: 2 })
    expect(faults.strike('kms', 'Verify')).toEqual({ delayMilliseconds: 0 })
    expect(strikes(faults, 10)).toEqual([false, false, true, false, false, true, false, false, false, false])
  })

  test('end when they are cleared', () => {
    const faults = new Faults()
    faults.set({ operation: 'kms:Sign', kind: 'reset' })
    expect(strikes(faults, 1)).toEqual([true])
    faults.clear()
    expect(strikes(faults, 1)).toEqual([false])
  })

  test('latency and an end add up, the first end wins', () => {
    const faults = new Faults()
    faults.set({ operation: 'kms:Sign', kind: 'latency', milliseconds: 5 })
    faults.set({ operation: 'kms:Sign', kind: 'latency', milliseconds: 7 })
    faults.set({ operation: 'kms:Sign', kind: 'hang' })
    faults.set({ operation: 'kms:Sign', kind: 'reset' })
    expect(faults.strike('kms', 'Sign')).toEqual({ delayMilliseconds: 12, end: 'hang' })
  })

  test('lognormal latency has the median and the percentile asked for, and repeats by its seed', () => {
    const sample = (seed: number) => {
      const faults = new Faults()
      faults.set({ operation: 'kms:Sign', kind: 'latency', p50: 20, p99: 100, seed })
      return Array.from({ length: 20_000 }, () => faults.strike('kms', 'Sign').delayMilliseconds)
    }
    const delays = sample(7)
    expect(sample(7)).toEqual(delays)
    expect(sample(8)).not.toEqual(delays)
    const sorted = delays.toSorted((a, b) => a - b)
    expect(sorted[10_000]).toBeGreaterThan(19)
    expect(sorted[10_000]).toBeLessThan(21)
    expect(sorted[19_800]).toBeGreaterThan(90)
    expect(sorted[19_800]).toBeLessThan(110)
  })

  test.each([
    { operation: 'dynamodb:PutItem', kind: 'garble' },
    { operation: 'kms:Sign', kind: 'reset', every: 0 },
    { operation: 'kms:Sign', kind: 'reset', times: 0 },
  ] as const)('%j makes no sense', (plan) => {
    expect(() => new Faults().set(plan)).toThrow(RangeError)
  })
})
