import { createHash, randomUUID } from 'node:crypto'
import { AwsError, type JsonObject } from './aws-error.ts'
import { arnOf, type Cloud } from './cloud.ts'
import type { AccessRequest } from './iam.ts'
import { type AwsService, type ServiceCall, textAt } from './service.ts'

interface Message {
  readonly id: string
  readonly body: string
  /** Epoch milliseconds. */
  readonly sentAt: number
  visibleAt: number
  receipt: string | undefined
  receives: number
}

type Operation = (queue: Message[], input: JsonObject, name: string) => JsonObject

const VISIBILITY_SECONDS = 30
const MOST_MESSAGES = 10

/** SQS as far as a dead-letter queue needs it: standard queues, kept in memory. */
export class Sqs implements AwsService {
  readonly unsigned = new Set<string>()
  readonly accessDenied = { type: 'AccessDeniedException', status: 403 }
  readonly unknownCaller = { type: 'UnrecognizedClientException', status: 403 }
  readonly #cloud: Cloud
  readonly #queues = new Map<string, Message[]>()
  readonly #operations: ReadonlyMap<string, Operation> = new Map<string, Operation>([
    ['SendMessage', (queue, input) => this.#send(queue, textAt(input, 'MessageBody') ?? '')],
    ['ReceiveMessage', (queue, input) => this.#receive(queue, input)],
    ['DeleteMessage', (queue, input) => remove(queue, textAt(input, 'ReceiptHandle'))],
    ['GetQueueUrl', (_queue, _input, name) => ({ QueueUrl: this.#url(name) })],
    [
      'GetQueueAttributes',
      (queue, _input, name) => ({
        Attributes: {
          QueueArn: arnOf(this.#cloud, 'sqs', name),
          ApproximateNumberOfMessages: String(this.#visible(queue).length),
        },
      }),
    ],
  ])

  constructor(cloud: Cloud) {
    this.#cloud = cloud
  }

  createQueue(name: string): void {
    this.#queues.set(name, this.#queues.get(name) ?? [])
  }

  /** The bodies of all messages, oldest first. */
  messages(name: string): readonly string[] {
    return (this.#queues.get(name) ?? []).map(({ body }) => body)
  }

  /** Sends in AWS's own name. */
  deliver(name: string, body: string): void {
    this.#send(this.#queue(name), body)
  }

  access(operation: string, input: JsonObject): readonly AccessRequest[] | undefined {
    if (!this.#operations.has(operation)) return undefined
    return [{ action: `sqs:${operation}`, resource: arnOf(this.#cloud, 'sqs', nameIn(input)), context: {} }]
  }

  async call({ operation, input }: ServiceCall): Promise<JsonObject> {
    const carryOut = this.#operations.get(operation)
    if (carryOut === undefined) throw new AwsError('InvalidAction', `SQS ${operation} is not offered`)
    const name = nameIn(input)
    return carryOut(this.#queue(name), input, name)
  }

  #send(queue: Message[], body: string): JsonObject {
    const id = randomUUID()
    const now = this.#cloud.clock()
    queue.push({ id, body, sentAt: now, visibleAt: now, receipt: undefined, receives: 0 })
    return { MessageId: id, MD5OfMessageBody: md5(body) }
  }

  #receive(queue: Message[], input: JsonObject): JsonObject {
    const most = Number(input['MaxNumberOfMessages'] ?? 1)
    if (!Number.isInteger(most) || most < 1 || most > MOST_MESSAGES) {
      const reason = `Must be between 1 and ${MOST_MESSAGES}, if provided.`
      const problem = `Value ${most} for parameter MaxNumberOfMessages is invalid. Reason: ${reason}`
      throw new AwsError('com.amazonaws.sqs#InvalidParameterValue', problem)
    }
    const hidden = Number(input['VisibilityTimeout'] ?? VISIBILITY_SECONDS) * 1000
    const now = this.#cloud.clock()
    const received = this.#visible(queue).slice(0, most)
    for (const message of received) {
      message.visibleAt = now + hidden
      message.receipt = randomUUID()
      message.receives++
    }
    const Messages = received.map(({ id, body, receipt, receives, sentAt }) => ({
      MessageId: id,
      ReceiptHandle: receipt,
      Body: body,
      MD5OfBody: md5(body),
      Attributes: { ApproximateReceiveCount: String(receives), SentTimestamp: String(sentAt) },
    }))
    return Messages.length === 0 ? {} : { Messages }
  }

  #visible(queue: readonly Message[]): readonly Message[] {
    const now = this.#cloud.clock()
    return queue.filter(({ visibleAt }) => visibleAt <= now)
  }

  #queue(name: string): Message[] {
    const queue = this.#queues.get(name)
    if (queue === undefined) {
      const type = 'com.amazonaws.sqs#QueueDoesNotExist'
      throw new AwsError(type, 'The specified queue does not exist.')
    }
    return queue
  }

  #url(name: string): string {
    return `https://sqs.${this.#cloud.region}.amazonaws.com/${this.#cloud.account}/${name}`
  }
}

function remove(queue: Message[], receipt: string | undefined): JsonObject {
  const index = queue.findIndex((message) => message.receipt !== undefined && message.receipt === receipt)
  if (index >= 0) queue.splice(index, 1)
  return {}
}

function nameIn(input: JsonObject): string {
  return textAt(input, 'QueueName') ?? textAt(input, 'QueueUrl')?.split('/').at(-1) ?? ''
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex')
}
