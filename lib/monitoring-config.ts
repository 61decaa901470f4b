import { z } from 'zod'

const AVAILABILITY_RULE = 'a percentage from 95 to 99.999: of all requests, over 30 days'
const LATENCY_RULE = 'a percentage from 90 to 99.9: of the requests that do not fail, over 30 days'
const SUBSCRIBER_RULE = 'an e-mail address, or the ARN of an SQS queue or of a Lambda function'
const SUBSCRIBERS_RULE = `a list, of which each is ${SUBSCRIBER_RULE}`
const RUNBOOK_RULE = 'an https URL, or the path of a folder, without a slash at its end'

const EMAIL = /^[^\s@:]+@[^\s@:]+\.[^\s@:]+$/
const SUBSCRIBER_ARN = /^arn:aws[a-z-]*:(?:sqs|lambda):[a-z0-9-]+:\d{12}:[\w:-]+$/
const RUNBOOK_BASE = /^(?:https:\/\/[^\s()]+|[\w./-]+)(?<!\/)$/

const subscribers = z
  .array(
    z
      .string(SUBSCRIBER_RULE)
      .refine((text) => EMAIL.test(text) || SUBSCRIBER_ARN.test(text), SUBSCRIBER_RULE),
    SUBSCRIBERS_RULE,
  )
  .default([])

/** What of the monitoring a deployment may choose. Throws nothing: part of the deployment config. */
export const MONITORING_FORM = {
  availabilityPercent: z
    .number(AVAILABILITY_RULE)
    .min(95, AVAILABILITY_RULE)
    .max(99.999, AVAILABILITY_RULE)
    .default(99.9),
  latencyPercent: z.number(LATENCY_RULE).min(90, LATENCY_RULE).max(99.9, LATENCY_RULE).default(99),
  pageSubscribers: subscribers,
  ticketSubscribers: subscribers,
  runbookBaseUrl: z.string(RUNBOOK_RULE).regex(RUNBOOK_BASE, RUNBOOK_RULE).default('docs/runbooks'),
}

/** What of the monitoring a deployment may choose: `monitoring` of the deployment config. */
export interface MonitoringConfig {
  /**
   * Percent of all requests that do not fail by the broker's fault, over 30 days.
   * @default 99.9
   */
  readonly availabilityPercent: number
  /**
   * Percent of the requests that do not fail that are answered within 200 ms, over 30 days.
   * @default 99
   */
  readonly latencyPercent: number
  /**
   * Who is woken: e-mail addresses, ARNs of SQS queues and Lambda functions.
   * @default - nobody; others can subscribe to the topic
   */
  readonly pageSubscribers: readonly string[]
  /**
   * Who is told of what can wait.
   * @default - nobody; others can subscribe to the topic
   */
  readonly ticketSubscribers: readonly string[]
  /**
   * Where alarms say that their runbooks are.
   * @default docs/runbooks
   */
  readonly runbookBaseUrl: string
}
