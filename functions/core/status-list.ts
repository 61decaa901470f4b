import { deflateSync } from 'node:zlib'
import { LIMITS } from './limits.ts'
import type { OwnClaims } from './own-claims.ts'
import type { StatusIndex } from './ports.ts'

/**
 * How long a revocation may stay unknown to a resource server that reads status lists, seconds, by who keeps what. In the
 * worst case each link of the chain has just begun: a list is computed a moment before the revocation, leaves its
 * environment when it is about to be computed anew, and is passed on by an HTTP cache, and then by the resource server,
 * for as long as each of them may.
 */
export const STATUS_DELAYS = {
  /** An environment serves a list for this long after it began to read what is in it. */
  computed: 20,
  /** From the last look at its age until an answer has arrived: what takes longer is not answered. */
  answering: LIMITS.deadlineMilliseconds / 1000,
  /** `max-age` of the answer. */
  httpCache: 15,
  /** `ttl` of the list: how long the resource server keeps it. */
  resourceServer: 20,
} as const

/** A revocation is known everywhere after this time, and `exp` sees to it where a cache forgets the others. Seconds. */
export const STATUS_EXPIRY_SECONDS = 60

/** Tokens in one list. Reading a full one costs about 500 read units; its 512 bytes are what a resource server fetches. */
export const STATUS_LIST_SIZE = 4096

/** Indices that an environment leases at once, all in one list. What it does not use when it ends is lost. */
export const STATUS_BLOCK_SIZE = 64

/** What decides whether a token is revoked. Ids only. */
export type StatusFacts = Pick<
  OwnClaims,
  'tokenId' | 'lineage' | 'txn' | 'subject' | 'clients' | 'idp' | 'signedBy' | 'issuedAt' | 'actorKeys'
>

/** The place of the number-th index that was leased. */
export function statusIndexOf(number: number): StatusIndex {
  return { list: Math.floor(number / STATUS_LIST_SIZE), index: number % STATUS_LIST_SIZE }
}

/** The URI of a list: `uri` in tokens, `sub` of the list, and where it is served. */
export function statusListUri(issuer: string, list: number): string {
  return `${issuer}/status/${list}`
}

/** `lst` of a list with one bit for each token, 1 for INVALID, the first in the lowest bit (Token Status List §4.1). */
export function encodeStatuses(invalid: readonly number[], size: number): string {
  const bytes = Buffer.alloc(Math.ceil(size / 8))
  for (const index of invalid) {
    const at = index >> 3
    bytes.writeUInt8(bytes.readUInt8(at) | (1 << (index & 7)), at)
  }
  return deflateSync(bytes, { level: 9 }).toString('base64url')
}
