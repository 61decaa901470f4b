import type { Authorised } from '../../functions/core/authorise.ts'
import type { OwnToken } from '../../functions/core/own-token.ts'
import type { IssuedIdentity, RevocationKey } from '../../functions/core/ports.ts'
import {
  findRevocation,
  refuseRevoked,
  revocationKeysFor,
  revocationKeysOf,
} from '../../functions/core/revocation.ts'
import type { Model } from './explore.ts'
import {
  actorLoginOf,
  delegationOf,
  type Facts,
  factsOf,
  isWithin,
  loginOf,
  parentsOf,
  type World,
} from './token-tree.ts'

/*
 * Invariant I9. Exchanges make a tree of tokens, each in three steps: it begins, with the time that will be the token's
 * `iat`; it reads the cut-offs; it releases the token. In between, others are revoked: a revocation begins, with the time
 * from which its cut-off follows; it writes; it is answered. Which cut-offs are read, and what they cover, is decided by
 * the deployed code. Nothing takes longer than one unit of time, and clocks are apart by one at most: a cut-off that follows
 * from a revocation's beginning has to cover an exchange that begins just before its end, by a clock that is ahead.
 */

/** What a revocation may take, and how far clocks may be apart. */
const MARGIN = 1 + 1

/** How the modelled system differs from the right one. */
export interface Mistakes {
  /** Units from a revocation's beginning to its cut-off. @default 2 */
  readonly margin?: number
  /** The token is released before the cut-offs are read. */
  readonly readsTooLate?: boolean
  /** Exchanges see a write when they happen to. */
  readonly exchangesOnStaleReads?: boolean
  readonly introspectsOnStaleReads?: boolean
  readonly ignoresAncestors?: boolean
  /** Tokens say neither to whom their ancestors were issued nor which key signed them. */
  readonly carriesNothingOfAncestors?: boolean
  /** Tokens do not say what could revoke them because of their actors. */
  readonly carriesNothingOfActors?: boolean
  /** What is revoked of the actor's token is not asked for. */
  readonly ignoresActors?: boolean
  readonly answersBeforeItWrites?: boolean
  /** A cut-off replaces another, even a later one. */
  readonly lastWriteWins?: boolean
}

export interface Setting {
  readonly exchanges: number
  readonly revocations: number
  readonly kinds: readonly Kind[]
  /** How far an exchange's clock may be ahead of a revocation's. */
  readonly clocks: readonly number[]
  readonly end: number
  /** Whether somebody may act for a subject. @default false */
  readonly actors?: boolean
}

export type Kind = 'token' | 'lineage' | 'subject' | 'client' | 'issuer' | 'key'
const CUT_OFFS: ReadonlySet<Kind> = new Set(['subject', 'client', 'issuer'])

interface Revocation {
  readonly key: RevocationKey
  readonly begunAt: number
  /** `adrift`: nobody waits for its write any more, which may still arrive, and is then `over`. */
  readonly stage: 'begun' | 'written' | 'answered' | 'adrift' | 'over'
  /** The exchanges that had begun when it was written. */
  readonly begunBefore: number
  readonly age: number
}

interface CascadeState extends World {
  readonly time: number
  readonly revocations: readonly Revocation[]
  /** Cut-offs as written, and as a read may still see them that is not strongly consistent. */
  readonly store: Readonly<Record<string, number>>
  readonly stale: Readonly<Record<string, number>>
}

type Action = readonly [name: string, state: CascadeState]

/** The model of this setting, with these mistakes. */
export function revocationCascade(setting: Setting, mistakes: Mistakes = {}): Model<CascadeState> {
  return {
    initial: { time: 0, exchanges: [], revocations: [], store: {}, stale: {} },
    next: (state) => [
      ...passage(state, setting),
      ...exchangesBegun(state, setting, mistakes),
      ...revocationsBegun(state, setting),
      ...state.exchanges.flatMap((_, place) => exchangeSteps(state, place, mistakes)),
      ...state.revocations.flatMap((_, place) => revocationSteps(state, place, mistakes)),
    ],
    violation: (state) => violationIn(state, mistakes),
    key: canonical,
  }
}

/** What was refused leaves nothing behind. */
function canonical({ exchanges, ...state }: CascadeState): string {
  return JSON.stringify([exchanges.map((one) => (one.stage === 'refused' ? '' : one)), state])
}

function passage(state: CascadeState, { end }: Setting): readonly Action[] {
  const isHeldUp =
    state.exchanges.some(({ stage, age }) => stage !== 'released' && stage !== 'refused' && age === 1) ||
    state.revocations.some((one) => isUnderWay(one) && one.age === 1)
  if (isHeldUp || state.time === end) return []
  const exchanges = state.exchanges.map((one) =>
    one.stage === 'released' || one.stage === 'refused' ? one : { ...one, age: one.age + 1 },
  )
  const revocations = state.revocations.map((one) => (isUnderWay(one) ? { ...one, age: one.age + 1 } : one))
  return [['time passes', { ...state, time: state.time + 1, exchanges, revocations }]]
}

function isUnderWay({ stage }: Revocation): boolean {
  return stage === 'begun' || stage === 'written'
}

/** Of the first login, of one that happens just now, or of a token that has been released. */
function exchangesBegun(state: CascadeState, setting: Setting, mistakes: Mistakes): readonly Action[] {
  const { exchanges, time } = state
  if (exchanges.length === setting.exchanges) return []
  const released = exchanges.flatMap(({ stage }, place) => (stage === 'released' ? [place] : []))
  const answered = state.revocations.flatMap(({ stage }, place) => (stage === 'answered' ? [place] : []))
  const logins = time === 0 ? [loginOf(0)] : [loginOf(0), loginOf(time)]
  const stage = mistakes.readsTooLate === true ? 'clear' : 'begun'
  const begun = (parent: number, actor: number | undefined, issuedAt: number): Action => {
    const exchange = { parent, actor, issuedAt, stage, age: 0, answered } as const
    const name = `exchange ${exchanges.length} of ${parent} begins, with ${actor}, at ${issuedAt}`
    return [name, { ...state, exchanges: [...exchanges, exchange] }]
  }
  return [...logins, ...released].flatMap((parent) =>
    [undefined, ...actorsOf(state, parent, { setting, released })].flatMap((actor) =>
      setting.clocks.map((ahead) => begun(parent, actor, time + ahead)),
    ),
  )
}

/** Whoever has logged in as the actor, or acts with a token of ours, unless the deployed code forbids it for this subject. */
function actorsOf(
  state: CascadeState,
  parent: number,
  { setting, released }: { readonly setting: Setting; readonly released: readonly number[] },
): readonly number[] {
  if (setting.actors !== true) return []
  const { time } = state
  const logins = time === 0 ? [actorLoginOf(0)] : [actorLoginOf(0), actorLoginOf(time)]
  const subject = factsOf(state, parent)
  return [...logins, ...released].filter(
    (actor) => !('refused' in delegationOf(subject, factsOf(state, actor))),
  )
}

function exchangeSteps(state: CascadeState, place: number, mistakes: Mistakes): readonly Action[] {
  const exchange = state.exchanges[place]
  const step = (name: string, stage: 'clear' | 'refused' | 'released'): Action => {
    const exchanges = state.exchanges.map((one, index) => (index === place ? { ...one, stage } : one))
    return [`exchange ${place}: ${name}`, { ...state, exchanges }]
  }
  if (exchange?.stage === 'clear') return [step('releases', 'released')]
  if (exchange?.stage !== 'begun') return []
  const stores = mistakes.exchangesOnStaleReads === true ? [state.store, state.stale] : [state.store]
  return stores.map((store) => step('reads', isRefused(state, place, store, mistakes) ? 'refused' : 'clear'))
}

/** As the deployed exchange decides. */
function isRefused(
  state: CascadeState,
  place: number,
  store: CascadeState['store'],
  mistakes: Mistakes,
): boolean {
  const [parent = 0, acting] = parentsOf(state, place)
  const subject = carried(factsOf(state, parent), mistakes)
  const actor =
    acting === undefined || mistakes.ignoresActors === true
      ? undefined
      : carried(factsOf(state, acting), mistakes)
  const token = factsOf(state, place)
  const authorised = { subject, actor, clientId: token.clients.at(-1) } as unknown as Authorised
  const issued = { id: token.tokenId, jti: token.tokenId } as unknown as IssuedIdentity
  const keys = revocationKeysFor(authorised, issued)
  const asked = mistakes.ignoresAncestors === true ? keys.filter((key) => !isOfAncestor(key, subject)) : keys
  const isKeyRevoked = store[`key#${token.signedBy.at(-1)}`] !== undefined
  return isKeyRevoked || refuseRevoked(authorised, issued, cutOffsIn(store, asked)) !== undefined
}

/** As the deployed introspection decides. */
function isActive(state: CascadeState, place: number, mistakes: Mistakes): boolean {
  const token = carried(factsOf(state, place), mistakes)
  const keys = revocationKeysOf(token as unknown as OwnToken)
  const asked = mistakes.ignoresAncestors === true ? keys.filter((key) => !isOfAncestor(key, token)) : keys
  const store = mistakes.introspectsOnStaleReads === true ? state.stale : state.store
  return findRevocation(token as never, cutOffsIn(store, asked)) === undefined
}

function carried(all: Facts, mistakes: Mistakes): Facts {
  const facts = mistakes.carriesNothingOfActors === true ? { ...all, actorKeys: [] } : all
  if (mistakes.carriesNothingOfAncestors !== true) return facts
  return { ...facts, clients: facts.clients.slice(-1), signedBy: facts.signedBy.slice(-1) }
}

function isOfAncestor(key: RevocationKey, { lineage }: Facts): boolean {
  return lineage.slice(0, -1).some((id) => key === `token#${id}`)
}

function cutOffsIn(store: CascadeState['store'], keys: readonly RevocationKey[]) {
  const found = keys.flatMap((key) => (store[key] === undefined ? [] : [[key, store[key]] as const]))
  return new Map<RevocationKey, number>(found)
}

function revocationsBegun(state: CascadeState, { revocations, kinds }: Setting): readonly Action[] {
  if (state.revocations.length === revocations) return []
  const released = state.exchanges.flatMap(({ stage }, place) => (stage === 'released' ? [place] : []))
  const logins = state.exchanges.some(({ actor }) => actor !== undefined)
    ? [loginOf(0), actorLoginOf(0)]
    : [loginOf(0)]
  const facts = [...logins, ...released].map((place) => factsOf(state, place))
  const named: Readonly<Record<Kind, readonly string[]>> = {
    token: facts.map(({ tokenId }) => tokenId),
    lineage: facts.flatMap(({ txn }) => txn ?? []),
    subject: facts.map(({ subject }) => subject),
    client: facts.flatMap(({ clients }) => clients),
    issuer: facts.map(({ idp }) => idp),
    key: facts.flatMap(({ signedBy }) => signedBy),
  }
  const keys = kinds.flatMap((kind) => [...new Set(named[kind])].map((id): RevocationKey => `${kind}#${id}`))
  return keys.map((key): Action => {
    const begun = { key, begunAt: state.time, stage: 'begun', begunBefore: 0, age: 0 } as const
    return [`revocation of ${key} begins`, { ...state, revocations: [...state.revocations, begun] }]
  })
}

function revocationSteps(state: CascadeState, place: number, mistakes: Mistakes): readonly Action[] {
  const revocation = state.revocations[place] as Revocation
  const { key, stage, begunAt } = revocation
  const step = (name: string, changes: Partial<Revocation>, more: Partial<CascadeState> = {}): Action => {
    const changed = state.revocations.map((one, index) => (index === place ? { ...one, ...changes } : one))
    return [`revocation of ${key}: ${name}`, { ...state, ...more, revocations: changed }]
  }
  if (stage === 'answered' || stage === 'over') return []
  if (stage === 'written') return [step('is answered', { stage: 'answered' })]
  const begunBefore = state.exchanges.length
  if (mistakes.answersBeforeItWrites === true && stage === 'begun' && revocation.begunBefore === 0)
    return [step('is answered', { stage: 'answered', begunBefore })]
  const cutOff = begunAt + (mistakes.margin ?? MARGIN)
  const grown = mistakes.lastWriteWins === true ? cutOff : Math.max(cutOff, state.store[key] ?? 0)
  const store = { ...state.store, [key]: grown }
  const written = { store, stale: state.store }
  if (stage === 'adrift') return [step('writes late', { stage: 'over' }, written)]
  return [
    step('dies', { stage: 'adrift', age: 0 }),
    step('writes', { stage: 'written', begunBefore }, written),
  ]
}

function violationIn(state: CascadeState, mistakes: Mistakes): string | undefined {
  for (const [place, { stage, answered }] of state.exchanges.entries()) {
    if (stage !== 'released') continue
    const isCovered = (revocation: Revocation) => covers(state, revocation, place)
    const active = isActive(state, place, mistakes)
    if (active && state.revocations.some((one) => one.stage === 'answered' && isCovered(one)))
      return 'a token is active that has been revoked'
    if (answered.some((index) => isCovered(state.revocations[index] as Revocation)))
      return 'a revoked chain is extended'
    // What is being written may be in force already.
    const isFree = state.revocations.every(({ key }) => !isWithin(state, place, key))
    if (!active && isFree) return 'a token is inactive though nothing of it was revoked'
  }
  return undefined
}

/** What a revocation means, said without cut-offs: by descent, and for whatever had begun, or logged in, before. */
function covers(state: CascadeState, { key, begunAt, begunBefore }: Revocation, place: number): boolean {
  if (!isWithin(state, place, key)) return false
  const [kind] = key.split('#') as [Kind]
  if (!CUT_OFFS.has(kind)) return true
  if (place < 0) return factsOf(state, place).issuedAt < begunAt
  if (place < begunBefore) return true
  const revocation = { key, begunAt, begunBefore } as Revocation
  return parentsOf(state, place).some((from) => covers(state, revocation, from))
}
