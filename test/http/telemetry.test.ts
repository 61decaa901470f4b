import { beforeEach, describe, expect, it } from 'vitest'
import { DependencyUnavailable, SignedByRetiredKey } from '../../functions/core/fault.ts'
import type { Refusal } from '../../functions/core/refusal.ts'
import { readCounting, toEnvironment } from '../../functions/settings.ts'
import {
  createDocumentTelemetry,
  createTelemetry,
  Environment,
  METRIC_UNITS,
  type MeasuredRequest,
} from '../../functions/telemetry.ts'
import { COUNTING, type EmfLine, emfLinesIn } from '../support/emf.ts'
import { printedBy } from '../support/printed.ts'

let environment: Environment
beforeEach(() => {
  environment = new Environment()
  environment.takeStartup()
})

const REQUEST: MeasuredRequest = { outcome: 'succeeded', durationMs: 20, correlationId: 'request-1' }

async function linesOf(
  requests: readonly Partial<MeasuredRequest>[],
  endpoint: 'token' | 'metadata' = 'token',
): Promise<readonly EmfLine[]> {
  const { printed } = await printedBy(async () => {
    const telemetry =
      endpoint === 'metadata'
        ? createDocumentTelemetry(endpoint, 'test')
        : createTelemetry(endpoint, COUNTING, environment)
    for (const request of requests) telemetry.measure({ ...REQUEST, ...request })
  })
  expect(printed.trim().split('\n').filter(Boolean)).toHaveLength(emfLinesIn(printed).length)
  return emfLinesIn(printed)
}

/** The metrics of one request, without what all of them have. */
async function measuredOf(request: Partial<MeasuredRequest>): Promise<Record<string, unknown>> {
  const [line] = await linesOf([request])
  const metrics = Object.entries(line ?? {}).filter(([name]) => name in METRIC_UNITS)
  return Object.fromEntries(metrics)
}

const refusal = (kind: 'token_replayed' | 'body_malformed' | 'no_grant_matches' | 'rate_exceeded') =>
  ({ kind, retryAfterSeconds: 1, candidates: 0 }) as Refusal

it('there are at most 20 metrics, and as many series in a stage', () => {
  expect(Object.keys(METRIC_UNITS).length).toBeLessThanOrEqual(20)
})

describe('the metrics of a request', () => {
  it('are in one line, whose properties say where, why and by what id', async () => {
    const lines = await linesOf([{ outcome: 'refused', refusal: refusal('no_grant_matches') }])
    expect(lines).toMatchObject([
      {
        service: 'token-broker',
        stage: 'test',
        endpoint: 'token',
        outcome: 'refused',
        reason: 'no_grant_matches',
        correlation_id: 'request-1',
      },
    ])
    expect(lines[0]?._aws.CloudWatchMetrics).toMatchObject([
      { Namespace: 'TokenBroker', Dimensions: [['service', 'stage']] },
    ])
  })

  it.each(
    [150, 200, 4000].flatMap((latencyMilliseconds) => [
      { latencyMilliseconds, durationMs: latencyMilliseconds - 0.1, Fast: 1 },
      { latencyMilliseconds, durationMs: latencyMilliseconds, Fast: 1 },
      { latencyMilliseconds, durationMs: latencyMilliseconds + 0.1, Fast: 0 },
    ]),
  )(
    'where $latencyMilliseconds ms is fast, count for $durationMs ms: $Fast',
    async ({ latencyMilliseconds, durationMs, Fast }) => {
      const { printed } = await printedBy(async () => {
        const telemetry = createTelemetry('token', { ...COUNTING, latencyMilliseconds }, environment)
        telemetry.measure({ ...REQUEST, durationMs })
      })
      expect(emfLinesIn(printed)).toMatchObject([{ Duration: durationMs, Fast }])
    },
  )

  it('hold a refusal for no failure', async () => {
    const denied = { outcome: 'refused' as const, refusal: refusal('no_grant_matches') }
    expect(await measuredOf(denied)).toEqual({ Failed: 0, Duration: 20, Fast: 1 })
  })

  it.each([
    ['Throttled', refusal('rate_exceeded')],
    ['InvalidInput', refusal('body_malformed')],
    ['ReplayRefusals', refusal('token_replayed')],
    [
      'ReplayRefusals',
      {
        kind: 'client_authentication_failed',
        usedHeader: false,
        failure: 'assertion_replayed',
      } satisfies Refusal,
    ],
  ] as const)('count as %s what is refused for it', async (name, why) => {
    expect(await measuredOf({ outcome: 'refused', refusal: why })).toMatchObject({ [name]: 1 })
  })

  it.each([
    ['kms', 'KmsFailures'],
    ['dynamodb', 'DynamoDbFailures'],
    ['issuer-keys', 'IssuerKeyFailures'],
  ] as const)('name %s where it was the reason of a failure', async (dependency, name) => {
    const fault = new DependencyUnavailable(dependency, 'down')
    expect(await measuredOf({ outcome: 'failed', fault })).toEqual({ Failed: 1, [name]: 1 })
    const [line] = await linesOf([{ outcome: 'failed', fault }])
    expect(line).toMatchObject({ dependency })
  })

  it('count a signature by a retired key, and hold it for a failure', async () => {
    const fault = new SignedByRetiredKey('key k')
    expect(await measuredOf({ outcome: 'failed', fault })).toEqual({ Failed: 1, RetiredKeySignatures: 1 })
  })

  it('count the keys of issuers that could not be read with the request that waited for them, whatever became of it', async () => {
    const { printed } = await printedBy(async () => {
      const telemetry = createTelemetry('token', COUNTING, environment)
      telemetry.keysFailed({ id: 'ci' }, new Error('CANARY'))
      telemetry.measure(REQUEST)
      telemetry.keysFailed({ id: 'ci' }, new Error('CANARY'))
      telemetry.measure({
        ...REQUEST,
        outcome: 'failed',
        fault: new DependencyUnavailable('issuer-keys', 'x'),
      })
      telemetry.measure(REQUEST)
    })
    expect(emfLinesIn(printed).map((line) => line['IssuerKeyFailures'])).toEqual([1, 1, undefined])
    expect(printed).toMatch(/"message":"keys not read".*"issuer":"ci"/)
    expect(printed).not.toContain('CANARY')
  })

  it('count them at whichever endpoint of the environment is asked next', async () => {
    const { printed } = await printedBy(async () => {
      const told = createTelemetry('aws_credentials', COUNTING, environment)
      const asked = createTelemetry('token', COUNTING, environment)
      told.keysFailed({ id: 'ci' }, new Error('x'))
      for (const telemetry of [asked, told]) telemetry.measure(REQUEST)
    })
    expect(emfLinesIn(printed).map((line) => line['IssuerKeyFailures'])).toEqual([1, undefined])
  })

  it('say in properties where the time went, whose request it was, and in which trace', async () => {
    const stages = [
      { stage: 'parse', fromMs: 1, toMs: 1.5 },
      { stage: 'verify', fromMs: 1.5, toMs: 3.756 },
    ] as const
    const known = { client_id: 'checkout', issuer: 'ci', subject: 'CANARY', target: 'payments', grant: 'g' }
    const trace = { traceId: 'a'.repeat(32), parentId: 'b'.repeat(16), isSampled: true }
    const [line] = await linesOf([{ stages, known, trace }])
    expect(line).toMatchObject({
      parse_ms: '0.50',
      verify_ms: '2.26',
      client_id: 'checkout',
      issuer: 'ci',
      target: 'payments',
      grant: 'g',
      trace_id: trace.traceId,
    })
    expect(JSON.stringify(line)).not.toContain('CANARY')
  })

  it('tell a cold start from a slow answer, once per environment', async () => {
    environment = new Environment()
    const [cold, warm] = await linesOf([{ durationMs: 900 }, { durationMs: 900 }])
    expect(cold).toMatchObject({ Failed: 0, cold_start_ms: expect.any(String) as string })
    expect(Number(cold?.['cold_start_ms'])).toBeGreaterThan(900)
    expect(cold).not.toHaveProperty('Duration')
    expect(cold).not.toHaveProperty('Fast')
    expect(warm).toMatchObject({ Duration: 900, Fast: 0 })
    expect(warm).not.toHaveProperty('cold_start_ms')
  })

  it('leave out public documents, but for the dependency that kept one back', async () => {
    const fault = new DependencyUnavailable('dynamodb', 'down')
    const lines = await linesOf([{}, { outcome: 'failed', fault }], 'metadata')
    expect(lines).toMatchObject([{ DynamoDbFailures: 1, endpoint: 'metadata' }])
    expect(lines[0]).not.toHaveProperty('Failed')
  })
})

describe('what requests are counted by', () => {
  const variables = toEnvironment({ stage: 'prod', latencyMilliseconds: '350' })

  it('is set by the deployment', () => {
    expect(readCounting(variables)).toEqual({ stage: 'prod', latencyMilliseconds: 350 })
  })

  it.each(['BROKER_STAGE', 'LATENCY_MILLISECONDS'])('is not guessed where %s is missing', (name) => {
    expect(() => readCounting({ ...variables, [name]: undefined })).toThrow(`${name} is not set`)
  })

  it.each(['fast', '0', '-200', '99.5', '200ms'])('is not guessed from %s', (value) => {
    expect(() => readCounting({ ...variables, LATENCY_MILLISECONDS: value })).toThrow(
      `LATENCY_MILLISECONDS is ${value}, not a number of milliseconds`,
    )
  })
})
