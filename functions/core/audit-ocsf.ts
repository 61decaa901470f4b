import { type AuditEntry, DELETED, UNREADABLE } from './audit-entry.ts'

/** The version of the Open Cybersecurity Schema Framework that events are written in. */
export const OCSF_VERSION = '1.3.0'

/** An event in OCSF; what the schema has no place for is under `unmapped`. Times in epoch milliseconds. */
export interface OcsfEvent {
  readonly class_uid: number
  readonly class_name: string
  readonly category_uid: number
  readonly activity_id: number
  readonly activity_name: string
  readonly type_uid: number
  readonly time: number
  readonly severity_id: number
  readonly status_id?: number
  readonly status_code?: string
  readonly count?: number
  readonly metadata: {
    readonly version: string
    readonly uid: string
    readonly product: { readonly name: string; readonly vendor_name: string }
    readonly log_name: string
    readonly correlation_uid?: string
  }
  readonly unmapped: {
    readonly event: Readonly<Record<string, unknown>>
    readonly overwrote?: string
    readonly repaired?: number
  }
  readonly [attribute: string]: unknown
}

type Event = AuditEntry['event']

interface Mapping {
  readonly classUid: number
  readonly className: string
  readonly activity: string
  /** 1 informational, 2 low, 3 medium, 4 high. */
  readonly severity: number
  readonly attributes: (event: Event) => Readonly<Record<string, unknown>>
}

const AUTHENTICATION = { classUid: 3002, className: 'Authentication' }
const AUTHORIZE_SESSION = { classUid: 3003, className: 'Authorize Session' }
const ENTITY_MANAGEMENT = { classUid: 3004, className: 'Entity Management' }
const BASE_EVENT = { classUid: 0, className: 'Base Event' }
const NOTHING = () => ({})
/** `auth_protocol_id` of OAuth 2.0. */
const OAUTH_2 = { auth_protocol_id: 6, auth_protocol: 'OAUTH 2.0', is_remote: true }
const SUCCESS = { status_id: 1 }

/** An exchange that gives a session of an AWS role: not who somebody is, but what they may be. */
const SESSION_GRANTED: Mapping = {
  ...AUTHORIZE_SESSION,
  activity: 'Role Session',
  severity: 1,
  attributes: (event) => {
    const { user, actor } = authentication(event)
    const session = record(event['aws_session'])
    return {
      ...SUCCESS,
      // Not "started": the record stands before STS is asked.
      status_detail: 'authorised',
      user,
      ...(actor !== undefined && { actor }),
      privileges: [text(session['role_arn'])],
      session: {
        uid: event['token'],
        uid_alt: text(session['session_name']),
        issuer: event['issuer'],
        expiration_time: milliseconds(event['expires_at']),
      },
    }
  },
}

/** By the event's name. Another name becomes a base event: no event is left out because nobody has mapped it. */
const MAPPINGS: Readonly<Record<string, Mapping>> = {
  exchange_granted: {
    ...AUTHENTICATION,
    activity: 'Token Exchange',
    severity: 1,
    attributes: (event) => ({
      ...SUCCESS,
      // Not "issued": the record stands before the token is released.
      status_detail: 'authorised',
      ...authentication(event),
      session: {
        uid: event['token'],
        issuer: event['issuer'],
        expiration_time: milliseconds(event['expires_at']),
      },
    }),
  },
  exchange_refused: refusal('Token Exchange'),
  exchange_failed: refusal('Token Exchange'),
  exchange_repeated: {
    ...AUTHENTICATION,
    activity: 'Token Exchange',
    severity: 1,
    attributes: (event) => ({
      ...SUCCESS,
      status_detail: 'released to a retry',
      ...authentication(event),
      session: { uid: event['token'] },
    }),
  },
  introspection_refused: refusal('Token Introspection'),
  revocation_refused: refusal('Token Revocation'),
  revocation: {
    ...ENTITY_MANAGEMENT,
    activity: 'Revoke',
    severity: 2,
    attributes: (event) => ({
      ...SUCCESS,
      actor: { user: { uid: text(event['author']) } },
      entity: { type: text(event['kind']), uid: [event['keys']].flat().join(' ') },
      comment: text(event['reason']),
    }),
  },
  [UNREADABLE]: { ...BASE_EVENT, activity: 'Unreadable Record', severity: 4, attributes: NOTHING },
  [DELETED]: { ...BASE_EVENT, activity: 'Record Deleted', severity: 4, attributes: NOTHING },
}

function refusal(activity: string): Mapping {
  return {
    ...AUTHENTICATION,
    activity,
    severity: 2,
    attributes: (event) => ({
      status_id: 2,
      status_code: text(event['reason']),
      ...(typeof event['withheld'] === 'string' && { status_detail: `withheld ${event['withheld']}` }),
      ...authentication(event),
    }),
  }
}

/** The entry as an OCSF event. Pure: the same entry gives the same event. */
export function ocsfEventOf(entry: AuditEntry): OcsfEvent {
  const { id, event, source, overwrote, count, repaired } = entry
  const name = String(event['event'])
  const { classUid, className, activity, severity, attributes } = mappingOf(name, event)
  const correlation = event['correlation_id']
  return {
    class_uid: classUid,
    class_name: className,
    category_uid: Math.floor(classUid / 1000),
    // 99 is "other, see the name": no activity of the schema is a token exchange.
    activity_id: 99,
    activity_name: activity,
    type_uid: classUid * 100 + 99,
    time: entry.time,
    severity_id: overwrote === undefined ? severity : 4,
    ...(count !== undefined && { count }),
    metadata: {
      version: OCSF_VERSION,
      uid: id,
      product: { name: 'token-broker', vendor_name: 'token-broker' },
      log_name: source,
      ...(typeof correlation === 'string' && { correlation_uid: correlation }),
    },
    ...attributes(event),
    unmapped: {
      event,
      ...(overwrote !== undefined && { overwrote }),
      ...(repaired !== undefined && { repaired }),
    },
  }
}

function mappingOf(name: string, event: Event): Mapping {
  if (name === 'exchange_granted' && 'aws_session' in event) return SESSION_GRANTED
  if (Object.hasOwn(MAPPINGS, name)) return MAPPINGS[name] as Mapping
  return { ...BASE_EVENT, activity: name, severity: 1, attributes: NOTHING }
}

/** What every authentication event must name: whom, and at what. `unknown` where nothing had been verified. */
function authentication(event: Event): Readonly<Record<string, unknown>> {
  const issuer = event['issuer']
  const client = event['client_id']
  const actor = event['actor']
  return {
    ...OAUTH_2,
    user: {
      uid: text(event['subject']),
      type_id: 99,
      type: 'Workload',
      ...(typeof issuer === 'string' && { domain: issuer }),
    },
    service: { name: text(event['target']) },
    ...(typeof client === 'string' && { actor: { user: { uid: client } } }),
    // Whoever acts for the user comes before the client through which it does.
    ...(typeof actor === 'string' && {
      actor: { user: { uid: actor }, ...(typeof client === 'string' && { app_name: client }) },
    }),
  }
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : 'unknown'
}

function milliseconds(seconds: unknown): number | undefined {
  return typeof seconds === 'number' ? seconds * 1000 : undefined
}
