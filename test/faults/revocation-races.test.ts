import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, it, onTestFailed, vi } from 'vitest'
import { DynamoDbExchangeLedger } from '../../functions/adapters/dynamodb-exchange-ledger.ts'
import { DynamoDbRevocationRegister } from '../../functions/adapters/dynamodb-revocation-register.ts'
import { DynamoDbRevocationStore } from '../../functions/adapters/dynamodb-revocation-store.ts'
import type { CompiledPolicy } from '../../functions/core/policy/compiled.ts'
import { indexPolicy } from '../../functions/core/policy/decide.ts'
import type { Signer } from '../../functions/core/ports.ts'
import { seededRandom } from '../../lib/local/aws/random.ts'
import { createTestBroker, PAYMENTS, RECEIPTS, type TestBroker } from '../support/broker.ts'
import { basic, SECRETS } from '../support/clients.ts'
import { exchangeForm } from '../support/cloud.ts'
import { createEndpoints, type TestEndpoints, worldOf } from '../support/endpoints.ts'
import { inProcessDynamoDb } from '../support/in-process-dynamodb.ts'
import { onwardPolicy } from '../support/onward-policy.ts'
import { decode } from '../support/tokens.ts'

/*
 * Invariant I9 in races: a revocation through its endpoint, while its token, and what descends from it, is exchanged
 * through another. Tables and signer take random times, and every request has a clock of its own, up to 5 s ahead. Set
 * SEED to repeat a run, as far as the machine's own timing lets it.
 */

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000_000)
const ROUNDS = 1000
const AT_ONCE = 20
const KINDS = ['token', 'presented token', 'lineage', 'subject', 'client'] as const
const MOST_PAUSE_MS = 4
const MOST_CLOCK_LEAD_MS = 5000
const OPERATOR = basic('legacy', SECRETS[0].secret)

const random = seededRandom(SEED)
const pause = () => sleep(random() * MOST_PAUSE_MS)
afterEach(() => void vi.restoreAllMocks())

/** A client for each round that revokes one: a cut-off would reach the others of a client that they share. */
const racerOf = (round: number) => `racer-${round}`

function racingPolicy(): CompiledPolicy {
  const policy = onwardPolicy()
  const legacy = policy.clients.find(({ id }) => id === 'legacy')
  const racers = Array.from({ length: ROUNDS }, (_, round) => ({ ...legacy, id: racerOf(round) }))
  return { ...policy, clients: [...policy.clients, ...racers] } as CompiledPolicy
}

async function openBroker(): Promise<{ broker: TestBroker; endpoints: TestEndpoints }> {
  const broker = await createTestBroker()
  const dynamoDb = await inProcessDynamoDb(['exchanges', 'revocations'], pause)
  const signer: Signer = {
    activeKey: (algorithm) => broker.keys.activeKey(algorithm),
    forget: (algorithm) => broker.keys.forget(algorithm),
    sign: async (key, signingInput) => {
      await pause()
      return broker.keys.sign(key, signingInput)
    },
  }
  const world = {
    ...worldOf(broker),
    policy: indexPolicy(racingPolicy()),
    ledger: new DynamoDbExchangeLedger(dynamoDb, 'exchanges'),
    revocations: new DynamoDbRevocationStore(dynamoDb, 'revocations'),
    register: new DynamoDbRevocationRegister(dynamoDb, 'revocations'),
    signer,
  }
  return { broker, endpoints: createEndpoints(broker, world as unknown as ReturnType<typeof worldOf>) }
}

class Round {
  readonly number: number
  private readonly endpoints: TestEndpoints

  constructor(number: number, endpoints: TestEndpoints) {
    this.number = number
    this.endpoints = endpoints
  }

  /** The token, or `undefined` if the exchange was refused for a reason that a client may see. */
  async exchange(token: string, audience: string, client?: string): Promise<string | undefined> {
    const headers: Record<string, string> =
      client === undefined ? {} : { authorization: basic(client, SECRETS[0].secret) }
    const { statusCode, json } = await this.endpoints.token({
      form: exchangeForm(token, { audience }),
      headers,
    })
    if (statusCode === 200) return String(json['access_token'])
    expect([statusCode, json['error']]).toEqual([400, 'invalid_request'])
    return undefined
  }

  async isActive(token: string): Promise<boolean> {
    const { statusCode, json } = await this.endpoints.introspect({
      form: { token },
      headers: { authorization: OPERATOR },
    })
    expect(statusCode).toBe(200)
    return json['active'] === true
  }

  async revoke(kind: (typeof KINDS)[number], token: string): Promise<void> {
    const { sub, txn } = decode(token).claims as Record<string, string>
    const named = { lineage: { id: txn }, subject: { id: sub }, client: { id: racerOf(this.number) } }
    const { statusCode } =
      kind === 'token'
        ? await this.endpoints.revoke({ form: { token }, headers: { authorization: OPERATOR } })
        : await this.endpoints.revokeByOperator(
            kind === 'presented token'
              ? { kind: 'token', token, reason: 'race' }
              : { kind, ...named[kind], reason: 'race' },
          )
    expect(statusCode).toBe(200)
  }
}

interface Tally {
  releasedBefore: number
  releasedAfter: number
  refused: number
}

/** One revocation in the middle of exchanges. */
async function race(round: Round, broker: TestBroker, tally: Tally): Promise<void> {
  const kind = KINDS[round.number % KINDS.length] ?? 'token'
  const now = Math.floor((performance.timeOrigin + performance.now()) / 1000)
  const times = { iat: now - 5, nbf: now - 5, exp: now + 300 }
  const login = await broker.subjectToken('pod', { ...times, sub: `worker-${round.number}` })
  const client = racerOf(round.number)
  const parent = (await round.exchange(login, PAYMENTS, client)) ?? ''
  const sibling = (await round.exchange(login, PAYMENTS)) ?? ''
  expect(await round.isActive(parent)).toBe(true)

  let isAnswered = false
  const released: string[] = []
  const descend = async (from: string, audience: string): Promise<void> => {
    await sleep(random() * 3 * MOST_PAUSE_MS)
    const child = await round.exchange(from, audience)
    if (child === undefined) return void tally.refused++
    tally[isAnswered ? 'releasedAfter' : 'releasedBefore']++
    released.push(child)
    if (audience === RECEIPTS) await descend(child, PAYMENTS)
  }
  const revoke = async () => {
    await sleep(random() * 6 * MOST_PAUSE_MS)
    await round.revoke(kind, parent)
    isAnswered = true
    expect(await round.isActive(parent)).toBe(false)
  }
  const again = kind === 'subject' ? [descend(login, PAYMENTS)] : []
  await Promise.all([revoke(), descend(parent, RECEIPTS), descend(parent, RECEIPTS), ...again])

  for (const token of released) expect(await round.isActive(token)).toBe(false)
  for (const token of [parent, ...released]) expect(await round.exchange(token, RECEIPTS)).toBeUndefined()
  expect(await round.isActive(sibling)).toBe(kind !== 'subject')
}

it('1,000 times: what is released beside a revocation is not active once that is answered', async () => {
  onTestFailed(() => void process.stdout.write(`repeat it with SEED=${SEED}\n`))
  const { broker, endpoints } = await openBroker()
  const realNow = Date.now
  vi.spyOn(Date, 'now').mockImplementation(() => realNow() + Math.floor(random() * MOST_CLOCK_LEAD_MS))
  const startedAt = performance.now()
  const tally: Tally = { releasedBefore: 0, releasedAfter: 0, refused: 0 }
  for (let first = 0; first < ROUNDS; first += AT_ONCE) {
    const rounds = Array.from({ length: AT_ONCE }, (_, index) => new Round(first + index, endpoints))
    await Promise.all(rounds.map((round) => race(round, broker, tally)))
  }
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  process.stdout.write(
    `revocation races, seed ${SEED}: ${ROUNDS} rounds in ${seconds} s; ${tally.releasedBefore} tokens released before ` +
      `the answer, ${tally.releasedAfter} after it, ${tally.refused} refused\n`,
  )
  // Without races of every outcome this would prove nothing.
  for (const outcome of Object.values(tally)) expect(outcome).toBeGreaterThan(0)
  expect(endpoints.said.failed).toEqual([])
})
