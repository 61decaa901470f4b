import {
  changed,
  isPublished,
  type KeyManifest,
  type KeyState,
  type KeyStep,
  type ManifestKey,
  planKeySteps,
  withActive,
  withKeyState,
} from '../../functions/core/key-lifecycle.ts'
import { type KeyTimes, PUBLISHED_KEYS_PER_RING } from '../../functions/core/key-times.ts'
import type { RingName } from '../../functions/core/types.ts'
import { handleOf } from '../support/fakes.ts'
import type { Model } from './explore.ts'
import { type Cached, canonical, lacks, type RingState, type Run } from './ring-state.ts'

/*
 * One ring, as invariant I8 sees it. The plan and the changes of the manifest are the deployed code; reconcile runs are
 * modelled as read → effect in KMS → conditional write, with a stop between any two, in which other runs start, die and
 * finish, and time passes. Time is relative: now is 0, and what is long enough ago is all the same.
 *
 * Environments and verifiers are not chosen one by one. `warm` is every manifest that some environment may still sign
 * with, `held` every key set that some verifier may still verify with: whatever number of them there is, and whenever they
 * read, it is one of these.
 */

/** Lengths in the model's unit of time. */
const UNIT = 60
const MANIFEST_CACHE = UNIT
const VERIFIER_CACHE = 2 * UNIT
const SKEW = UNIT
const TOKEN = UNIT
/** Runs that may die in one history. Each could leave a key behind: without a bound there would be no end. */
const DEATHS = 2

const PUBLISHED = VERIFIER_CACHE + MANIFEST_CACHE + SKEW
export const MODEL_TIMES: KeyTimes = {
  pendingSeconds: 2 * UNIT,
  publishedSeconds: PUBLISHED,
  activeSeconds: PUBLISHED + UNIT,
  retiredSeconds: TOKEN + PUBLISHED,
  // What comes after can no longer be seen by anyone who verifies.
  disabledSeconds: 0,
  deletedSeconds: 0,
}

/** How the modelled system differs from the right one. */
export interface Mistakes {
  readonly times?: Partial<KeyTimes>
  /** The next key becomes active in one write, the one before it retires in another. */
  readonly switchesInTwoWrites?: boolean
  readonly writesUnconditionally?: boolean
  /** How long an environment signs with a manifest. @default 60 */
  readonly manifestCache?: number
  /** Any published key counts as the ring's first. */
  readonly activatesAtOnce?: boolean
  /** Keys that the manifest did not name when it was read are disabled before it is written. */
  readonly disablesStraysFirst?: boolean
}

const RUNS = [0, 1]
const CHANGES_KMS: ReadonlySet<KeyStep['kind']> = new Set(['create', 'disable', 'delete'])

type Action = readonly [name: string, state: RingState]

/** The model with these mistakes, of a ring that was there from the start, or of the delegated one, which came later. */
export function keyRotation(mistakes: Mistakes = {}, ring: RingName = 'ES256'): Model<RingState> {
  const times = { ...MODEL_TIMES, ...mistakes.times }
  const manifest: KeyManifest = { ring, version: 0, pending: undefined, keys: [] }
  const nothing = { kids: [], until: 0 }
  return {
    initial: {
      manifest,
      runs: RUNS.map(() => undefined),
      kms: {},
      warm: [nothing],
      held: [nothing],
      tokens: {},
      deaths: 0,
      names: 0,
    },
    next: (state) => [
      ...(state.runs.some((run) => run?.age === 1) ? [] : [action('a minute passes', aged(state, mistakes))]),
      ...RUNS.flatMap((slot) => runActions(state, slot, times, mistakes)),
    ],
    violation: (state) => violationIn(state),
    key: canonical,
  }
}

function action(name: string, state: RingState): Action {
  return [name, state]
}

function runActions(state: RingState, slot: number, times: KeyTimes, mistakes: Mistakes): readonly Action[] {
  const run = state.runs[slot]
  const name = `run ${slot + 1}`
  if (run === undefined) {
    const step = dueStep(state.manifest, times, mistakes)
    if (step === undefined) return []
    const started = { step, manifest: state.manifest, effect: undefined, age: 0, isWritten: false }
    return [action(`${name} reads, and is to ${step.kind}`, withRun(state, slot, started))]
  }
  const { kind } = run.step
  const dead = withRun({ ...state, deaths: state.deaths + 1 }, slot, undefined)
  const death = state.deaths < DEATHS ? [action(`${name} dies`, dead)] : []
  if (run.isWritten)
    return [...death, action(`${name} disables what was made in vain`, tidied(state, slot, run))]
  if (run.effect === undefined && CHANGES_KMS.has(kind))
    return [...death, action(`${name} changes KMS (${kind})`, withEffect(state, slot, run, mistakes))]
  return [...death, action(`${name} writes (${kind})`, written(state, slot, run, mistakes))]
}

function dueStep(manifest: KeyManifest, times: KeyTimes, mistakes: Mistakes): KeyStep | undefined {
  const published = manifest.keys.find(({ state }) => state === 'published')
  const actives = manifest.keys.filter(({ state }) => state === 'active')
  if (mistakes.activatesAtOnce === true && published !== undefined)
    return { kind: 'activate', key: published }
  const [oldest, another] = actives
  if (oldest !== undefined && another !== undefined) return { kind: 'withdraw', key: oldest }
  return planKeySteps(manifest, times).find(({ at }) => at <= 0)?.step
}

function withRun(state: RingState, slot: number, run: Run | undefined): RingState {
  return { ...state, runs: state.runs.map((other, index) => (index === slot ? run : other)) }
}

/** As `carryOut` has it. It happens to KMS as it is now, whatever the run has read before. */
function withEffect(state: RingState, slot: number, run: Run, mistakes: Mistakes): RingState {
  const { step, manifest } = run
  const finish = (kms: RingState['kms'], keyArn?: string, strays: readonly string[] = []) => {
    const effect = keyArn === undefined ? { strays } : { keyArn, strays }
    return withRun({ ...state, kms, names: state.names + 1 }, slot, { ...run, effect })
  }
  if (step.kind === 'disable' || step.kind === 'delete')
    return finish(without(state.kms, [handleOf(step.key)]))
  if (step.kind !== 'create') return state
  const { reservation } = step.pending
  const unknown = Object.keys(state.kms).filter((arn) => manifest.keys.every((key) => handleOf(key) !== arn))
  const strays = unknown.filter((arn) => state.kms[arn] !== reservation)
  const kms = mistakes.disablesStraysFirst === true ? without(state.kms, strays) : state.kms
  const made = unknown.find((arn) => state.kms[arn] === reservation)
  if (made !== undefined) return finish(kms, made, strays)
  const keyArn = `key-${state.names}`
  return finish({ ...kms, [keyArn]: reservation }, keyArn, strays)
}

function without(kms: RingState['kms'], keyArns: readonly string[]): RingState['kms'] {
  return Object.fromEntries(Object.entries(kms).filter(([arn]) => !keyArns.includes(arn)))
}

function tidied(state: RingState, slot: number, { effect }: Run): RingState {
  return withRun({ ...state, kms: without(state.kms, effect?.strays ?? []) }, slot, undefined)
}

function written(state: RingState, slot: number, run: Run, mistakes: Mistakes): RingState {
  const refused = withRun({ ...state, names: state.names + 1 }, slot, undefined)
  const isCurrent = run.manifest.version === state.manifest.version
  if (!isCurrent && mistakes.writesUnconditionally !== true) return refused
  const outcome = afterStep(run, state, mistakes)
  if (outcome === undefined) return refused
  const manifest = { ...outcome, version: state.manifest.version + 1 }
  const hasStrays = (run.effect?.strays.length ?? 0) > 0
  return signed({
    ...(hasStrays ? withRun(refused, slot, { ...run, isWritten: true }) : refused),
    manifest,
    warm: [{ kids: kidsOf(manifest, 'active'), until: 0 }, ...state.warm],
    held: [{ kids: manifest.keys.filter(isPublished).map(({ kid }) => kid), until: 0 }, ...state.held],
  })
}

/** The manifest that the run writes; `undefined` where its self-test fails. */
function afterStep(
  { step, manifest, effect }: Run,
  state: RingState,
  mistakes: Mistakes,
): KeyManifest | undefined {
  const { keys, pending } = manifest
  switch (step.kind) {
    case 'reserve':
      return changed(manifest, { pending: { reservation: `r-${state.names}`, since: 0 } })
    case 'create': {
      const keyArn = effect?.keyArn
      return keyArn === undefined ? undefined : changed(manifest, { pending: { ...step.pending, keyArn } })
    }
    case 'publish': {
      if (pending === undefined || !(step.handle in state.kms)) return undefined
      const key = { kid: step.handle, keyArn: step.handle, state: 'published', since: 0 } as ManifestKey
      return changed(manifest, { pending: undefined, keys: [...keys, key] })
    }
    case 'abandon':
      return changed(manifest, { pending: undefined })
    case 'activate':
      if (!(handleOf(step.key) in state.kms)) return undefined
      return mistakes.switchesInTwoWrites === true
        ? withKeyState(manifest, step.key, 'active', 0)
        : withActive(manifest, step.key, 0)
    // Of whoever vouches for a key there is nothing to model: it is what the key set holds anyway.
    case 'attest':
      return undefined
    case 'withdraw':
      return withKeyState(manifest, step.key, 'retired', 0)
    case 'disable':
      return withKeyState(manifest, step.key, 'disabled', 0)
    case 'delete':
      return withKeyState(manifest, step.key, 'deleted', 0)
    case 'forget':
      return changed(manifest, { keys: keys.filter(({ kid }) => kid !== step.key.kid) })
  }
}

/** Every environment signs all the time with whatever it may: no token that could exist is left out. */
function signed(state: RingState): RingState {
  const kids = state.warm.flatMap((cached) => cached.kids)
  return { ...state, tokens: { ...state.tokens, ...Object.fromEntries(kids.map((kid) => [kid, TOKEN])) } }
}

function aged(state: RingState, { manifestCache = MANIFEST_CACHE }: Mistakes): RingState {
  // What is current is renewed; what has been replaced grows old.
  const stillUsed = ([current, ...others]: readonly Cached[], longest: number) => [
    ...(current === undefined ? [] : [current]),
    ...others
      .map(({ kids, until }) => ({ kids, until: until - UNIT }))
      .filter(({ until }) => -until <= longest),
  ]
  const tokens = Object.entries(state.tokens).map(([kid, end]) => [kid, end - UNIT] as const)
  return signed({
    ...state,
    manifest: agedManifest(state.manifest),
    runs: state.runs.map((run) => run && { ...run, manifest: agedManifest(run.manifest), age: run.age + 1 }),
    warm: stillUsed(state.warm, manifestCache),
    held: stillUsed(state.held, VERIFIER_CACHE + MANIFEST_CACHE),
    tokens: Object.fromEntries(tokens.filter(([, end]) => end > 0)),
  })
}

/** What is long enough ago for its state is all the same. */
const LONGEST = {
  published: PUBLISHED,
  active: PUBLISHED + UNIT,
  retired: TOKEN + PUBLISHED,
  disabled: 0,
  deleted: 0,
}

function agedManifest(manifest: KeyManifest): KeyManifest {
  const older = (since: number, longest: number) => Math.max(since - UNIT, -longest)
  const { keys, pending } = manifest
  return {
    ...manifest,
    keys: keys.map((key) => ({ ...key, since: older(key.since, LONGEST[key.state]) })),
    pending: pending && { ...pending, since: older(pending.since, MODEL_TIMES.pendingSeconds) },
  }
}

function kidsOf({ keys }: KeyManifest, state: KeyState): readonly string[] {
  return keys.filter((key) => key.state === state).map(({ kid }) => kid)
}

function violationIn({ manifest, warm, held, tokens, kms }: RingState): string | undefined {
  const active = kidsOf(manifest, 'active')
  if (active.length > 1) return `two keys are active: ${active.join(', ')}`
  if (manifest.keys.filter(isPublished).length > PUBLISHED_KEYS_PER_RING) return 'the set holds too many keys'
  for (const kid of Object.keys(tokens)) {
    if (held.some((cached) => lacks(cached, kid, manifest)))
      return `a verifier may hold a set without ${kid}, of which a token is valid`
  }
  const unusable = warm.flatMap(({ kids }) => kids).find((kid) => !(kid in kms))
  return unusable === undefined ? undefined : `an environment signs with ${unusable}, which is disabled`
}
