import { CfnInsightRule } from 'aws-cdk-lib/aws-cloudwatch'
import { Stack } from 'aws-cdk-lib/core'
import { Construct } from 'constructs'

/** What of a log line has to hold. */
export interface LineFilter {
  readonly Match: string
  readonly In?: readonly string[]
  readonly GreaterThan?: number
}

/** Which lines count, and for whom: as the functions write them, `functions/telemetry.ts`. */
export interface InsightQuestion {
  /** What it tells, as the title of a widget. */
  readonly title: string
  readonly filters: readonly LineFilter[]
  /** Fields that together are a contributor. A line that lacks one of them is passed over. */
  readonly keys: readonly string[]
}

const REFUSED = { Match: '$.outcome', In: ['refused'] }
const REFUSED_EVENT = {
  Match: '$.audit.event',
  In: ['exchange_refused', 'introspection_refused', 'revocation_refused'],
}

/** The questions of who, by their names. No metric answers them: its dimensions would be without end. */
export const INSIGHT_QUESTIONS = {
  'refusals-by-reason': { title: 'Why requests are refused', filters: [REFUSED], keys: ['$.reason'] },
  'issuing-clients': {
    title: 'Which clients get tokens, of which issuer’s subjects, by which grant',
    filters: [{ Match: '$.TokensIssued', GreaterThan: 0 }],
    keys: ['$.client_id', '$.issuer', '$.target', '$.grant'],
  },
  'denied-clients': {
    title: 'Which clients are refused, and why',
    filters: [REFUSED_EVENT],
    keys: ['$.audit.client_id', '$.audit.reason'],
  },
  'refused-issuers': {
    title: 'Whose tokens are refused, and why',
    filters: [REFUSED_EVENT],
    keys: ['$.audit.issuer', '$.audit.reason'],
  },
  'refused-targets': {
    title: 'For which targets requests are refused, and why',
    filters: [REFUSED_EVENT],
    keys: ['$.audit.target', '$.audit.reason'],
  },
  'unknown-audiences': {
    title: 'Which audiences nobody knows (by their digests)',
    filters: [REFUSED_EVENT],
    keys: ['$.audit.detail.audience_sha256'],
  },
  'replay-sources': {
    title: 'Whose tokens are presented again',
    filters: [{ Match: '$.audit.reason', In: ['token_replayed', 'dpop_proof_replayed'] }],
    keys: ['$.audit.subject'],
  },
  'failures-by-endpoint': {
    title: 'Which endpoints fail',
    filters: [{ Match: '$.outcome', In: ['failed'] }],
    keys: ['$.endpoint'],
  },
  'faults-by-dependency': {
    title: 'Which dependencies make requests fail',
    filters: [{ Match: '$.message', In: ['failed'] }],
    keys: ['$.fault.dependency', '$.endpoint'],
  },
  'malformed-requests': {
    title: 'What is wrong with requests that cannot be read',
    filters: [{ Match: '$.InvalidInput', GreaterThan: 0 }],
    keys: ['$.reason', '$.endpoint'],
  },
} as const satisfies Readonly<Record<string, InsightQuestion>>

export type InsightName = keyof typeof INSIGHT_QUESTIONS

export interface InsightRulesProps {
  /** Every rule's name begins so. */
  readonly prefix: string
  /** Log groups of the functions that answer requests. */
  readonly logGroupNames: readonly string[]
}

/** The rules by which CloudWatch counts, from the functions' logs, who does what. */
export class InsightRules extends Construct {
  readonly #prefix: string

  constructor(scope: Construct, id: string, { prefix, logGroupNames }: InsightRulesProps) {
    super(scope, id)
    this.#prefix = prefix
    for (const [name, question] of Object.entries(INSIGHT_QUESTIONS))
      new CfnInsightRule(this, name, {
        ruleName: `${prefix}-${name}`,
        ruleState: 'ENABLED',
        ruleBody: Stack.of(this).toJsonString(ruleBody(question, logGroupNames)),
      })
  }

  ruleName(name: InsightName): string {
    return `${this.#prefix}-${name}`
  }
}

function ruleBody({ filters, keys }: InsightQuestion, logGroupNames: readonly string[]): object {
  return {
    Schema: { Name: 'CloudWatchLogRule', Version: 1 },
    LogGroupNames: logGroupNames,
    LogFormat: 'JSON',
    AggregateOn: 'Count',
    Contribution: { Keys: keys, Filters: filters },
  }
}
