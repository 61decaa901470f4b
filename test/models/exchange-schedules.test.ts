import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import type { FailedEvent, GrantedEvent } from '../../functions/core/audit-event.ts'
import { type ExchangeOutcome, exchange } from '../../functions/core/exchange.ts'
import { DependencyUnavailable } from '../../functions/core/fault.ts'
import { introspect } from '../../functions/core/introspection.ts'
import { revokeByOperator } from '../../functions/core/operator-revocation.ts'
import { indexPolicy } from '../../functions/core/policy/decide.ts'
import type { RevocationKey } from '../../functions/core/ports.ts'
import { createTestBroker, NOW, PAYMENTS, RECEIPTS, type TestBroker } from '../support/broker.ts'
import { basic, SECRETS } from '../support/clients.ts'
import { exchangeForm } from '../support/cloud.ts'
import { worldOf } from '../support/endpoints.ts'
import { MemoryLedger, MemoryRevocations } from '../support/fakes.ts'
import { onwardPolicy } from '../support/onward-policy.ts'
import { decode } from '../support/tokens.ts'

/*
 * The deployed exchange, introspection and revocation, in every order in which their calls can take effect, be answered, or
 * fail: what the models say of their designs, said of the code (invariants I5, I7, I9).
 */

const RUNS = 400
const POLICY = indexPolicy(onwardPolicy())
const AT = { now: NOW, correlationId: 'c' }
const OPERATOR = [basic('legacy', SECRETS[0].secret)]
let broker: TestBroker

beforeAll(async () => {
  broker = await createTestBroker()
})

/** A world with stores of its own, in which the scheduler decides when a call takes effect, and when it is answered. */
function scheduledWorld(scheduler: fc.Scheduler) {
  const ledger = new MemoryLedger()
  const revocations = new MemoryRevocations()
  const slowly =
    <Args extends unknown[], T>(name: string, call: (...args: Args) => Promise<T>) =>
    async (...args: Args): Promise<T> => {
      await scheduler.schedule(Promise.resolve(), `${name} arrives`)
      const result = await call(...args)
      await scheduler.schedule(Promise.resolve(), `${name} is answered`)
      return result
    }
  const real = { ...worldOf(broker), policy: POLICY, ledger, revocations, register: revocations }
  const slow = {
    ...real,
    ledger: { record: slowly('record', ledger.record.bind(ledger)) },
    revocations: { cutOffs: slowly('cut-offs', revocations.cutOffs.bind(revocations)) },
    register: { revoke: slowly('revoke', revocations.revoke.bind(revocations)) },
    signer: {
      activeKey: broker.keys.activeKey.bind(broker.keys),
      forget: broker.keys.forget.bind(broker.keys),
      sign: slowly('sign', broker.keys.sign.bind(broker.keys)),
    },
  }
  return { real, slow }
}

type Worlds = ReturnType<typeof scheduledWorld>
const KEY = 'first-of-the-keys'

/** The part of a world in which one call fails when it has taken effect, or finds everything revoked. */
function troubled({ ledger, revocations, signer }: Worlds['slow'], trouble: string | undefined) {
  const failing =
    <Args extends unknown[]>(call: (...args: Args) => Promise<unknown>) =>
    async (...args: Args): Promise<never> => {
      await call(...args)
      throw new DependencyUnavailable('dynamodb', 'no answer')
    }
  if (trouble === 'record') return { ledger: { record: failing(ledger.record) } }
  if (trouble === 'cut-offs') return { revocations: { cutOffs: failing(revocations.cutOffs) } }
  if (trouble === 'sign') return { signer: { ...signer, sign: failing(signer.sign) } }
  const all = async (keys: readonly RevocationKey[]) => new Map(keys.map((key) => [key, NOW] as const))
  return trouble === undefined ? {} : { revocations: { cutOffs: all } }
}

/** What the trail is told of a request, as the rim tells it. */
async function toldOf(
  worlds: Worlds,
  token: string,
  { correlationId, key }: { readonly correlationId: string; readonly key: string | undefined },
) {
  let failed: FailedEvent | undefined
  const recording = (event: FailedEvent) => {
    failed = event
  }
  const accounted = () => {
    failed = undefined
  }
  const at = { ...AT, correlationId, recording, accounted }
  const outcome = await present(worlds, token, PAYMENTS, { key, at }).catch(() => undefined)
  if (outcome === undefined) return { id: correlationId, isReleased: false, events: failed ? [failed] : [] }
  if ('answer' in outcome) return { id: correlationId, isReleased: true, events: [] }
  return { id: correlationId, isReleased: false, events: [outcome.event] }
}

async function present(
  worlds: Worlds,
  token: string,
  audience: string,
  { key, at = AT }: { readonly key?: string | undefined; readonly at?: typeof AT } = {},
): Promise<ExchangeOutcome> {
  const parameters = Object.entries(exchangeForm(token, { audience }))
  const idempotencyKey = key === undefined ? [] : [key]
  const outcome = await exchange({ parameters, authorization: [], dpop: [], idempotencyKey }, at, worlds.slow)
  if ('answer' in outcome) expectRecorded(worlds, outcome.answer.access_token)
  return outcome
}

/** At the moment of the release, not later. */
function expectRecorded({ real }: Worlds, token: string): void {
  const { jti, iat, exp } = decode(token).claims
  const records = [...real.ledger.records.values()].filter(({ issued }) => issued.jti === jti)
  expect(records.map(({ issued }) => [issued.issuedAt, issued.expiresAt])).toEqual([[iat, exp]])
}

async function isActive({ real }: Worlds, token: string): Promise<boolean> {
  const input = { parameters: [['token', token]] as const, authorization: OPERATOR, wantsJwt: false }
  const outcome = await introspect(input, AT, real)
  return 'answer' in outcome && typeof outcome.answer === 'object' && outcome.answer.active
}

const tokensIn = (outcomes: readonly ExchangeOutcome[]): readonly string[] =>
  outcomes.flatMap((outcome) => ('answer' in outcome ? [outcome.answer.access_token] : []))

describe('whatever order calls take effect and are answered in', () => {
  it('three requests of one token get one logical token at most, recorded before', async () => {
    const asks = fc.array(fc.constantFrom(undefined, 'first-of-the-keys', 'other-of-the-keys'), {
      minLength: 2,
      maxLength: 3,
    })
    const property = fc.asyncProperty(
      fc.scheduler(),
      fc.constantFrom('ci', 'job'),
      asks,
      async (s, from, keys) => {
        const worlds = scheduledWorld(s)
        const token = await broker.subjectToken(from)
        const outcomes = await s.waitFor(
          Promise.all(
            keys.map((key, index) => {
              // A retry comes later, and yet gets the times of the first.
              const at = { ...AT, now: NOW + 10 * index }
              return present(worlds, token, PAYMENTS, { key, at })
            }),
          ),
        )
        const released = tokensIn(outcomes).map((text) => decode(text).claims)
        expect(released.length).toBeGreaterThan(0)
        expect(new Set(released.map((claims) => JSON.stringify(claims))).size).toBe(1)
        expect(worlds.real.ledger.records.size).toBe(1)
        const key = keys[outcomes.findIndex((outcome) => 'answer' in outcome)]
        expect(released.length).toBe(key === undefined ? 1 : keys.filter((other) => other === key).length)
      },
    )
    await fc.assert(property, { numRuns: RUNS })
  })

  it('each record of which its own request released nothing is taken back, by one event, and no other is', async () => {
    const troubles = fc.constantFrom(undefined, 'record', 'cut-offs', 'sign', 'revoked')
    const asks = fc.array(troubles, { minLength: 2, maxLength: 3 })
    const property = fc.asyncProperty(fc.scheduler(), fc.boolean(), asks, async (s, isRetried, each) => {
      const worlds = scheduledWorld(s)
      const token = await broker.subjectToken('job')
      const answers = each.map(async (trouble, index) => {
        const request = { ...worlds, slow: { ...worlds.slow, ...troubled(worlds.slow, trouble) } }
        return toldOf(request, token, { correlationId: `request-${index}`, key: isRetried ? KEY : undefined })
      })
      const told = await s.waitFor(Promise.all(answers))
      for (const { event } of worlds.real.ledger.records.values()) {
        const { isReleased, events } = told.find(({ id }) => id === event.correlation_id) ?? { events: [] }
        expect(events.map(({ withheld }) => withheld)).toEqual(
          isReleased ? [] : [(event as GrantedEvent).token],
        )
      }
    })
    await fc.assert(property, { numRuns: RUNS })
  })

  it('nothing descends from what a revocation has been answered for', async () => {
    const kinds = fc.constantFrom('token', 'lineage', 'subject')
    const property = fc.asyncProperty(fc.scheduler(), kinds, async (s, kind) => {
      const worlds = scheduledWorld(s)
      const parent = await broker.own({ client_id: 'ci:repo:octo/pay', txn: 'x'.repeat(22) })
      const { sub = '', txn = '' } = decode(parent).claims as Record<string, string>
      const named = { token: { token: parent }, lineage: { id: txn }, subject: { id: sub } }[kind]
      const released: string[] = []
      const descend = async (from: string, audience: string) => {
        const [child] = tokensIn([await present(worlds, from, audience)])
        if (child === undefined) return
        released.push(child)
        await descend(child, audience === PAYMENTS ? RECEIPTS : PAYMENTS)
      }
      const revoke = async () => {
        const body = { kind, ...named, reason: 'race' }
        expect(await revokeByOperator({ author: 'arn', body }, AT, worlds.slow)).toHaveProperty('answer')
        // Before anything is awaited, in which a write could catch up.
        expect(worlds.real.revocations.stored.size).toBe(1)
        for (const token of [parent, ...released]) expect(await isActive(worlds, token)).toBe(false)
        const late = await present(worlds, parent, RECEIPTS)
        expect(late).toMatchObject({ refused: { kind: 'token_revoked' } })
      }
      await s.waitFor(Promise.all([revoke(), descend(parent, RECEIPTS), descend(parent, PAYMENTS)]))
      for (const token of released) expect(await isActive(worlds, token)).toBe(false)
    })
    await fc.assert(property, { numRuns: RUNS })
  })
})
