import type { RevocationKey } from '../../functions/core/ports.ts'

/** One exchange, known by its place; its token's id is that place's. */
interface Exchange {
  /** The exchange that made its subject token; a login, if negative. */
  readonly parent: number
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
}

/** The external token that the subject got at that time. */
export function loginOf(time: number): number {
  return -1 - time
}

/** The token of this exchange or login. */
export function factsOf(world: World, place: number): Facts {
  if (place < 0) {
    const tokenId = `login-${-1 - place}`
    const none = { txn: undefined, clients: [], signedBy: [] }
    return { ...none, tokenId, lineage: [tokenId], issuedAt: -1 - place, subject: 'ci:job', idp: 'ci' }
  }
  const { parent, issuedAt } = world.exchanges[place] as Exchange
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
  }
}

/** Whether the token, or one that it descends from, is what the key names. */
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
  return named[kind]?.includes(id) === true
}
