import {
  isPublished,
  type KeyManifest,
  type ManifestKey,
  type PlannedStep,
  planKeySteps,
} from '../../functions/core/key-lifecycle.ts'
import { DELEGATED_RING, type KeyTimes, RECONCILE_MINUTES } from '../../functions/core/key-times.ts'
import { isDelegated } from '../../functions/core/signing-ring.ts'
import { type KeyRotation, stepWorldOf } from '../../functions/rotate-keys/reconcile.ts'
import { type Command, DEPLOYMENT_OPTIONS } from './command.ts'
import { keyWorld, readRings } from './key-world.ts'
import { type Terminal, tableLines } from './terminal.ts'
import { ageOf, timeOf } from './times.ts'

/** A key as `--json` shows it. Times in epoch seconds. */
export interface ListedKey {
  readonly kid: string
  readonly state: ManifestKey['state'] | 'pending'
  readonly since: number
  readonly in_jwks: boolean
  readonly key_arn?: string
  readonly next?: { readonly step: string; readonly at: number }
}

/** A ring as `--json` shows it. */
export interface ListedRing {
  readonly ring: string
  readonly version: number
  readonly keys: readonly ListedKey[]
  /** How long a key stays in each state. Seconds. */
  readonly times: Readonly<Record<'published' | 'active' | 'retired' | 'disabled', number>>
  /** What is ahead of the ring as a whole. */
  readonly next?: { readonly step: string; readonly at: number }
}

export const keysList: Command = {
  path: ['keys', 'list'],
  summary: 'show every signing key, its state, and what happens to it next',
  example: 'npx token-broker keys list --stage prod',
  options: DEPLOYMENT_OPTIONS,
  run: async ({ deployment, flag, terminal, now }) => {
    const found = await deployment()
    const world = keyWorld(found, now)
    const manifests = await readRings(world, found.tables.signingKeys)
    const rings = manifests.map((manifest) => listedRing(manifest, world))
    if (flag('json')) {
      terminal.out(JSON.stringify({ stage: found.stage, region: found.region, rings }, null, 2))
      return 0
    }
    for (const ring of rings) print(terminal, ring, now())
    const published = rings.flatMap(({ keys }) => keys).filter((key) => key.in_jwks)
    terminal.out(`${found.issuer}/.well-known/jwks.json holds ${published.length} keys.`)
    return 0
  },
}

function planOf(manifest: KeyManifest, world: KeyRotation): readonly PlannedStep[] {
  const isWindingDown = manifest.ring === DELEGATED_RING && world.delegated?.keys === undefined
  return planKeySteps(manifest, stepWorldOf(manifest.ring, world).times, { isWindingDown })
}

function listedRing(manifest: KeyManifest, world: KeyRotation): ListedRing {
  const { ring, version, pending } = manifest
  const plan = planOf(manifest, world)
  const keys = manifest.keys.map((key): ListedKey => {
    const own = plan.find(({ step }) => 'key' in step && step.key.kid === key.kid)
    const { kid, state, since } = key
    const inKms = isDelegated(key) ? {} : { key_arn: key.keyArn }
    const listed = { kid, state, since, in_jwks: isPublished(key), ...inKms }
    const handsOver = state === 'active' && plan.find(({ step }) => step.kind === 'activate')
    if (handsOver) return { ...listed, next: { step: 'retire', at: handsOver.at } }
    return own === undefined ? listed : { ...listed, next: { step: own.step.kind, at: own.at } }
  })
  const made: readonly ListedKey[] =
    pending === undefined
      ? []
      : [{ kid: '(not known yet)', state: 'pending', since: pending.since, in_jwks: false }]
  const next = plan.find(({ step }) => !('key' in step))
  return {
    ring,
    version,
    keys: [...keys, ...made],
    times: timesOf(stepWorldOf(ring, world).times),
    ...(next !== undefined && { next: { step: next.step.kind, at: next.at } }),
  }
}

function timesOf(times: KeyTimes): ListedRing['times'] {
  const { publishedSeconds, activeSeconds, retiredSeconds, disabledSeconds } = times
  return {
    published: publishedSeconds,
    active: activeSeconds,
    retired: retiredSeconds,
    disabled: disabledSeconds,
  }
}

function print(terminal: Terminal, { ring, keys, next }: ListedRing, now: number): void {
  terminal.out(terminal.style('bold', ring))
  const rows = keys.map(({ kid, state, since, in_jwks: inJwks, next: step }) => [
    kid,
    state,
    timeOf(since),
    ageOf(since, now),
    inJwks ? 'yes' : 'no',
    step === undefined ? '-' : dueText(step, now),
  ])
  const lines = tableLines(['kid', 'state', 'since', 'age', 'in JWKS', 'next'], rows)
  for (const line of keys.length === 0 ? ['no key yet'] : lines) terminal.out(`  ${line}`)
  if (next !== undefined) terminal.out(`  next for the ring: ${dueText(next, now)}`)
  terminal.out('')
}

function dueText({ step, at }: { readonly step: string; readonly at: number }, now: number): string {
  return at <= now ? `${step} (due: within ${RECONCILE_MINUTES} min)` : `${step} ${timeOf(at)}`
}
