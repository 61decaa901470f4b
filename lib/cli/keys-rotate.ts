import { planRotation, type RotationPlan } from '../../functions/core/key-emergency.ts'
import { type KeyManifest, planKeySteps, withActive } from '../../functions/core/key-lifecycle.ts'
import { PUBLISHED_KEYS_PER_RING, RECONCILE_MINUTES, RINGS } from '../../functions/core/key-times.ts'
import { LIMITS } from '../../functions/core/limits.ts'
import { carryOut } from '../../functions/rotate-keys/carry-out.ts'
import { type KeyRotation, stepWorldOf } from '../../functions/rotate-keys/reconcile.ts'
import { type Command, CommandFailed, DEPLOYMENT_OPTIONS, PLAN_OPTIONS, UsageError } from './command.ts'
import { confirmPlan } from './confirm.ts'
import { keyWorld, readRings, ringChanged } from './key-world.ts'
import { durationOf, timeOf } from './times.ts'

interface PlannedRing extends RotationPlan {
  readonly manifest: KeyManifest
  /** Whether there is room for one more key right afterwards. */
  readonly nextIsMade: boolean
}

const ALL = 'all'

export const keysRotate: Command = {
  path: ['keys', 'rotate'],
  summary: 'let the next signing key take over now, ahead of its time',
  details:
    'Keys rotate by themselves; this is for a key that you want out of use although it is not compromised (a\n' +
    'compromised one: keys revoke). Tokens of the key that signed so far stay valid.',
  example: 'npx token-broker keys rotate --now --ring RS256 --stage prod',
  options: {
    ...DEPLOYMENT_OPTIONS,
    ...PLAN_OPTIONS,
    now: { type: 'boolean', description: 'required: says that you mean it' },
    ring: { type: 'string', value: 'RING', description: `${RINGS.join(', ')} or ${ALL} (default: ${ALL})` },
    'before-caches-expire': {
      type: 'boolean',
      description: 'although verifiers with an old key set will refuse new tokens for a while',
    },
  },
  run: async (context) => {
    const { terminal, flag, text } = context
    if (!flag('now')) throw new UsageError('keys rotate by themselves: to rotate ahead of time, add --now')
    const ring = text('ring') ?? ALL
    if (ring !== ALL && !RINGS.some((known) => known === ring))
      throw new UsageError(`--ring ${ring}: there is ${[...RINGS, ALL].join(', ')}`)
    const deployment = await context.deployment()
    const world = keyWorld(deployment, context.now)
    const manifests = await readRings(world, deployment.tables.signingKeys)
    const chosen = manifests.filter((manifest) => ring === ALL || manifest.ring === ring)
    if (chosen.length === 0)
      throw new CommandFailed(`ring ${ring} has no key yet`, 'npx token-broker keys reconcile')
    const plans = chosen.map((manifest) => planned(manifest, world))
    const now = context.now()
    refuseUnknownKeys(plans, now, flag('before-caches-expire'))
    await confirmPlan(
      context,
      plans.flatMap((plan) => planLines(plan, now)),
      `Rotate in ${deployment.stage}?`,
    )
    for (const plan of plans) await rotate(plan, world)
    if (flag('json')) terminal.out(JSON.stringify({ rotated: plans.map(asJson) }, null, 2))
    else for (const plan of plans) terminal.out(`${plan.manifest.ring}: ${plan.next.kid} signs from now on.`)
    terminal.err(
      `Exchanges sign with it within ${LIMITS.manifestCacheSeconds} s. See: npx token-broker keys list`,
    )
    return 0
  },
}

function planned(manifest: KeyManifest, world: KeyRotation): PlannedRing {
  const { now } = world
  const { times } = stepWorldOf(manifest.ring, world)
  const plan = planRotation(manifest, times, { now: now() })
  if (plan !== undefined) {
    const ahead = planKeySteps(withActive(manifest, plan.next, now()), times)
    return { ...plan, manifest, nextIsMade: ahead.some(({ step }) => step.kind === 'reserve') }
  }
  throw new CommandFailed(
    `ring ${manifest.ring} has no next key to hand over to`,
    `it is made within ${RECONCILE_MINUTES} minutes, or at once by: npx token-broker keys reconcile`,
  )
}

function refuseUnknownKeys(plans: readonly PlannedRing[], now: number, isAccepted: boolean): void {
  const young = plans.find(({ knownFrom }) => knownFrom > now)
  if (young === undefined || isAccepted) return
  const { manifest, knownFrom } = young
  throw new CommandFailed(
    `not every verifier has the next key of ring ${manifest.ring} yet: those with an old key set would refuse new tokens for up to ${durationOf(knownFrom - now)}`,
    `wait until ${timeOf(knownFrom)}, or accept that with --before-caches-expire`,
  )
}

function planLines(plan: PlannedRing, now: number): string[] {
  const { manifest, next, active, publishedUntil, knownFrom, nextIsMade } = plan
  return [
    `Ring ${manifest.ring}:`,
    `  ${next.kid} becomes active: it proves itself in KMS, then signs every new token`,
    active === undefined
      ? '  no key signs now: requests are answered 503 until then'
      : `  ${active.kid} retires: signs nothing more, and stays published until ${timeOf(publishedUntil)}, so that its tokens verify`,
    knownFrom <= now
      ? '  verifiers: every one has the new key already; none notices'
      : `  verifiers: one with an old key set refuses new tokens until it reads the keys again, at most until ${timeOf(knownFrom)}`,
    `  then: ${nextKeyText(nextIsMade)}`,
  ]
}

function nextKeyText(isMade: boolean): string {
  return isMade
    ? `the next key is made and published by the rotation within ${RECONCILE_MINUTES} minutes`
    : `the next key is made once a retired one has left the key set, which holds ${PUBLISHED_KEYS_PER_RING} of a ring at most`
}

async function rotate({ manifest, next }: PlannedRing, world: KeyRotation): Promise<void> {
  const outcome = await carryOut({ kind: 'activate', key: next }, manifest, stepWorldOf(manifest.ring, world))
  if ((await world.store.save(outcome.manifest)) === 'conflict') throw ringChanged(manifest.ring)
}

function asJson({ manifest, next, active, publishedUntil, knownFrom }: PlannedRing) {
  return {
    ring: manifest.ring,
    active: next.kid,
    known_from: knownFrom,
    ...(active !== undefined && { retired: active.kid, published_until: publishedUntil }),
  }
}
