import type { KeyManifest, KeyStep } from '../../functions/core/key-lifecycle.ts'
import { DELEGATED_RING } from '../../functions/core/key-times.ts'
import { handleOf } from '../support/fakes.ts'

export interface Run {
  readonly step: KeyStep
  /** What the run has read. */
  readonly manifest: KeyManifest
  /** The effect in KMS, once it has been had: what `create` came to, and which keys it found that were made in vain. */
  readonly effect: undefined | { readonly keyArn?: string; readonly strays: readonly string[] }
  /** Minutes since it has read: Lambda ends a run that takes longer than one. */
  readonly age: number
  /** The write has succeeded; what was made in vain is still to be disabled. */
  readonly isWritten: boolean
}

/** Somebody may go on using this until it is too old. */
export interface Cached {
  readonly kids: readonly string[]
  /** When it was replaced, in the past; 0 for what is current. */
  readonly until: number
}

export interface RingState {
  readonly manifest: KeyManifest
  readonly runs: readonly (Run | undefined)[]
  /** Enabled KMS keys: ARN to the reservation that they were made for. */
  readonly kms: Readonly<Record<string, string>>
  readonly warm: readonly Cached[]
  readonly held: readonly Cached[]
  /** When the last token of a key ends. */
  readonly tokens: Readonly<Record<string, number>>
  readonly deaths: number
  /** Names given so far. */
  readonly names: number
}

/** Whether a verifier with this set misses the key. A ring that was there from the start is not served before it has keys. */
export function lacks({ kids }: Cached, kid: string, { ring }: KeyManifest): boolean {
  return !kids.includes(kid) && (kids.length > 0 || ring === DELEGATED_RING)
}

/** The state with its names replaced by their order of appearance, and without what no longer matters. */
export function canonical({ manifest, runs, kms, warm, held, tokens, deaths }: RingState): string {
  const seen = new Map<string, number>()
  const named = (name = ''): number => {
    if (!seen.has(name)) seen.set(name, seen.size)
    return seen.get(name) ?? 0
  }
  const { keys, pending } = manifest
  const youngest = (all: readonly Cached[]) => Math.max(-Infinity, ...all.map(({ until }) => until))
  // Of all caches it matters how young the youngest is that has the key, or lacks it.
  const facts = (kid: string) => [
    youngest(warm.filter(({ kids }) => kids.includes(kid))),
    youngest(held.filter((cached) => lacks(cached, kid, manifest))),
    tokens[kid],
  ]
  const gone = Object.keys(tokens).filter((kid) => keys.every((key) => key.kid !== kid))
  // A key of a reservation that is over stays made in vain: nothing but its end can happen to it.
  const reservations = runs.map(
    (run) => run?.step.kind === 'create' && run.effect === undefined && run.step.pending.reservation,
  )
  const matters = (arn: string) =>
    keys.some((key) => handleOf(key) === arn) || [pending?.reservation, ...reservations].includes(kms[arn])
  const enabled = Object.entries(kms).filter(([arn]) => matters(arn))
  const running = runs.map((run) => {
    if (run === undefined) return ''
    const { step, effect, isWritten, age } = run
    const isCurrent = run.manifest.version === manifest.version
    const about = 'key' in step ? step.key.kid : 'pending' in step ? step.pending.reservation : ''
    const had = effect && [isCurrent && named(effect.keyArn), effect.strays.filter(matters).map(named)]
    // What a run has read matters no more once its write will be refused, but for what it still does to KMS.
    const known = isCurrent || effect ? [] : run.manifest.keys.map(({ kid }) => named(kid))
    return JSON.stringify([step.kind, named(about), isCurrent, known, had, isWritten, age])
  })
  return JSON.stringify([
    keys.map((key) => [named(key.kid), key.state, key.since, facts(key.kid)]),
    pending && [named(pending.reservation), named(pending.keyArn), pending.since],
    gone.map((kid) => [named(kid), facts(kid)]),
    [running.toSorted(), enabled.map(([arn, made]) => [named(arn), named(made)]), deaths],
  ])
}
