import { expect, it } from 'vitest'
import { invokeAsync } from '../../../lib/local/async-invocation.ts'
import type { AsyncInvocationPlan } from '../../../lib/local/plan/cloud-plan.ts'

const PLAN = {
  functionName: 'function',
  retries: 2,
  onFailure: { queueName: 'poison', queueArn: 'arn:aws:sqs:eu-west-1:111111111111:poison' },
}

async function run(failures: number, plan: AsyncInvocationPlan = PLAN) {
  const messages: string[] = []
  let attempts = 0
  await invokeAsync('event', {
    plan,
    clock: () => 0,
    retryMilliseconds: 1,
    deliver: (queueName, message) => void messages.push(`${queueName} ${message}`),
    invoke: async () => {
      attempts++
      if (attempts <= failures) throw new Error('no')
    },
  })
  return { messages, attempts }
}

it('an asynchronous invocation is retried, and nothing is sent when it succeeds at last', async () => {
  expect(await run(2)).toEqual({ messages: [], attempts: 3 })
})

it('an event that is given up goes to the destination as a whole', async () => {
  const { messages, attempts } = await run(3)
  expect(attempts).toBe(3)
  expect(messages).toHaveLength(1)
  expect(messages[0]).toContain('"requestPayload":"event"')
})

it('an event without a destination is lost, as on AWS', async () => {
  expect((await run(9, { ...PLAN, onFailure: undefined })).messages).toEqual([])
})
