import { z } from 'zod'
import { LIMITS } from '../functions/core/limits.ts'

const AVAILABILITY_RULE = 'a percentage from 95 to 99.999: of all requests, over 30 days'
const LATENCY_RULE = 'a percentage from 90 to 99.9: of the requests that do not fail, over 30 days'
/** What a deployment may call a fast answer. Milliseconds. */
export const LATENCY_LIMITS = { shortest: 50, longest: 4000 } as const
const FAST_RULE = `a whole number of milliseconds from ${LATENCY_LIMITS.shortest} to ${LATENCY_LIMITS.longest}: what takes ${LIMITS.deadlineMilliseconds} has failed`
const SUBSCRIBER_RULE = 'an e-mail address, or the ARN of an SQS queue or of a Lambda function'
const SUBSCRIBERS_RULE = `a list, of which each is ${SUBSCRIBER_RULE}`
const RUNBOOK_RULE = 'an https URL, or the path of a folder, without a slash at its end'

const CRON_RULE = 'minute, hour, day of the month, month and day of the week, such as 0 2 * * SUN'
const MINUTES_RULE =
  'a whole number of minutes from 1 to 1440: a longer window hides what it was not made for'
const ZONE_RULE = 'a time zone such as Etc/UTC or Europe/Berlin'
const WINDOWS_RULE = 'a list of windows, each with cron and minutes'
const SIGNALS_RULE = 'true or false'

const CRON = /^(?:[\dA-Z*,/#?L-]+ ){4}[\dA-Z*,/#?L-]+$/
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

const WINDOW = z.strictObject(
  {
    cron: z.string(CRON_RULE).regex(CRON, CRON_RULE),
    minutes: z.int(MINUTES_RULE).min(1, MINUTES_RULE).max(1440, MINUTES_RULE),
    timeZone: z.string(ZONE_RULE).refine(isTimeZone, ZONE_RULE).default('Etc/UTC'),
  },
  'an object with cron, minutes and, if it is not Etc/UTC, timeZone',
)

/** What of the monitoring a deployment may choose. */
export const MONITORING_FORM = {
  availabilityPercent: z
    .number(AVAILABILITY_RULE)
    .min(95, AVAILABILITY_RULE)
    .max(99.999, AVAILABILITY_RULE)
    .default(99.9),
  latencyPercent: z.number(LATENCY_RULE).min(90, LATENCY_RULE).max(99.9, LATENCY_RULE).default(99),
  latencyMilliseconds: z
    .int(FAST_RULE)
    .min(LATENCY_LIMITS.shortest, FAST_RULE)
    .max(LATENCY_LIMITS.longest, FAST_RULE)
    .default(200),
  pageSubscribers: subscribers,
  ticketSubscribers: subscribers,
  runbookBaseUrl: z.string(RUNBOOK_RULE).regex(RUNBOOK_BASE, RUNBOOK_RULE).default('docs/runbooks'),
  maintenance: z.array(WINDOW, WINDOWS_RULE).default([]),
  applicationSignals: z.boolean(SIGNALS_RULE).default(false),
}

/** When alarms call nobody. */
export interface MaintenanceWindow {
  /** Five fields: minute, hour, day of the month, month, day of the week. */
  readonly cron: string
  /** How long it lasts. */
  readonly minutes: number
  /**
   * Whose clock that is.
   * @default Etc/UTC
   */
  readonly timeZone: string
}

/** What of the monitoring a deployment may choose: `monitoring` of the deployment config. */
export interface MonitoringConfig {
  /**
   * Percent of all requests that do not fail by the broker's fault, over 30 days.
   * @default 99.9
   */
  readonly availabilityPercent: number
  /**
   * Percent of the requests that do not fail that are answered within `latencyMilliseconds`, over 30 days.
   * @default 99
   */
  readonly latencyPercent: number
  /**
   * An answer within so many milliseconds is a fast one.
   * @default 200
   */
  readonly latencyMilliseconds: number
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
  /**
   * Recurring windows in which alarms call nobody, but those on security and on the audit trail.
   * @default - none
   */
  readonly maintenance: readonly MaintenanceWindow[]
  /**
   * Whether CloudWatch Application Signals keeps the objectives too, for its console and reports. No alarm depends on it.
   * @default false
   */
  readonly applicationSignals: boolean
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}
