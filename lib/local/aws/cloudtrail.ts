import type { JsonObject } from './aws-error.ts'
import type { AccessRequest } from './iam.ts'
import { type AwsService, asObject, objectsAt, type ServiceCall, textAt } from './service.ts'

/** An event as CloudTrail writes it, without any secret. */
export interface TrailEvent extends JsonObject {
  readonly eventID: string
  readonly eventName: string
  readonly eventSource: string
  /** ISO 8601. */
  readonly eventTime: string
}

/** Of the newest; older ones are forgotten. */
const MOST_EVENTS = 10_000
const MOST_RESULTS = 50

/** CloudTrail's event history: `aws cloudtrail lookup-events`. */
export class CloudTrail implements AwsService {
  readonly unsigned = new Set<string>()
  readonly accessDenied = { type: 'AccessDeniedException', status: 400 }
  readonly unknownCaller = { type: 'UnrecognizedClientException', status: 400 }
  readonly #events: TrailEvent[] = []
  readonly #onEvent: ((event: TrailEvent) => void) | undefined

  constructor(onEvent?: (event: TrailEvent) => void) {
    this.#onEvent = onEvent
  }

  /** Every event, oldest first. */
  get events(): readonly TrailEvent[] {
    return this.#events
  }

  add(event: TrailEvent): void {
    this.#events.push(event)
    if (this.#events.length > MOST_EVENTS) this.#events.shift()
    this.#onEvent?.(event)
  }

  access(operation: string): readonly AccessRequest[] | undefined {
    const action = 'cloudtrail:LookupEvents'
    return operation === 'LookupEvents' ? [{ action, resource: '*', context: {} }] : undefined
  }

  async call({ input }: ServiceCall): Promise<JsonObject> {
    const wanted = objectsAt(input, 'LookupAttributes')
    const found = this.#events.filter((event) => wanted.every((attribute) => hasAttribute(event, attribute)))
    const start = Number(textAt(input, 'NextToken') ?? 0)
    const end = start + Math.min(Number(input['MaxResults'] ?? MOST_RESULTS), MOST_RESULTS)
    const page = found.reverse().slice(start, end)
    return { Events: page.map(described), ...(end < found.length && { NextToken: String(end) }) }
  }
}

/** What `LookupAttributes` can ask for. */
const ATTRIBUTES: Readonly<Record<string, (event: TrailEvent) => readonly unknown[]>> = {
  AccessKeyId: accessKeysOf,
  EventId: ({ eventID }) => [eventID],
  EventName: ({ eventName }) => [eventName],
  EventSource: ({ eventSource }) => [eventSource],
  ResourceName: (event) => objectsAt(event, 'resources').map(({ ARN }) => ARN),
  Username: (event) => [usernameOf(event)],
}

function hasAttribute(event: TrailEvent, attribute: JsonObject): boolean {
  const valuesOf = ATTRIBUTES[textAt(attribute, 'AttributeKey') ?? '']
  return valuesOf?.(event).includes(attribute['AttributeValue']) ?? false
}

function described(event: TrailEvent): JsonObject {
  return {
    EventId: event.eventID,
    EventName: event.eventName,
    EventSource: event.eventSource,
    EventTime: Date.parse(event.eventTime) / 1000,
    ReadOnly: 'true',
    Username: usernameOf(event),
    Resources: objectsAt(event, 'resources').map(({ ARN, type }) => ({
      ResourceType: type,
      ResourceName: ARN,
    })),
    CloudTrailEvent: JSON.stringify(event),
  }
}

/** Of a session, its name. */
function usernameOf(event: TrailEvent): string | undefined {
  const identity = asObject(event['userIdentity'])
  return textAt(identity, 'userName') ?? textAt(identity, 'arn')?.split('/').at(-1)
}

/** The caller's, and the one that a session was given. */
function accessKeysOf(event: TrailEvent): readonly (string | undefined)[] {
  const given = asObject(asObject(event['responseElements'])['credentials'])
  return [textAt(asObject(event['userIdentity']), 'accessKeyId'), textAt(given, 'accessKeyId')]
}
