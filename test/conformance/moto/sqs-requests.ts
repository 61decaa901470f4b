import { callJson, type JsonObject } from '../aws-wire.ts'
import { essence } from '../differential.ts'
import { type Outcome, objectAt, type Side, textAt } from './outcome.ts'

/** What the queue of failed audit batches is asked for. */
export async function sqsOutcomes({ url, queueUrl }: Side): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = []
  const send = async (
    request: string,
    operation: string,
    input: JsonObject,
    facts: (body: JsonObject) => unknown,
  ) => {
    const answer = await callJson(url, 'sqs', operation, { QueueUrl: queueUrl, ...input })
    const { status, code, body } = answer
    outcomes.push({
      request: `SQS: ${request}`,
      answer: code === undefined ? { status, facts: facts(body) } : essence(answer),
    })
    return body
  }
  const md5 = (body: JsonObject) => body['MD5OfMessageBody']
  const count = (body: JsonObject) => objectAt(body, 'Attributes')['ApproximateNumberOfMessages']
  const received = (body: JsonObject) => messagesIn(body).map(({ Body, MD5OfBody }) => ({ Body, MD5OfBody }))
  const attributes = { AttributeNames: ['ApproximateNumberOfMessages'] }
  await send('takes a message', 'SendMessage', { MessageBody: '{"é":1}' }, md5)
  await send('counts it', 'GetQueueAttributes', attributes, count)
  const first = await send('gives it', 'ReceiveMessage', {}, received)
  await send('hides what is being worked on', 'ReceiveMessage', {}, received)
  await send('counts nothing that is being worked on', 'GetQueueAttributes', attributes, count)
  const ReceiptHandle = textAt(messagesIn(first)[0] ?? {}, 'ReceiptHandle')
  await send('forgets it by its receipt', 'DeleteMessage', { ReceiptHandle }, () => 'forgotten')
  await send(
    'refuses a queue that is not there',
    'SendMessage',
    { QueueUrl: `${queueUrl}-none`, MessageBody: 'x' },
    md5,
  )
  await send('refuses to give eleven at once', 'ReceiveMessage', { MaxNumberOfMessages: 11 }, received)
  return outcomes
}

function messagesIn(body: JsonObject): readonly JsonObject[] {
  const messages = body['Messages']
  return Array.isArray(messages) ? (messages as readonly JsonObject[]) : []
}
