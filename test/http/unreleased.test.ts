import { Logger } from '@aws-lambda-powertools/logger'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  DependencyUnavailable,
  NeverInvoked,
  SignedByRetiredKey,
  WrongSignature,
} from '../../functions/core/fault.ts'
import { indexPolicy } from '../../functions/core/policy/decide.ts'
import type { ExchangeRecord } from '../../functions/core/ports.ts'
import { AWS_CREDENTIALS_TYPE, TOKEN_EXCHANGE_GRANT } from '../../functions/core/token-request.ts'
import { serveToken } from '../../functions/exchange/serve-token.ts'
import { httpHandler } from '../../functions/http/rim.ts'
import { createTelemetry } from '../../functions/telemetry.ts'
import { LineageSearch } from '../../lib/cli/lineage.ts'
import { tokenEvent } from '../attacks/proxy-event.ts'
import { createAwsBroker } from '../support/aws-broker.ts'
import { createTestBroker, NOW, PAYMENTS, REPORTS, type TestBroker, testPolicy } from '../support/broker.ts'
import { assertionParameters } from '../support/clients.ts'
import { COUNTING } from '../support/emf.ts'
import { createEndpoints, type TestEndpoints, worldOf } from '../support/endpoints.ts'
import { printedBy } from '../support/printed.ts'

/*
 * The record of an exchange is written beside the signature. Whatever then stands in the way of the release, one event says so:
 * else the trail would show a token that nobody has ever had.
 */

const DOWN = new DependencyUnavailable('kms', 'kms: down')
const SILENT = {
  measure: () => undefined,
  refused: () => undefined,
  repeated: () => undefined,
  failed: () => undefined,
}
const KEY = { 'idempotency-key': 'once-and-no-more-than-once' }

let broker: TestBroker
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'], now: NOW * 1000 })
  broker = await createTestBroker()
})
afterEach(() => void vi.useRealTimers())

const form = async (audience = PAYMENTS) => ({
  grant_type: TOKEN_EXCHANGE_GRANT,
  subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
  subject_token: await broker.subjectToken('pod'),
  audience,
})

/** Resolves when a record stands, whose answer the exchange may not have yet. */
function whenRecorded(): Promise<void> {
  const record = broker.ledger.record.bind(broker.ledger)
  return new Promise((resolve) => {
    broker.ledger.record = async (exchange) => {
      const outcome = await record(exchange)
      resolve()
      return outcome
    }
  })
}

const soleRecord = (of = broker): ExchangeRecord => {
  const [record, ...more] = [...of.ledger.records.values()]
  if (record === undefined || more.length > 0) throw new Error('one record, please')
  return record
}

/** As `audit lineage` reads what was recorded and what was said. */
function nodeOf({ said }: Pick<TestEndpoints, 'said'>, of = broker) {
  const { event, issued } = soleRecord(of)
  const search = new LineageSearch(issued.id)
  for (const one of [...said.audit, { ...event }]) search.addEvent(one)
  return search.trees()[0]?.children[0]
}

function expectUnreleased(endpoints: Pick<TestEndpoints, 'said'>, of = broker): void {
  const { issued, event } = soleRecord(of)
  expect(endpoints.said.audit).toEqual([
    expect.objectContaining({
      event: 'exchange_failed',
      reason: 'fault',
      withheld: issued.id,
      correlation_id: event.correlation_id,
      time: event.time,
      grant: (event as { grant?: string }).grant,
    }),
  ])
  expect(nodeOf(endpoints, of)?.withheld).toEqual({ reason: 'fault', butForRetry: false })
}

/** A policy whose tokens of the payments API have their status in a list, or are signed by delegated keys. */
function policyWith(changes: object) {
  const policy = testPolicy()
  const targets = policy.targets.map((target) =>
    target.audience === PAYMENTS ? { ...target, ...changes } : target,
  )
  return indexPolicy({ ...policy, targets } as typeof policy)
}

type Trouble = () => unknown
const fails = (fault: unknown) => () => Promise.reject(fault)

describe('what was recorded, and is not released because', () => {
  it.each<[string, number, Trouble, { readonly audience?: string; readonly target?: object }?]>([
    ['KMS is down', 503, () => Object.assign(broker.keys, { sign: fails(DOWN) })],
    [
      'the signature is wrong',
      500,
      () => Object.assign(broker.keys, { sign: fails(new WrongSignature('x')) }),
    ],
    [
      'a retired key signed',
      500,
      () => Object.assign(broker.keys, { sign: fails(new SignedByRetiredKey('x')) }),
    ],
    [
      'the active key is revoked',
      503,
      async () => {
        const { kid } = await broker.keys.activeKey('RS256')
        broker.revocations.stored.set(`key#${kid}`, NOW)
      },
    ],
    [
      'a delegated key cannot be decrypted',
      503,
      async () => {
        await broker.keys.activate('delegated-ES256')
        Object.assign(broker.keys, { sign: fails(DOWN) })
      },
      { target: { algorithm: 'ES256', signing: 'delegated' } },
    ],
    [
      'the cut-offs cannot be read',
      503,
      () => Object.assign(broker.revocations, { cutOffs: fails(new DependencyUnavailable('dynamodb', 'x')) }),
    ],
    [
      'its place in a status list cannot be written',
      503,
      () => Object.assign(broker.statuses, { write: fails(new DependencyUnavailable('dynamodb', 'x')) }),
      { target: { statusList: true } },
    ],
    [
      'the claims of a handle cannot be stored',
      503,
      () => Object.assign(broker.references, { store: fails(new DependencyUnavailable('dynamodb', 'x')) }),
      { audience: REPORTS },
    ],
    [
      'nobody knows whether the record was written, which it was',
      503,
      () => {
        const record = broker.ledger.record.bind(broker.ledger)
        broker.ledger.record = async (exchange) => {
          await record(exchange)
          throw new DependencyUnavailable('dynamodb', 'no answer')
        }
      },
    ],
    ['there is a defect', 500, () => Object.assign(broker.keys, { sign: fails(new TypeError('x')) })],
  ])('%s, is said to be withheld (%i)', async (_, status, trouble, { audience, target = {} } = {}) => {
    await trouble()
    const endpoints = createEndpoints(broker, { ...worldOf(broker), policy: policyWith(target) })
    expect((await endpoints.token({ form: await form(audience) })).statusCode).toBe(status)
    expectUnreleased(endpoints)
  })

  it('an assertion cannot be claimed, is said to be withheld', async () => {
    Object.assign(broker.oneTime, { claim: fails(new DependencyUnavailable('dynamodb', 'x')) })
    const endpoints = createEndpoints(broker)
    const assertion = assertionParameters(await broker.assertion('checkout'))
    expect((await endpoints.token({ form: { ...(await form()), ...assertion } })).statusCode).toBe(503)
    expectUnreleased(endpoints)
  })

  it.each([
    ['is said to be withheld', 'exchange_failed', () => undefined],
    [
      'and was refused besides, is said once',
      'exchange_refused',
      () => {
        broker.revocations.cutOffs = async (keys) => new Map(keys.map((key) => [key, NOW]))
      },
    ],
  ])('the answer cannot be finished, %s', async (_, event, prepare) => {
    prepare()
    const said: object[] = []
    let measurements = 0
    const measure = () => {
      if (++measurements === 1) throw new Error('no line')
    }
    const log = { ...SILENT, measure, refused: (one: object) => void said.push(one) }
    const handler = httpHandler(serveToken(worldOf(broker), log), log)
    const body = new URLSearchParams(await form()).toString()
    expect((await handler(tokenEvent({ body }, 'request-1'), {})).statusCode).toBe(500)
    expect(said).toEqual([expect.objectContaining({ event, withheld: soleRecord().issued.id })])
  })

  describe('time is over', () => {
    it.each([
      [
        'while the token is signed',
        (hang: Promise<never>) => Object.assign(broker.keys, { sign: () => hang }),
      ],
      [
        'while the cut-offs are read',
        (hang: Promise<never>) => Object.assign(broker.revocations, { cutOffs: () => hang }),
      ],
    ])('%s, is said to be withheld', async (_, trouble) => {
      const hang = gate<never>()
      trouble(hang.promise)
      const late = await outOfTime(whenRecorded())
      expectUnreleased(late.endpoints)
      hang.fail(DOWN)
      await late.served
      expectUnreleased(late.endpoints)
    })

    it('and it would have been refused, is said once', async () => {
      const asked = gate()
      broker.revocations.cutOffs = async (keys) => {
        await asked.promise
        return new Map(keys.map((key) => [key, NOW]))
      }
      const late = await outOfTime(whenRecorded())
      asked.open()
      expect(await late.served).toMatchObject({ outcome: 'refused' })
      expectUnreleased(late.endpoints)
    })

    it('is not recorded any more', async () => {
      const asked = gate()
      const answer = gate()
      const find = broker.issuerKeys.find.bind(broker.issuerKeys)
      broker.issuerKeys.find = async (...given) => {
        asked.open()
        await answer.promise
        return find(...given)
      }
      const late = await outOfTime(asked.promise)
      answer.open()
      expect(await late.served).toBeInstanceOf(DependencyUnavailable)
      expect(broker.ledger.records.size).toBe(0)
      expect(late.endpoints.said.audit).toEqual([])
    })
  })

  it('KMS is down, is released to a retry, and the trail says when', async () => {
    const { sign } = broker.keys
    const endpoints = createEndpoints(broker)
    const sent = { form: await form(), headers: KEY }
    Object.assign(broker.keys, { sign: fails(DOWN) })
    expect((await endpoints.token(sent)).statusCode).toBe(503)
    expect(nodeOf(endpoints)?.withheld).toEqual({ reason: 'fault', butForRetry: true })
    Object.assign(broker.keys, { sign })
    vi.setSystemTime((NOW + 20) * 1000)
    for (let retries = 0; retries < 2; retries++) expect((await endpoints.token(sent)).statusCode).toBe(200)
    const { issued } = soleRecord()
    const repeated = {
      event: 'exchange_repeated',
      token: issued.id,
      subject: 'pod:repo:octo/pay:ref:refs/heads/main',
    }
    expect(endpoints.said.audit).toMatchObject([
      { event: 'exchange_failed', withheld: issued.id, withheld_but_for_retry: true },
      { ...repeated, time: NOW + 20 },
      repeated,
    ])
    expect(nodeOf(endpoints)?.withheld).toEqual({ reason: 'fault', butForRetry: true, repeatedAt: NOW + 20 })
  })

  it('STS is down, for credentials and by whichever way they were asked for', async () => {
    const { endpoints, subjectToken, broker: of, sts } = await createAwsBroker()
    sts.ends.push(new DependencyUnavailable('sts', 'sts: down'))
    const headers = { authorization: await subjectToken() }
    expect((await endpoints.awsCredentials('deploy', { headers })).statusCode).toBe(503)
    expectUnreleased(endpoints, of)
  })

  it('the token for STS cannot be signed', async () => {
    const { endpoints, exchange, subjectToken, broker: of } = await createAwsBroker()
    Object.assign(of.keys, { sign: fails(DOWN) })
    expect((await exchange({ subject_token: await subjectToken() })).statusCode).toBe(503)
    expectUnreleased(endpoints, of)
  })
})

describe('a request that was handed on', () => {
  const body = `grant_type=x&requested_token_type=${encodeURIComponent(AWS_CREDENTIALS_TYPE)}`

  async function handedOn(answer: () => Promise<unknown>, headers = {}) {
    const said: { readonly correlation_id?: string }[] = []
    const log = { ...SILENT, refused: (event: object) => void said.push(event) }
    const handler = httpHandler(serveToken(worldOf(broker), log, answer), log)
    const answered = handler(tokenEvent({ body, headers }, 'request-1'), {})
    await vi.advanceTimersByTimeAsync(5000)
    return { status: (await answered).statusCode, said }
  }

  it.each<[string, () => Promise<unknown>]>([
    ['does not come', () => new Promise(() => undefined)],
    ['is none', fails(new DependencyUnavailable('aws-credentials', 'x'))],
    ['is not one of ours', async () => null],
  ])('is said to have released nothing where its answer %s', async (_, answer) => {
    const { status, said } = await handedOn(answer)
    expect(status).toBe(503)
    expect(said).toMatchObject([{ event: 'exchange_failed', correlation_id: 'request-1' }])
    // By its id alone the record of the other function is known, which thinks that it has answered.
    const { exchange, subjectToken, broker: of, endpoints } = await createAwsBroker()
    expect((await exchange({ subject_token: await subjectToken() })).statusCode).toBe(200)
    endpoints.said.audit.push(...said)
    expect(nodeOf(endpoints, of)?.withheld).toEqual({ reason: 'fault', butForRetry: false })
  })

  it('and failed in both functions, is withheld for the reason of the one that refused, but for a retry', async () => {
    const { said } = await handedOn(fails(DOWN), KEY)
    expect(said).toMatchObject([{ withheld_but_for_retry: true }])
    const { exchange, subjectToken, broker: of, endpoints, sts } = await createAwsBroker()
    sts.ends.push({ kind: 'denied', code: 'AccessDenied' })
    expect((await exchange({ subject_token: await subjectToken() }, KEY)).statusCode).toBe(400)
    const [refusal = {}] = endpoints.said.audit
    const { withheld_but_for_retry: _, ...bare } = refusal
    for (const one of [refusal, bare])
      for (const audit of [
        [one, ...said],
        [...said, one],
      ]) {
        const node = nodeOf({ said: { ...endpoints.said, audit } }, of)
        expect(node?.withheld).toEqual({ reason: 'role_not_assumable', butForRetry: true })
      }
  })

  it('is not spoken of where nobody got it: a flood that is throttled would fill the trail', async () => {
    const throttled = fails(new NeverInvoked('aws-credentials', 'x'))
    expect(await handedOn(throttled)).toEqual({ status: 503, said: [] })
  })

  it('is spoken of by the other function alone where that has answered', async () => {
    const answer = { statusCode: 503, headers: {}, body: '{}' }
    expect(await handedOn(async () => answer)).toEqual({ status: 503, said: [] })
  })
})

describe('of what is withheld nothing is said where', () => {
  it('the token was released', async () => {
    const endpoints = createEndpoints(broker)
    expect((await endpoints.token({ form: await form() })).statusCode).toBe(200)
    expect(endpoints.said.audit).toEqual([])
    expect(nodeOf(endpoints)).not.toHaveProperty('withheld')
  })

  it('the record is another request’s', async () => {
    const endpoints = createEndpoints(broker)
    const sent = { form: await form(), headers: KEY }
    expect((await endpoints.token(sent)).statusCode).toBe(200)
    const recorded = whenRecorded()
    Object.assign(broker.keys, { sign: () => recorded.then(fails(DOWN)) })
    expect((await endpoints.token(sent)).statusCode).toBe(503)
    expect(endpoints.said.audit).toEqual([])
    // Nor does it matter where that is not known.
    broker.ledger.record = fails(new DependencyUnavailable('dynamodb', 'x'))
    const event = { requestContext: { requestId: 'request-2' } }
    expect((await endpoints.token({ ...sent, event })).statusCode).toBe(503)
    expect(endpoints.said.audit).toMatchObject([
      { withheld: soleRecord().issued.id, correlation_id: 'request-2' },
    ])
    expect(nodeOf(endpoints)).not.toHaveProperty('withheld')
  })
})

it('an event that cannot be written changes no answer, and is missed in the log', async () => {
  const info = vi.spyOn(Logger.prototype, 'info').mockImplementation(() => {
    throw new TypeError('CANARY')
  })
  try {
    const { sign } = broker.keys
    const telemetry = createTelemetry('token', COUNTING)
    const handler = httpHandler(serveToken(worldOf(broker), telemetry), telemetry)
    const body = new URLSearchParams(await form()).toString()
    const statusOf = async (changes: object = {}) =>
      (await handler(tokenEvent({ body, headers: KEY, ...changes }, 'request-1'), {})).statusCode
    const { result, printed } = await printedBy(async () => {
      Object.assign(broker.keys, { sign: fails(DOWN) })
      const down = await statusOf()
      Object.assign(broker.keys, { sign })
      return [down, await statusOf(), await statusOf({ body: 'x=1' })]
    })
    expect(result).toEqual([503, 200, 400])
    expect(info).toHaveBeenCalledTimes(3)
    expect(printed.match(/"audit event not written"/g)).toHaveLength(3)
    expect(printed).not.toContain('CANARY')
  } finally {
    info.mockRestore()
  }
})

/** A request that has got as far as `here` when its time is over; `served` is what would have become of it. */
async function outOfTime(here: Promise<void>) {
  const audit: Record<string, unknown>[] = []
  const log = { ...SILENT, refused: (event: object) => void audit.push({ ...event }) }
  const serve = serveToken(worldOf(broker), log)
  let served: Promise<unknown> = Promise.resolve()
  const handler = httpHandler((...given) => {
    const serving = serve(...given)
    served = serving.catch((fault: unknown) => fault)
    return serving
  }, log)
  const body = new URLSearchParams(await form()).toString()
  const answer = handler(tokenEvent({ body }, 'request-1'), {})
  await here
  await vi.advanceTimersByTimeAsync(5000)
  expect((await answer).statusCode).toBe(503)
  return { endpoints: { said: { measured: [], audit, failed: [] } }, served }
}

/** A promise, and what settles it. */
function gate<T = void>() {
  let open: (value: T) => void = () => undefined
  let fail: (fault: unknown) => void = () => undefined
  const promise = new Promise<T>((resolve, reject) => {
    open = resolve
    fail = reject
  })
  return { promise, open, fail }
}
