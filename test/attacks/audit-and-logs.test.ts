import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import { indexPolicy } from '../../functions/core/policy/decide.ts'
import { serveToken } from '../../functions/exchange/serve-token.ts'
import { httpHandler } from '../../functions/http/rim.ts'
import { createTelemetry, type Telemetry } from '../../functions/telemetry.ts'
import { loadPolicy } from '../../lib/policy-folder.ts'
import { createTestExport, logDelivery } from '../support/audit.ts'
import {
  BROKER_ISSUER,
  createTestBroker,
  NOW,
  PAYMENTS,
  type TestBroker,
  testPolicy,
} from '../support/broker.ts'
import { COUNTING, emfLinesIn, seriesOf } from '../support/emf.ts'
import { printedBy } from '../support/printed.ts'

let broker: TestBroker
let lines: object[]
beforeEach(async () => {
  broker = await createTestBroker()
  lines = []
})

const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** The error with which a policy of this one file is refused; `undefined` if it is none. */
function refusalOf(content: string | undefined): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'policy-'))
  folders.push(folder)
  if (content !== undefined) writeFileSync(join(folder, 'policy.yaml'), content)
  try {
    loadPolicy(folder, { loopbackIssuers: false })
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

const POLICY = ['issuers', 'targets', 'grants']
  .map((name) => readFileSync(new URL(`../../policy/${name}.yaml`, import.meta.url), 'utf8'))
  .join('\n')

describe('J04 the policy', () => {
  it.each([
    ['is missing', undefined],
    ['is a list', '[]'],
    ['does not parse', `${POLICY}\n  : [`],
    ['has an unknown section', `${POLICY}\ngrant: {}\n`],
    [
      'has an unknown key',
      POLICY.replace('    target: payments-api\n', '    target: payments-api\n    targets: x\n'),
    ],
  ])('that %s cannot be deployed: there is no last resort that allows everything', (_, content) => {
    expect(refusalOf(content)).toBeTruthy()
  })

  it('that is empty trusts nobody', () => {
    const folder = mkdtempSync(join(tmpdir(), 'policy-'))
    folders.push(folder)
    writeFileSync(join(folder, 'policy.yaml'), '')
    expect(loadPolicy(folder, { loopbackIssuers: false })).toMatchObject({
      issuers: [],
      targets: [],
      grants: [],
    })
  })

  it('as it stands can be, so that the refusals above are for what was changed', () => {
    expect(refusalOf(POLICY)).toBeUndefined()
  })

  it('that decided is named by its digest in every event: a rollback shows in the trail', async () => {
    await broker.exchange({ subject_token: await broker.subjectToken() })
    const refused = await broker.exchange({ subject_token: 'x' })
    const [record] = [...broker.ledger.records.values()]
    expect(record?.event.policy).toBe('test-policy')
    expect(refused).toMatchObject({ event: { policy: 'test-policy' } })
  })
})

it.each(['audience', 'scope'])(
  'J05 leaving out %s is judged by what then holds, not skipped',
  async (name) => {
    const subject_token = await broker.subjectToken('pod')
    const outcome = await broker.exchange({ subject_token, [name]: undefined })
    const expected =
      name === 'audience'
        ? { refused: expect.anything() }
        : { answer: expect.objectContaining({ scope: 'payments.read' }) }
    expect(outcome).toMatchObject(expected)
  },
)

it('J06 a token whose record cannot be written is not released', async () => {
  broker.ledger.record = () => Promise.reject(new DependencyUnavailable('dynamodb', 'down'))
  const exchange = broker.exchange({ subject_token: await broker.subjectToken() })
  await expect(exchange).rejects.toMatchObject({ name: 'DependencyUnavailable' })
})

const HOSTILE = [
  '\r\nINFO forged line',
  '\u001b[31mred',
  '"},"audit":{"event":"forged"}',
  '%s%n%x',
  '\u202e\u0000',
]

it('J07 what a sender writes breaks out of no record', async () => {
  const { handle, records } = createTestExport({})
  const events: object[] = []
  for (const text of HOSTILE) {
    const claims = { sub: text, environment: text.repeat(100) }
    const outcome = await broker.exchange({
      subject_token: await broker.subjectToken('ci', { ...claims, repository_id: 'other' }),
      audience: PAYMENTS,
    })
    if ('event' in outcome) events.push(outcome.event)
  }
  const printed = events.map((audit) => JSON.stringify({ message: 'refused', audit }))
  expect(printed).toHaveLength(HOSTILE.length)
  for (const line of printed) expect(line).not.toMatch(/[\r\n\u001b\u0000]/)
  await handle(logDelivery(printed))
  const written = await records()
  expect(written).toHaveLength(HOSTILE.length)
  const texts = (values: readonly unknown[]) =>
    values.map((value) => JSON.stringify(value)).sort((a, b) => (a < b ? -1 : 1))
  expect(texts(written.map(({ unmapped }) => unmapped.event))).toEqual(texts(events))
})

it('J07 a megabyte of text becomes no megabyte of record', async () => {
  const outcome = await broker.exchange({ subject_token: 'x'.repeat(1_000_000) })
  expect(JSON.stringify('event' in outcome && outcome.event).length).toBeLessThan(1000)
})

it('J08 no part of a token is in a record, an event or a log line', async () => {
  const subject_token = await broker.subjectToken()
  const granted = await broker.exchange({ subject_token })
  const replayed = await broker.exchange({ subject_token })
  const misplaced = await broker.exchange({
    subject_token: await broker.subjectToken(),
    audience: subject_token,
  })
  const issued = 'answer' in granted ? granted.answer.access_token : ''
  const events = [replayed, misplaced].map((outcome) => 'event' in outcome && outcome.event)
  const said = JSON.stringify([[...broker.ledger.records.values()], events])
  expect(said).toContain('audience_sha256')
  for (const token of [subject_token, issued])
    for (const part of token.split('.').slice(1)) {
      expect(part.length).toBeGreaterThan(40)
      expect(said).not.toContain(part.slice(0, 30))
    }
})

const telemetry = {
  measure: (request: object) => void lines.push(request),
  refused: (event: object) => void lines.push(event),
  repeated: (event: object) => void lines.push(event),
  failed: (fault: unknown) => void lines.push({ fault: String(fault) }),
}

async function bodyFor(
  subject_token: string,
  log: Pick<Telemetry, 'measure' | 'refused' | 'repeated' | 'failed'> = telemetry,
): Promise<string> {
  const world = {
    ...broker.world,
    issuer: BROKER_ISSUER,
    policy: indexPolicy(testPolicy()),
    signer: broker.keys,
    randomId: () => 'r'.repeat(22),
  }
  const answer = await httpHandler(serveToken(world, log), log)(
    {
      httpMethod: 'POST',
      path: '/token',
      multiValueHeaders: { 'content-type': ['application/x-www-form-urlencoded'] },
      requestContext: { requestId: 'one' },
      body: new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
        audience: PAYMENTS,
        subject_token,
      }).toString(),
    },
    {},
  )
  return `${answer.statusCode} ${answer.body}`
}

it('J09 every way in which a token can be bad gives the same answer', async () => {
  const now = Math.floor(Date.now() / 1000)
  const fresh = { iat: now, nbf: now, exp: now + 300 }
  const good = await broker.subjectToken('ci', fresh)
  const answers = await Promise.all(
    [
      'x',
      `${good.slice(0, -8)}AAAAAAAA`,
      await broker.subjectToken('ci', { iat: NOW - 9000, nbf: NOW - 9000, exp: NOW - 8000 }),
      await broker.subjectToken('ci', { ...fresh, iss: 'https://nobody.example.com' }),
      await broker.subjectToken('ci', { ...fresh, aud: 'https://elsewhere.example.com' }),
      await broker.subjectToken('ci', fresh, { kid: 'unknown' }),
    ].map((token) => bodyFor(token)),
  )
  expect(new Set(answers).size).toBe(1)
  expect(answers[0]).toMatch(/^400 .*invalid_request/)
  expect(lines.filter((line) => 'reason' in line)).toHaveLength(6)
})

it('J10 nothing that a request says becomes the dimension of a metric', async () => {
  const { printed } = await printedBy(async () => {
    const log = createTelemetry('token', COUNTING)
    for (const sub of ['one-of-a-million', 'two-of-a-million'])
      await bodyFor(await broker.subjectToken('ci', { sub }), log)
  })
  const series = [...seriesOf(emfLinesIn(printed))]
  expect(series).toContain('TokenBroker Failed service=token-broker stage=test')
  for (const one of series)
    expect(one).toMatch(/^TokenBroker [A-Z][A-Za-z]+ service=token-broker stage=test$/)
})

it('J11 e-mail addresses, groups and names in a token are in no record and no event', async () => {
  const personal = {
    email: 'ada@example.com',
    groups: ['surgeons'],
    name: 'Ada Lovelace',
    picture: 'https://x/ada',
  }
  await broker.exchange({ subject_token: await broker.subjectToken('ci', personal) })
  const refused = await broker.exchange({
    subject_token: await broker.subjectToken('ci', { ...personal, repository_id: 'other' }),
  })
  const said = JSON.stringify([[...broker.ledger.records.values()], refused])
  expect(said).toContain('repo:octo/pay')
  for (const value of ['ada@example.com', 'surgeons', 'Lovelace', 'picture'])
    expect(said).not.toContain(value)
})
