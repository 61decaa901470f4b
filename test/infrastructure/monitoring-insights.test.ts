import { beforeAll, describe, expect, it } from 'vitest'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import { createTelemetry, NO_CLIENT } from '../../functions/telemetry.ts'
import {
  INSIGHT_QUESTIONS,
  type InsightQuestion,
  type LineFilter,
} from '../../lib/monitoring/insight-rules.ts'
import { LOG_QUESTIONS, type LogQuestion } from '../../lib/monitoring/saved-queries.ts'
import { createTestBroker, LEDGER } from '../support/broker.ts'
import { COUNTING } from '../support/emf.ts'
import { printedBy } from '../support/printed.ts'
import { readable, resources, synthesize } from './synthesize.ts'

type Line = Readonly<Record<string, unknown>>

const { monitoring } = synthesize()
const RULES = Object.values(resources(monitoring, 'AWS::CloudWatch::InsightRule')).map(
  ({ Properties }) => Properties,
)

let lines: readonly Line[]
beforeAll(async () => {
  lines = await linesOfABadDay()
})

const STAGES = (['parse', 'verify', 'policy', 'mint'] as const).map((stage, at) => ({
  stage,
  fromMs: at,
  toMs: at + 1,
}))
/** What is measured of a granted exchange alone. */
const GRANTED = { measured: { TokensIssued: 1 }, stages: STAGES }

/** What a function prints of requests that are refused in many ways, of one that fails, and of one that succeeds. */
async function linesOfABadDay(): Promise<readonly Line[]> {
  const broker = await createTestBroker()
  const telemetry = createTelemetry('token', COUNTING)
  const spent = await broker.subjectToken('job')
  const client = {
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: await broker.assertion('checkout'),
  }
  const requests = [
    {
      subject_token: await broker.subjectToken('desk'),
      audience: LEDGER,
      ...client,
      client_assertion: await broker.assertion('checkout'),
    },
    { subject_token: spent, audience: LEDGER },
    { subject_token: spent, audience: LEDGER },
    { subject_token: await broker.subjectToken('pod', { repository_id: '7' }), ...client },
    { subject_token: await broker.subjectToken(), audience: 'https://nobody.example.com' },
    { subject_token: undefined },
  ]
  const { printed } = await printedBy(async () => {
    for (const request of requests) {
      const outcome = await broker.exchange(request)
      const measured = { durationMs: 20, correlationId: 'correlation-1' }
      if ('refused' in outcome) {
        telemetry.refused(outcome.event)
        telemetry.measure({ outcome: 'refused', ...measured, refusal: outcome.refused })
      } else telemetry.measure({ outcome: 'succeeded', ...measured, ...GRANTED, known: outcome.known })
    }
    const fault = new DependencyUnavailable('kms', 'down', { cause: new TypeError('down') })
    telemetry.failed(fault, 'correlation-1')
    telemetry.measure({ outcome: 'failed', durationMs: 20, correlationId: 'correlation-1', fault })
  })
  return printed
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line)
}

function valueAt(line: unknown, path: string): unknown {
  const names = path.replace(/^\$\./, '').split('.')
  return names.reduce((value, name) => (value as Line | undefined)?.[name], line)
}

function matches(line: Line, { Match, In, GreaterThan }: LineFilter): boolean {
  const value = valueAt(line, Match)
  if (In !== undefined) return In.includes(String(value))
  return typeof value === 'number' && value > (GreaterThan ?? Number.NaN)
}

/** Who the rule counts, as CloudWatch would: lines that match, by all of their keys. */
const contributors = ({ filters, keys }: InsightQuestion) =>
  lines
    .filter((line) => filters.every((filter) => matches(line, filter)))
    .map((line) => keys.map((key) => valueAt(line, key)))
    .filter((values) => !values.includes(undefined))

describe('the question', () => {
  it.each(Object.entries(INSIGHT_QUESTIONS))(
    '%s is answered by lines that the functions print',
    (_, question) => {
      expect(contributors(question).length).toBeGreaterThan(0)
    },
  )

  it.each([
    ['issuing-clients', ['checkout', 'desk', 'ledger-api', 'desk-ledger']],
    ['issuing-clients', [NO_CLIENT, 'job', 'ledger-api', 'job-ledger']],
    ['denied-clients', ['checkout', 'no_grant_matches']],
    ['refused-issuers', ['job', 'token_replayed']],
    ['replay-sources', ['job:repo:octo/pay:ref:refs/heads/main']],
    ['failures-by-endpoint', ['token']],
    ['faults-by-dependency', ['kms', 'token']],
    ['malformed-requests', ['parameter_missing', 'token']],
  ] as const)('%s counts %s', (name, contributor) => {
    expect(contributors(INSIGHT_QUESTIONS[name])).toContainEqual(contributor)
  })

  it('who gets tokens counts every token', () => {
    const issued = lines.filter((line) => line['TokensIssued'] === 1)
    expect(issued).toHaveLength(2)
    expect(contributors(INSIGHT_QUESTIONS['issuing-clients'])).toHaveLength(issued.length)
  })

  it('of refusals counts no success, and no failure', () => {
    expect(contributors(INSIGHT_QUESTIONS['refusals-by-reason'])).toHaveLength(4)
  })
})

describe('a saved query of requests', () => {
  const queries = Object.entries<LogQuestion>(LOG_QUESTIONS).filter(([, { logs }]) => logs === 'requests')

  it.each(queries)('%s reads fields that the functions print', (_, { lines: query }) => {
    const words = query
      .filter((line) => /^(?:fields|filter) /.test(line))
      .flatMap((line) => line.replaceAll(/"[^"]*"|^\w+ /g, '').match(/[@\w.]+/g) ?? [])
    const language = ['and', 'or', 'in', 'ispresent', 'coalesce']
    const fields = words.filter((word) => !word.startsWith('@') && !language.includes(word))
    expect(fields.length).toBeGreaterThan(0)
    const unknown = fields.filter((field) => lines.every((line) => valueAt(line, field) === undefined))
    expect(unknown).toEqual([])
  })
})

describe('the rules', () => {
  it('ask these questions of the log of every function that answers requests', () => {
    expect(RULES).toHaveLength(Object.keys(INSIGHT_QUESTIONS).length)
    for (const { RuleBody, RuleName, RuleState } of RULES) {
      expect(RuleState).toBe('ENABLED')
      const name = String(RuleName).replace('token-broker-dev-', '') as keyof typeof INSIGHT_QUESTIONS
      const { filters, keys } = INSIGHT_QUESTIONS[name]
      const body = String(readable(RuleBody)).replaceAll('[object Object]', 'log-group')
      expect(JSON.parse(body)).toMatchObject({
        Schema: { Name: 'CloudWatchLogRule', Version: 1 },
        LogFormat: 'JSON',
        LogGroupNames: Array(5).fill('log-group'),
        Contribution: { Keys: keys, Filters: filters },
      })
    }
  })

  it('ask for no more than CloudWatch does: four keys, four filters of ten values', () => {
    for (const { filters, keys } of Object.values<InsightQuestion>(INSIGHT_QUESTIONS)) {
      expect(keys.length).toBeLessThanOrEqual(4)
      expect(filters.length).toBeLessThanOrEqual(4)
      for (const { In = [] } of filters) expect(In.length).toBeLessThanOrEqual(10)
    }
  })
})
