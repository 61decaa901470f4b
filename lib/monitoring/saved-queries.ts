import { LogGroup, QueryDefinition, QueryString } from 'aws-cdk-lib/aws-logs'
import { Construct } from 'constructs'
import type { Watched } from './watched.ts'

/** Whose logs a query reads. */
export type QueriedLogs = 'requests' | 'revoke' | 'rotateKeys' | 'exportAudit' | 'access'

/** A question to the logs, in the language of Logs Insights. */
export interface LogQuestion {
  /** What it tells, as the title of a widget. */
  readonly title: string
  readonly logs: QueriedLogs
  readonly lines: readonly string[]
}

const NEWEST = 'sort @timestamp desc'

/** The saved queries, by their names. */
export const LOG_QUESTIONS = {
  'request-by-correlation-id': {
    title: 'What became of one request',
    logs: 'requests',
    lines: [
      'fields @timestamp, endpoint, outcome, reason, dependency, audit.reason, fault.name, @message',
      'filter coalesce(correlation_id, audit.correlation_id) = "PASTE-IT-HERE"',
      'sort @timestamp asc',
    ],
  },
  'refusals-of-a-client': {
    title: 'Why a client or a subject is refused',
    logs: 'requests',
    lines: [
      'fields @timestamp, audit.reason, audit.client_id, audit.subject, audit.target, audit.correlation_id',
      'filter ispresent(audit.reason) and (audit.client_id = "PASTE-IT-HERE" or audit.subject = "PASTE-IT-HERE")',
      NEWEST,
      'limit 100',
    ],
  },
  faults: {
    title: 'The latest faults',
    logs: 'requests',
    lines: [
      'fields @timestamp, endpoint, fault.name, fault.dependency, fault.message, fault.cause.name, correlation_id',
      'filter level = "ERROR"',
      NEWEST,
      'limit 50',
    ],
  },
  'slowest-requests': {
    title: 'The slowest requests',
    logs: 'requests',
    lines: [
      'fields @timestamp, endpoint, Duration, outcome, correlation_id',
      'filter ispresent(Duration)',
      'sort Duration desc',
      'limit 25',
    ],
  },
  'stage-timings': {
    title: 'In which stage of an exchange the time goes',
    logs: 'requests',
    lines: [
      'filter ispresent(mint_ms)',
      'stats pct(parse_ms, 95) as parse, pct(verify_ms, 95) as verify, pct(policy_ms, 95) as policy, pct(mint_ms, 95) as mint by bin(15m)',
    ],
  },
  'cold-starts': {
    title: 'How many cold starts there are, and how long they take',
    logs: 'requests',
    lines: [
      'filter ispresent(cold_start_ms)',
      'stats count(*) as starts, pct(cold_start_ms, 50) as median_ms, max(cold_start_ms) as longest_ms by endpoint',
    ],
  },
  replays: {
    title: 'Which tokens were presented again',
    logs: 'requests',
    lines: [
      'fields @timestamp, audit.issuer, audit.subject, audit.subject_token, audit.target, audit.correlation_id',
      'filter audit.reason in ["token_replayed", "dpop_proof_replayed"]',
      NEWEST,
      'limit 100',
    ],
  },
  revocations: {
    title: 'The latest revocations',
    logs: 'revoke',
    lines: [
      'fields @timestamp, audit.kind, audit.author, audit.reason, audit.keys.0, audit.cut_off',
      'filter audit.event = "revocation"',
      NEWEST,
      'limit 20',
    ],
  },
  'failures-by-endpoint': {
    title: 'Which endpoints fail, and by which dependency',
    logs: 'requests',
    lines: [
      'filter outcome = "failed"',
      'stats count(*) as failures by endpoint, coalesce(dependency, "none") as by_dependency',
      'sort failures desc',
    ],
  },
  'gateway-errors': {
    title: 'What API Gateway answered with 5xx, and why',
    logs: 'access',
    lines: [
      'fields @timestamp, route, status, integrationStatus, integrationError, integrationLatency, requestId',
      'filter status like /^5/',
      NEWEST,
      'limit 100',
    ],
  },
  'key-rotation-runs': {
    title: 'What each run of the key rotation left',
    logs: 'rotateKeys',
    lines: [
      'fields @timestamp, SecondsToNextKeyStep, SecondsBeyondKeyPeriod, rings, fault.message',
      NEWEST,
      'limit 50',
    ],
  },
  'audit-export-faults': {
    title: 'What went wrong with the audit export',
    logs: 'exportAudit',
    lines: [
      'fields @timestamp, message, fault.name, fault.message, count, records.0',
      'filter level = "ERROR"',
      NEWEST,
      'limit 50',
    ],
  },
} as const satisfies Readonly<Record<string, LogQuestion>>

export type LogQuestionName = keyof typeof LOG_QUESTIONS

/** The log groups that a query reads. */
export function logGroupsOf(logs: QueriedLogs, watched: Watched): readonly string[] {
  const { requestFunctions, rotateKeys, exportAudit, accessLog } = watched
  switch (logs) {
    case 'requests':
      return requestFunctions.map((each) => each.logGroupName)
    case 'revoke':
      return requestFunctions.filter(({ id }) => id === 'Revoke').map((each) => each.logGroupName)
    case 'rotateKeys':
      return [rotateKeys.logGroupName]
    case 'exportAudit':
      return [exportAudit.logGroupName]
    case 'access':
      return [accessLog]
  }
}

/** The queries, saved under the deployment's name in the console of Logs Insights. */
export class SavedQueries extends Construct {
  constructor(scope: Construct, id: string, { prefix, watched }: { prefix: string; watched: Watched }) {
    super(scope, id)
    for (const [name, { lines, logs }] of Object.entries<LogQuestion>(LOG_QUESTIONS))
      new QueryDefinition(this, name, {
        queryDefinitionName: `${prefix}/${name}`,
        queryString: new TextQuery(lines),
        logGroups: logGroupsOf(logs, watched).map((group, at) =>
          LogGroup.fromLogGroupName(this, `${name}-${at}`, group),
        ),
      })
  }
}

/** A query as it stands: the CDK's own form would need each command apart. */
class TextQuery extends QueryString {
  readonly #lines: readonly string[]

  constructor(lines: readonly string[]) {
    super()
    this.#lines = lines
  }

  override toString(): string {
    return this.#lines.join('\n| ')
  }
}
