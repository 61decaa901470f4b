/** What the console's server tells its page. Times in epoch milliseconds, unless they say otherwise. */
import type { ExplainedGrant } from '../../../functions/core/policy/decide.ts'
import type { JsonObject } from '../../../functions/core/types.ts'
import type { Comparison } from '../../alarms/alarm-definition.ts'

/** One request to the broker, as a line of the live list. */
export interface RequestSummary {
  /** The correlation id. */
  readonly id: string
  readonly at: number
  readonly durationMs: number
  readonly method: string
  readonly path: string
  readonly status: number
  readonly outcome: 'answered' | 'refused' | 'failed'
  readonly issuer?: string
  readonly subject?: string
  readonly target?: string
  readonly grant?: string
  /** The exact reason of a refusal, which the answer withholds. */
  readonly reason?: string
}

/** A batch of the live list. */
export interface FeedMessage {
  /** Oldest first. */
  readonly requests: readonly RequestSummary[]
  /** How many there were since the broker was started, with those that came too fast to be listed. */
  readonly total: number
}

/** One call to AWS, against the beginning of its request. */
export interface CallTiming {
  readonly name: string
  readonly resource: string | undefined
  /** `ok`, or what it came to instead. */
  readonly outcome: string
  readonly startMs: number
  readonly endMs: number
}

/** How a request was decided. It holds no token, nor a part of one. */
export interface RequestTrail extends RequestSummary {
  /** The claims of the subject token that the policy reads. */
  readonly claims?: JsonObject
  /** Why there are no claims to show. */
  readonly unread?: string
  /** The grants that were looked at, each with the first thing in its way. */
  readonly candidates: readonly (ExplainedGrant & { readonly text: string })[]
  /** A refusal in words, and what would change it. */
  readonly why?: string
  readonly change?: string
  readonly detail?: JsonObject
  /** Who was presented as acting for the subject. */
  readonly actor?: { readonly issuer: string; readonly subject: string }
  /** What the new token is bound to: its `cnf` (RFC 7800 §3). */
  readonly binding?: Readonly<Record<string, string>>
  /** Where the new token is a session of an AWS role: by what CloudTrail knows it. */
  readonly session?: { readonly role: string; readonly name: string }
  readonly replay: string
  readonly revocation: string
  readonly calls: readonly CallTiming[]
  /** What the function has measured of this request, by the metric's name. */
  readonly measured: Readonly<Record<string, number>>
  /** What was unavailable, if that is why the request failed. */
  readonly dependency?: string
  /** Of the new token: its id, by which it can be revoked, and its claims. */
  readonly token?: { readonly id: string; readonly txn: string; readonly format: string }
  readonly issued?: JsonObject
}

/** An identity to begin with in the page. */
export interface Preset {
  readonly name: string
  /** For `POST /demo-issuer/sign`, without the claims. */
  readonly signer: { readonly preset?: string; readonly issuer?: string }
  readonly claims: JsonObject
  readonly audience?: string
  readonly grant?: string
}

export interface TargetChoice {
  readonly id: string
  readonly audience: string
  readonly scopes: readonly string[]
  readonly format: string
  /** What a client has to prove that its tokens are bound to, if anything. */
  readonly binding: string
  /** The clients that may introspect its tokens. */
  readonly introspectedBy: readonly string[]
  /** Whether a grant allows some token of the broker to be exchanged onward for it. */
  readonly isOnward: boolean
}

export interface TryIt {
  readonly issuer: string
  readonly presets: readonly Preset[]
  readonly targets: readonly TargetChoice[]
}

/** What a command of `token-broker` came to. */
export interface CommandResult {
  readonly done: boolean
  /** The plan and notes, as a terminal would show them. */
  readonly notes: string
  /** Why it was not done, and what to do about it. */
  readonly error?: string
  /** The result, which `--json` prints. */
  readonly result: unknown
}

export interface DrawnLine {
  readonly label: string
  readonly color?: string
  /** One value for each minute; `null` where there is none. Empty where `note` says why. */
  readonly values: readonly (number | null)[]
  readonly note?: string
}

/** A widget of a dashboard, with the metrics of this run. */
export interface DrawnWidget {
  readonly title: string
  readonly unit: string
  readonly view: 'chart' | 'value' | 'elsewhere'
  readonly lines: readonly DrawnLine[]
  readonly levels: readonly { readonly value: number; readonly label: string }[]
  /** Whether each line stands on top of those before it. */
  readonly isStacked: boolean
  /** Where the axis ends, if the values do not say it. */
  readonly most?: number
  /** Why nothing is drawn. */
  readonly note?: string
}

export interface DrawnDashboard {
  readonly name: string
  readonly widgets: readonly DrawnWidget[]
}

/** An alarm as it is after the last minute. */
export interface AlarmNow {
  readonly id: string
  readonly state: string
  /** Set where it rings only because nothing was published yet, in a run younger than what the alarm looks at. */
  readonly awaitsData?: true
  /** Minutes since the beginning of what is shown. */
  readonly sinceMinute: number
  /** Whom it calls. */
  readonly calls: readonly string[]
  /** The ids of the alarms that it is put together from. */
  readonly parts: readonly string[]
  /** When it rings, if it compares a metric. */
  readonly condition?: {
    readonly comparison: Comparison
    readonly threshold: number
    /** As CloudWatch names it, where it is known. */
    readonly unit?: string
  }
  readonly value?: number
  /** Why it is not evaluated. */
  readonly reason?: string
}

export interface MonitoringView {
  /** Epoch minutes. */
  readonly startsAt: number
  readonly minutes: number
  readonly alarms: readonly AlarmNow[]
  readonly dashboards: readonly DrawnDashboard[]
}

export interface FaultChoice {
  readonly name: string
  readonly title: string
  readonly isInjected: boolean
}
