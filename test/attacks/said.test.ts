import { beforeEach, expect, it } from 'vitest'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import { serveToken } from '../../functions/exchange/serve-token.ts'
import { httpHandler, type Serve } from '../../functions/http/rim.ts'
import { serveIntrospection } from '../../functions/introspect/serve-introspection.ts'
import { serveOperatorRevocation, serveRevocation } from '../../functions/revoke/serve-revocation.ts'
import { createTelemetry, type Endpoint, type Telemetry } from '../../functions/telemetry.ts'
import { createTestBroker, PAYMENTS, type TestBroker } from '../support/broker.ts'
import { assertionParameters } from '../support/clients.ts'
import { COUNTING, emfLinesIn, seriesOf } from '../support/emf.ts'
import { OPERATOR_ARN, worldOf } from '../support/endpoints.ts'
import { printedBy } from '../support/printed.ts'

/** What the functions print, as they are deployed: by the real telemetry. */

const TRACE = '0af7651916cd43dd8448eb211c80319c'
let broker: TestBroker
let world: ReturnType<typeof worldOf>
let now: number
beforeEach(async () => {
  broker = await createTestBroker()
  world = worldOf(broker)
  now = Math.floor(Date.now() / 1000)
})

const fresh = () => ({ iat: now, nbf: now, exp: now + 60 })

/** A request to one endpoint, from an environment that is warm. */
async function ask(
  endpoint: Endpoint,
  serve: (log: Telemetry) => Serve,
  sent: { readonly form?: Record<string, string>; readonly body?: string; readonly headers?: object },
): Promise<string> {
  const telemetry = createTelemetry(endpoint, COUNTING)
  const type = sent.body === undefined ? 'application/x-www-form-urlencoded' : 'application/json'
  const { printed } = await printedBy(() =>
    httpHandler(serve(telemetry), telemetry)(
      {
        httpMethod: 'POST',
        path: `/${endpoint}`,
        multiValueHeaders: {
          'content-type': [type],
          traceparent: [`00-${TRACE}-b7ad6b7169203331-01`],
          ...sent.headers,
        },
        requestContext: {
          requestId: 'request-1',
          identity: { userArn: OPERATOR_ARN, sourceIp: '203.0.113.7' },
        },
        body: sent.body ?? new URLSearchParams(sent.form).toString(),
      },
      {},
    ),
  )
  return printed
}

const exchangeForm = (subject_token: string, more: Record<string, string> = {}) => ({
  grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
  subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
  audience: PAYMENTS,
  subject_token,
  ...more,
})
const token = (form: Record<string, string>, headers = {}) =>
  ask('token', (log) => serveToken(world, log), { form, headers })

const linesIn = (printed: string) => printed.trim().split('\n').filter(Boolean)

it('a granted exchange prints one line, a refused one two, a failed one that had begun to record three: metrics, why, and what of it', async () => {
  const subject_token = await broker.subjectToken('ci', fresh())
  expect(linesIn(await token(exchangeForm(subject_token)))).toHaveLength(1)
  const refused = linesIn(await token(exchangeForm(subject_token)))
  expect(refused.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    {
      message: 'refused',
      audit: {
        event: 'exchange_refused',
        reason: 'token_replayed',
        issuer: 'ci',
        subject: expect.any(String) as string,
        target: 'payments-api',
        correlation_id: 'request-1',
        trace_id: TRACE,
      },
    },
    {
      Failed: 0,
      ReplayRefusals: 1,
      reason: 'token_replayed',
      correlation_id: 'request-1',
      trace_id: TRACE,
    },
  ])
  broker.ledger.record = () => Promise.reject(new DependencyUnavailable('dynamodb', 'down'))
  const failed = linesIn(await token(exchangeForm(await broker.subjectToken('ci', fresh()))))
  expect(failed.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { level: 'ERROR', message: 'failed', fault: { dependency: 'dynamodb' }, trace_id: TRACE },
    { message: 'refused', audit: { event: 'exchange_failed', withheld: expect.any(String) as string } },
    { Failed: 1, DynamoDbFailures: 1, dependency: 'dynamodb' },
  ])
})

it('a granted exchange says in its one line where its time went, and by which grant', async () => {
  const [line] = emfLinesIn(await token(exchangeForm(await broker.subjectToken('ci', fresh()))))
  expect(line).toMatchObject({ issuer: 'ci', target: 'payments-api', grant: 'ci-payments', TokensIssued: 1 })
  for (const stage of ['parse', 'verify', 'policy', 'mint'])
    expect(Number(line?.[`${stage}_ms`])).toBeGreaterThanOrEqual(0)
})

it('no canary in any header, parameter, claim or fault comes into any line of any function', async () => {
  const CANARY = 'kanarienvogel'
  const headers = Object.fromEntries(
    ['user-agent', 'cookie', 'referer', 'x-forwarded-for', 'dpop', 'idempotency-key', 'tracestate'].map(
      (name) => [name, [`${CANARY}-${name}-0123456789`]],
    ),
  )
  const secret = { [CANARY]: CANARY, scope: CANARY, audience: `https://${CANARY}.example.com` }
  const subject_token = await broker.subjectToken('ci', {
    ...fresh(),
    email: `${CANARY}@example.com`,
    groups: [CANARY],
    [CANARY]: CANARY,
  })
  const issued = await broker.own({ ...fresh(), [CANARY]: CANARY })
  const assertion = async () =>
    assertionParameters(await broker.assertion('checkout', { ...fresh(), [CANARY]: CANARY }))
  const own = { form: { token: issued, token_type_hint: CANARY, ...(await assertion()) } }
  const again = { form: { token: issued, ...(await assertion()) } }
  const basic = { authorization: [`Basic ${Buffer.from(`legacy:${CANARY}`).toString('base64')}`] }
  const printed = [
    await token(exchangeForm(subject_token), { cookie: headers['cookie'] }),
    await token(exchangeForm(subject_token)),
    await token(exchangeForm(subject_token, secret), headers),
    await token(exchangeForm(CANARY, { client_secret: CANARY, client_id: CANARY })),
    await token(exchangeForm(`${subject_token}${CANARY}`), basic),
    await ask('introspect', (log) => serveIntrospection(world, log), own),
    await ask('introspect', (log) => serveIntrospection(world, log), {
      form: { token: CANARY },
      headers: basic,
    }),
    await ask('revoke', (log) => serveRevocation(world, log), again),
    await ask('revoke', (log) => serveRevocation(world, log), { form: { token: CANARY }, headers: basic }),
    await ask('admin', (log) => serveOperatorRevocation(world, log), {
      body: JSON.stringify({ kind: 'token', token: issued, reason: 'INC-7' }),
    }),
    await ask('admin', (log) => serveOperatorRevocation(world, log), {
      body: JSON.stringify({ kind: CANARY, id: CANARY, reason: CANARY, [CANARY]: CANARY }),
    }),
  ]
  broker.ledger.record = () =>
    Promise.reject(
      new DependencyUnavailable('dynamodb', 'dynamodb: X', {
        cause: new Error(`${CANARY} ${subject_token}`),
      }),
    )
  printed.push(await token(exchangeForm(await broker.subjectToken('pod', fresh()))))
  broker.revocations.cutOffs = () => Promise.reject(new TypeError(`${CANARY} is not a function`))
  printed.push(await token(exchangeForm(await broker.subjectToken('pod', fresh()))))
  const said = printed.join('')
  expect(said).not.toContain(CANARY)
  expect(said).not.toContain(Buffer.from(CANARY).toString('base64url'))
  expect(said).not.toContain('203.0.113.7')
  for (const text of [subject_token, issued])
    for (const part of text.split('.')) expect(said).not.toContain(part.slice(-30))
  for (const lines of printed) expect(linesIn(lines).length).toBeGreaterThanOrEqual(1)
})

it('whoever asks whatever: the series of a stage are counted, and have no dimension that a request fills', async () => {
  const printed: string[] = []
  for (const sub of ['one', 'two', 'three']) {
    printed.push(await token(exchangeForm(await broker.subjectToken('ci', { ...fresh(), sub }))))
    printed.push(await token(exchangeForm(await broker.subjectToken('pod', { ...fresh(), sub, aud: sub }))))
    printed.push(await token({ ...exchangeForm(sub), audience: `https://${sub}.example.com` }))
  }
  const series = [...seriesOf(emfLinesIn(printed.join('')))]
  const dimensions = new Set(series.map((one) => one.split(' ').slice(2).join(' ')))
  expect([...dimensions]).toEqual(['service=token-broker stage=test'])
  expect(series.length).toBeLessThanOrEqual(6)
})
