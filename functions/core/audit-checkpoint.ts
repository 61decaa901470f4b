import { hashOf, isCount, type Link, parsed } from './audit-chain.ts'

/** The `typ` of a checkpoint (RFC 8725 §3.11): it can be taken for no token, and no token for it. */
export const CHECKPOINT_TYPE = 'audit-checkpoint+json'

/** What a checkpoint says: so long was the audit chain, and this was its last object. */
export interface Checkpoint {
  readonly format: 1
  /** Its own number in the chain of checkpoints. */
  readonly number: number
  /** Hash of the checkpoint before it. */
  readonly previous: string
  /** Of the audit chain: number and hash of the last object, and records up to there. */
  readonly seq: number
  readonly hash: string
  readonly total: number
  /** Epoch seconds. */
  readonly time: number
}

/** A JWS in the flattened JSON serialization (RFC 7515 §7.2.2): any JOSE library verifies it. */
export interface SignedCheckpoint {
  readonly protected: string
  readonly payload: string
  readonly signature: string
}

/** A checkpoint of the chain whose last object is `head`, as the one after `previous`. */
export function checkpointAfter(previous: Link, head: Link, now: number): Checkpoint {
  const { seq, hash, total } = head
  return { format: 1, number: previous.seq + 1, previous: previous.hash, seq, hash, total, time: now }
}

/** The two parts that are signed. `keyId` names the key to whoever verifies. */
export function checkpointParts(
  checkpoint: Checkpoint,
  keyId: string,
): Pick<SignedCheckpoint, 'protected' | 'payload'> {
  const header = { alg: 'ES256', typ: CHECKPOINT_TYPE, kid: keyId }
  return { protected: encoded(header), payload: encoded(checkpoint) }
}

/** What the signature is over (RFC 7515 §5.1). */
export function checkpointSigningInput(parts: Pick<SignedCheckpoint, 'protected' | 'payload'>): string {
  return `${parts.protected}.${parts.payload}`
}

export function checkpointBytes(signed: SignedCheckpoint): Uint8Array {
  return Buffer.from(`${JSON.stringify(signed)}\n`)
}

/** Reads a checkpoint's object, or `undefined` if it has not that form. The signature is not looked at. */
export function readCheckpoint(
  bytes: Uint8Array,
): { readonly signed: SignedCheckpoint; readonly checkpoint: Checkpoint } | undefined {
  const signed = parsed(bytes)
  if (
    signed === undefined ||
    !['protected', 'payload', 'signature'].every((part) => typeof signed[part] === 'string')
  )
    return undefined
  const { payload, protected: header } = signed as unknown as SignedCheckpoint
  const checkpoint = parsed(Buffer.from(payload, 'base64url'))
  const { alg, typ } = parsed(Buffer.from(header, 'base64url')) ?? {}
  if (alg !== 'ES256' || typ !== CHECKPOINT_TYPE || checkpoint === undefined) return undefined
  const isWhole =
    checkpoint['format'] === 1 &&
    ['number', 'seq', 'total', 'time'].every((name) => isCount(checkpoint[name])) &&
    ['previous', 'hash'].every((name) => typeof checkpoint[name] === 'string')
  if (!isWhole) return undefined
  return { signed: signed as unknown as SignedCheckpoint, checkpoint: checkpoint as unknown as Checkpoint }
}

/** The object as the next checkpoint will name it. Throws RangeError if it is no checkpoint. */
export function checkpointLinkOf(bytes: Uint8Array): Link {
  const read = readCheckpoint(bytes)
  if (read === undefined) throw new RangeError('this is no checkpoint')
  return { seq: read.checkpoint.number, hash: hashOf(bytes), total: read.checkpoint.total }
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
