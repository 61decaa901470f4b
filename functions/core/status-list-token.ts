import { compactJws, signingInputOf } from './access-token.ts'
import { DependencyUnavailable } from './fault.ts'
import type {
  AllRevocations,
  RevocationKey,
  RevocationStore,
  Signer,
  StatusEntries,
  StatusEntry,
} from './ports.ts'
import { findRevocation, revocationKeysOf } from './revocation.ts'
import {
  encodeStatuses,
  STATUS_DELAYS,
  STATUS_EXPIRY_SECONDS,
  STATUS_LIST_SIZE,
  statusListUri,
} from './status-list.ts'

/** What it takes to tell the status of tokens. */
export interface StatusWorld {
  /** The broker's own issuer URL. */
  readonly issuer: string
  readonly entries: StatusEntries
  readonly revocations: RevocationStore & AllRevocations
  readonly signer: Signer
}

/**
 * The status list token (Token Status List §5.1) of a list, or `undefined` where no token refers to it. It has no `iss`: no
 * verifier of access tokens can take it for one. `now`, epoch seconds, is when reading begins. Throws
 * {@link DependencyUnavailable} rather than leave a revocation out.
 */
export async function statusListToken(
  list: number,
  world: StatusWorld,
  now: number,
): Promise<string | undefined> {
  const entries = await world.entries.read(list, now)
  if (entries.length === 0) return undefined
  const key = await world.signer.activeKey('RS256')
  const ownKey = `key#${key.kid}` as const
  const cutOffs = await cutOffsFor(entries, ownKey, world.revocations)
  if (cutOffs.has(ownKey)) {
    // As in an exchange: the next request is to find the key that has taken over.
    world.signer.forget(key.algorithm)
    throw new DependencyUnavailable('kms', 'the active signing key is revoked')
  }
  const invalid = entries
    .filter(({ facts }) => findRevocation(facts, cutOffs) !== undefined)
    .map(({ status }) => status.index)
  const claims = {
    sub: statusListUri(world.issuer, list),
    iat: now,
    exp: now + STATUS_EXPIRY_SECONDS,
    ttl: STATUS_DELAYS.resourceServer,
    status_list: { bits: 1, lst: encodeStatuses(invalid, STATUS_LIST_SIZE) },
  }
  const signingInput = signingInputOf(claims, key, 'statuslist+jwt')
  return compactJws(signingInput, await world.signer.sign(key, signingInput))
}

/** In one batch of DynamoDB. */
const KEYS_AT_ONCE = 100
const BATCHES_AT_ONCE = 8

/**
 * Reading all cut-offs there are costs less than asking for each that could concern one of the tokens: there are few, and
 * each token has several. Only where they are too many are they asked for by key.
 */
async function cutOffsFor(
  entries: readonly StatusEntry[],
  ownKey: RevocationKey,
  revocations: RevocationStore & AllRevocations,
): Promise<ReadonlyMap<RevocationKey, number>> {
  const all = await revocations.all()
  if (all !== undefined) return all
  const keys = [...new Set([ownKey, ...entries.flatMap(({ facts }) => revocationKeysOf(facts))])]
  const found = new Map<RevocationKey, number>()
  const step = KEYS_AT_ONCE * BATCHES_AT_ONCE
  for (let from = 0; from < keys.length; from += step) {
    const batches = chunksOf(keys.slice(from, from + step), KEYS_AT_ONCE)
    const answers = await Promise.all(batches.map((batch) => revocations.cutOffs(batch)))
    for (const [key, cutOff] of answers.flatMap((answer) => [...answer])) found.set(key, cutOff)
  }
  return found
}

function chunksOf<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, at) =>
    items.slice(at * size, (at + 1) * size),
  )
}
