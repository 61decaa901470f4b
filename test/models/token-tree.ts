import { delegate } from '../../functions/core/delegation.ts'
import { LIMITS } from '../../functions/core/limits.ts'
import type { RevocationKey } from '../../functions/core/ports.ts'

/** One exchange, known by its place; its token's id is that place's. */
interface Exchange {
  /** The exchange that made its subject token; a login, if negative. */
  readonly parent: number
  /** Who acts for the subject: the exchange that made the actor's token, or a login. */
  readonly actor: number | undefined
  /** By the exchange's own clock: `iat` of its token. */
  readonly issuedAt: number
  readonly stage: 'begun' | 'clear' | 'refused' | 'released'
  readonly age: number
  /** The revocations that had been answered before it began. */
  readonly answered: readonly number[]
}

export interface World {
  readonly exchanges: readonly Exchange[]
}

/** What the broker knows of a token, its ancestors included, root first. */
export interface Facts {
  readonly tokenId: string
  readonly lineage: readonly string[]
  readonly issuedAt: number
  readonly subject: string
  readonly idp: string
  readonly txn: string | undefined
  readonly clients: readonly string[]
  readonly signedBy: readonly string[]
  readonly actors: readonly string[]
  /** As the deployed code passes it on. */
  readonly actorKeys: readonly RevocationKey[]
}

/** Logins of the actor are so far from those of the subject. */
const ACTOR_LOGINS = 1000

/** The external token that the subject got at that time. */
export function loginOf(time: number): number {
  return -1 - time
}

/** The external token that the actor got at that time. */
export function actorLoginOf(time: number): number {
  return loginOf(time) - ACTOR_LOGINS
}

function loginFacts(place: number): Facts {
  const isActor = place < -ACTOR_LOGINS
  const issuedAt = -1 - place - (isActor ? ACTOR_LOGINS : 0)
  const [idp, subject] = isActor ? ['pod', 'pod:worker'] : ['ci', 'ci:job']
  const tokenId = `${idp}-login-${issuedAt}`
  const none = { txn: undefined, clients: [], signedBy: [], actors: [], actorKeys: [] }
  return { ...none, tokenId, lineage: [tokenId], issuedAt, subject, idp }
}

/** The token of this exchange or login. */
export function factsOf(world: World, place: number): Facts {
  if (place < 0) return loginFacts(place)
  const { parent, actor, issuedAt } = world.exchanges[place] as Exchange
  const from = factsOf(world, parent)
  const tokenId = `token-${place}`
  // Another client and another key at each step: what is shared is only what is passed on.
  const depth = from.lineage.length
  return {
    ...from,
    tokenId,
    issuedAt,
    lineage: [...from.lineage, tokenId],
    txn: from.txn ?? tokenId,
    clients: [...from.clients, `client-${depth}`],
    signedBy: [...from.signedBy, `key-${depth}`],
    ...(actor !== undefined && actedFor(from, factsOf(world, actor))),
  }
}

function actedFor(subject: Facts, actor: Facts): Pick<Facts, 'actors' | 'actorKeys'> {
  const delegation = delegationOf(subject, actor)
  if ('refused' in delegation) throw new Error(`the model lets act whom the broker refuses`)
  return delegation
}

/** What the deployed code makes of the two tokens. */
export function delegationOf(subject: Facts, actor: Facts) {
  const claimsOf = ({ actors }: Facts) => (actors.length > 0 ? { act: {} } : {})
  return delegate(
    { ...subject, claims: claimsOf(subject) } as never,
    { ...actor, claims: claimsOf(actor) } as never,
    LIMITS.delegationDepth,
  )
}

/** Whether the token, or one that it descends from, as its subject's or as an actor's, is what the key names. */
export function isWithin(world: World, place: number, key: RevocationKey): boolean {
  const { lineage, subject, idp, txn, clients, signedBy } = factsOf(world, place)
  const [kind, id] = key.split('#') as [string, string]
  const named: Readonly<Record<string, readonly (string | undefined)[]>> = {
    token: lineage,
    lineage: [txn],
    subject: [subject],
    issuer: [idp],
    client: clients,
    key: signedBy,
  }
  return (
    named[kind]?.includes(id) === true || parentsOf(world, place).some((from) => isWithin(world, from, key))
  )
}

/** What it was made from: the subject's token, and the actor's if there was one. */
export function parentsOf({ exchanges }: World, place: number): readonly number[] {
  if (place < 0) return []
  const { parent, actor } = exchanges[place] as Exchange
  return actor === undefined ? [parent] : [parent, actor]
}
