import { identifyIssued, jtiFor } from '../../functions/core/access-token.ts'
import type { Authorised } from '../../functions/core/authorise.ts'
import { exchangeRecordOf } from '../../functions/core/exchange-record.ts'
import { LIMITS } from '../../functions/core/limits.ts'
import type { TrustedIssuer } from '../../functions/core/policy/compiled.ts'
import type { ExchangeRecord } from '../../functions/core/ports.ts'
import { replayScopeOf } from '../../functions/core/replay.ts'
import type { TokenRequest } from '../../functions/core/token-request.ts'
import type { ReplayMode } from '../../functions/core/types.ts'
import type { Model } from './explore.ts'
import { canonical, type ReplayState, type Request, withRequest } from './replay-state.ts'

/*
 * Invariants I5 and I7: what is released for one subject token. Names, keys and times of records are the deployed code's;
 * the table is its condition, applied to one write at a time. A write may be lost, applied without an answer, or given
 * up and applied later, even after its request has ended; the SDK sends a second copy. Expired items are deleted as early
 * as DynamoDB's clock allows, or never. Each function's clock is wrong by as much as the skew, either way. A signature
 * only delays the answer, or, if it fails, has the same effect as the function's death.
 */

/** The model's unit of time. */
const UNIT = 30
/** The token that is asked about, and another of the same name that its issuer makes when nobody may remember the first. */
const TOKENS = {
  first: { issuedAt: 0, expiresAt: 2 },
  namesake: { issuedAt: 8, expiresAt: 10 },
}
/** One way to ask. */
export interface Ask {
  readonly idempotencyKey?: string
  /** @default 'first' */
  readonly token?: keyof typeof TOKENS
  /** @default 'payments' */
  readonly target?: string
}

/** How the modelled system differs from the right one. */
export interface Mistakes {
  readonly checksThenPuts?: boolean
  readonly claimsBeforeSignatureCheck?: boolean
  readonly releasesBeforeRecord?: boolean
  /** What TTL has not deleted counts, expired or not. */
  readonly trustsDeletion?: boolean
  readonly recordEndsWithToken?: boolean
  readonly forgetsOwnWrite?: boolean
  readonly takesRetryForOwnWrite?: boolean
}

export interface Setting {
  readonly mode: ReplayMode
  readonly asks: readonly Ask[]
  readonly requests: number
  /** How wrong a function's clock may be, in units. @default [-1, 1] */
  readonly clocks?: readonly number[]
  /** Of one write, that the SDK sends at most. @default 2 */
  readonly copies?: number
}

type Action = readonly [name: string, state: ReplayState]

/** The model of this setting, with these mistakes. */
export function replayClaim(setting: Setting, mistakes: Mistakes = {}): Model<ReplayState> {
  const world = new World(setting, mistakes)
  return {
    initial: { time: 0, table: {}, requests: [], written: [] },
    next: (state) => [
      ...world.passage(state),
      ...world.deletions(state),
      ...world.arrivals(state),
      ...state.requests.flatMap((_, place) => world.steps(state, place)),
    ],
    violation: (state) => world.violation(state),
    key: canonical,
  }
}

class World {
  private readonly known = new Map<string, ExchangeRecord>()
  private readonly setting: Setting
  private readonly mistakes: Mistakes

  constructor(setting: Setting, mistakes: Mistakes) {
    this.setting = setting
    this.mistakes = mistakes
  }

  passage(state: ReplayState): readonly Action[] {
    const isHeldUp = state.requests.some(({ end, age }) => end === undefined && age === 1)
    const newest = this.setting.asks.some(({ token }) => token === 'namesake') ? 'namesake' : 'first'
    if (isHeldUp || state.time === TOKENS[newest].issuedAt + (newest === 'first' ? 2 : 1)) return []
    const requests = state.requests.map((request) =>
      request.end === undefined ? { ...request, age: request.age + 1 } : request,
    )
    return [['time passes', { ...state, requests, time: state.time + 1 }]]
  }

  /** DynamoDB's clock may be ahead of the others. */
  deletions(state: ReplayState): readonly Action[] {
    return Object.entries(state.table).flatMap(([key, owner]): Action[] => {
      if (owner === -1 || this.recordOf(state, owner).expiresAt >= (state.time + 1) * UNIT) return []
      const { [key]: _, ...table } = state.table
      return [[`${key} is deleted`, { ...state, table }]]
    })
  }

  arrivals(state: ReplayState): readonly Action[] {
    const { requests } = state
    const acceptable = this.setting.asks.flatMap((ask, index) =>
      (this.setting.clocks ?? [-1, 1]).flatMap((offset) => {
        const { issuedAt, expiresAt } = TOKENS[ask.token ?? 'first']
        const now = state.time + offset
        return state.time < issuedAt || expiresAt <= now ? [] : [[index, now] as const]
      }),
    )
    const started =
      requests.length === this.setting.requests
        ? []
        : acceptable.map(([ask, now]): Action => {
            const request = {
              ask,
              now,
              copies: 0,
              isWaiting: false,
              late: 0,
              age: 0,
              isTroubled: false,
            }
            return [
              `request ${requests.length} asks as ${ask} at ${now}`,
              { ...state, requests: [...requests, request] },
            ]
          })
    if (this.mistakes.claimsBeforeSignatureCheck !== true || state.time > 0) return started
    return [...started, ['a forgery arrives', { ...state, table: { ...state.table, first: -1 } }]]
  }

  steps(state: ReplayState, place: number): readonly Action[] {
    const request = state.requests[place] as Request
    const actions: Action[] = []
    const act = (name: string, changes: Partial<Request>, from = state) =>
      actions.push([`request ${place}: ${name}`, withRequest(from, place, changes)])
    const trouble = (name: string, changes: Partial<Request>, from = state) =>
      act(name, { ...changes, isTroubled: true }, from)
    const { late, end, isWaiting, copies, outcome } = request
    if (late > 0) act('a late copy arrives', { late: late - 1 }, this.put(state, place).state)
    if (end !== undefined) return actions
    trouble('dies', { end: 'died', late: late + Number(isWaiting), isWaiting: false })
    if (outcome === undefined && !isWaiting) {
      const read = this.mistakes.checksThenPuts === true ? { foreseen: this.judged(state, place) } : {}
      if (copies < (this.setting.copies ?? 2)) act('writes', { copies: copies + 1, isWaiting: true, ...read })
      else act('gives up', { end: 'failed' })
    }
    if (isWaiting) {
      const applied = this.put(state, place)
      act('is answered', { isWaiting: false, outcome: request.foreseen ?? applied.outcome }, applied.state)
      trouble('misses the answer', { isWaiting: false }, applied.state)
      trouble('loses the write', { isWaiting: false })
      trouble('waits no longer', { isWaiting: false, late: late + 1 })
    }
    const agreed = this.mistakes.releasesBeforeRecord === true ? (outcome ?? place) : outcome
    if (agreed !== undefined)
      act('answers', { outcome: agreed, end: agreed === 'replayed' ? 'refused' : 'released' })
    return actions
  }

  /** What the write of `place` comes to in the table as it is. */
  private put(state: ReplayState, place: number): { state: ReplayState; outcome: number | 'replayed' } {
    const { key } = this.recordOf(state, place)
    const outcome = this.judged(state, place)
    const isFree = state.table[key] === undefined || this.isExpired(state, state.table[key], place)
    if (!isFree && this.mistakes.checksThenPuts !== true) return { state, outcome }
    const written = [...new Set([...state.written, place])].toSorted((a, b) => a - b)
    return { state: { ...state, table: { ...state.table, [key]: place }, written }, outcome }
  }

  private judged(state: ReplayState, place: number): number | 'replayed' {
    const own = this.recordOf(state, place)
    const owner = state.table[own.key]
    if (owner === undefined || this.isExpired(state, owner, place)) return place
    if (owner === place && this.mistakes.forgetsOwnWrite !== true) return place
    if (owner === -1) return 'replayed'
    const existing = this.recordOf(state, owner)
    const isSameRequest = own.fingerprint !== undefined && own.fingerprint === existing.fingerprint
    if (!isSameRequest || own.recordedAt - existing.recordedAt > LIMITS.idempotencySeconds) return 'replayed'
    return this.mistakes.takesRetryForOwnWrite === true ? place : owner
  }

  private isExpired(state: ReplayState, owner: number, place: number): boolean {
    if (this.mistakes.trustsDeletion === true || owner === -1) return false
    return this.recordOf(state, owner).expiresAt < this.recordOf(state, place).recordedAt
  }

  violation(state: ReplayState): string | undefined {
    const identities = new Map<string, string>()
    for (const [place, { end, outcome, now, isTroubled }] of state.requests.entries()) {
      const rivals = state.requests.filter(
        (_, other) => other !== place && this.claimOf(state, other) === this.claimOf(state, place),
      )
      if (end === 'refused' && rivals.length === 0) return 'a request is refused as the replay of nothing'
      if (end === 'failed' && !isTroubled) return 'a request fails, though nothing went wrong'
      if (end !== 'released') continue
      const from = outcome as number
      if (!state.written.includes(from)) return 'a token is released without a record'
      const { issued } = this.recordOf(state, from)
      if (issued.expiresAt <= now * UNIT) return 'an expired token is released'
      const identity = JSON.stringify(issued)
      const claim = this.claimOf(state, place)
      if ((identities.get(claim) ?? identity) !== identity) return 'two tokens are released where one may be'
      identities.set(claim, identity)
    }
    return undefined
  }

  /** What may be used for one token only: by subject token, and whatever else tells uses apart. */
  private claimOf(state: ReplayState, place: number): string {
    const { token = 'first' } = this.askOf(state, place)
    return `${token} ${this.recordOf(state, place).key}`
  }

  private askOf(state: ReplayState, place: number): Ask {
    return this.setting.asks[(state.requests[place] as Request).ask] as Ask
  }

  private recordOf(state: ReplayState, place: number): ExchangeRecord {
    const { ask, now } = state.requests[place] as Request
    const key = `${place} ${ask} ${now}`
    const known = this.known.get(key) ?? this.deployedRecord(this.askOf(state, place), now * UNIT, place)
    this.known.set(key, known)
    return known
  }

  private deployedRecord(ask: Ask, now: number, place: number): ExchangeRecord {
    const issuer = { id: 'ci', replay: this.setting.mode, clockSkewSeconds: UNIT } as TrustedIssuer
    const expiresAt = TOKENS[ask.token ?? 'first'].expiresAt * UNIT
    const subject = { tokenId: 'first', expiresAt, lineage: ['first'] }
    const parts = {
      subject,
      target: { id: ask.target ?? 'payments' },
      grant: {},
      scopes: [],
      actors: [],
      confirmation: {},
      expiresAt,
    }
    const scope = replayScopeOf(parts as unknown as Authorised, issuer)
    const jti = jtiFor({ idempotencyKey: ask.idempotencyKey, scope }, () => `jti-${place}`)
    const authorised = { ...parts, jti } as unknown as Authorised
    const issued = identifyIssued(authorised, { issuer: 'us', now, status: undefined })
    const record = exchangeRecordOf(authorised, issued, {
      request: { idempotencyKey: ask.idempotencyKey } as TokenRequest,
      issuer,
      kid: 'key',
      attempt: `attempt-${place}`,
      audit: { now, correlationId: '', policy: '' },
    })
    return this.mistakes.recordEndsWithToken === true ? { ...record, expiresAt } : record
  }
}
