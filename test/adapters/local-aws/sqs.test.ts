import { expect, test } from 'vitest'
import { OPERATOR_KEY, type Rig, startRig } from './support.ts'

const QueueUrl = 'https://sqs.eu-west-1.amazonaws.com/111111111111/poison'

/** As every SDK calls: JSON 1.0. */
async function call(rig: Rig, operation: string, input: object): Promise<Record<string, unknown>> {
  const answer = await fetch(rig.endpoint.url, {
    method: 'POST',
    headers: {
      'x-amz-target': `AmazonSQS.${operation}`,
      'content-type': 'application/x-amz-json-1.0',
      authorization: `Credential=${OPERATOR_KEY}/20300101/eu-west-1/sqs/aws4_request`,
    },
    body: JSON.stringify(input),
  })
  return (await answer.json()) as Record<string, unknown>
}

test('a message is seen once while it is handled, again when that took too long, and never once deleted', async () => {
  let now = 0
  const rig = await startRig({ clock: () => now })
  rig.endpoint.sqs.createQueue('poison')
  await call(rig, 'SendMessage', { QueueUrl, MessageBody: 'first' })
  rig.endpoint.sqs.deliver('poison', 'second')
  const receive = async () => {
    const { Messages = [] } = await call(rig, 'ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 10 })
    return Messages as { Body: string; ReceiptHandle: string }[]
  }
  const received = await receive()
  expect(received.map(({ Body }) => Body)).toEqual(['first', 'second'])
  expect(await receive()).toEqual([])
  await call(rig, 'DeleteMessage', { QueueUrl, ReceiptHandle: received[0]?.ReceiptHandle })
  now += 31_000
  expect((await receive()).map(({ Body }) => Body)).toEqual(['second'])
  expect(rig.endpoint.sqs.messages('poison')).toEqual(['second'])
  expect(rig.defects).toEqual([])
})

test('a queue counts what can be received, and gives ten at a time at most', async () => {
  const rig = await startRig()
  rig.endpoint.sqs.createQueue('poison')
  const count = async () =>
    (await call(rig, 'GetQueueAttributes', { QueueUrl }))['Attributes'] as Record<string, string>
  rig.endpoint.sqs.deliver('poison', 'one')
  expect(await count()).toMatchObject({ ApproximateNumberOfMessages: '1' })
  for (const MaxNumberOfMessages of [0, 11]) {
    const refused = await call(rig, 'ReceiveMessage', { QueueUrl, MaxNumberOfMessages })
    expect(refused['__type']).toBe('com.amazonaws.sqs#InvalidParameterValue')
  }
  await call(rig, 'ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 10 })
  expect(await count()).toMatchObject({ ApproximateNumberOfMessages: '0' })
})

test('a queue that does not exist is an error', async () => {
  const rig = await startRig()
  const answer = await call(rig, 'ReceiveMessage', { QueueUrl })
  expect(answer['__type']).toBe('com.amazonaws.sqs#QueueDoesNotExist')
})
