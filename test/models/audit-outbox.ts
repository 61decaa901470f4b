import type { Model } from './explore.ts'

/*
 * From an exchange to the audit trail (invariants I7, I21). The exchange writes its record, then releases its token. The
 * table's stream hands the records of each shard to an exporter, in order and at least once; the exporter of one shard runs
 * beside that of another. Each looks for the end of the chain, from a hint on; puts the next object on condition that
 * there is none; moves the hint; and only then does the stream move on. Any of them may die between any two steps, S3 may
 * refuse, and a write that was given up may arrive later.
 *
 * An object is known by its number, and by how often that number was written over, which stands for its hash.
 */

const SHARDS = [0, 1]
/** Of an object that a writer had meant to write. */
const NEVER_WRITTEN = -1

/** How the modelled system differs from the right one. */
export interface Mistakes {
  readonly releasesBeforeRecord?: boolean
  readonly putsUnconditionally?: boolean
  /** An object that stands in the way is taken for one's own. */
  readonly takesAnyObjectForItsOwn?: boolean
  /** An object that stands in the way is passed over, and not read. */
  readonly passesOverUnread?: boolean
  readonly trustsHint?: boolean
  readonly hintsBeforeItPuts?: boolean
  readonly movesOnBeforeItPuts?: boolean
}

export interface Setting {
  /** Records per shard. */
  readonly records: readonly number[]
  /** Deaths, refusals and losses. */
  readonly faults: number
}

interface Link {
  readonly seq: number
  readonly version: number
}

interface AuditObject {
  readonly previous: number
  readonly version: number
  readonly records: readonly string[]
}

/** A put that was sent. */
interface Put {
  readonly after: Link
  readonly records: readonly string[]
}

interface Run {
  readonly stage: 'begun' | 'looking' | 'ready' | 'occupied' | 'stands' | 'done'
  readonly records: readonly string[]
}

interface Shard {
  readonly written: number
  readonly isReleasedEarly?: boolean
  /** How many records the stream has handed over for good. */
  readonly position: number
  readonly run?: Run | undefined
  /** What the exporter's environment remembers of the chain's end. */
  readonly head?: Link | undefined
}

interface OutboxState {
  readonly shards: readonly Shard[]
  readonly objects: readonly AuditObject[]
  readonly hint: number
  readonly late: readonly Put[]
  readonly faults: number
}

type Action = readonly [name: string, state: OutboxState]

/** The model of this setting, with these mistakes. */
export function auditOutbox(setting: Setting, mistakes: Mistakes = {}): Model<OutboxState> {
  const next = (state: OutboxState): readonly Action[] => [
    ...SHARDS.flatMap((place) => exchangeSteps(state, place, setting, mistakes)),
    ...SHARDS.flatMap((place) => deliveries(state, place, mistakes)),
    ...SHARDS.flatMap((place) => exporterSteps(state, place, mistakes)),
    ...SHARDS.flatMap((place) => faultsOf(state, place, setting)),
    ...lateArrivals(state, mistakes),
  ]
  return {
    initial: {
      shards: SHARDS.map(() => ({ written: 0, position: 0 })),
      objects: [],
      hint: 0,
      late: [],
      faults: 0,
    },
    next,
    violation: (state) => violationIn(state) ?? (next(state).length === 0 ? unfinished(state) : undefined),
    key: JSON.stringify,
  }
}

/** A token is released some time after its record is written, which changes nothing here; unless it was before. */
function exchangeSteps(
  state: OutboxState,
  place: number,
  { records }: Setting,
  mistakes: Mistakes,
): readonly Action[] {
  const { written } = state.shards[place] as Shard
  if (written === records[place]) return []
  const early = withShard(state, place, { isReleasedEarly: true })
  return [
    action(`record ${place}.${written} is written`, withShard(state, place, { written: written + 1 })),
    ...(mistakes.releasesBeforeRecord === true
      ? [action(`token ${place}.${written} is released`, early)]
      : []),
  ]
}

/** The stream hands over what comes next: one record, or all that there are. */
function deliveries(state: OutboxState, place: number, mistakes: Mistakes): readonly Action[] {
  const { run, position, written } = state.shards[place] as Shard
  if (run !== undefined || position === written) return []
  return [...new Set([position + 1, written])].map((end) => {
    const records = Array.from({ length: end - position }, (_, index) => `${place}.${position + index}`)
    const moved = mistakes.movesOnBeforeItPuts === true ? { position: end } : {}
    const begun = withShard(state, place, { run: { stage: 'begun', records }, ...moved })
    return action(`exporter ${place} gets ${records.join(' ')}`, begun)
  })
}

function exporterSteps(state: OutboxState, place: number, mistakes: Mistakes): readonly Action[] {
  const { run, head, position } = state.shards[place] as Shard
  if (run === undefined) return []
  const step = (name: string, stage: Run['stage'], changes: Partial<Shard> = {}, from = state): Action =>
    action(`exporter ${place} ${name}`, withShard(from, place, { ...changes, run: { ...run, stage } }))
  const known = head ?? { seq: 0, version: 0 }
  const follower = linkAt(state, known.seq + 1)
  switch (run.stage) {
    case 'begun':
      if (head !== undefined) return [step('remembers the end', 'ready')]
      return [
        step('reads the hint', mistakes.trustsHint === true ? 'ready' : 'looking', {
          head: linkAt(state, state.hint),
        }),
      ]
    case 'looking':
      return follower === undefined
        ? [step('finds the end', 'ready')]
        : [step('reads on', 'looking', { head: follower })]
    case 'ready':
      return [putStep(state, place, known, { step, mistakes })]
    case 'occupied':
      if (mistakes.passesOverUnread === true)
        return [step('passes over', 'ready', { head: { seq: known.seq + 1, version: NEVER_WRITTEN } })]
      return [step('reads what stands there', 'ready', { head: follower })]
    case 'stands':
      return [
        step('moves the hint', 'done', {}, { ...state, hint: Math.max(state.hint, known.seq) }),
        step('cannot move the hint', 'done'),
      ]
    case 'done': {
      const end = mistakes.movesOnBeforeItPuts === true ? position : position + run.records.length
      return [action(`stream ${place} moves on`, withShard(state, place, { run: undefined, position: end }))]
    }
  }
}

type StepTo = (name: string, stage: Run['stage'], changes?: Partial<Shard>, from?: OutboxState) => Action

function putStep(
  state: OutboxState,
  place: number,
  head: Link,
  { step, mistakes }: { readonly step: StepTo; readonly mistakes: Mistakes },
): Action {
  const { run } = state.shards[place] as Shard
  const hinted =
    mistakes.hintsBeforeItPuts === true && state.hint <= head.seq ? { ...state, hint: head.seq + 1 } : state
  if (hinted !== state) return step('moves the hint at once', 'ready', {}, hinted)
  const after = put(state, { after: head, records: run?.records ?? [] }, mistakes)
  if (after !== undefined) return step('puts', 'stands', { head: linkAt(after, head.seq + 1) }, after)
  if (mistakes.takesAnyObjectForItsOwn === true)
    return step('finds its number taken', 'stands', { head: linkAt(state, head.seq + 1) })
  return step('finds its number taken', 'occupied')
}

/** The objects with one more, or `undefined` if its number is taken. */
function put(state: OutboxState, { after, records }: Put, mistakes: Mistakes): OutboxState | undefined {
  const existing = state.objects[after.seq]
  if (existing !== undefined && mistakes.putsUnconditionally !== true) return undefined
  const version = existing === undefined ? 0 : existing.version + 1
  const objects = [...state.objects]
  objects[after.seq] = { previous: after.version, version, records }
  return { ...state, objects }
}

function faultsOf(state: OutboxState, place: number, { faults }: Setting): readonly Action[] {
  const shard = state.shards[place] as Shard
  const { run, head = { seq: 0, version: 0 } } = shard
  if (run === undefined || state.faults === faults) return []
  const fault = (name: string, changes: Partial<Shard>, more: Partial<OutboxState> = {}): Action =>
    action(
      `exporter ${place} ${name}`,
      withShard({ ...state, ...more, faults: state.faults + 1 }, place, { ...changes, run: undefined }),
    )
  const late = [...state.late, { after: head, records: run.records }]
  return [
    fault('dies', { head: undefined }),
    ...(run.stage === 'ready' ? [fault('gives up', {}), fault('gives up too early', {}, { late })] : []),
    ...(run.stage === 'done' ? [fault('is not heard', {})] : []),
  ]
}

function lateArrivals(state: OutboxState, mistakes: Mistakes): readonly Action[] {
  return state.late.map((sent, index) => {
    const rest = { ...state, late: state.late.filter((_, other) => other !== index) }
    return action('a late object arrives', put(rest, sent, mistakes) ?? rest)
  })
}

function violationIn({ shards, objects, hint }: OutboxState): string | undefined {
  const exported = new Set(objects.flatMap(({ records }) => records))
  for (const [place, { isReleasedEarly, position }] of shards.entries()) {
    if (isReleasedEarly === true) return 'a token is released without a record'
    for (let record = 0; record < position; record++)
      if (!exported.has(`${place}.${record}`)) return 'a record is left behind'
  }
  if (hint > objects.length) return 'the hint names an object that is not there'
  const isBroken = objects.some(({ previous }, index) => previous !== (objects[index - 1]?.version ?? 0))
  return isBroken ? 'the chain is broken' : undefined
}

/** Nothing can happen any more: then everything must have. */
function unfinished({ shards }: OutboxState): string | undefined {
  const isDone = shards.every(({ written, position }) => position === written)
  return isDone ? undefined : 'an exporter is stuck'
}

function linkAt({ objects }: OutboxState, seq: number): Link | undefined {
  if (seq === 0) return { seq, version: 0 }
  const object = objects[seq - 1]
  return object && { seq, version: object.version }
}

function withShard(state: OutboxState, place: number, changes: Partial<Shard>): OutboxState {
  const shards = state.shards.map((shard, index) => (index === place ? { ...shard, ...changes } : shard))
  return { ...state, shards }
}

function action(name: string, state: OutboxState): Action {
  return [name, state]
}
